//! The demo: the whole loop in a lab, or offline on a capture, and a report of it.

mod attacks;
mod capture;
mod incidents;
mod live;
mod offline;
mod report;
mod watch;

use std::{path::PathBuf, time::Duration};

use policy::statistics::PValues;

pub use self::report::Report;
pub use capture::{is_compressed, record, truth_path};

use ::report::text::one_line;
use collector::config::{Config, Mode, RawConfig};
use datapath::KernelError;

/// Options of the demo.
#[derive(Clone, Debug)]
pub struct DemoOptions {
    /// Listen to benign traffic for this long.
    pub learn: Duration,
    /// A block's lease: short, so that one is seen to expire.
    pub ttl: Duration,
    /// Length of a window.
    pub window: Duration,
    /// The scenario: its benign traffic, its topology, and its attacks in turn.
    pub scenario: lab::Scenario,
    /// A capture with its ground truth, for when the loop cannot run live.
    pub capture: PathBuf,
    /// Skips the live run.
    pub offline: bool,
    /// Folder for the model and the events; nothing is kept without it.
    pub keep: Option<PathBuf>,
}

impl DemoOptions {
    /// The configuration the demo runs weir with.
    fn config(&self) -> anyhow::Result<Config> {
        let mut raw = RawConfig::default();
        raw.capture.interfaces = vec!["eth0".to_owned()];
        raw.capture.window = self.window;
        raw.policy.mode = Mode::Enforce;
        raw.policy.ttl = self.ttl;
        // Less than a minute of learning supports no rate for one calibration by itself, but the
        // configured one on the average over calibrations.
        raw.policy.expert.p_values = PValues::Marginal;
        raw.guard.persist = false;
        raw.ledger.enabled = false;
        Ok(raw.check()?)
    }
}

/// Runs the demo, live where this machine can, else offline.
///
/// # Errors
/// The lab, the kernel side or the capture fails in a way that the report cannot tell of.
pub fn run(options: &DemoOptions, mut tell: impl FnMut(&str)) -> anyhow::Result<Report> {
    if options.offline {
        return offline::run(options, "asked for with --offline", &mut tell);
    }
    match live::run(options, &mut tell) {
        Err(error) if is_unavailable(&error) => {
            tell(&format!("not live: {}; going on offline", one_line(error.chain())));
            offline::run(options, &one_line(error.chain()), &mut tell)
        }
        outcome => outcome,
    }
}

/// True where the error is that this machine or user cannot run programs in a lab at all.
fn is_unavailable(error: &anyhow::Error) -> bool {
    let lab = error.downcast_ref::<lab::LabError>().is_some_and(lab::LabError::is_unavailable);
    let kernel = error.downcast_ref::<KernelError>().is_some_and(|error| {
        matches!(error, KernelError::MissingCapability { .. } | KernelError::Rejected { .. })
    });
    lab || kernel
}
