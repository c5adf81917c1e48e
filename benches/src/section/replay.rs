//! Replay: a capture file to windows.

use std::{fs, hint::black_box, path::Path};

use anyhow::{Context as _, ensure};
use collector::source::pcap::{CaptureReader, HomeNet, Replay, ReplayOptions};

use super::Effort;
use crate::{
    measurement::{Measurement, Unit},
    statistics::{Turns, timed},
    traffic::{Capture, LOCAL_V4, LOCAL_V6},
};

pub(super) fn measure(effort: Effort) -> anyhow::Result<Vec<Measurement>> {
    let capture = Capture {
        packets: effort.of(1_000_000, 100_000),
        flows: 20_000,
        per_second: 100_000,
        seed: 3,
    };
    let folder = tempfile::tempdir().context("no temporary folder")?;
    let path = folder.path().join("synthetic.pcap");
    capture.write(&path).with_context(|| format!("cannot write {}", path.display()))?;
    let bytes = fs::metadata(&path)?.len();

    let packets = u64::from(capture.packets);
    let mut read = || {
        let (seconds, frames) = timed(|| read(&path));
        ensure!(frames? == packets, "the reader lost frames");
        Ok(seconds)
    };
    let mut replay = || {
        let (seconds, frames) = timed(|| replay(&path));
        ensure!(frames? == packets, "the replay lost frames");
        Ok(seconds)
    };
    let turns = Turns::take(effort.of(7, 3), &mut [&mut replay, &mut read])?;
    let rate = |seconds: f64| packets as f64 / seconds;
    let note = format!(
        "a synthetic capture of {} MB in the page cache: {packets} packets, {} flows, windows of \
         1 s, one thread",
        bytes / 1_000_000,
        capture.flows
    );
    Ok(vec![
        Measurement::of("capture to windows", Unit::PacketsPerSecond, turns.map(0, rate))
            .note(note.clone()),
        Measurement::of("of it, reading alone", Unit::PacketsPerSecond, turns.map(1, rate))
            .note(note),
    ])
}

/// Reads every frame; how many.
fn read(path: &Path) -> anyhow::Result<u64> {
    let mut reader = CaptureReader::open(path)?;
    let mut frames = 0;
    while let Some(frame) = reader.next_frame()? {
        black_box(frame.bytes);
        frames += 1;
    }
    Ok(frames)
}

/// Makes every window; how many frames are in them.
fn replay(path: &Path) -> anyhow::Result<u64> {
    let home = HomeNet::new([
        format!("{LOCAL_V4}/32").parse().context("the local address")?,
        format!("{LOCAL_V6}/128").parse().context("the local address")?,
    ]);
    let mut replay = Replay::open(path, ReplayOptions::default().home(home))?;
    let mut frames = 0;
    while let Some(window) = replay.next_window()? {
        frames += window.ledger.frames.iter().sum::<u64>();
        black_box(window);
    }
    Ok(frames)
}
