//! Summary of a replay.

use std::{fmt::Write as _, path::PathBuf, time::Duration};

use flows_common::Loss;
use indicatif::HumanCount;
use model::{Observed, Window};
use serde::Serialize;

use crate::cli::bar::rounded;
use replay::{CaptureLoss, CaptureReport, Replay};

/// Summary of a replay: input, contents, losses by cause.
#[derive(Debug, Default, Serialize)]
#[serde(tag = "event", rename = "replay")]
pub(super) struct Summary {
    files: Vec<File>,
    /// Frames in windows.
    frames: u64,
    windows: u64,
    /// Windows that lost flows, peers or packets that nothing explains.
    lossy_windows: u64,
    /// Flows as they were opened; one that comes back after a long silence is another.
    flows: u64,
    /// Flows in windows: rows of the feature table.
    flow_rows: u64,
    /// Peers as they came; one that comes back after it was forgotten is another.
    peers: u64,
    peer_rows: u64,
    /// From the first window's start to the last one's end, in seconds of the capture's clock.
    captured_s: f64,
    /// Time that the replay took, in seconds.
    took_s: f64,
    packets_per_second: f64,
    /// Packets in no flow, by cause.
    packets_without_flow: Vec<(&'static str, u64)>,
    evicted_flows: u64,
    evicted_packets: u64,
    /// Peer windows that were anomalous.
    anomalies: u64,
    /// Blocks that the policy would have made.
    blocks: u64,
    /// Files of the data set, where one was written.
    written: Vec<PathBuf>,
    /// Files of an earlier replay of the same frames, which were removed.
    replaced: Vec<PathBuf>,
    state: State,
    /// What is wrong with the home side, with a proposal.
    #[serde(skip_serializing_if = "Option::is_none")]
    home: Option<String>,
    /// Packets in no flow, by [`Loss::index`].
    #[serde(skip)]
    losses: [u64; Loss::COUNT],
    #[serde(skip)]
    span_ns: Option<(u64, u64)>,
}

#[derive(Debug, Serialize)]
struct File {
    path: PathBuf,
    frames: u64,
    wire_bytes: u64,
    /// Frames of which the capture kept fewer bytes than were on the wire.
    snapped: u64,
    /// Frames without a time of their own.
    undated: u64,
    /// Frames earlier than the one before them, which were sorted.
    backwards: u64,
    /// Records that gave no frame, by cause.
    lost: Vec<(&'static str, u64)>,
}

/// How far a replay came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum State {
    /// Every record was read.
    Done,
    /// Records could not be read: the capture is cut, or has frames of unknown interfaces.
    InPart,
    /// No frame.
    #[default]
    Nothing,
}

impl State {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::InPart => "in part",
            Self::Nothing => "nothing",
        }
    }
}

impl Summary {
    /// Adds a window.
    pub(super) fn add(&mut self, window: &Window, observed: &Observed) {
        self.windows += 1;
        self.lossy_windows += u64::from(window.is_lossy());
        self.evicted_flows += window.evicted_flows;
        self.evicted_packets += window.evicted_packets;
        for (sum, lost) in self.losses.iter_mut().zip(window.packet_counters.losses) {
            *sum += lost;
        }
        self.frames += window.packet_counters.frames.iter().sum::<u64>();
        self.flow_rows += observed.flows.len() as u64;
        self.peer_rows += observed.peers.len() as u64;
        self.flows += observed.flows.iter().filter(|flow| flow.is_new).count() as u64;
        self.peers += observed.new_peers;
        let (start_ns, _) = self.span_ns.unwrap_or((window.start_ns, 0));
        self.span_ns = Some((start_ns, window.end_ns));
    }

    pub(super) fn note_anomaly(&mut self, would_block: bool) {
        self.anomalies += 1;
        self.blocks += u64::from(would_block);
    }

    pub(super) fn note_written(&mut self, [written, replaced]: &[Vec<PathBuf>; 2]) {
        written.clone_into(&mut self.written);
        replaced.clone_into(&mut self.replaced);
    }

    pub(super) fn note_home(&mut self, guessed: Option<String>) {
        self.home = guessed;
    }

    pub(super) const fn state(&self) -> State {
        self.state
    }

    pub(super) const fn frames(&self) -> u64 {
        self.frames
    }

    /// Says what was read in all, and how long it took.
    pub(super) fn finish(&mut self, replay: &Replay, took: Duration) {
        self.files =
            replay.captures().files().map(|(path, report)| File::of(path, report)).collect();
        self.state = match (self.frames, replay.report().lost()) {
            (0, _) => State::Nothing,
            (_, 0) => State::Done,
            _ => State::InPart,
        };
        self.packets_without_flow = Loss::ALL
            .into_iter()
            .map(|loss| (loss.name(), self.losses[loss.index()]))
            .filter(|&(_, packets)| packets > 0)
            .collect();
        let (start_ns, end_ns) = self.span_ns.unwrap_or_default();
        self.captured_s = Duration::from_nanos(end_ns.saturating_sub(start_ns)).as_secs_f64();
        self.took_s = took.as_secs_f64();
        self.packets_per_second = self.frames as f64 / self.took_s.max(f64::MIN_POSITIVE);
    }

    /// JSON object on a line, with the line's end.
    pub(super) fn to_json(&self) -> String {
        // It holds nothing that JSON could not.
        format!("{}\n", serde_json::to_string(self).unwrap_or_default())
    }

    /// As a person reads it, line by line.
    pub(super) fn to_text(&self, scored: bool) -> String {
        let mut text = String::new();
        let mut line = |what: &str, found: String| {
            // A string takes all.
            let _ = writeln!(text, "{what:<9}{found}");
        };
        line(
            "frames",
            format!("{} in {} windows", HumanCount(self.frames), HumanCount(self.windows)),
        );
        line(
            "took",
            format!(
                "{:.2} s for {:.0} s of traffic: {} packets/s, {} times real time",
                self.took_s,
                self.captured_s,
                rounded(self.packets_per_second),
                rounded(self.captured_s / self.took_s.max(f64::MIN_POSITIVE)),
            ),
        );
        for (what, count, rows) in
            [("flows", self.flows, self.flow_rows), ("peers", self.peers, self.peer_rows)]
        {
            line(what, format!("{} in {} rows", HumanCount(count), HumanCount(rows)));
        }
        for (place, lost) in self.losses().into_iter().enumerate() {
            line(if place == 0 { "lost" } else { "" }, lost);
        }
        for (place, remark) in self.remarks().into_iter().enumerate() {
            line(if place == 0 { "note" } else { "" }, remark);
        }
        if scored {
            let (anomalies, blocks) = (HumanCount(self.anomalies), HumanCount(self.blocks));
            line(
                "policy",
                format!("{anomalies} anomalous peer windows, {blocks} blocks would be made"),
            );
        }
        if let Some(first) = self.written.first() {
            line(
                "wrote",
                format!("{} files, the first of them {}", self.written.len(), first.display()),
            );
        }
        if !self.replaced.is_empty() {
            let files = self.replaced.len();
            line("replaced", format!("{files} files of an earlier replay of the same frames"));
        }
        text
    }

    /// Records that could not be read, by file and cause.
    pub(super) fn lost_records(&self) -> String {
        self.records().collect::<Vec<_>>().join(", ")
    }

    fn records(&self) -> impl Iterator<Item = String> {
        self.files.iter().flat_map(|file| {
            let path = file.path.display();
            file.lost
                .iter()
                .map(move |(cause, records)| format!("{records} records of {path} ({cause})"))
        })
    }

    /// Packets in no flow, by cause, as text.
    fn losses(&self) -> Vec<String> {
        let mut losses: Vec<String> = self.records().collect();
        for (cause, packets) in &self.packets_without_flow {
            losses.push(format!("{} packets in no flow ({cause})", HumanCount(*packets)));
        }
        if self.evicted_flows > 0 {
            losses.push(format!(
                "{} packets of {} flows evicted from full tables, in {} windows; raise `tables.flows`",
                HumanCount(self.evicted_packets),
                HumanCount(self.evicted_flows),
                self.lossy_windows,
            ));
        }
        if losses.is_empty() {
            losses.push("nothing".to_owned());
        }
        losses
    }

    /// Deviations of the packets read from those on the wire.
    fn remarks(&self) -> Vec<String> {
        let mut remarks = Vec::new();
        for file in &self.files {
            let path = file.path.display();
            for (frames, what) in [
                (file.snapped, "frames are shorter than on the wire"),
                (file.undated, "frames have no time and take that of the one before"),
                (file.backwards, "frames came out of order, and were sorted"),
            ] {
                if frames > 0 {
                    remarks.push(format!("{} {what}, in {path}", HumanCount(frames)));
                }
            }
        }
        remarks.extend(self.home.clone());
        remarks
    }
}

impl File {
    fn of(path: &std::path::Path, report: &CaptureReport) -> Self {
        let lost = CaptureLoss::ALL
            .iter()
            .map(|loss| (loss.name(), report.losses[loss.index()]))
            .filter(|&(_, records)| records > 0)
            .collect();
        Self {
            path: path.to_owned(),
            frames: report.frames,
            wire_bytes: report.wire_bytes,
            snapped: report.snapped,
            undated: report.undated,
            backwards: report.backwards,
            lost,
        }
    }
}
