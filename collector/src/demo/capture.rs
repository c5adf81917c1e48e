//! Recording a scenario: a capture and, beside it, the ground truth.

use std::path::{Path, PathBuf};

use lab::{CaptureBounds, GroundTruth, Lab, RunEvent, Scenario, Stop, Tap};

use crate::signals::Signals;

/// Where the ground truth of a capture lies: beside it, `.truth.json` for its extension.
#[must_use]
pub(super) fn truth_path(capture: &Path) -> PathBuf {
    capture.with_extension("truth.json")
}

/// Runs a scenario as a whole and writes what the switch sent to the protected host.
///
/// # Errors
/// The lab cannot be built, or a file cannot be written.
pub fn record(scenario: &Scenario, out: &Path, snap_length: u32) -> anyhow::Result<()> {
    let mut topology = scenario.topology.clone();
    // With offloads a capture holds super-packets, which a reader cannot tell from packets.
    topology.offloads = false;
    let lab = Lab::build(&topology)?;
    let bounds = CaptureBounds { snaplen: snap_length, ..CaptureBounds::default() };
    let capture = lab.capture(out, Tap::Switch, 0, bounds)?;
    let stop = Stop::new();
    let signals = Signals::listen()?;
    let on_signal = stop.clone();
    // Ends with the process where no signal comes.
    std::thread::Builder::new().name("weir-stop".into()).spawn(move || {
        signals.wait(None, || false);
        on_signal.stop();
    })?;
    let report = lab.run(scenario, &stop, |event| match event {
        RunEvent::BenignBegan => println!("benign clients are at work"),
        RunEvent::AttackBegan { name, .. } => println!("`{name}` began"),
        RunEvent::AttackEnded(truth) => println!("`{}` is over", truth.name),
    })?;
    let written = capture.finish()?;
    report.ground_truth.write(&truth_path(out))?;
    println!(
        "{}: {} frames, {} dropped by the capture, {} beyond its bound; ground truth in {}",
        out.display(),
        written.frames,
        written.dropped,
        written.beyond_bound,
        truth_path(out).display()
    );
    lab.remove()?;
    Ok(())
}

/// Reads the ground truth of a capture.
///
/// # Errors
/// The file is not there or is none.
pub(super) fn read_truth(capture: &Path) -> anyhow::Result<GroundTruth> {
    Ok(GroundTruth::read(&truth_path(capture))?)
}
