//! Spool: events on disk between the node and a sink, in order, within a bound.
//!
//! A folder of segments, each some lines of `<id> <time> <event>`, and a file `sent` with the place
//! up to which the sink has them. What is appended survives a restart; a line that a crash cut is
//! cut off, and the node gives its event again. Above the bound the oldest segment goes, and what
//! of it was not sent is counted.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, BufRead as _, BufReader, Read as _, Seek as _, SeekFrom, Write as _},
    path::{Path, PathBuf},
    time::Duration,
};

use jiff::Timestamp;

/// Part of the bound that a segment is, as its inverse.
const SEGMENTS: u64 = 16;
/// The file with the place up to which the sink has all.
const SENT: &str = "sent";
/// Name of a folder's lock.
const LOCK: &str = "lock";

/// Reason for which a spool cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    /// The system refuses.
    #[error("spool `{path}`")]
    System {
        /// The file or folder.
        path: PathBuf,
        /// Error of the system.
        source: io::Error,
    },
    /// Another process sends what is in it.
    #[error("spool `{0}` is in use by another process; give each its own with --spool")]
    InUse(PathBuf),
}

/// An event that waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// Its id at the node; empty of one that is this process's own.
    pub id: String,
    /// Time at which it came.
    pub came: Timestamp,
    /// The event, as one line of JSON.
    pub json: String,
    /// The place behind it.
    place: Place,
}

/// Place in the spool: bytes of a segment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    segment: u64,
    offset: u64,
}

/// Events on disk.
#[derive(Debug)]
pub struct Spool {
    folder: PathBuf,
    most: u64,
    /// Number and bytes of each segment, the oldest first.
    segments: Vec<(u64, u64)>,
    writing: File,
    sent: Place,
    last_id: Option<String>,
    /// Events that were dropped, for they did not fit, and not told of.
    lost: u64,
    _lock: File,
}

impl Spool {
    /// Opens a folder, which is made where it is not there, and keeps so many bytes in it at most.
    ///
    /// # Errors
    /// The folder cannot be used, or is in use.
    pub fn open(folder: &Path, most: u64) -> Result<Self, SpoolError> {
        let fail = |path: &Path| {
            let path = path.to_owned();
            move |source| SpoolError::System { path, source }
        };
        fs::create_dir_all(folder).map_err(fail(folder))?;
        let lock = File::create(folder.join(LOCK)).map_err(fail(folder))?;
        lock.try_lock().map_err(|_| SpoolError::InUse(folder.to_owned()))?;
        let mut numbers = Vec::new();
        for entry in fs::read_dir(folder).map_err(fail(folder))? {
            let name = entry.map_err(fail(folder))?.file_name();
            let number = name.to_str().and_then(|name| name.strip_suffix(".events"));
            numbers.extend(number.and_then(|number| number.parse::<u64>().ok()));
        }
        numbers.sort_unstable();
        if numbers.is_empty() {
            numbers.push(1);
        }
        let newest = numbers[numbers.len() - 1];
        let writing = cut_to_lines(&segment(folder, newest)).map_err(fail(folder))?;
        let mut segments = Vec::new();
        for number in numbers {
            let path = segment(folder, number);
            segments.push((number, fs::metadata(&path).map_err(fail(&path))?.len()));
        }
        let sent = read_place(&folder.join(SENT)).unwrap_or_default();
        let oldest = Place { segment: segments[0].0, offset: 0 };
        let mut spool = Self {
            folder: folder.to_owned(),
            most,
            segments,
            writing,
            // A place behind what is there is another folder's.
            sent: if sent.segment > newest { oldest } else { sent.max(oldest) },
            last_id: None,
            lost: 0,
            _lock: lock,
        };
        spool.last_id = spool.find_last_id()?;
        Ok(spool)
    }

    /// Id of the newest event of the node's that was taken, here or before.
    #[must_use]
    pub fn last_id(&self) -> Option<&str> {
        self.last_id.as_deref()
    }

    /// Appends an event.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn append(&mut self, id: &str, came: Timestamp, json: &str) -> Result<(), SpoolError> {
        let line = format!("{} {came} {json}\n", if id.is_empty() { "-" } else { id });
        let mut written = self.writing.write_all(line.as_bytes());
        let newest = self.segments.len() - 1;
        if written.is_err() {
            // No part of a line stays.
            written = written.and(self.writing.set_len(self.segments[newest].1));
        }
        written.map_err(|source| self.error(source))?;
        self.segments[newest].1 += line.len() as u64;
        if !id.is_empty() {
            self.last_id = Some(id.to_owned());
        }
        if self.segments[newest].1 >= self.most / SEGMENTS {
            self.begin(self.segments[newest].0 + 1)?;
        }
        while self.segments.len() > 1
            && self.segments.iter().map(|&(_, bytes)| bytes).sum::<u64>() > self.most
        {
            self.drop_oldest()?;
        }
        Ok(())
    }

    /// Events that were dropped since this was asked last.
    pub fn take_lost(&mut self) -> u64 {
        std::mem::take(&mut self.lost)
    }

    /// The next events that the sink has not, at most so many.
    ///
    /// # Errors
    /// They cannot be read.
    pub fn waiting(&self, most: usize) -> Result<Vec<Waiting>, SpoolError> {
        let mut waiting = Vec::new();
        for &(number, _) in self.segments.iter().filter(|one| one.0 >= self.sent.segment) {
            let offset = if number == self.sent.segment { self.sent.offset } else { 0 };
            self.read(Place { segment: number, offset }, |one| {
                waiting.push(one);
                waiting.len() < most
            })?;
            if waiting.len() >= most {
                break;
            }
        }
        Ok(waiting)
    }

    /// The sink has this event and those before it.
    ///
    /// # Errors
    /// That cannot be kept: after a restart the sink gets some twice.
    pub fn sent(&mut self, event: &Waiting) -> Result<(), SpoolError> {
        self.sent = event.place;
        let Place { segment: number, offset } = self.sent;
        let path = self.folder.join(SENT);
        let beside = self.folder.join(format!("{SENT}.new"));
        fs::write(&beside, format!("{number} {offset}\n"))
            .and_then(|()| fs::rename(&beside, &path))
            .map_err(|source| SpoolError::System { path, source })?;
        while self.segments[0].0 < number {
            self.remove_oldest()?;
        }
        Ok(())
    }

    fn read(&self, from: Place, mut take: impl FnMut(Waiting) -> bool) -> Result<(), SpoolError> {
        let path = segment(&self.folder, from.segment);
        let fail = |source| SpoolError::System { path: path.clone(), source };
        let mut file = File::open(&path).map_err(fail)?;
        file.seek(SeekFrom::Start(from.offset)).map_err(fail)?;
        let (mut reader, mut place, mut line) = (BufReader::new(file), from, Vec::new());
        loop {
            line.clear();
            let read = reader.read_until(b'\n', &mut line).map_err(fail)?;
            if read == 0 || !line.ends_with(b"\n") {
                return Ok(());
            }
            place.offset += read as u64;
            if !take(parse(&line, place)) {
                return Ok(());
            }
        }
    }

    fn find_last_id(&self) -> Result<Option<String>, SpoolError> {
        let mut last = None;
        for &(segment, _) in self.segments.iter().rev() {
            self.read(Place { segment, offset: 0 }, |one| {
                if !one.id.is_empty() {
                    last = Some(one.id);
                }
                true
            })?;
            if last.is_some() {
                break;
            }
        }
        Ok(last)
    }

    fn begin(&mut self, number: u64) -> Result<(), SpoolError> {
        let path = segment(&self.folder, number);
        self.writing = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&path)
            .map_err(|source| SpoolError::System { path, source })?;
        self.segments.push((number, 0));
        Ok(())
    }

    fn drop_oldest(&mut self) -> Result<(), SpoolError> {
        let oldest = self.segments[0].0;
        if self.sent.segment <= oldest {
            let offset = if self.sent.segment == oldest { self.sent.offset } else { 0 };
            let mut lost = 0;
            self.read(Place { segment: oldest, offset }, |_| {
                lost += 1;
                true
            })?;
            self.lost += lost;
            self.sent = Place { segment: self.segments[1].0, offset: 0 };
        }
        self.remove_oldest()
    }

    fn remove_oldest(&mut self) -> Result<(), SpoolError> {
        let path = segment(&self.folder, self.segments.remove(0).0);
        fs::remove_file(&path).map_err(|source| SpoolError::System { path, source })
    }

    fn error(&self, source: io::Error) -> SpoolError {
        SpoolError::System { path: self.folder.clone(), source }
    }
}

fn segment(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("{number:012}.events"))
}

/// Opens a segment to append to, without the line that a crash cut.
fn cut_to_lines(path: &Path) -> io::Result<File> {
    let mut file = OpenOptions::new().create(true).read(true).append(true).open(path)?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    let whole = bytes.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
    file.set_len(whole as u64)?;
    Ok(file)
}

fn read_place(path: &Path) -> Option<Place> {
    let text = fs::read_to_string(path).ok()?;
    let (segment, offset) = text.trim().split_once(' ')?;
    Some(Place { segment: segment.parse().ok()?, offset: offset.parse().ok()? })
}

/// One that was damaged on the disk is an event without an id that nobody can read: it is counted
/// where it is read.
fn parse(line: &[u8], place: Place) -> Waiting {
    let text = String::from_utf8_lossy(line);
    let read = || {
        let (id, rest) = text.trim_end().split_once(' ')?;
        let (came, json) = rest.split_once(' ')?;
        let id = if id == "-" { "" } else { id };
        Some(Waiting { id: id.to_owned(), came: came.parse().ok()?, json: json.to_owned(), place })
    };
    let damaged =
        || Waiting { id: String::new(), came: Timestamp::now(), json: String::new(), place };
    read().unwrap_or_else(damaged)
}

/// Pause after this many failures of a sink in a row.
pub(crate) fn pause_after(failures: u32) -> Duration {
    const LONGEST: Duration = Duration::from_mins(1);
    Duration::from_millis(500).saturating_mul(1 << failures.saturating_sub(1).min(10)).min(LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOST: u64 = 16_000;

    fn fill(spool: &mut Spool, numbers: std::ops::Range<u32>) {
        for number in numbers {
            let json = format!("{{\"n\":{number}}}");
            spool.append(&format!("a-{number}"), Timestamp::UNIX_EPOCH, &json).unwrap();
        }
    }

    fn numbers(spool: &Spool) -> Vec<u32> {
        let number = |one: &Waiting| one.id.strip_prefix("a-").unwrap().parse().unwrap();
        spool.waiting(usize::MAX).unwrap().iter().map(number).collect()
    }

    #[test]
    fn what_was_not_sent_is_there_after_a_restart_in_its_order() {
        let folder = tempfile::tempdir().unwrap();
        let mut spool = Spool::open(folder.path(), MOST).unwrap();
        fill(&mut spool, 0..100);
        let first = spool.waiting(40).unwrap();
        assert_eq!(first.len(), 40);
        spool.sent(&first[24]).unwrap();
        drop(spool);
        let mut spool = Spool::open(folder.path(), MOST).unwrap();
        assert_eq!(spool.last_id(), Some("a-99"));
        assert_eq!(numbers(&spool), (25..100).collect::<Vec<_>>());
        fill(&mut spool, 100..101);
        let all = spool.waiting(usize::MAX).unwrap();
        spool.sent(&all[all.len() - 1]).unwrap();
        assert!(numbers(&spool).is_empty());
        drop(spool);
        let spool = Spool::open(folder.path(), MOST).unwrap();
        assert!(numbers(&spool).is_empty());
        assert_eq!(spool.last_id(), Some("a-100"), "all that was sent is not forgotten");
    }

    #[test]
    fn above_the_bound_the_oldest_go_and_each_is_counted_once() {
        let folder = tempfile::tempdir().unwrap();
        let mut spool = Spool::open(folder.path(), MOST).unwrap();
        fill(&mut spool, 0..1_000);
        let lost = spool.take_lost();
        let kept = numbers(&spool);
        assert!(lost > 0 && !kept.is_empty());
        assert_eq!(kept, (u32::try_from(lost).unwrap()..1_000).collect::<Vec<_>>());
        assert_eq!(spool.take_lost(), 0);
        let bytes: u64 = fs::read_dir(folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().metadata().unwrap().len())
            .sum();
        assert!(bytes <= MOST + 100, "{bytes}");
        // What was sent is no loss, however much comes after it.
        let all = spool.waiting(usize::MAX).unwrap();
        spool.sent(&all[all.len() - 1]).unwrap();
        fill(&mut spool, 1_000..1_010);
        assert_eq!(spool.take_lost(), 0);
    }

    #[test]
    fn a_line_that_a_crash_cut_is_no_event() {
        let folder = tempfile::tempdir().unwrap();
        let mut spool = Spool::open(folder.path(), MOST).unwrap();
        fill(&mut spool, 0..3);
        drop(spool);
        let path = segment(folder.path(), 1);
        let bytes = fs::read(&path).unwrap();
        for length in 0..bytes.len() {
            fs::write(&path, &bytes[..length]).unwrap();
            let mut spool = Spool::open(folder.path(), MOST).unwrap();
            let whole = bytes[..length].split(|&byte| byte == b'\n').count() - 1;
            assert_eq!(numbers(&spool).len(), whole);
            fill(&mut spool, 7..8);
            assert_eq!(numbers(&spool).last(), Some(&7));
        }
    }

    #[test]
    fn a_place_that_is_not_there_begins_at_the_oldest() {
        let folder = tempfile::tempdir().unwrap();
        let mut spool = Spool::open(folder.path(), MOST).unwrap();
        fill(&mut spool, 0..3);
        drop(spool);
        for place in ["9 0", "x", "", "1"] {
            fs::write(folder.path().join(SENT), place).unwrap();
            assert_eq!(numbers(&Spool::open(folder.path(), MOST).unwrap()).len(), 3, "{place:?}");
        }
    }

    #[test]
    fn two_processes_do_not_share_a_spool() {
        let folder = tempfile::tempdir().unwrap();
        let _first = Spool::open(folder.path(), MOST).unwrap();
        assert!(matches!(Spool::open(folder.path(), MOST), Err(SpoolError::InUse(_))));
    }

    #[test]
    fn pauses_grow_up_to_a_minute() {
        let pauses: Vec<u128> = (1..=12).map(|n| pause_after(n).as_millis()).collect();
        assert_eq!(pauses[..3], [500, 1_000, 2_000]);
        assert_eq!(pauses[11], 60_000);
    }
}
