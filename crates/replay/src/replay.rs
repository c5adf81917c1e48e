//! Tumbling windows of a capture, by the capture's clock.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use flows_common::{Direction, Span, Window, parse};

use super::{
    CaptureError, CaptureReport, Captures, Frame, HomeNet, Tables, boundaries::Boundaries,
    super_packet,
};

/// Ethernet's usual largest packet, in bytes.
const MTU: u32 = 1_500;

/// Options of a replay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplayOptions {
    boundaries: Boundaries,
    capacity: usize,
    home: HomeNet,
    mtu: u32,
}

impl Default for ReplayOptions {
    /// Windows of one second, 65,536 flows and as many peers, private addresses local, packets of
    /// up to 1,500 bytes.
    fn default() -> Self {
        let boundaries = Boundaries::every(Duration::from_secs(1));
        Self { boundaries, capacity: 65_536, home: HomeNet::default(), mtu: MTU }
    }
}

impl ReplayOptions {
    /// Length of a window, held to 1 ns at least; windows start at its multiples since 1970.
    #[must_use]
    pub fn window(mut self, length: Duration) -> Self {
        self.boundaries = Boundaries::every(length);
        self
    }

    /// Ends windows at these moments, in ns since 1970, instead of at multiples of a length: where
    /// other windows of the same traffic ended, to compare with them.
    ///
    /// The first window starts at 0 and the last one has no end.
    #[must_use]
    pub fn windows_ending_at(mut self, moments_ns: impl IntoIterator<Item = u64>) -> Self {
        self.boundaries = Boundaries::at(moments_ns);
        self
    }

    /// Flows, and likewise peers, that a window holds before it evicts, at least 1.
    ///
    /// A flow takes about 450 bytes, a peer about 160, as the window fills.
    #[must_use]
    pub fn capacity(mut self, entries: usize) -> Self {
        self.capacity = entries.max(1);
        self
    }

    /// The largest IP packet that the captured link carried, in bytes.
    ///
    /// A longer TCP frame was put together by the NIC, or was yet to be cut up, and counts as the
    /// packets that it was on the wire, as it does live. Where frames are to be counted as they
    /// were captured this is [`u32::MAX`].
    #[must_use]
    pub fn mtu(mut self, bytes: u32) -> Self {
        self.mtu = bytes;
        self
    }

    /// Local prefixes.
    #[must_use]
    pub fn home(mut self, home: HomeNet) -> Self {
        self.home = home;
        self
    }
}

/// The windows of a capture, or of several merged by time, in order of time.
///
/// A window starts at a multiple of its length since 1970, and one in which nothing was captured
/// is left out. Windows never overlap and never go back in time, and each frame counts at its own
/// time: what is out of order is sorted before ([`Captures`]), and what comes too late for that is
/// an error.
///
/// The identity of the ledger holds for each window with no rest ([`Window::imbalance`] is 0).
/// Flows and peers are sorted by key.
#[derive(Debug)]
pub struct Replay {
    captures: Captures,
    home: HomeNet,
    mtu: u32,
    boundaries: Boundaries,
    tables: Tables,
    /// The open window.
    open: Span,
    /// Error that ended the reading, reported after the last window.
    failed: Option<CaptureError>,
    ended: bool,
}

impl Replay {
    /// Opens a capture file.
    ///
    /// # Errors
    /// As [`Captures::open`].
    pub fn open(path: impl AsRef<Path>, options: ReplayOptions) -> Result<Self, CaptureError> {
        Self::open_all(&[path.as_ref().to_owned()], options)
    }

    /// Opens several capture files, merged by time; see [`Captures`].
    ///
    /// # Errors
    /// As [`Captures::open`].
    pub fn open_all(paths: &[PathBuf], options: ReplayOptions) -> Result<Self, CaptureError> {
        Ok(Self::new(Captures::open(paths)?, options))
    }

    /// Replays what is read.
    #[must_use]
    pub fn new(captures: impl Into<Captures>, options: ReplayOptions) -> Self {
        Self {
            captures: captures.into(),
            home: options.home,
            mtu: options.mtu,
            open: options.boundaries.around(0),
            boundaries: options.boundaries,
            tables: Tables::new(options.capacity),
            failed: None,
            ended: false,
        }
    }

    /// The next window, or `None` after the last one.
    ///
    /// # Errors
    /// Reading failed, or the capture is damaged: told after the window that was open.
    pub fn next_window(&mut self) -> Result<Option<Window>, CaptureError> {
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        if self.ended {
            return Ok(None);
        }
        loop {
            let frame = match self.captures.next_frame() {
                Ok(Some(frame)) => frame,
                Ok(None) => return Ok(self.close()),
                Err(error) => return self.close_before(error),
            };
            let time_ns = frame.time_ns;
            if time_ns < self.open.start_ns {
                let error = CaptureError::Late { time_ns, window_ns: self.open.start_ns };
                return self.close_before(error);
            }
            let mut closed = None;
            // At the end of representable time the last window has no end either.
            if time_ns >= self.open.end_ns && self.open.end_ns < u64::MAX {
                closed = take(&mut self.tables, self.open);
                self.open = self.boundaries.around(time_ns);
            }
            count(&mut self.tables, &self.home, &frame, time_ns, self.mtu);
            if closed.is_some() {
                return Ok(closed);
            }
        }
    }

    /// Report on the captures so far.
    #[must_use]
    pub fn report(&self) -> CaptureReport {
        self.captures.report()
    }

    /// The files that are replayed, and how far.
    #[must_use]
    pub const fn captures(&self) -> &Captures {
        &self.captures
    }

    fn close(&mut self) -> Option<Window> {
        take(&mut self.tables, self.open)
    }

    /// Hands out the open window, if any, and the error after it.
    fn close_before(&mut self, error: CaptureError) -> Result<Option<Window>, CaptureError> {
        self.ended = true;
        match self.close() {
            None => Err(error),
            window => {
                self.failed = Some(error);
                Ok(window)
            }
        }
    }
}

impl Iterator for Replay {
    type Item = Result<Window, CaptureError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_window().transpose()
    }
}

fn take(tables: &mut Tables, window: Span) -> Option<Window> {
    (!tables.is_empty()).then(|| tables.take(window.start_ns, window.end_ns))
}

fn count(tables: &mut Tables, home: &HomeNet, frame: &Frame<'_>, time_ns: u64, mtu: u32) {
    let mut shape = parse::Frame { link: frame.link, ..parse::Frame::of_length(frame.wire_length) };
    let mut parsed = parse::parse(frame.bytes, &shape);
    if let Ok(packet) = &parsed
        && let Some(cut) = super_packet::shape(frame.bytes, &shape, packet, mtu)
    {
        shape = cut;
        parsed = parse::parse(frame.bytes, &shape);
    }
    let direction = match &parsed {
        Ok(packet) => home.direction(packet, frame.direction),
        Err(_) => direction_of_rejected(home, frame),
    };
    tables.count(&shape, &parsed, direction, frame.interface, time_ns);
}

/// The way of a frame that has no flow: by its addresses where they can be read, else as the
/// capture marks it, else inwards.
fn direction_of_rejected(home: &HomeNet, frame: &Frame<'_>) -> Direction {
    let [source, destination] = Direction::ALL
        .map(|direction| parse::remote_address(frame.bytes, frame.link, None, direction));
    match (source, destination) {
        (Ok(source), Ok(destination)) => {
            home.direction_of_addresses([source, destination], frame.direction)
        }
        _ => frame.direction.unwrap_or(Direction::Ingress),
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample::{ETHERNET, Format, SECOND, Sample, reader, udp};
    use super::*;

    const START: u64 = 1_500_000_000;

    fn replay(frames: &[Sample], options: ReplayOptions) -> Replay {
        Replay::new(reader(Format::PCAP.write(ETHERNET, frames)), options)
    }

    fn windows(frames: &[Sample], options: ReplayOptions) -> Vec<Window> {
        replay(frames, options).collect::<Result<_, _>>().expect("the sample is whole")
    }

    /// `count` frames of as many flows, evenly over `seconds`.
    fn flows(count: u16, seconds: u64) -> Vec<Sample> {
        (0..count)
            .map(|number| {
                let after = u64::from(number) * seconds * SECOND / u64::from(count);
                (START * SECOND + after / 1_000 * 1_000, udp(1, 2, number))
            })
            .collect()
    }

    fn frames_of(window: &Window) -> u64 {
        window.packet_counters.frames.iter().sum()
    }

    #[test]
    fn each_frame_lands_in_exactly_one_window() {
        let windows = windows(&flows(1_000, 7), ReplayOptions::default());
        assert_eq!(windows.len(), 7);
        assert_eq!(windows.iter().map(frames_of).sum::<u64>(), 1_000);
        for (second, window) in (START..).zip(&windows) {
            assert_eq!(window.span().start_ns, second * SECOND);
            assert_eq!(window.span().duration_ns(), SECOND);
            assert_eq!((window.imbalance(), window.is_lossy()), (0, false));
            assert_eq!(window.flows.len() as u64, frames_of(window));
        }
    }

    #[test]
    fn the_same_capture_gives_the_same_windows() {
        let once = windows(&flows(500, 3), ReplayOptions::default());
        assert_eq!(windows(&flows(500, 3), ReplayOptions::default()), once);
        assert!(once.iter().all(|window| window.flows.is_sorted_by_key(|(key, _)| *key)));
    }

    #[test]
    fn a_second_without_frames_has_no_window() {
        let frames = [0, 3].map(|after| ((START + after) * SECOND, udp(1, 2, 53)));
        let starts: Vec<u64> = windows(&frames, ReplayOptions::default())
            .iter()
            .map(|window| window.start_ns / SECOND - START)
            .collect();
        assert_eq!(starts, [0, 3]);
    }

    #[test]
    fn a_window_may_be_of_any_length() {
        for (length, count) in [(Duration::from_millis(100), 70), (Duration::from_mins(1), 1)] {
            let options = ReplayOptions::default().window(length);
            assert_eq!(windows(&flows(700, 7), options).len(), count, "{length:?}");
        }
        assert_eq!(windows(&flows(5, 1), ReplayOptions::default().window(Duration::ZERO)).len(), 5);
        assert_eq!(windows(&flows(5, 1), ReplayOptions::default().window(Duration::MAX)).len(), 1);
    }

    #[test]
    fn a_full_table_evicts_and_the_window_still_balances() {
        let windows = windows(&flows(300, 1), ReplayOptions::default().capacity(16));
        let [window] = &windows[..] else { panic!("one second, one window") };
        assert_eq!(
            (window.flows.len(), window.evicted_flows, window.evicted_packets),
            (16, 284, 284)
        );
        assert_eq!((window.imbalance(), window.is_lossy()), (0, true));
        assert_eq!(window.packet_counters.flow_inserts, 300);
    }

    #[test]
    fn what_is_local_decides_the_direction() {
        let home = HomeNet::new(["192.0.2.1/32".parse().expect("a prefix")]);
        let frames = [(START * SECOND, udp(1, 2, 53)), (START * SECOND, udp(2, 1, 53))];
        let windows = windows(&frames, ReplayOptions::default().home(home));
        assert_eq!(windows[0].packet_counters.frames, [1, 1]);
        let locals = windows[0].flows.iter().map(|(key, _)| key.local[15]);
        assert!(locals.eq([1, 1]));
    }

    #[test]
    fn a_capture_out_of_order_gives_the_windows_of_the_one_in_order() {
        let frames = flows(400, 20);
        let expected = windows(&frames, ReplayOptions::default());
        let mut shuffled = frames.clone();
        shuffled.rotate_left(150);
        shuffled[..100].reverse();
        let mut replay = replay(&shuffled, ReplayOptions::default());
        let got: Vec<Window> = replay.by_ref().collect::<Result<_, _>>().expect("whole");
        assert!(got == expected);
        assert_eq!(replay.report().backwards, 100);
    }

    #[test]
    fn a_capture_that_starts_at_zero_gives_the_windows_of_any_other() {
        let at = |start: u64| {
            let frames: Vec<Sample> = flows(70, 7)
                .into_iter()
                .map(|(time, frame)| (time - START * SECOND + start * SECOND, frame))
                .collect();
            windows(&frames, ReplayOptions::default())
                .iter()
                .map(|window| (window.start_ns - start * SECOND, window.flows.len()))
                .collect::<Vec<_>>()
        };
        assert_eq!(at(0), at(1_000));
        assert_eq!(at(0).len(), 7);
    }

    #[test]
    fn what_comes_too_late_of_a_stream_is_told_after_the_window_that_was_open() {
        let mut frames = flows(20_000, 20);
        frames.push((0, udp(1, 2, 53)));
        let mut replay = replay(&frames, ReplayOptions::default());
        let error = loop {
            match replay.next_window() {
                Ok(window) => assert!(window.is_some(), "the late frame is lost"),
                Err(error) => break error.to_string(),
            }
        };
        assert!(error.starts_with("a frame at 0 ns came after its window"), "{error}");
        assert!(error.contains("save the stream to a file"), "{error}");
        assert!(replay.next_window().expect("then nothing").is_none());
    }

    #[test]
    fn windows_end_where_they_are_told_to() {
        let moments = [START * SECOND + 1, (START + 3) * SECOND];
        let options = ReplayOptions::default().windows_ending_at(moments);
        let spans: Vec<(u64, u64, u64)> = windows(&flows(50, 5), options)
            .iter()
            .map(|window| (window.start_ns, window.end_ns, frames_of(window)))
            .collect();
        assert_eq!(
            spans,
            [(0, moments[0], 1), (moments[0], moments[1], 29), (moments[1], u64::MAX, 20)]
        );
    }

    #[test]
    fn the_parts_of_a_capture_replay_as_the_whole() {
        let frames = flows(300, 6);
        let part = |keep: fn(usize) -> bool| {
            let kept = frames.iter().enumerate().filter(|(at, _)| keep(*at));
            let kept: Vec<Sample> = kept.map(|(_, frame)| frame.clone()).collect();
            reader(Format::PCAP.write(ETHERNET, &kept))
        };
        let parts = vec![part(|at| at % 3 == 0), part(|at| at % 3 == 2), part(|at| at % 3 == 1)];
        let merged: Vec<Window> = Replay::new(Captures::of(parts), ReplayOptions::default())
            .collect::<Result<_, _>>()
            .expect("whole");
        assert_eq!(merged, windows(&frames, ReplayOptions::default()));
    }

    #[test]
    fn damage_is_told_after_the_window_that_was_open() {
        let mut file = Format::PCAP.write(ETHERNET, &flows(3, 1));
        file.extend([0xff; 16]);
        let mut replay = Replay::new(reader(file), ReplayOptions::default());
        let window = replay.next_window().expect("a window first").expect("one");
        assert_eq!(frames_of(&window), 3);
        let message = replay.next_window().expect_err("then the damage").to_string();
        assert!(message.contains("is damaged at byte"), "{message}");
        assert_eq!(replay.next_window().expect("then nothing"), None);
    }
}
