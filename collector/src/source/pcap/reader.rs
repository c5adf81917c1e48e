//! Frames of a capture file, one at a time, in bounded memory.

use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

use flows_common::Direction;
use pcap_parser::{PcapBlockOwned, PcapError, create_reader, traits::PcapReaderIterator};

use super::{
    CaptureError, CaptureLoss, CaptureReport,
    input::{Failure, START, Whole, identify},
    link,
    section::{Content, PcapNg, Record, Section},
};

/// Bytes read ahead; grows for a longer block.
const READ_AHEAD: usize = 1 << 16;

/// One frame of a capture, as Ethernet would have carried it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// When it was captured, in ns since 1970 by the capture's clock.
    pub time_ns: u64,
    /// Its length on the wire in bytes, at least that of `bytes`; Ethernet header included, FCS
    /// not.
    pub wire_length: u32,
    /// The interface it was captured on: 1 for the first (or only) one of the file.
    pub interface: u32,
    /// The way it went, where the capture says so.
    pub direction: Option<Direction>,
    /// The captured bytes, from the Ethernet header on.
    pub bytes: &'a [u8],
}

/// Reads pcap (micro- and nanosecond, either byte order) and pcapng.
///
/// Link types: Ethernet, Linux cooked v1 and v2, raw IP, BSD loopback; what is not Ethernet gets
/// an Ethernet header for its own. Memory: 64 KiB, and up to 16 MiB for a pcapng file with a block
/// as long. A frame borrows from the reader, so this is no [`Iterator`].
///
/// ```no_run
/// # fn main() -> Result<(), collector::source::pcap::CaptureError> {
/// let mut capture = collector::source::pcap::CaptureReader::open("capture.pcap")?;
/// while let Some(frame) = capture.next_frame()? {
///     println!("{} ns: {} bytes", frame.time_ns, frame.wire_length);
/// }
/// # Ok(())
/// # }
/// ```
pub struct CaptureReader {
    path: PathBuf,
    reader: Box<dyn PcapReaderIterator + Send>,
    failure: Failure,
    section: Section,
    /// Bytes of the record last handed out, still at the start of the buffer.
    pending: usize,
    last_time_ns: u64,
    scratch: Vec<u8>,
    report: CaptureReport,
    ended: bool,
}

impl CaptureReader {
    /// Opens a capture file.
    ///
    /// # Errors
    /// The file cannot be opened, is no capture, or is a pcap of an unsupported link type.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, CaptureError> {
        let path = path.as_ref();
        match File::open(path) {
            Ok(file) => Self::new(file, path),
            Err(source) => Err(CaptureError::Open { path: path.to_owned(), source }),
        }
    }

    /// Reads a capture from `source`; `path` is what errors call it.
    ///
    /// # Errors
    /// As [`CaptureReader::open`].
    pub fn new(
        source: impl Read + Send + 'static,
        path: impl Into<PathBuf>,
    ) -> Result<Self, CaptureError> {
        let path = path.into();
        let failure = Failure::default();
        let mut source = Whole { source, failure: failure.clone() };
        let mut start = vec![0; START];
        let Ok(read) = source.read(&mut start) else {
            return Err(CaptureError::Read { path, offset: 0, source: failure.take() });
        };
        start.truncate(read);
        identify(&start, &path)?;
        let source =
            Whole { source: io::Cursor::new(start).chain(source), failure: failure.clone() };
        let reader = match create_reader(READ_AHEAD, source) {
            Ok(reader) => reader,
            Err(PcapError::ReadError) => {
                return Err(CaptureError::Read { path, offset: 0, source: failure.take() });
            }
            Err(error) => {
                let what = format!("its header cannot be read ({error})");
                return Err(CaptureError::Damaged { path, offset: 0, what });
            }
        };
        let mut capture = Self {
            path,
            reader,
            failure,
            section: Section::PcapNg(PcapNg::default()),
            pending: 0,
            last_time_ns: 0,
            scratch: Vec::new(),
            report: CaptureReport::default(),
            ended: false,
        };
        capture.read_pcap_header()?;
        Ok(capture)
    }

    /// The next frame, or `None` at the end of the capture.
    ///
    /// # Errors
    /// Reading failed, or what follows cannot be found for damage; no frame comes after that.
    pub fn next_frame(&mut self) -> Result<Option<Frame<'_>>, CaptureError> {
        let record = match self.next_record() {
            Ok(Some(record)) => record,
            Ok(None) => return Ok(None),
            Err(error) => {
                self.ended = true;
                return Err(error);
            }
        };
        let time_ns = record.time_ns.unwrap_or_else(|| {
            self.report.undated += 1;
            self.last_time_ns
        });
        self.last_time_ns = time_ns;
        let captured = &self.reader.data()[record.data];
        let captured_length = u32::try_from(captured.len()).unwrap_or(u32::MAX);
        let wire_length = record.wire_length.max(captured_length);
        let frame = record.link.to_ethernet(captured, wire_length, &mut self.scratch);
        self.report.frames += 1;
        self.report.wire_bytes += u64::from(frame.wire_length);
        self.report.snapped += u64::from((frame.bytes.len() as u64) < u64::from(frame.wire_length));
        Ok(Some(Frame {
            time_ns,
            wire_length: frame.wire_length,
            interface: record.interface,
            direction: record.direction.or(frame.direction),
            bytes: frame.bytes,
        }))
    }

    /// What was read so far.
    #[must_use]
    pub const fn report(&self) -> &CaptureReport {
        &self.report
    }

    /// Reads the header of a pcap file; pcapng's is a block like any other.
    fn read_pcap_header(&mut self) -> Result<(), CaptureError> {
        if let Ok((length, PcapBlockOwned::LegacyHeader(header))) = self.reader.next() {
            self.section = Section::of_pcap(&header);
            self.reader.consume(length);
            if let Some(number) = self.section.unsupported() {
                return Err(self.unsupported(number));
            }
        }
        Ok(())
    }

    /// Finds the next record that holds a frame.
    fn next_record(&mut self) -> Result<Option<Record>, CaptureError> {
        while !self.ended {
            self.reader.consume(std::mem::take(&mut self.pending));
            let declared = self.section.record_length(self.reader.data());
            if let Some(length) = declared.filter(|&length| length > self.section.record_limit()) {
                let limit = self.section.record_limit();
                return Err(self.damaged(format!("a record of {length} bytes, above {limit}")));
            }
            let missing = match self.reader.next() {
                Ok((length, block)) => {
                    let content = self.section.read(&block);
                    self.pending = length;
                    match content {
                        Content::Frame(record)
                            if usize::from(record.link.header()) <= record.data.len() =>
                        {
                            return Ok(Some(record));
                        }
                        Content::Frame(_) => self.report.lose(CaptureLoss::TruncatedLink),
                        Content::Lost(loss) => self.report.lose(loss),
                        Content::Other => {}
                        Content::Damaged(what) => return Err(self.damaged(what.to_owned())),
                    }
                    continue;
                }
                Err(error) => Missing::of(&error),
            };
            self.supply(missing, declared)?;
        }
        Ok(None)
    }

    /// Reads more of the file, or ends where there is no more.
    fn supply(&mut self, missing: Missing, declared: Option<usize>) -> Result<(), CaptureError> {
        let held = self.reader.data().len();
        if declared.is_some_and(|length| length <= held) {
            return Err(self.damaged("a record that does not fit its own length".to_owned()));
        }
        match missing {
            Missing::Bytes => self.refill(),
            Missing::Room => {
                let length = declared.unwrap_or(held);
                if !self.reader.grow(length + READ_AHEAD) {
                    return Err(self.damaged(format!("no room for a record of {length} bytes")));
                }
                self.refill()
            }
            Missing::RestOfFile => {
                if held > 0 {
                    self.report.lose(CaptureLoss::CutFile);
                }
                self.end()
            }
            Missing::Sense => Err(self.damaged("a record that cannot be read".to_owned())),
        }
    }

    fn refill(&mut self) -> Result<(), CaptureError> {
        if self.reader.refill().is_ok() {
            return Ok(());
        }
        let offset = self.reader.consumed() as u64;
        Err(CaptureError::Read { path: self.path.clone(), offset, source: self.failure.take() })
    }

    /// The end of the file: an error only where every frame in it was of a link type that cannot
    /// be read.
    fn end(&mut self) -> Result<(), CaptureError> {
        self.ended = true;
        let unread = self.report.losses[CaptureLoss::LinkType.index()];
        match self.section.unsupported() {
            Some(number) if unread > 0 && self.report.frames == 0 => Err(self.unsupported(number)),
            _ => Ok(()),
        }
    }

    fn damaged(&self, what: String) -> CaptureError {
        let offset = self.reader.consumed() as u64;
        CaptureError::Damaged { path: self.path.clone(), offset, what }
    }

    fn unsupported(&self, link_type: i32) -> CaptureError {
        let name = link::name(link_type);
        CaptureError::LinkType { path: self.path.clone(), link_type, name }
    }
}

impl std::fmt::Debug for CaptureReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CaptureReader")
            .field("path", &self.path)
            .field("section", &self.section)
            .field("report", &self.report)
            .finish_non_exhaustive()
    }
}

/// Why pcap-parser gave no block.
#[derive(Clone, Copy, Debug)]
enum Missing {
    Bytes,
    Room,
    RestOfFile,
    Sense,
}

impl Missing {
    fn of<I: Sized>(error: &PcapError<I>) -> Self {
        match error {
            PcapError::Incomplete(_) => Self::Bytes,
            PcapError::BufferTooSmall => Self::Room,
            PcapError::Eof | PcapError::UnexpectedEof => Self::RestOfFile,
            _ => Self::Sense,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample::{ETHERNET, Format, PPP, SECOND, Sample, reader, udp};
    use super::*;

    fn samples() -> Vec<Sample> {
        let at = |number: u64| 1_500_000_000 * SECOND + number * 1_234_567_000;
        (0..5).map(|number| (at(u64::from(number)), udp(1, number, 53))).collect()
    }

    fn read_all(reader: &mut CaptureReader) -> Result<Vec<Sample>, CaptureError> {
        let mut frames = Vec::new();
        while let Some(frame) = reader.next_frame()? {
            assert_eq!(frame.interface, 1);
            frames.push((frame.time_ns, frame.bytes.to_vec()));
        }
        Ok(frames)
    }

    fn refusal(file: Vec<u8>) -> String {
        CaptureReader::new(io::Cursor::new(file), "sample.pcap").expect_err("refused").to_string()
    }

    #[test]
    fn every_format_gives_the_same_frames() {
        for format in Format::all() {
            let mut reader = reader(format.write(ETHERNET, &samples()));
            assert_eq!(read_all(&mut reader).expect("whole"), samples(), "{format:?}");
            assert_eq!((reader.report().frames, reader.report().lost()), (5, 0), "{format:?}");
        }
    }

    #[test]
    fn a_file_cut_anywhere_gives_its_whole_frames_and_counts_the_cut() {
        for format in Format::all() {
            let whole = format.write(ETHERNET, &samples());
            let bounds: Vec<usize> =
                (0..=5).map(|kept| format.write(ETHERNET, &samples()[..kept]).len()).collect();
            for end in bounds[0]..=bounds[2] {
                let mut reader = reader(whole[..end].to_vec());
                let frames = read_all(&mut reader).expect("a cut is no error");
                let kept = bounds.iter().rposition(|&bound| bound <= end).expect("the header is");
                assert_eq!(frames, samples()[..kept], "{format:?} cut at {end}");
                let cut = reader.report().losses[CaptureLoss::CutFile.index()];
                assert_eq!(cut, u64::from(end != bounds[kept]), "{format:?} cut at {end}");
            }
        }
    }

    #[test]
    fn a_frame_keeps_the_length_it_had_on_the_wire() {
        let mut file = Format::PCAP.write(ETHERNET, &samples()[..1]);
        let wire_length = 24 + 12;
        file[wire_length..wire_length + 4].copy_from_slice(&1_514_u32.to_le_bytes());
        let mut reader = reader(file);
        let frame = reader.next_frame().expect("whole").expect("a frame");
        assert_eq!((frame.wire_length, frame.bytes.len()), (1_514, 46));
        assert_eq!((reader.report().snapped, reader.report().wire_bytes), (1, 1_514));
    }

    #[test]
    fn a_record_longer_than_any_frame_is_damage_at_its_offset() {
        for (format, length_at) in [(Format::PCAP, 8), (Format::PCAPNG, 4)] {
            let mut file = format.write(ETHERNET, &samples()[..2]);
            let second = format.write(ETHERNET, &samples()[..1]).len();
            file[second + length_at..second + length_at + 4].copy_from_slice(&[0xff; 4]);
            let mut reader = reader(file);
            assert!(reader.next_frame().expect("the first is whole").is_some());
            let message = reader.next_frame().expect_err("the second is not").to_string();
            let expected = format!("`sample.pcap` is damaged at byte {second}: a record of ");
            assert!(message.starts_with(&expected), "{message}");
            assert_eq!(reader.next_frame().expect("no frame after damage"), None);
        }
    }

    #[test]
    fn a_pcapng_frame_longer_than_its_block_is_damage_and_not_a_cut() {
        let mut file = Format::PCAPNG.write(ETHERNET, &samples()[..1]);
        let block = Format::PCAPNG.write(ETHERNET, &[]).len();
        file[block + 20..block + 24].copy_from_slice(&5_000_u32.to_le_bytes());
        let message = reader(file).next_frame().expect_err("damage").to_string();
        assert!(message.contains("does not fit its own length"), "{message}");
    }

    #[test]
    fn what_is_no_capture_is_refused_by_name() {
        assert_eq!(
            refusal(vec![0x1f, 0x8b, 8, 0, 0]),
            "`sample.pcap` starts with 1f 8b 08 00 and is compressed by gzip: \
             decompress it first with `gunzip`"
        );
        assert_eq!(
            refusal(b"#separator".to_vec()),
            "`sample.pcap` starts with 23 73 65 70 and is neither pcap nor pcapng: \
             convert it with `editcap`"
        );
        assert_eq!(
            refusal(vec![]),
            "`sample.pcap` holds 0 bytes, fewer than a capture's header: capture it anew"
        );
        assert_eq!(
            refusal(Format::PCAP.write(PPP, &[])),
            "`sample.pcap` has link type 9 (PPP), and only Ethernet, Linux cooked v1 and v2, \
             raw IP and BSD loopback can be read: capture on an Ethernet interface, or on `any`"
        );
    }

    #[test]
    fn a_frame_of_an_unreadable_or_unknown_interface_is_counted() {
        let mut file = Format::PCAPNG.write(ETHERNET, &samples()[..1]);
        file.extend(Format::PCAPNG.interface(PPP));
        for interface in [1, 1, 2] {
            file.extend(Format::PCAPNG.record_on(interface, SECOND, &[0; 60]));
        }
        let mut reader = reader(file);
        assert_eq!(read_all(&mut reader).expect("whole"), samples()[..1]);
        let losses = reader.report().losses;
        assert_eq!(losses[CaptureLoss::LinkType.index()], 2);
        assert_eq!(losses[CaptureLoss::UnknownInterface.index()], 1);
    }

    #[test]
    fn a_pcapng_of_unreadable_interfaces_alone_is_refused() {
        let mut reader = reader(Format::PCAPNG.write(PPP, &samples()));
        let message = reader.next_frame().expect_err("nothing can be read").to_string();
        assert!(message.starts_with("`sample.pcap` has link type 9 (PPP)"), "{message}");
    }

    #[test]
    fn a_simple_packet_takes_the_time_of_the_frame_before() {
        let mut file = Format::PCAPNG.write(ETHERNET, &samples()[..1]);
        let packet = [&46_u32.to_le_bytes(), &udp(1, 9, 53)[..], &[0; 2]].concat();
        file.extend(Format::PCAPNG.block(3, &packet));
        let mut reader = reader(file);
        let frames = read_all(&mut reader).expect("whole");
        assert_eq!(frames[1], (samples()[0].0, udp(1, 9, 53)));
        assert_eq!(reader.report().undated, 1);
    }

    #[test]
    fn a_reader_that_fails_names_the_file_the_place_and_the_cause() {
        struct Fails(io::Cursor<Vec<u8>>);
        impl Read for Fails {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                match self.0.read(buffer)? {
                    0 => Err(io::Error::other("the disk is gone")),
                    read => Ok(read),
                }
            }
        }
        let file = Format::PCAP.write(ETHERNET, &samples());
        let message = CaptureReader::new(Fails(io::Cursor::new(file)), "sample.pcap")
            .expect_err("the disk is gone")
            .to_string();
        assert_eq!(message, "cannot read `sample.pcap` at byte 0: the disk is gone");
    }

    #[test]
    fn any_changed_byte_ends_in_frames_or_an_error() {
        for format in [Format::PCAP, Format::PCAPNG] {
            let whole = format.write(ETHERNET, &samples()[..2]);
            for place in 0..whole.len() {
                for value in [0, 0x80, 0xff] {
                    let mut file = whole.clone();
                    file[place] = value;
                    let Ok(mut reader) = CaptureReader::new(io::Cursor::new(file), "x") else {
                        continue;
                    };
                    while let Ok(Some(_)) = reader.next_frame() {}
                    let most = whole.len() as u64 / 16;
                    assert!(reader.report().frames <= most, "{format:?} at {place}");
                }
            }
        }
    }
}
