//! A replay on a thread of its own, a few windows ahead of who takes them.

use std::{
    io, panic,
    sync::mpsc::{self, Receiver},
    thread::{self, JoinHandle},
};

use flows_common::Window;

use super::{CaptureError, Replay};

/// Windows that wait to be taken. One of 65,536 flows takes 28 MB.
const REPLAYED_QUEUE: usize = 2;

/// A replay on a thread of its own.
///
/// Reading, parsing and counting then go on while the windows before are scored or written: on two
/// CPUs both together take as long as the slower one. The windows are those of [`Replay`].
#[derive(Debug)]
pub struct ThreadedReplay {
    windows: Receiver<Result<Window, CaptureError>>,
    thread: JoinHandle<Replay>,
}

impl ThreadedReplay {
    /// Starts to replay.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub fn start(mut replay: Replay) -> io::Result<Self> {
        let (replayed, windows) = mpsc::sync_channel(REPLAYED_QUEUE);
        let thread = thread::Builder::new().name("weir-replay".to_owned()).spawn(move || {
            while let Some(next) = replay.next_window().transpose() {
                // With nobody to take windows, the rest need not be read.
                if replayed.send(next).is_err() {
                    break;
                }
            }
            replay
        })?;
        Ok(Self { windows, thread })
    }

    /// The next window, or `None` after the last one.
    ///
    /// # Errors
    /// As [`Replay::next_window`].
    pub fn next_window(&mut self) -> Result<Option<Window>, CaptureError> {
        // The thread ends, and hangs up, behind the last window or its panic, which `finish` finds.
        self.windows.recv().ok().transpose()
    }

    /// Ends it, also where windows are left, and hands the replay back with what it reports.
    ///
    /// # Panics
    /// If the thread did, which is a bug.
    #[must_use]
    pub fn finish(self) -> Replay {
        drop(self.windows);
        self.thread.join().unwrap_or_else(|panicked| panic::resume_unwind(panicked))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        ReplayOptions,
        sample::{ETHERNET, Format, SECOND, Sample, reader, udp},
    };

    const FRAMES: u64 = 10_000;

    fn replay(damaged: bool) -> Replay {
        // More than a stream's frames wait to be sorted.
        let frames: Vec<Sample> = (0..FRAMES).map(|at| (at * SECOND, udp(1, 2, 53))).collect();
        let mut file = Format::PCAP.write(ETHERNET, &frames);
        if damaged {
            file.extend([0xff; 16]);
        }
        Replay::new(reader(file), ReplayOptions::default())
    }

    #[test]
    fn the_windows_are_those_of_the_replay() {
        let mut threaded = ThreadedReplay::start(replay(false)).expect("a thread");
        let mut windows = Vec::new();
        while let Some(window) = threaded.next_window().expect("whole") {
            windows.push(window);
        }
        let alone: Vec<Window> = replay(false).collect::<Result<_, _>>().expect("whole");
        assert_eq!(windows, alone);
        assert_eq!(threaded.finish().report().frames, FRAMES);
    }

    #[test]
    fn damage_comes_behind_the_windows_before_it() {
        let mut threaded = ThreadedReplay::start(replay(true)).expect("a thread");
        let mut windows = 0_u64;
        let error = loop {
            match threaded.next_window() {
                Ok(Some(_)) => windows += 1,
                Ok(None) => panic!("the damage is lost"),
                Err(error) => break error,
            }
        };
        assert_eq!(windows, FRAMES);
        assert!(matches!(error, CaptureError::Damaged { .. }), "{error}");
        assert!(threaded.next_window().expect("then nothing").is_none());
    }

    #[test]
    fn who_stops_taking_windows_ends_the_replay() {
        let mut threaded = ThreadedReplay::start(replay(false)).expect("a thread");
        threaded.next_window().expect("whole").expect("a window");
        assert!(threaded.finish().report().frames < FRAMES);
    }
}
