//! `weir lab prior`: benign rows of made-up networks, as `training-data/prior.bin` has them.

use std::{fs::File, io::BufWriter, path::PathBuf, time::Duration};

use anyhow::Context as _;
use clap::Args;
use lab::Synthesis;
use model::file::write_atomically;
use replay::{HomeNet, Replay, ReplayOptions};
use training::{Learner, PriorBuilder};

/// The first seed: those of other captures that are made up lie below.
const FIRST_SEED: u64 = 9_000_000;

#[derive(Debug, Args)]
pub(super) struct PriorArgs {
    /// Networks to make up; each takes some seconds.
    #[arg(long, value_name = "NUMBER", default_value_t = 24)]
    networks: u64,
    /// Length of each capture.
    #[arg(long, value_name = "DURATION", default_value = "31m")]
    duration: humantime::Duration,
    /// The most frames of each, which ends early where there would be more.
    #[arg(long, value_name = "FRAMES", default_value_t = 1_000_000)]
    frames: usize,
    /// Where the prior goes.
    #[arg(long, short, value_name = "FILE", default_value = "training-data/prior.bin")]
    out: PathBuf,
}

impl PriorArgs {
    pub(super) fn run(&self) -> anyhow::Result<()> {
        let folder = tempfile::tempdir()?;
        let capture = folder.path().join("network.pcap");
        let home = lab::HOME.map(|net| net.parse::<ipnet::IpNet>().expect("a prefix"));
        let mut builder = PriorBuilder::new(FIRST_SEED);
        for seed in (FIRST_SEED..).take(usize::try_from(self.networks)?) {
            let (duration, frames) = (Duration::from(self.duration), self.frames);
            let made = Synthesis { attack: None, seed, duration, frames }.make()?;
            made.write(BufWriter::new(File::create(&capture)?), 128)?;
            let options = ReplayOptions::default().home(HomeNet::new(home));
            let (mut replay, mut learner) = (Replay::open(&capture, options)?, Learner::default());
            while let Some(window) = replay.next_window()? {
                learner.take(&window);
            }
            builder.take(learner.into_rows());
        }
        let prior = builder.finish();
        let bytes = prior.to_bytes();
        write_atomically(&self.out, &bytes)
            .with_context(|| format!("cannot write {}", self.out.display()))?;
        println!(
            "{}: {} bytes, rows of {} kinds and horizons; build anew to have it in the program",
            self.out.display(),
            bytes.len(),
            prior.channels().count()
        );
        Ok(())
    }
}
