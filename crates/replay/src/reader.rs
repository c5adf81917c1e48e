//! Frames of a capture file, one at a time, in bounded memory.

use std::{
    io::Read,
    path::{Path, PathBuf},
};

use flows_common::{Direction, parse::LinkLayer};
use pcap_parser::{PcapBlockOwned, PcapError, create_reader, traits::PcapReaderIterator};

use super::{
    CaptureError, CaptureLoss, CaptureReport, Compression, ReadProgress,
    input::{Input, STANDARD_INPUT_NAME, Source, is_standard_input},
    link,
    section::{Content, PcapNg, Record, Section},
    stream::{Fault, Faults},
};

/// Bytes read ahead; grows for a longer block.
const READ_AHEAD: usize = 1 << 16;

/// Frame of a capture, as its interface carried it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// Capture time, in ns since 1970 by the capture's clock.
    pub time_ns: u64,
    /// Its length on the wire in bytes, at least that of `bytes`; Ethernet header included where it
    /// has one, FCS not, where the capture says that its frames have one.
    pub wire_length: u32,
    /// The interface it was captured on: its index where the frame tells it (Linux cooked v2), else
    /// 1 for the first (or only) one of the file.
    pub interface: u32,
    /// The way it went, where the capture says so.
    pub direction: Option<Direction>,
    /// The captured bytes, from the Ethernet header on, or from the IP header where `link` is bare.
    pub bytes: &'a [u8],
    /// Header that they begin with.
    pub link: LinkLayer,
}

/// Reads pcap (micro- and nanosecond, either byte order) and pcapng, also compressed by gzip or
/// zstd, which the first bytes tell.
///
/// Link types: Ethernet, Linux cooked v1 and v2, raw IP, BSD loopback. Memory: 64 KiB, and up to 16 MiB for a pcapng file with a block
/// as long; some 2 MiB more for a compressed file, and its zstd window of up to 128 MiB. A frame
/// borrows from the reader, so this is no [`Iterator`].
///
/// ```no_run
/// # fn main() -> Result<(), weir_replay::CaptureError> {
/// let mut capture = weir_replay::CaptureReader::open("capture.pcap")?;
/// while let Some(frame) = capture.next_frame()? {
///     println!("{} ns: {} bytes", frame.time_ns, frame.wire_length);
/// }
/// # Ok(())
/// # }
/// ```
pub struct CaptureReader {
    path: PathBuf,
    reader: Box<dyn PcapReaderIterator + Send>,
    faults: Faults,
    progress: ReadProgress,
    compression: Option<Compression>,
    section: Section,
    /// Bytes of the record last found, still at the start of the buffer.
    pending: usize,
    /// That record, until its frame is handed out.
    found: Option<Record>,
    last_time_ns: u64,
    /// The record that was found has a time of its own.
    is_dated: bool,
    scratch: Vec<u8>,
    report: CaptureReport,
    ended: bool,
}

impl CaptureReader {
    /// Opens a capture file, or standard input where the path is `-`.
    ///
    /// A compressed file is unpacked on a thread of its own where there is more than one CPU.
    ///
    /// # Errors
    /// The file cannot be opened, is no capture, or is a pcap of an unsupported link type.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, CaptureError> {
        Self::open_with(path.as_ref(), true)
    }

    /// As [`CaptureReader::open`], but unpacks on this thread unless `ahead`.
    pub(super) fn open_with(path: &Path, ahead: bool) -> Result<Self, CaptureError> {
        let name = if is_standard_input(path) { Path::new(STANDARD_INPUT_NAME) } else { path };
        match Source::open(path) {
            Ok(source) => Self::start(source, name, ahead),
            Err(source) => Err(CaptureError::Open { path: name.to_owned(), source }),
        }
    }

    /// Reads a capture from `source`, on this thread; `path` is what errors call it.
    ///
    /// # Errors
    /// As [`CaptureReader::open`].
    pub fn new(
        source: impl Read + Send + 'static,
        path: impl Into<PathBuf>,
    ) -> Result<Self, CaptureError> {
        Self::start(Source::of(source), &path.into(), false)
    }

    fn start(source: Source, path: &Path, ahead: bool) -> Result<Self, CaptureError> {
        let Input { bytes, faults, progress, compression } = Input::start(source, path, ahead)?;
        let path = path.to_owned();
        let reader = match create_reader(READ_AHEAD, bytes) {
            Ok(reader) => reader,
            Err(error) => {
                let what = format!("its header cannot be read ({error})");
                return Err(CaptureError::Damaged { path, offset: 0, what });
            }
        };
        let mut capture = Self {
            path,
            reader,
            faults,
            progress,
            compression,
            section: Section::PcapNg(PcapNg::default()),
            pending: 0,
            found: None,
            last_time_ns: 0,
            is_dated: false,
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
        Ok(if self.find_frame()?.is_some() { self.take_frame() } else { None })
    }

    /// Finds the next frame, which [`CaptureReader::take_frame`] then hands out, and says when it
    /// was captured; `None` at the end of the capture.
    ///
    /// # Errors
    /// As [`CaptureReader::next_frame`].
    pub(super) fn find_frame(&mut self) -> Result<Option<u64>, CaptureError> {
        let record = self.next_record().inspect_err(|_| self.ended = true)?;
        self.found = record;
        let Some(record) = &self.found else { return Ok(None) };
        self.is_dated = record.time_ns.is_some();
        let time_ns = record.time_ns.unwrap_or_else(|| {
            self.report.undated += 1;
            self.last_time_ns
        });
        self.report.backwards += u64::from(time_ns < self.last_time_ns);
        self.last_time_ns = time_ns;
        Ok(Some(time_ns))
    }

    /// True where the record that was found has a time of its own.
    pub(super) const fn is_dated(&self) -> bool {
        self.is_dated
    }

    /// Gives frames that come before any time the time of the first one that has one.
    pub(super) fn begin_at(&mut self, time_ns: Option<u64>) {
        self.last_time_ns = time_ns.unwrap_or(self.last_time_ns);
    }

    /// The frame that was found, once.
    pub(super) fn take_frame(&mut self) -> Option<Frame<'_>> {
        let record = self.found.take()?;
        let captured = &self.reader.data()[record.data];
        let captured_length = u32::try_from(captured.len()).unwrap_or(u32::MAX);
        let wire_length = record.wire_length.max(captured_length);
        let frame = record.link.carried(captured, wire_length, &mut self.scratch);
        self.report.frames += 1;
        self.report.wire_bytes += u64::from(frame.wire_length);
        self.report.snapped += u64::from((frame.bytes.len() as u64) < u64::from(frame.wire_length));
        Some(Frame {
            time_ns: self.last_time_ns,
            wire_length: frame.wire_length,
            interface: frame.interface.filter(|index| *index > 0).unwrap_or(record.interface),
            direction: record.direction.or(frame.direction),
            bytes: frame.bytes,
            link: frame.link,
        })
    }

    /// The file, as errors call it.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Compression of the file.
    #[must_use]
    pub const fn compression(&self) -> Option<Compression> {
        self.compression
    }

    /// Read progress of the file, for another thread to look at.
    #[must_use]
    pub const fn progress(&self) -> &ReadProgress {
        &self.progress
    }

    /// Report on the file so far.
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
                let offset = self.reader.consumed() as u64 + held as u64;
                let fault = self.faults.take();
                let is_cut = held > 0 || matches!(fault, Some(Fault::Cut));
                match fault.and_then(|fault| CaptureError::of_fault(&self.path, offset, fault)) {
                    Some(error) => return Err(error),
                    None if is_cut => self.report.lose(CaptureLoss::CutFile),
                    None => {}
                }
                self.end()
            }
            Missing::Sense => Err(self.damaged("a record that cannot be read".to_owned())),
        }
    }

    fn refill(&mut self) -> Result<(), CaptureError> {
        match self.reader.refill() {
            Ok(()) => Ok(()),
            Err(_) => Err(self.damaged("a record that cannot be read on".to_owned())),
        }
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

/// Reason for which pcap-parser gave no block.
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
mod compressed;
#[cfg(test)]
mod tests;
