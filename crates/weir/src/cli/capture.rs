//! `weir capture`: live windows to Parquet files.

use std::{
    path::PathBuf,
    process::ExitCode,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use ::model::Context;
use anyhow::Context as _;
use clap::Args;
use dataset::{DatasetWriter, Provenance, Sums, TableKind, WriterOptions, Written};
use nix::time::{ClockId, clock_gettime};

use super::{Layers, Overrides, emit};
use collector::{
    clock::boot_ns,
    config::Mode,
    live::Live,
    pipeline::{DrainedWindow, Pipeline},
    signals::Signals,
};

#[derive(Debug, Args)]
pub(super) struct CaptureArgs {
    /// The data set's folder: made where it is not there, added to where it is.
    #[arg(long, short, value_name = "DIR")]
    out: PathBuf,
    /// An interface to watch, by name or glob; may be given several times.
    #[arg(long, short, value_name = "NAME")]
    interface: Vec<String>,
    /// Length of a window, 100ms to 60s.
    #[arg(long, value_name = "DURATION")]
    window: Option<humantime::Duration>,
    /// Time of capturing; without it, until Ctrl-C. Either finishes the last files.
    #[arg(long = "for", value_name = "DURATION")]
    length: Option<humantime::Duration>,
    /// Begin new files when the first window is this old; they never span two hours. A kill loses
    /// at most the files that are being written.
    #[arg(long, value_name = "DURATION", default_value = "10m")]
    rotate_every: humantime::Duration,
    /// Begin new files when one is this long.
    #[arg(long, value_name = "SIZE", default_value = "256MiB", value_parser = size)]
    rotate_bytes: u64,
    /// Print the summary as a JSON object.
    #[arg(long)]
    json: bool,
}

impl CaptureArgs {
    pub(super) fn run(self, layers: &Layers) -> anyhow::Result<ExitCode> {
        let config = layers.resolve(&Overrides {
            interface: self.interface.clone(),
            window: self.window,
            // Whatever the configuration says: a capture blocks nothing.
            mode: Some(Mode::Observe),
            ..Overrides::default()
        })?;
        config.require_interfaces()?;
        let options = WriterOptions {
            rotate_every: self.rotate_every.into(),
            rotate_bytes: self.rotate_bytes,
            ..WriterOptions::default()
        };
        let window_ns = Some(flows_common::clock::nanos(config.window));
        let provenance = Provenance { window_ns, ..Provenance::default() };
        let writer = DatasetWriter::create_from(&self.out, options, provenance)?;
        for path in &writer.swept().finished {
            eprintln!("weir: finished what a killed capture had left: {}", path.display());
        }
        for path in &writer.swept().removed {
            eprintln!("weir: removed what a killed capture had begun: {}", path.display());
        }
        let signals = Signals::listen()?;
        let mut live = Live::open(&config)?;
        let json = self.json;
        if !json {
            emit(&format!("{}\n", live.describe()))?;
        }
        let hotplug = live.follow(|line| eprintln!("weir: {line}"))?;

        let capture = Arc::new(Mutex::new(Some(Capture::new(writer, config.window))));
        let feed = Arc::clone(&capture);
        let pipeline = Pipeline::feed(live.drain(), config.window, move |next| {
            match feed.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
                Some(capture) => capture.take(&next),
                None => Ok(()),
            }
        })?;
        signals.wait(self.length.map(Into::into), || pipeline.has_failed());
        let drained = pipeline.stop();
        let hotplug = hotplug.map_or(Ok(()), collector::live::Hotplug::stop);
        // What was written is finished whatever went wrong beside it.
        let capture = capture.lock().unwrap_or_else(PoisonError::into_inner).take();
        let finished = capture.map(Capture::finish).context("captured twice; this is a bug")?;
        drained?;
        hotplug?;
        let summary = finished?;
        emit(&if json {
            format!("{}\n", serde_json::to_string_pretty(&summary)?)
        } else {
            format!("{}\n", summary.text(&self.out))
        })?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Windows on their way to the files.
struct Capture {
    context: Context,
    writer: DatasetWriter,
    late: u64,
}

impl Capture {
    fn new(writer: DatasetWriter, window: Duration) -> Self {
        Self { context: Context::of_windows(window), writer, late: 0 }
    }

    fn take(&mut self, next: &DrainedWindow) -> anyhow::Result<()> {
        let observed = self.context.observe(&next.window);
        self.late += next.late;
        self.writer.write(&next.window, unix_ns(next.window.start_ns)?, &observed)?;
        Ok(())
    }

    fn finish(self) -> anyhow::Result<Summary> {
        let forgotten = self.context.evictions();
        let Written { files, rows, sums, .. } = self.writer.finish()?;
        let Sums { windows, lossy_windows, evicted_flows, evicted_packets, imbalance, .. } = sums;
        let [packets_in, packets_out] = sums.packets();
        Ok(Summary {
            windows,
            lossy_windows,
            late_windows: self.late,
            flow_rows: rows[TableKind::Flow.index()],
            peer_rows: rows[TableKind::Peer.index()],
            files: files.len(),
            bytes: files.iter().map(|file| file.bytes).sum(),
            packets_in,
            packets_out,
            evicted_flows,
            evicted_packets,
            unexplained_packets: imbalance,
            forgotten_flows: forgotten.flows,
            forgotten_peers: forgotten.peers,
            lost: sums.losses().map(|(cause, count)| (cause.to_owned(), count)).collect(),
        })
    }
}

/// Counts of a capture: rows, packets, losses.
#[derive(Debug, serde::Serialize)]
struct Summary {
    windows: u64,
    /// Windows that lost data a decision would use.
    lossy_windows: u64,
    /// Drains that were put off, so that a window grew.
    late_windows: u64,
    flow_rows: u64,
    peer_rows: u64,
    files: usize,
    bytes: u64,
    packets_in: u64,
    packets_out: u64,
    evicted_flows: u64,
    evicted_packets: u64,
    unexplained_packets: i64,
    /// Flows and peers whose past was given up for room.
    forgotten_flows: u64,
    forgotten_peers: u64,
    /// Packets in no flow, by cause.
    lost: std::collections::BTreeMap<String, u64>,
}

impl Summary {
    fn text(&self, out: &std::path::Path) -> String {
        let lost: Vec<String> =
            self.lost.iter().map(|(cause, count)| format!("{count} {cause}")).collect();
        format!(
            "captured {} windows: {} flow rows and {} peer rows in {} files, {} kB, in {}\n\
             {} packets in, {} out; in no flow: {}; evicted: {} packets of {} flows; \
             unexplained: {}\n\
             {} windows lossy, {} put off; forgotten for room: {} flows, {} peers",
            self.windows,
            self.flow_rows,
            self.peer_rows,
            self.files,
            self.bytes / 1_000,
            out.display(),
            self.packets_in,
            self.packets_out,
            if lost.is_empty() { "none".to_owned() } else { lost.join(", ") },
            self.evicted_packets,
            self.evicted_flows,
            self.unexplained_packets,
            self.lossy_windows,
            self.late_windows,
            self.forgotten_flows,
            self.forgotten_peers,
        )
    }
}

/// An instant of the boot clock in ns of unix time, as both clocks stand now: where the wall clock
/// is set or slewed, windows follow it.
fn unix_ns(boot: u64) -> anyhow::Result<i64> {
    let wall = clock_gettime(ClockId::CLOCK_REALTIME).context("the wall clock")?;
    let now = i128::try_from(Duration::from(wall).as_nanos())?;
    let ago = i128::from(boot_ns()) - i128::from(boot);
    i64::try_from(now - ago).context("the wall clock is past 2262: set it")
}

/// A number of bytes, as typed: `65536`, `64KiB`, `256MiB`, `1GiB`, or with kB, MB, GB.
fn size(text: &str) -> Result<u64, String> {
    let digits = text.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let unit: u64 = match unit.trim() {
        "" | "B" => 1,
        "kB" => 1_000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return Err(format!("`{text}` is no size such as 256MiB")),
    };
    let number: Option<u64> = number.parse().ok();
    number
        .and_then(|number| number.checked_mul(unit))
        .ok_or_else(|| format!("`{text}` is no size such as 256MiB, or too large"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_typed_in_bytes_or_with_a_unit() {
        assert_eq!(size("65536"), Ok(65_536));
        assert_eq!(size("64KiB"), Ok(65_536));
        assert_eq!(size("256 MiB"), Ok(256 << 20));
        assert_eq!(size("2GB"), Ok(2_000_000_000));
        for text in ["", "MiB", "1.5GiB", "-1", "1TB", "99999999999GiB"] {
            assert!(size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_moment_of_the_boot_clock_is_as_long_ago_on_the_wall_clock() {
        let now = boot_ns();
        let apart = unix_ns(now).expect("a time") - unix_ns(now - 1_000_000_000).expect("a time");
        assert!((apart - 1_000_000_000).abs() < 100_000_000, "{apart}");
    }
}
