//! The prior that `training` ships: benign rows of networks that are made up one by one.

use std::{fs::File, io::BufWriter, time::Duration};

use lab::Synthesis;
use replay::{HomeNet, Replay, ReplayOptions};
use training::{Learner, Prior, PriorBuilder};

/// The first seed: those of other captures that are made up lie below.
const FIRST_SEED: u64 = 9_000_000;

/// What a prior is made of.
#[derive(Clone, Copy, Debug)]
pub struct Networks {
    /// How many.
    pub count: usize,
    /// Length of the capture of each.
    pub duration: Duration,
    /// The most frames of each, which ends early where there would be more.
    pub frames: usize,
}

impl Networks {
    /// Those of `training-data/prior.bin`.
    pub const SHIPPED: Self =
        Self { count: 24, duration: Duration::from_mins(31), frames: 1_000_000 };

    /// Makes them up, and learns the rows of each as `weir learn` does.
    ///
    /// # Errors
    /// A capture cannot be written or read.
    pub fn prior(self) -> anyhow::Result<Prior> {
        let folder = tempfile::tempdir()?;
        let capture = folder.path().join("network.pcap");
        let home: Result<Vec<ipnet::IpNet>, _> = lab::HOME.iter().map(|net| net.parse()).collect();
        let home = home?;
        let mut builder = PriorBuilder::new(FIRST_SEED);
        for seed in (FIRST_SEED..).take(self.count) {
            let Self { duration, frames, .. } = self;
            let made = Synthesis { attack: None, seed, duration, frames }.make()?;
            made.write(BufWriter::new(File::create(&capture)?), 128)?;
            let options = ReplayOptions::default().home(HomeNet::new(home.iter().copied()));
            let (mut replay, mut learner) = (Replay::open(&capture, options)?, Learner::default());
            while let Some(window) = replay.next_window()? {
                learner.take(&window);
            }
            builder.take(learner.into_rows());
        }
        Ok(builder.finish())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_networks_give_the_same_bytes_and_others_do_not() {
        let few = Networks { count: 2, duration: Duration::from_secs(90), frames: 20_000 };
        let prior = few.prior().expect("it can be made");
        let bytes = prior.to_bytes();
        assert_eq!(bytes, few.prior().expect("again").to_bytes());
        assert_eq!(Prior::from_bytes(&bytes).expect("it reads back"), prior);
        // Of a minute each network has one row of its net, of ten seconds nine.
        let channels: Vec<String> = prior.channels().map(|one| one.to_string()).collect();
        for name in ["peer-1s", "peer-10s", "net-10s"] {
            assert!(channels.contains(&name.to_owned()), "{name} is not among {channels:?}");
        }
        let shorter = Networks { duration: Duration::from_mins(1), ..few };
        assert_ne!(bytes, shorter.prior().expect("another").to_bytes());
    }
}
