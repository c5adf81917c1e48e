//! Replay: capture files to windows and to feature rows.

use std::{
    env,
    fs::{self, File},
    hint::black_box,
    io::{BufWriter, Write as _},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, ensure};
use features::{Context, Feature as _, FlowFeature, Observed, PeerFeature};
use replay::{CaptureReader, HomeNet, Replay, ReplayOptions};

use super::Effort;
use crate::{
    cpu,
    measurement::{Measurement, Reach, Unit},
    nfstream,
    scikit_learn::PYTHON,
    statistics::{Spread, Turns},
    traffic::{Capture, LOCAL_V4, LOCAL_V6},
};

/// Frames that are gone through for one sample of a capture that is smaller.
const FRAMES: u64 = 500_000;
const REACH: Reach = Reach::AtLeast(1e6);

/// The folder of captures that the project does not ship, where it is not `../shared/data`.
const SHARED_DATA: &str = "WEIR_SHARED_DATA";
/// Real traffic under a SYN flood: most of its flows are of one packet.
const FLOOD: &str = "lucid-ddos/sample-dataset/CIC-DDoS-2019-SynFlood.pcap";
/// The demo's capture, from the project's own folder.
const DEMO: &str = "training-data/demo.pcap.zst";

pub(super) fn measure(effort: Effort) -> anyhow::Result<Vec<Measurement>> {
    let folder = tempfile::tempdir().context("no temporary folder")?;
    let mut measured = synthetic(effort, folder.path())?;
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let shared =
        env::var_os(SHARED_DATA).map_or_else(|| workspace.join("../shared/data"), PathBuf::from);
    for (name, path) in [("the demo", workspace.join(DEMO)), ("a flood", shared.join(FLOOD))] {
        let what = format!("{name}'s capture to feature rows");
        if path.is_file() {
            measured.extend(real(effort, name, &path, folder.path())?);
        } else {
            let why = format!("there is no {}; {SHARED_DATA} names a folder", path.display());
            measured.push(Measurement::skipped(what, why).reach(REACH));
        }
    }
    Ok(measured)
}

/// Many packets of many flows, step by step.
fn synthetic(effort: Effort, folder: &Path) -> anyhow::Result<Vec<Measurement>> {
    let capture = Capture {
        packets: effort.of(1_000_000, 100_000),
        flows: 20_000,
        per_second: 100_000,
        seed: 3,
    };
    let path = folder.join("synthetic.pcap");
    capture.write(&path).with_context(|| format!("cannot write {}", path.display()))?;
    let bytes = fs::metadata(&path)?.len();
    let packets = u64::from(capture.packets);
    let once = |work: fn(&Path) -> anyhow::Result<u64>| {
        let (seconds, frames) = cpu::timed(|| work(&path));
        ensure!(frames? == packets, "frames are lost");
        Ok(seconds)
    };
    let turns = Turns::take(
        effort.of(7, 3),
        &mut [&mut || once(features), &mut || once(windows), &mut || once(read)],
    )?;
    let rate = |seconds: f64| packets as f64 / seconds;
    let note = format!(
        "a synthetic capture of {} MB in the page cache: {packets} packets, {} flows, windows of \
         1 s; CPU time of one thread",
        bytes / 1_000_000,
        capture.flows
    );
    let row = |what: &str, contestant| {
        Measurement::of(what, Unit::PacketsPerSecond, turns.map(contestant, rate)).note(&*note)
    };
    Ok(vec![
        row("capture to feature rows", 0).reach(REACH),
        row("of it, capture to windows", 1),
        row("of it, reading alone", 2),
    ])
}

/// A real capture, beside nfstream.
fn real(
    effort: Effort,
    name: &str,
    capture: &Path,
    folder: &Path,
) -> anyhow::Result<Vec<Measurement>> {
    let plain = folder.join("plain.pcap");
    let frames = unpack(capture, &plain)?;
    let times = (effort.of(FRAMES, FRAMES / 10) / frames).max(1);
    let mut own = || {
        let (seconds, outcome) = cpu::timed(|| (0..times).try_for_each(|_| check(&plain, frames)));
        outcome?;
        Ok(seconds / times as f64)
    };
    let what = format!("{name}'s capture to feature rows");
    let ratio = format!("{name}'s, over nfstream");
    let row = |spread: Spread| {
        Measurement::of(&*what, Unit::PacketsPerSecond, spread)
            .reach(REACH)
            .note(format!("{frames} frames; CPU time of one thread"))
    };
    let rate = |seconds: f64| frames as f64 / seconds;
    let rounds = effort.of(5, 3);
    let Some(first) = nfstream::meter(&plain)? else {
        let turns = Turns::take(rounds, &mut [&mut own])?;
        let why = format!("{PYTHON} names no interpreter that can import nfstream");
        return Ok(vec![row(turns.map(0, rate)), Measurement::skipped(ratio, why)]);
    };
    let mut theirs = || {
        let metered = nfstream::meter(&plain)?.context("nfstream is gone")?;
        Ok(metered.seconds)
    };
    let turns = Turns::take(rounds, &mut [&mut own, &mut theirs])?;
    let note = format!(
        "nfstream {} with statistics and no dissection, {} flows of {} packets; CPU time of all \
         its processes, taking turns",
        first.version, first.flows, first.packets
    );
    Ok(vec![
        row(turns.map(0, rate)),
        Measurement::of(ratio, Unit::Ratio, turns.ratio(1, 0)).note(note),
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
fn windows(path: &Path) -> anyhow::Result<u64> {
    let mut replay = replay(path)?;
    let mut frames = 0;
    while let Some(window) = replay.next_window()? {
        frames += window.packet_counters.frames.iter().sum::<u64>();
        black_box(window);
    }
    Ok(frames)
}

/// Makes every feature row; of how many frames.
fn features(path: &Path) -> anyhow::Result<u64> {
    let mut replay = replay(path)?;
    let (mut context, mut observed) = (Context::default(), Observed::default());
    let mut frames = 0;
    while let Some(window) = replay.next_window()? {
        frames += window.packet_counters.frames.iter().sum::<u64>();
        context.observe_into(&window, &mut observed);
        black_box(FlowFeature::rows(&observed.flows));
        black_box(PeerFeature::rows(&observed.peers));
    }
    Ok(frames)
}

fn check(path: &Path, expected: u64) -> anyhow::Result<()> {
    let frames = features(path)?;
    ensure!(frames == expected, "{frames} frames of {expected}");
    Ok(())
}

fn replay(path: &Path) -> anyhow::Result<Replay> {
    let home = HomeNet::new([
        format!("{LOCAL_V4}/32").parse().context("the local address")?,
        format!("{LOCAL_V6}/128").parse().context("the local address")?,
    ]);
    Ok(Replay::open(path, ReplayOptions::default().home(home))?)
}

/// Writes a capture's frames as the plainest pcap, which everybody reads; how many.
fn unpack(capture: &Path, target: &Path) -> anyhow::Result<u64> {
    let mut reader = CaptureReader::open(capture)?;
    let mut file = BufWriter::new(File::create(target)?);
    // Nanoseconds, version 2.4, no time zone, no accuracy, whole frames, Ethernet.
    for word in [0xa1b2_3c4d_u32, 0x0004_0002, 0, 0, 262_144, 1] {
        file.write_all(&word.to_le_bytes())?;
    }
    let mut frames = 0;
    while let Some(frame) = reader.next_frame()? {
        let seconds = u32::try_from(frame.time_ns / 1_000_000_000).context("a time after 2106")?;
        let nanoseconds = u32::try_from(frame.time_ns % 1_000_000_000)?;
        let captured = u32::try_from(frame.bytes.len())?;
        for word in [seconds, nanoseconds, captured, frame.wire_length] {
            file.write_all(&word.to_le_bytes())?;
        }
        file.write_all(frame.bytes)?;
        frames += 1;
    }
    file.flush()?;
    Ok(frames)
}
