//! Captures made of captures: the same frames at other times.

use std::{
    fs::File,
    io::{BufWriter, Write as _},
    path::{Path, PathBuf},
};

use flows_common::parse::{Address, Frame, parse};
use replay::CaptureReader;

/// Nanoseconds in a second.
pub(crate) const SECOND: u64 = 1_000_000_000;

/// When every composed capture begins, in ns since 1970.
pub(crate) const START: u64 = 1_800_000_000 * SECOND;

/// The header of a little-endian pcap with ns and whole frames of Ethernet.
const HEADER: [u32; 6] = [0xa1b2_3c4d, 0x0004_0002, 0, 0, 262_144, 1];

/// A pcap file that is composed of parts of others, in the order of time.
pub(crate) struct Composed {
    path: PathBuf,
    file: BufWriter<File>,
    frames: u64,
}

/// From a capture's own time to that in the composed one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shift {
    /// The whole second in which the part begins, in its own time.
    from_ns: u64,
    /// That second's beginning in the composed capture.
    to_ns: u64,
}

impl Shift {
    /// The time in the composed capture.
    pub(crate) const fn of(self, own_ns: u64) -> u64 {
        own_ns - self.from_ns + self.to_ns
    }
}

impl Composed {
    pub(crate) fn create(path: PathBuf) -> Self {
        let mut file = BufWriter::new(File::create(&path).expect("a file"));
        for word in HEADER {
            file.write_all(&word.to_le_bytes()).expect("room");
        }
        Self { path, file, frames: 0 }
    }

    /// Appends a capture from `at_ns` on, and leaves out what comes at `until_ns` or later.
    pub(crate) fn append(&mut self, capture: &Path, at_ns: u64, until_ns: u64) -> Shift {
        self.append_altered(capture, at_ns, until_ns, |_| true)
    }

    /// Appends `benign-test`, every second of its clients: with all of them the tests would take
    /// twice as long.
    pub(crate) fn append_benign(&mut self, at_ns: u64, until_ns: u64) {
        self.append_altered(&own("benign-test"), at_ns, until_ns, |bytes| {
            match parse(&*bytes, &Frame::of_length(u32::MAX)) {
                Ok(packet) => {
                    let ends = [packet.source, packet.destination].map(Address::to_16);
                    // The host's own addresses end in 1.
                    ends.iter().all(|end| end[15] == 1 || end[15] % 2 == 0)
                }
                Err(_) => true,
            }
        });
    }

    /// As [`Composed::append`]; `alter` may change each frame's bytes, and tells whether to keep
    /// it.
    pub(crate) fn append_altered(
        &mut self,
        capture: &Path,
        at_ns: u64,
        until_ns: u64,
        alter: impl Fn(&mut [u8]) -> bool,
    ) -> Shift {
        let mut reader = CaptureReader::open(capture).expect("a capture");
        let mut shift = None;
        let mut bytes = Vec::new();
        while let Some(frame) = reader.next_frame().expect("a whole capture") {
            let from_ns = frame.time_ns / SECOND * SECOND;
            let shift = *shift.get_or_insert(Shift { from_ns, to_ns: at_ns });
            // Frames that two CPUs took may be out of order by some µs.
            let time_ns = shift.of(frame.time_ns.max(shift.from_ns));
            if time_ns >= until_ns {
                continue;
            }
            bytes.clear();
            bytes.extend_from_slice(frame.bytes);
            let wire_length = frame.wire_length;
            if alter(&mut bytes) {
                self.put(time_ns, wire_length, &bytes);
            }
        }
        shift.expect("a capture with frames")
    }

    /// Appends a frame.
    pub(crate) fn put(&mut self, time_ns: u64, wire_length: u32, bytes: &[u8]) {
        let narrow = |value: u64| u32::try_from(value).expect("a time before 2106");
        let captured = u32::try_from(bytes.len()).expect("a frame");
        let record = [narrow(time_ns / SECOND), narrow(time_ns % SECOND), captured, wire_length];
        for word in record {
            self.file.write_all(&word.to_le_bytes()).expect("room");
        }
        self.file.write_all(bytes).expect("room");
        self.frames += 1;
    }

    /// The file, and how many frames are in it.
    pub(crate) fn finish(mut self) -> (PathBuf, u64) {
        self.file.flush().expect("room");
        (self.path, self.frames)
    }
}

/// A capture of the repository's own.
pub(crate) fn own(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../training-data")
        .join(format!("{name}.pcap.zst"))
}
