//! `weir learn`: from benign traffic to a model file.

use std::{
    cell::Cell,
    path::PathBuf,
    process::ExitCode,
    sync::{Arc, Mutex, PoisonError, mpsc},
    time::{Duration, Instant},
};

use ::model::HomeNets;
use anyhow::Context as _;
use clap::Args;
use linfa::ParamGuard as _;
use policy::statistics::support;

use super::{
    IN_PART, Layers, Overrides, capture_options,
    captures::{Looked, expand},
    end_with,
};
use collector::{live::Live, pipeline::Pipeline, signals::Signals};
use training::{BEYOND, Learner, Learnt, told_of_bounds};

/// Parts of the time after each of which progress is told.
const TENTHS: u32 = 10;

#[derive(Debug, Args)]
pub(super) struct LearnArgs {
    /// A pcap or pcapng file to learn from, instead of an interface; may be given several times.
    #[arg(long, value_name = "FILE", conflicts_with = "interface")]
    pcap: Vec<PathBuf>,
    /// Local prefix in a capture; may be given several times. Private addresses without it.
    #[arg(long, value_name = "PREFIX", value_parser = address_list::parse_net)]
    home_net: Vec<ipnet::IpNet>,
    /// Learn nothing of what remotes in this prefix do; may be given several times.
    #[arg(long, value_name = "PREFIX", value_parser = address_list::parse_net)]
    exclude: Vec<ipnet::IpNet>,
    /// Time of learning from an interface; Ctrl-C ends it sooner, with a model.
    #[arg(long = "for", value_name = "DURATION", default_value = "10m")]
    length: humantime::Duration,
    /// Where the model goes.
    #[arg(long, short, value_name = "FILE", default_value = "model.weir")]
    out: PathBuf,
    /// Trees of each forest.
    #[arg(long, default_value_t = 100)]
    trees: usize,
    /// Rows that each tree is grown from.
    #[arg(long, default_value_t = 256)]
    max_samples: usize,
    /// The seed of all randomness.
    #[arg(long, default_value_t = 42)]
    seed: u64,
    #[command(flatten)]
    overrides: Overrides,
}

impl LearnArgs {
    pub(super) fn run(self, layers: &Layers) -> anyhow::Result<ExitCode> {
        let config = layers.resolve(&self.overrides)?;
        let mut lost = 0;
        let mut learner = Learner::of_windows(config.window)
            .with_ipv6_hosts(config.policy.ipv6_hosts.length())
            .excluding(&self.exclude);
        let learner = if self.pcap.is_empty() {
            let live = Live::open(&config)?;
            let signals = Signals::listen()?;
            learn_live(&live, learner, config.window, self.length.into(), &signals)?
        } else {
            for path in expand(&self.pcap)? {
                let looked = Looked::at(vec![path], &self.home_net, false)?;
                looked.require_home()?;
                let mut replay = looked.open(capture_options(&config))?;
                while let Some(window) = replay.next_window()? {
                    learner.take(&window);
                }
                lost += replay.report().lost();
            }
            learner
        };
        let unmet: Vec<String> = learner.unmet().map(|prefix| prefix.to_string()).collect();
        if !unmet.is_empty() {
            let why = format!("--exclude: no remote in {} was there", unmet.join(", "));
            // Who was not there in the time that went by may still be named beforehand.
            anyhow::ensure!(self.pcap.is_empty(), "{why}");
            eprintln!("weir: {why}");
        }
        let Learnt { windows, lossy_windows, peer_rows, site_rows } = learner.learnt();
        super::emit(&format!(
            "learnt {peer_rows} row{} of peers and {site_rows} of the host's side from {windows} \
             windows ({lossy_windows} lossy ones left out)\n",
            if peer_rows == 1 { "" } else { "s" }
        ))?;
        let params = ::model::IsolationForest::params()
            .n_trees(self.trees)
            .max_samples(self.max_samples)
            .beyond(BEYOND)
            .seed(self.seed)
            .check()?;
        super::emit(&told_of_bounds(&learner.setters()))?;
        let created = jiff::Timestamp::now().to_string();
        let (mut model, _) = learner.finish(&params, &created)?;
        if !self.pcap.is_empty() {
            model = model.of_home(&[HomeNets::new(self.home_net)])?;
        }
        model.save(&self.out)?;
        let basis = engine::basis(&model);
        if let Some(peers) = basis.peers_per_window {
            let rates = support(&config.policy, &basis, peers, config.window);
            if !rates.is_whole() {
                eprintln!(
                    "{}weir: the model's held-out rows do not support the configured rates: until \
                     it learns for longer, what it finds is told and, with `policy.unsupported` at \
                     \"refuse\", not blocked",
                    rates.to_text()
                );
            }
        }
        super::emit(&format!(
            "wrote {}; `weir run --model {0}` scores with it\n",
            self.out.display()
        ))?;
        if lost > 0 {
            let why = format!("{lost} records of the captures could not be read");
            return Ok(end_with(IN_PART, &why));
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Learns until the time is over or a signal comes.
fn learn_live(
    live: &Live,
    learner: Learner,
    window: Duration,
    length: Duration,
    signals: &Signals,
) -> anyhow::Result<Learner> {
    let (done, learnt_by) = mpsc::channel();
    // Sent when the last window was taken and the feed drops it.
    let mut gathered = Gathered { learner, done };
    let learnt = Arc::new(Mutex::new(gathered.learner.learnt()));
    let so_far = Arc::clone(&learnt);
    let pipeline = Pipeline::feed(live.drain(), window, move |next| {
        gathered.learner.take(&next.window);
        *so_far.lock().unwrap_or_else(PoisonError::into_inner) = gathered.learner.learnt();
        Ok(())
    })?;
    let progress = Progress { length, began: Instant::now(), learnt: &learnt };
    let told = Cell::new(0);
    signals.wait(Some(length), || {
        progress.tell(&told);
        pipeline.has_failed()
    });
    pipeline.stop()?;
    learnt_by.recv().context("the learner ended without a result; this is a bug")
}

/// Progress of learning, for a person who waits.
struct Progress<'a> {
    length: Duration,
    began: Instant,
    learnt: &'a Mutex<Learnt>,
}

impl Progress<'_> {
    /// Tells of each tenth of the time once; `told` are those that were.
    fn tell(&self, told: &Cell<u32>) {
        let tenth = (self.length / TENTHS).max(Duration::from_millis(1));
        let passed = self.began.elapsed();
        let now = u32::try_from(passed.as_millis() / tenth.as_millis()).unwrap_or(TENTHS);
        if now <= told.get() || now >= TENTHS {
            return;
        }
        told.set(now);
        let Learnt { windows, peer_rows, site_rows, .. } =
            *self.learnt.lock().unwrap_or_else(PoisonError::into_inner);
        eprintln!(
            "weir: {} of {}: {windows} windows, {peer_rows} rows of peers and {site_rows} of the host's \
             side",
            humantime::format_duration(Duration::from_secs(passed.as_secs())),
            humantime::format_duration(self.length)
        );
    }
}

/// Hands the learner over when the feed that owns it ends.
struct Gathered {
    learner: Learner,
    done: mpsc::Sender<Learner>,
}

impl Drop for Gathered {
    fn drop(&mut self) {
        let _ = self.done.send(std::mem::take(&mut self.learner));
    }
}
