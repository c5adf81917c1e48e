//! Several captures as one, merged by time.

use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    path::{Path, PathBuf},
};

use super::{
    CaptureError, CaptureReader, CaptureReport, Frame, HomeNet, ReadProgress, Survey,
    input::is_standard_input,
    sorted::{BUFFER_LIMIT, STREAM_BUFFER, SortedReader},
};

/// Compressed files that are unpacked on threads of their own, the first ones; more are unpacked
/// by who reads.
const THREADS_LIMIT: usize = 8;

/// Several captures as one: of the next frames of all, the one captured first comes first.
///
/// Frames of the same time come in the order in which their files were named and written. A file
/// whose frames are out of order is sorted while it is read, in a buffer of 64 MiB of headers; one
/// that would need more is refused. A stream cannot be looked through before: it is sorted within
/// 1 MiB of headers. Interfaces keep the numbers they have in their files, so that the parts of a rotated capture
/// are one capture again. Memory is that of one [`CaptureReader`] a file, all of which are open
/// at once.
#[derive(Debug)]
pub struct Captures {
    readers: Vec<SortedReader>,
    /// The next frame's time of every file but the one in turn, and the file's place.
    next: BinaryHeap<Reverse<(u64, usize)>>,
    /// The file that the last frame came from.
    in_turn: Option<usize>,
    started: bool,
}

impl From<CaptureReader> for Captures {
    fn from(reader: CaptureReader) -> Self {
        Self::of(vec![reader])
    }
}

impl Captures {
    /// Opens capture files, of which one may be `-` for standard input, and looks through them.
    ///
    /// # Errors
    /// As [`CaptureReader::open`] and [`Captures::surveyed`], of the first file that cannot be
    /// opened.
    pub fn open(paths: &[PathBuf]) -> Result<Self, CaptureError> {
        let home = HomeNet::new([]);
        let surveys: Vec<Option<Survey>> =
            paths.iter().map(|path| Survey::of(path, &home, false)).collect::<Result<_, _>>()?;
        Self::surveyed(paths, &surveys)
    }

    /// Opens capture files that were looked through; none stands for standard input.
    ///
    /// # Errors
    /// As [`CaptureReader::open`]; standard input is named twice; frames of a file are farther out
    /// of order than the buffer reaches.
    pub fn surveyed(paths: &[PathBuf], surveys: &[Option<Survey>]) -> Result<Self, CaptureError> {
        if paths.iter().filter(|path| is_standard_input(path)).count() > 1 {
            return Err(CaptureError::StandardInputTwice);
        }
        let open = |(place, (path, survey)): (usize, (&PathBuf, &Option<Survey>))| {
            let mut reader = CaptureReader::open_with(path, place < THREADS_LIMIT)?;
            let Some(survey) = survey else {
                return Ok(SortedReader::new(reader, STREAM_BUFFER));
            };
            reader.begin_at(survey.first_ns);
            let buffer = survey.buffer.ok_or_else(|| CaptureError::Disorder {
                path: path.clone(),
                limit: BUFFER_LIMIT,
            })?;
            Ok(SortedReader::new(reader, buffer))
        };
        let readers = paths.iter().zip(surveys).enumerate().map(open);
        Ok(Self::sorted(readers.collect::<Result<_, _>>()?))
    }

    /// Merges what these streams read.
    #[must_use]
    pub fn of(readers: Vec<CaptureReader>) -> Self {
        let sorted = |reader| SortedReader::new(reader, STREAM_BUFFER);
        Self::sorted(readers.into_iter().map(sorted).collect())
    }

    const fn sorted(readers: Vec<SortedReader>) -> Self {
        Self { readers, next: BinaryHeap::new(), in_turn: None, started: false }
    }

    /// The next frame, or `None` after the last one of all files.
    ///
    /// # Errors
    /// As [`CaptureReader::next_frame`], of the file that is damaged; the rest is not to be read.
    pub fn next_frame(&mut self) -> Result<Option<Frame<'_>>, CaptureError> {
        if !self.started {
            self.started = true;
            for place in 0..self.readers.len() {
                if let Some(time_ns) = self.readers[place].find_frame()? {
                    self.next.push(Reverse((time_ns, place)));
                }
            }
        }
        if let Some(place) = self.in_turn.take()
            && let Some(time_ns) = self.readers[place].find_frame()?
        {
            let own = Reverse((time_ns, place));
            // Of a single file, and within a burst, there is nothing to sort.
            if self.next.peek().is_none_or(|first| own > *first) {
                self.in_turn = Some(place);
                return Ok(self.readers[place].take_frame());
            }
            self.next.push(own);
        }
        let Some(Reverse((_, place))) = self.next.pop() else { return Ok(None) };
        self.in_turn = Some(place);
        Ok(self.readers[place].take_frame())
    }

    /// Report on all files together so far.
    #[must_use]
    pub fn report(&self) -> CaptureReport {
        let mut sum = CaptureReport::default();
        for reader in &self.readers {
            sum.add(reader.reader().report());
        }
        sum
    }

    /// Report on each file so far, in the order in which they were named.
    #[must_use]
    pub fn files(&self) -> impl ExactSizeIterator<Item = (&Path, &CaptureReport)> {
        self.readers.iter().map(|one| (one.reader().path(), one.reader().report()))
    }

    /// Read progress of each file, for another thread to look at.
    #[must_use]
    pub fn progress(&self) -> Vec<ReadProgress> {
        self.readers.iter().map(|one| one.reader().progress().clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::{ETHERNET, Format, Sample, named, udp};

    fn captures(files: &[Vec<u64>]) -> Captures {
        let reader = |(file, times): (u8, &Vec<u64>)| {
            let frame = |&time_us| (time_us * 1_000, udp(file, 1, 53));
            let frames: Vec<Sample> = times.iter().map(frame).collect();
            named(Format::PCAP.write(ETHERNET, &frames), &format!("{file}.pcap"))
        };
        Captures::of((0..).zip(files).map(reader).collect())
    }

    /// Time in µs, and the file.
    fn order(files: &[Vec<u64>]) -> Vec<(u64, u8)> {
        let mut captures = captures(files);
        let mut order = Vec::new();
        while let Some(frame) = captures.next_frame().expect("whole") {
            order.push((frame.time_ns / 1_000, frame.bytes[29]));
        }
        order
    }

    #[test]
    fn frames_of_several_files_come_by_time() {
        let merged = order(&[vec![1, 4, 5, 9], vec![], vec![2, 3, 8], vec![7]]);
        assert_eq!(merged, [(1, 0), (2, 2), (3, 2), (4, 0), (5, 0), (7, 3), (8, 2), (9, 0)]);
    }

    #[test]
    fn frames_of_one_time_come_in_the_order_of_their_files() {
        assert_eq!(
            order(&[vec![5, 5], vec![5], vec![1, 5]]),
            [(1, 2), (5, 0), (5, 0), (5, 1), (5, 2)]
        );
    }

    #[test]
    fn the_frames_of_one_file_are_sorted_too() {
        assert_eq!(order(&[vec![5, 2, 9], vec![3, 6]]), [(2, 0), (3, 1), (5, 0), (6, 1), (9, 0)]);
    }

    #[test]
    fn a_file_is_sorted_as_far_as_its_frames_are_out_of_order() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("shuffled.pcap");
        // 40,000 frames, of which the last half was written first: 3 MB that wait.
        let frame = |number: u32| {
            let late = (number + 20_000) % 40_000;
            (u64::from(late) * 1_000, udp(1, 2, u16::try_from(number % 1_000).expect("small")))
        };
        let frames: Vec<Sample> = (0..40_000).map(frame).collect();
        std::fs::write(&path, Format::PCAP.write(ETHERNET, &frames)).expect("a file");
        let mut captures = Captures::open(std::slice::from_ref(&path)).expect("sortable");
        let mut times = Vec::new();
        while let Some(frame) = captures.next_frame().expect("whole") {
            times.push(frame.time_ns);
        }
        assert!(times.len() == 40_000 && times.is_sorted());
    }

    #[test]
    fn a_file_that_the_buffer_cannot_sort_is_refused_with_the_way_out() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("far.pcap");
        let mut frame = udp(1, 2, 53);
        frame.resize(4_096, 0);
        let mut frames: Vec<Sample> =
            (1..=17_000).map(|time| (time * 1_000, frame.clone())).collect();
        frames.push((0, frame));
        std::fs::write(&path, Format::PCAP.write(ETHERNET, &frames)).expect("a file");
        let error = Captures::open(std::slice::from_ref(&path)).expect_err("71 MB would wait");
        let error = error.to_string();
        assert!(error.contains("far.pcap") && error.contains("67108864"), "{error}");
        assert!(error.contains("reordercap"), "{error}");
    }

    #[test]
    fn each_file_has_a_report_of_its_own() {
        let whole = Format::PCAP.write(ETHERNET, &[(1, udp(1, 2, 53)), (2, udp(1, 2, 53))]);
        let cut = whole[..whole.len() - 1].to_vec();
        let mut captures = Captures::of(vec![named(whole, "whole.pcap"), named(cut, "cut.pcap")]);
        while captures.next_frame().expect("a cut is no error").is_some() {}
        let reports: Vec<_> = captures
            .files()
            .map(|(path, report)| (path.to_str().expect("a name"), report.frames, report.lost()))
            .collect();
        assert_eq!(reports, [("whole.pcap", 2, 0), ("cut.pcap", 1, 1)]);
        assert_eq!((captures.report().frames, captures.report().lost()), (3, 1));
    }

    #[test]
    fn standard_input_can_be_named_once() {
        let error = Captures::open(&["-".into(), "-".into()]).expect_err("twice");
        assert!(error.to_string().contains("is named twice"), "{error}");
    }
}
