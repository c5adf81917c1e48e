//! Small captures for tests, written byte by byte.

use std::io::Cursor;

use super::CaptureReader;

pub(super) const ETHERNET: u16 = 1;
pub(super) const PPP: u16 = 9;
pub(super) const SECOND: u64 = 1_000_000_000;

/// Capture time of a frame, in ns, and its bytes.
pub(super) type Sample = (u64, Vec<u8>);

/// Format in which a capture is written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Format {
    pub(super) pcapng: bool,
    pub(super) big_endian: bool,
    pub(super) nanoseconds: bool,
}

impl Format {
    pub(super) const PCAP: Self = Self { pcapng: false, big_endian: false, nanoseconds: false };
    pub(super) const PCAPNG: Self = Self { pcapng: true, ..Self::PCAP };

    pub(super) fn all() -> Vec<Self> {
        let both = [false, true];
        let mut all = Vec::new();
        for pcapng in both {
            for big_endian in both {
                all.extend(both.map(|nanoseconds| Self { pcapng, big_endian, nanoseconds }));
            }
        }
        all
    }

    pub(super) fn write(self, link: u16, frames: &[Sample]) -> Vec<u8> {
        let mut file = self.header(link);
        for (time_ns, bytes) in frames {
            file.extend(self.record(*time_ns, bytes));
        }
        file
    }

    fn header(self, link: u16) -> Vec<u8> {
        if self.pcapng {
            let mut section = self.u32(0x1a2b_3c4d);
            section.extend(self.u16(1));
            section.extend([self.u16(0), [0xff; 2], [0xff; 2], [0xff; 2], [0xff; 2]].concat());
            let mut file = self.block(0x0a0d_0d0a, &section);
            file.extend(self.interface(link));
            return file;
        }
        let mut file = self.u32(if self.nanoseconds { 0xa1b2_3c4d } else { 0xa1b2_c3d4 });
        file.extend([self.u16(2), self.u16(4)].concat());
        for word in [0, 0, 65_535, u32::from(link)] {
            file.extend(self.u32(word));
        }
        file
    }

    pub(super) fn interface(self, link: u16) -> Vec<u8> {
        let mut body = [self.u16(link), self.u16(0)].concat();
        body.extend(self.u32(0));
        // if_tsresol, one byte and its padding; then the end of options.
        body.extend([self.u16(9), self.u16(1)].concat());
        body.extend([if self.nanoseconds { 9 } else { 6 }, 0, 0, 0, 0, 0, 0, 0]);
        self.block(1, &body)
    }

    pub(super) fn record(self, time_ns: u64, bytes: &[u8]) -> Vec<u8> {
        self.record_on(0, time_ns, bytes)
    }

    pub(super) fn record_on(self, interface: u32, time_ns: u64, bytes: &[u8]) -> Vec<u8> {
        let per_tick = if self.nanoseconds { 1 } else { 1_000 };
        let low = |value: u64| {
            let [a, b, c, d, ..] = value.to_le_bytes();
            u32::from_le_bytes([a, b, c, d])
        };
        let length = u32::try_from(bytes.len()).expect("a sample is short");
        let mut record = Vec::new();
        if self.pcapng {
            let ticks = time_ns / per_tick;
            for word in [interface, low(ticks >> 32), low(ticks), length, length] {
                record.extend(self.u32(word));
            }
            record.extend(bytes);
            record.resize(record.len().next_multiple_of(4), 0);
            return self.block(6, &record);
        }
        for word in [low(time_ns / SECOND), low(time_ns % SECOND / per_tick), length, length] {
            record.extend(self.u32(word));
        }
        record.extend(bytes);
        record
    }

    pub(super) fn block(self, kind: u32, body: &[u8]) -> Vec<u8> {
        let length = self.u32(u32::try_from(body.len() + 12).expect("a sample is short"));
        [&self.u32(kind), &length, body, &length].concat()
    }

    fn u32(self, word: u32) -> Vec<u8> {
        if self.big_endian { word.to_be_bytes().to_vec() } else { word.to_le_bytes().to_vec() }
    }

    fn u16(self, word: u16) -> [u8; 2] {
        if self.big_endian { word.to_be_bytes() } else { word.to_le_bytes() }
    }
}

/// A UDP packet between two hosts of 192.0.2.0/24.
pub(super) fn udp(source: u8, destination: u8, port: u16) -> Vec<u8> {
    udp_between(([192, 0, 2, source], 5_000), ([192, 0, 2, destination], port))
}

/// A UDP packet from an address and port to another.
pub(super) fn udp_between(source: ([u8; 4], u16), destination: ([u8; 4], u16)) -> Vec<u8> {
    let mut frame = vec![0; 12];
    frame.extend([0x08, 0x00, 0x45, 0, 0, 32, 0, 0, 0, 0, 64, 17, 0, 0]);
    frame.extend([source.0, destination.0].concat());
    frame.extend([source.1, destination.1].map(u16::to_be_bytes).concat());
    frame.extend([0, 12, 0, 0, 1, 2, 3, 4]);
    frame
}

pub(super) fn reader(file: Vec<u8>) -> CaptureReader {
    named(file, "sample.pcap")
}

pub(super) fn named(file: Vec<u8>, name: &str) -> CaptureReader {
    CaptureReader::new(Cursor::new(file), name).expect("the sample has a header")
}
