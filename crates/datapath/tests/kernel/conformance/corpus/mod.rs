//! The project's own frames: made by code, the same on each run, and with every kind of packet
//! that the parser and the accountant tell apart.
//!
//! [`written`] are the cases chosen by hand; [`drawn`] combines the same headers at random.
//! `counters` holds that the former leave out no cause, no class and no counter.

mod cases;
mod drawn;
mod headers;

pub(crate) use cases::written;
pub(crate) use drawn::drawn;

use std::{fs, io, path::Path};

use weir_datapath::SkbContext;

/// A frame with its time and with what the kernel is to believe of it.
#[derive(Clone, Debug)]
pub(crate) struct CorpusFrame {
    pub(crate) what: &'static str,
    pub(crate) bytes: Vec<u8>,
    pub(crate) context: SkbContext,
    /// True where the payload is whole and its length fields are correct, so that any dissector
    /// reads the same in it.
    pub(crate) well_formed: bool,
}

/// Writes frames as a capture of Ethernet, with times in so many parts of a second.
pub(crate) fn write_pcap(
    frames: &[CorpusFrame],
    ticks_per_second: u64,
    target: &Path,
) -> io::Result<()> {
    const MICROSECONDS: u32 = 0xa1b2_c3d4;
    const NANOSECONDS: u32 = 0xa1b2_3c4d;
    let magic = if ticks_per_second == 1_000_000 { MICROSECONDS } else { NANOSECONDS };
    // Version 2.4, no time zone, the snap length, Ethernet.
    let mut file = words(&[magic, 4 << 16 | 2, 0, 0, 1 << 18, 1]);
    for frame in frames {
        let length = u32::try_from(frame.bytes.len()).expect("a frame is short");
        let (seconds, rest) =
            (frame.context.tstamp_ns / 1_000_000_000, frame.context.tstamp_ns % 1_000_000_000);
        let ticks = rest / (1_000_000_000 / ticks_per_second);
        let [seconds, ticks] =
            [seconds, ticks].map(|number| u32::try_from(number).expect("a time of this century"));
        file.extend(words(&[seconds, ticks, length, length]));
        file.extend(&frame.bytes);
    }
    fs::write(target, file)
}

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_ne_bytes()).collect()
}
