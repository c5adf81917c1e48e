//! A look through a capture before it is replayed: its times and their order, its home side, what
//! it is.

use std::path::Path;

use flows_common::parse::{self, Frame as Shape};
use sha2::{Digest as _, Sha256};

use super::{
    CaptureError, CaptureReader, HomeNet,
    home_side::HomeSide,
    input::is_stream,
    sorted::{BUFFER_LIMIT, room_of},
};

/// Bytes between two marks of the latest time so far.
const MARK_EVERY: u64 = 64 << 10;

/// What a look through a capture found.
///
/// It reads the whole file, which costs what unpacking it and finding its records costs.
#[derive(Clone, Debug, Default)]
pub struct Survey {
    /// Frames.
    pub frames: u64,
    /// Time of the earliest and of the latest frame, in ns since 1970; of frames that have one.
    pub time_ns: Option<(u64, u64)>,
    /// SHA-256 of the frames: their times, lengths and bytes, whatever format and compression they
    /// are stored in; none where it was not asked for.
    pub digest: Option<[u8; 32]>,
    /// What tells which side of its packets is local.
    pub home: HomeSide,
    /// Bytes of frames that must wait for all to come by time; none where more would have to than
    /// [`CaptureError::Disorder`] allows.
    pub(super) buffer: Option<u64>,
    /// Time of the first frame that has one.
    pub(super) first_ns: Option<u64>,
}

impl Survey {
    /// Looks through a capture file; none of a stream, which can be read only once. What damage or
    /// a cut leaves unread is for the replay to tell.
    ///
    /// # Errors
    /// As [`CaptureReader::open`].
    pub fn of(
        path: &Path,
        home: &HomeNet,
        with_digest: bool,
    ) -> Result<Option<Self>, CaptureError> {
        if is_stream(path) {
            return Ok(None);
        }
        let mut reader = CaptureReader::open(path)?;
        let mut order = Order::default();
        let mut digest = with_digest.then(Sha256::new);
        let mut survey = Self::default();
        while let Ok(Some(time_ns)) = reader.find_frame() {
            let is_dated = reader.is_dated();
            let looks_on = survey.home.is_wanted();
            let Some(frame) = reader.take_frame() else { break };
            survey.frames += 1;
            order.add(time_ns, room_of(frame.bytes.len()));
            if is_dated {
                survey.first_ns.get_or_insert(time_ns);
                let (first, last) = survey.time_ns.unwrap_or((time_ns, time_ns));
                survey.time_ns = Some((first.min(time_ns), last.max(time_ns)));
            }
            if looks_on
                && let Ok(packet) = parse::parse(frame.bytes, &Shape::of_length(frame.wire_length))
            {
                survey.home.add(home, &packet, frame.direction);
            }
            if let Some(digest) = &mut digest {
                let captured = frame.bytes.len() as u64;
                let facts = [time_ns, u64::from(frame.wire_length), captured];
                for fact in facts {
                    digest.update(fact.to_le_bytes());
                }
                digest.update(frame.bytes);
            }
        }
        survey.buffer = order.buffer;
        survey.digest = digest.map(|digest| digest.finalize().into());
        Ok(Some(survey))
    }
}

/// How far frames are from the order of time.
#[derive(Debug)]
struct Order {
    /// Room of the frames so far.
    bytes: u64,
    latest_ns: u64,
    /// Room before a mark, and the latest time until then; of the last [`BUFFER_LIMIT`].
    marks: std::collections::VecDeque<(u64, u64)>,
    buffer: Option<u64>,
}

impl Default for Order {
    fn default() -> Self {
        Self { bytes: 0, latest_ns: 0, marks: [(0, 0)].into(), buffer: Some(0) }
    }
}

impl Order {
    fn add(&mut self, time_ns: u64, room: u64) {
        if time_ns < self.latest_ns {
            // Behind the last mark up to which all is earlier, some frame is later.
            let earlier = self.marks.partition_point(|&(_, latest_ns)| latest_ns <= time_ns);
            let needed = earlier
                .checked_sub(1)
                .map(|mark| self.bytes - self.marks[mark].0 + room)
                .filter(|needed| *needed <= BUFFER_LIMIT);
            self.buffer = self.buffer.zip(needed).map(|(one, other)| one.max(other));
        }
        self.bytes += room;
        self.latest_ns = self.latest_ns.max(time_ns);
        if self.marks.back().is_none_or(|&(bytes, _)| self.bytes - bytes >= MARK_EVERY) {
            self.marks.push_back((self.bytes, self.latest_ns));
            while self.marks.len() as u64 > BUFFER_LIMIT / MARK_EVERY + 2 {
                self.marks.pop_front();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn buffer(times: impl IntoIterator<Item = u64>) -> Option<u64> {
        let mut order = Order::default();
        times.into_iter().for_each(|time| order.add(time, 1_000));
        order.buffer
    }

    #[test]
    fn frames_in_order_need_not_wait() {
        assert_eq!(buffer(0..100_000), Some(0));
        assert_eq!(buffer([5; 1_000]), Some(0));
    }

    #[test]
    fn a_frame_out_of_order_waits_for_what_came_too_early() {
        let late = (0..1_000).chain([990]).chain(1_000..2_000);
        let needed = buffer(late).expect("within the limit");
        assert!((10_000..10_000 + 2 * MARK_EVERY).contains(&needed), "{needed}");
        let far = (0..200_000).chain([5]);
        assert_eq!(buffer(far), None, "200 MB would have to wait");
        assert_eq!(buffer([7, 0]), Some(2_000), "a time of 0 is a time");
    }
}
