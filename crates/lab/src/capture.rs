//! Writing what passes an interface into a pcap file.

mod receive;

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use pcap_file::pcap::{PcapHeader, PcapPacket, PcapWriter};
use pcap_file::{DataLink, TsResolution};
use serde::Serialize;

use crate::net::namespace::Namespace;
use crate::net::wiring;
use crate::{Lab, LabError};
use receive::Receiver;

/// The longest frame there is; offloads make frames of more than the MTU.
pub(crate) const LONGEST_FRAME: u32 = 262_144;

/// Bounds of a capture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CaptureBounds {
    /// The most bytes of frames in the file; frames beyond it are only counted.
    pub bytes: u64,
    /// The most bytes kept of each frame, at most 262,144. The file still tells how long the
    /// frame was.
    pub snaplen: u32,
}

impl Default for CaptureBounds {
    /// 256 MiB of whole frames.
    fn default() -> Self {
        Self { bytes: 256 << 20, snaplen: LONGEST_FRAME }
    }
}

/// Interface that a capture listens on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tap {
    /// On the protected host's interface: what its stack sees. Frames dropped in XDP are not in
    /// it, and neither are those dropped at TC egress.
    Host,
    /// On the switch's port to the protected host: all that is sent to it, also what XDP drops
    /// there, and all that left it.
    Switch,
}

/// Counts of a finished capture.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct CaptureReport {
    /// Frames in the file.
    pub frames: u64,
    /// Bytes kept of those frames.
    pub bytes: u64,
    /// Frames that were cut to the snap length.
    pub truncated: u64,
    /// Frames that were not written because the file's bound was reached.
    pub beyond_bound: u64,
    /// Frames the kernel dropped because the capture did not keep up.
    pub dropped: u64,
}

/// A capture under way. Dropping it ends it too, but tells nothing.
#[derive(Debug)]
pub struct Capture {
    path: PathBuf,
    /// Closing this end wakes the thread and ends the capture.
    end: Option<UnixStream>,
    thread: Option<Thread>,
}

type Thread = JoinHandle<Result<Result<CaptureReport, LabError>, LabError>>;

impl Lab {
    /// Captures what passes the protected host's `nth` interface (0 for `eth0`) into a pcap
    /// file: Ethernet, nanoseconds, tags restored.
    ///
    /// Frames handled by different CPUs may be out of order by some microseconds.
    /// Frames are in the file from the moment this returns. Checksums of frames made in the lab
    /// are only filled in where the lab has no offloads.
    pub fn capture(
        &self,
        path: &Path,
        tap: Tap,
        nth: usize,
        bounds: CaptureBounds,
    ) -> Result<Capture, LabError> {
        let (namespace, interface) = tapped(self, tap, nth)?;
        let failed = |source| LabError::File { doing: "write", path: path.to_owned(), source };
        let snaplen = bounds.snaplen.clamp(1, LONGEST_FRAME);
        let writer = open(path, snaplen).map_err(failed)?;
        let receiver = namespace
            .run(|| Receiver::open(&interface, snaplen))?
            .map_err(|error| LabError::system(format!("capture on {interface}"), error))?;
        let (end, ended) = UnixStream::pair().map_err(failed)?;
        let own = path.to_owned();
        let thread = namespace.spawn(&format!("capture {interface}"), move || {
            write_all(receiver, writer, &ended, bounds.bytes).map_err(|source| LabError::File {
                doing: "write",
                path: own,
                source,
            })
        })?;
        Ok(Capture { path: path.to_owned(), end: Some(end), thread: Some(thread) })
    }
}

/// The namespace and the name of the interface that a tap on the host's `nth` listens on.
fn tapped(lab: &Lab, tap: Tap, nth: usize) -> Result<(&Namespace, String), LabError> {
    let host = lab.host();
    let link = host.interfaces.get(nth).ok_or_else(|| {
        LabError::Invalid(format!(
            "the protected host has {} interfaces, so there is no number {nth}",
            host.interfaces.len()
        ))
    })?;
    match (tap, lab.switch()) {
        (Tap::Switch, Some(switch)) => Ok((switch, wiring::port_name(host, link))),
        _ => Ok((lab.members().namespace(host)?, link.name.clone())),
    }
}

impl Capture {
    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Ends the capture once all that has passed so far is written.
    pub fn finish(mut self) -> Result<CaptureReport, LabError> {
        self.join()
    }

    fn join(&mut self) -> Result<CaptureReport, LabError> {
        drop(self.end.take());
        let Some(thread) = self.thread.take() else { return Ok(CaptureReport::default()) };
        thread
            .join()
            .map_err(|_| LabError::Panicked { name: "capture".to_owned() })
            .flatten()
            .flatten()
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        // A caller that needs the result has called `finish`.
        let _ = self.join();
    }
}

fn open(path: &Path, snaplen: u32) -> io::Result<PcapWriter<BufWriter<File>>> {
    let file = BufWriter::with_capacity(1 << 18, File::create(path)?);
    PcapWriter::with_header(file, header(snaplen)).map_err(as_io)
}

/// Ethernet frames with times in nanoseconds.
pub(crate) fn header(snaplen: u32) -> PcapHeader {
    PcapHeader {
        snaplen,
        datalink: DataLink::ETHERNET,
        ts_resolution: TsResolution::NanoSecond,
        ..PcapHeader::default()
    }
}

fn write_all(
    mut receiver: Receiver,
    mut writer: PcapWriter<BufWriter<File>>,
    ended: &UnixStream,
    most_bytes: u64,
) -> io::Result<CaptureReport> {
    let mut report = CaptureReport::default();
    loop {
        let mut ready = [
            PollFd::new(receiver.as_fd(), PollFlags::POLLIN),
            PollFd::new(ended.as_fd(), PollFlags::POLLIN),
        ];
        poll(&mut ready, PollTimeout::NONE)?;
        // Looked at before the frames: those that came before the end are still read below.
        let is_over = ready[1].any().unwrap_or(true);
        while let Some(frame) = receiver.receive()? {
            if report.bytes + frame.bytes.len() as u64 > most_bytes {
                report.beyond_bound += 1;
                continue;
            }
            report.frames += 1;
            report.bytes += frame.bytes.len() as u64;
            report.truncated += u64::from(frame.length as usize > frame.bytes.len());
            let packet = PcapPacket::new(frame.time, frame.length, frame.bytes);
            writer.write_packet(&packet).map_err(as_io)?;
        }
        if is_over {
            break;
        }
    }
    report.dropped = receiver.dropped()?;
    writer.into_writer().flush()?;
    Ok(report)
}

pub(crate) fn as_io(error: pcap_file::PcapError) -> io::Error {
    match error {
        pcap_file::PcapError::IoError(error) => error,
        error => io::Error::other(error),
    }
}
