//! Recording a scenario: a capture and, beside it, the ground truth.

use std::{
    fs::{self, File},
    io::{self, BufReader, BufWriter, Write as _},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, ensure};
use lab::{CaptureBounds, GroundTruth, Lab, RunEvent, Scenario, Stop, Tap};

use collector::signals::Signals;

/// Extension of a capture compressed by zstd.
const COMPRESSED: &str = "zst";

/// zstd's level: a capture is compressed once and read often.
const LEVEL: i32 = 19;

/// Where the ground truth of a capture lies: beside it, `.truth.json` for its extensions.
#[must_use]
pub fn truth_path(capture: &Path) -> PathBuf {
    bare(capture).with_extension("truth.json")
}

/// The path without what says that it is compressed.
fn bare(capture: &Path) -> PathBuf {
    let is_compressed =
        capture.extension().is_some_and(|extension| extension == COMPRESSED || extension == "gz");
    if is_compressed { capture.with_extension("") } else { capture.to_owned() }
}

/// True where a capture of this name is to be compressed by zstd.
///
/// # Errors
/// The name ends in `.gz`.
pub fn is_compressed(out: &Path) -> anyhow::Result<bool> {
    let raw = bare(out);
    ensure!(
        raw == out || out.extension().is_none_or(|extension| extension != "gz"),
        "cannot write {}: captures are compressed by zstd; name it {}.zst",
        out.display(),
        raw.display()
    );
    Ok(raw != out)
}

/// Runs a scenario as a whole and writes what the switch sent to the protected host; compressed
/// by zstd where `out` ends in `.zst`.
///
/// # Errors
/// The lab cannot be built, or a file cannot be written.
pub fn record(scenario: &Scenario, out: &Path, snap_length: u32) -> anyhow::Result<()> {
    // Compressed behind the run: level 19 would not keep up with a flood.
    let raw = if is_compressed(out)? { bare(out) } else { out.to_owned() };
    let mut topology = scenario.topology.clone();
    // With offloads a capture holds super-packets, which a reader cannot tell from packets.
    topology.offloads = false;
    let lab = Lab::build(&topology)?;
    let bounds = CaptureBounds { snaplen: snap_length, ..CaptureBounds::default() };
    let capture = lab.capture(&raw, Tap::Switch, 0, bounds)?;
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
    if raw != out {
        compress(&raw, out).with_context(|| format!("cannot write {}", out.display()))?;
    }
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

/// Compresses a file and removes the original, which stays where that fails.
fn compress(from: &Path, to: &Path) -> io::Result<()> {
    let draft = to.with_extension("draft");
    let mut source = BufReader::new(File::open(from)?);
    let mut packed = zstd::Encoder::new(BufWriter::new(File::create(&draft)?), LEVEL)?;
    packed.include_checksum(true)?;
    io::copy(&mut source, &mut packed)?;
    packed.finish()?.flush()?;
    fs::rename(&draft, to)?;
    fs::remove_file(from)
}

/// Reads the ground truth of a capture.
///
/// # Errors
/// The file is not there or is none.
pub(super) fn read_truth(capture: &Path) -> anyhow::Result<GroundTruth> {
    Ok(GroundTruth::read(&truth_path(capture))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ground_truth_lies_beside_a_capture_however_it_is_compressed() {
        for name in ["x/lab.pcap", "x/lab.pcap.zst", "x/lab.pcap.gz", "x/lab.pcapng"] {
            assert_eq!(truth_path(Path::new(name)), Path::new("x/lab.truth.json"), "{name}");
        }
    }

    #[test]
    fn a_compressed_capture_reads_back_and_the_original_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let [raw, packed] = ["lab.pcap", "lab.pcap.zst"].map(|name| folder.path().join(name));
        let content = b"frames, as it were".repeat(1_000);
        fs::write(&raw, &content).unwrap();
        compress(&raw, &packed).unwrap();
        assert!(!raw.exists());
        assert_eq!(zstd::decode_all(File::open(&packed).unwrap()).unwrap(), content);
    }
}
