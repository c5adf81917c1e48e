//! A capture's frames in the order of time.

use std::{cmp::Reverse, collections::BinaryHeap};

use flows_common::{Direction, parse::LinkLayer};

use super::{CaptureError, CaptureReader, Frame};

/// Bytes kept of a frame that waits: more than the parser looks at.
const HEADERS: usize = 4_096;

/// Bytes that a waiting frame takes besides its own.
const OVERHEAD: u64 = 96;

/// Bytes that wait at most, a file. In so much a capture is sorted; see [`CaptureError::Disorder`].
pub(super) const BUFFER_LIMIT: u64 = 64 << 20;

/// Bytes that wait of a stream, which cannot be looked through before it is read.
pub(super) const STREAM_BUFFER: u64 = 1 << 20;

/// Room in the buffer that a frame takes.
pub(super) fn room_of(captured: usize) -> u64 {
    captured.min(HEADERS) as u64 + OVERHEAD
}

/// A reader whose frames come by time, as far as the buffer reaches: a frame is handed out when
/// so much more has been read. Frames of one time keep their order.
#[derive(Debug)]
pub(super) struct SortedReader {
    reader: CaptureReader,
    /// Bytes that wait; 0 hands every frame on as it comes.
    buffer: u64,
    held_bytes: u64,
    held: BinaryHeap<Reverse<Held>>,
    read: u64,
    /// The frame last handed out, where it had waited.
    out: Option<Held>,
    ended: bool,
    /// Error of reading, told after the frames that were read before it.
    failed: Option<CaptureError>,
}

/// A frame that waits; its time and its place in the file order it.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Held {
    time_ns: u64,
    place: u64,
    wire_length: u32,
    interface: u32,
    direction: Option<Direction>,
    bytes: Vec<u8>,
    link: LinkLayer,
}

impl SortedReader {
    pub(super) const fn new(reader: CaptureReader, buffer: u64) -> Self {
        Self {
            reader,
            buffer,
            held_bytes: 0,
            held: BinaryHeap::new(),
            read: 0,
            out: None,
            ended: false,
            failed: None,
        }
    }

    pub(super) const fn reader(&self) -> &CaptureReader {
        &self.reader
    }

    /// Finds the next frame by time and says when it was captured.
    pub(super) fn find_frame(&mut self) -> Result<Option<u64>, CaptureError> {
        if self.buffer == 0 {
            return self.reader.find_frame();
        }
        while !self.ended && self.held_bytes <= self.buffer {
            match self.reader.find_frame() {
                Ok(Some(_)) => self.hold(),
                Ok(None) => self.ended = true,
                Err(error) => {
                    self.ended = true;
                    self.failed = Some(error);
                }
            }
        }
        match (self.held.peek(), self.failed.take()) {
            (Some(Reverse(first)), failed) => {
                self.failed = failed;
                Ok(Some(first.time_ns))
            }
            (None, Some(error)) => Err(error),
            (None, None) => Ok(None),
        }
    }

    /// The frame that was found, once.
    pub(super) fn take_frame(&mut self) -> Option<Frame<'_>> {
        if self.buffer == 0 {
            return self.reader.take_frame();
        }
        let Reverse(held) = self.held.pop()?;
        self.held_bytes -= room_of(held.bytes.len());
        let held = self.out.insert(held);
        Some(Frame {
            time_ns: held.time_ns,
            wire_length: held.wire_length,
            interface: held.interface,
            direction: held.direction,
            bytes: &held.bytes,
            link: held.link,
        })
    }

    fn hold(&mut self) {
        // Room that a frame took before serves again.
        let mut bytes = self.out.take().map(|held| held.bytes).unwrap_or_default();
        bytes.clear();
        let Some(frame) = self.reader.take_frame() else { return };
        bytes.extend_from_slice(&frame.bytes[..frame.bytes.len().min(HEADERS)]);
        self.held_bytes += room_of(bytes.len());
        self.held.push(Reverse(Held {
            time_ns: frame.time_ns,
            place: self.read,
            wire_length: frame.wire_length,
            interface: frame.interface,
            direction: frame.direction,
            bytes,
            link: frame.link,
        }));
        self.read += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::{ETHERNET, Format, Sample, reader, udp};

    fn order(times_us: &[u64], buffer: u64) -> Vec<u64> {
        let frames: Vec<Sample> =
            times_us.iter().map(|time_us| (time_us * 1_000, udp(1, 2, 53))).collect();
        let mut sorted = SortedReader::new(reader(Format::PCAP.write(ETHERNET, &frames)), buffer);
        let mut order = Vec::new();
        while let Some(time_ns) = sorted.find_frame().expect("whole") {
            assert_eq!(sorted.take_frame().expect("found").time_ns, time_ns);
            order.push(time_ns / 1_000);
        }
        order
    }

    #[test]
    fn frames_come_by_time_as_far_as_the_buffer_reaches() {
        let frame = room_of(udp(1, 2, 53).len());
        assert_eq!(order(&[5, 4, 3, 2, 1], 0), [5, 4, 3, 2, 1]);
        assert_eq!(order(&[5, 4, 3, 2, 1], 5 * frame), [1, 2, 3, 4, 5]);
        assert_eq!(order(&[2, 1, 4, 3, 6, 5], frame), [1, 2, 3, 4, 5, 6]);
        assert_eq!(order(&[], frame), Vec::<u64>::new());
    }

    #[test]
    fn damage_comes_behind_the_frames_that_waited() {
        let frames: Vec<Sample> = [3, 1, 2].map(|time| (time * 1_000, udp(1, 2, 53))).to_vec();
        let mut file = Format::PCAP.write(ETHERNET, &frames);
        file.extend([0xff; 16]);
        let mut sorted = SortedReader::new(reader(file), STREAM_BUFFER);
        for time_ns in [1_000, 2_000, 3_000] {
            assert_eq!(sorted.find_frame().expect("what came before"), Some(time_ns));
            assert!(sorted.take_frame().is_some());
        }
        assert!(matches!(sorted.find_frame(), Err(CaptureError::Damaged { .. })));
        assert_eq!(sorted.find_frame().expect("then nothing"), None);
    }
}
