//! A terminal for a command to run in, and what it was left like.

use std::{
    fs::File,
    io::{Read as _, Write as _},
    mem::MaybeUninit,
    os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd},
    process::{Child, Command},
    ptr,
    sync::mpsc::{self, Receiver},
    thread,
    time::{Duration, Instant},
};

/// The longest that something is waited for.
const PATIENCE: Duration = Duration::from_secs(20);

/// A terminal of 80 by 24.
pub(crate) struct Terminal {
    keys: File,
    device: OwnedFd,
    printed: Receiver<Vec<u8>>,
    seen: String,
}

impl Terminal {
    pub(crate) fn open() -> Self {
        let (mut master, mut slave) = (-1, -1);
        let size = libc::winsize { ws_row: 24, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 };
        // SAFETY: the pointers are to live integers and a live size; the null ones ask for the
        // defaults.
        let opened = unsafe {
            libc::openpty(
                &raw mut master,
                &raw mut slave,
                ptr::null_mut(),
                ptr::null(),
                &raw const size,
            )
        };
        assert_eq!(opened, 0, "{}", std::io::Error::last_os_error());
        // SAFETY: both are new descriptors that nobody else holds.
        let (master, device) = unsafe { (File::from_raw_fd(master), OwnedFd::from_raw_fd(slave)) };
        let mut screen = master.try_clone().unwrap();
        let (tell, printed) = mpsc::channel();
        thread::spawn(move || {
            let mut buffer = [0; 4_096];
            while let Ok(length @ 1..) = screen.read(&mut buffer) {
                if tell.send(buffer[..length].to_vec()).is_err() {
                    return;
                }
            }
        });
        Self { keys: master, device, printed, seen: String::new() }
    }

    /// Runs a command in it.
    pub(crate) fn run(&self, mut command: Command) -> Child {
        let end = || self.device.try_clone().unwrap();
        command.stdin(end()).stdout(end()).stderr(end()).env("TERM", "xterm");
        command.spawn().expect("it starts")
    }

    /// Presses keys.
    pub(crate) fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
    }

    /// Waits until this was printed, and forgets all up to it.
    #[track_caller]
    pub(crate) fn wait_for(&mut self, text: &str) {
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some(at) = self.seen.find(text) {
                self.seen.drain(..at + text.len());
                return;
            }
            let left = until.saturating_duration_since(Instant::now());
            match self.printed.recv_timeout(left) {
                Ok(bytes) => self.seen.push_str(&String::from_utf8_lossy(&bytes)),
                Err(error) => panic!("`{text:?}` is not printed: {error}; but {:?}", self.seen),
            }
        }
    }

    /// Terminal modes: input, output, control and local flags.
    pub(crate) fn modes(&self) -> [libc::tcflag_t; 4] {
        let mut modes = MaybeUninit::<libc::termios>::uninit();
        // SAFETY: the descriptor is a terminal's, and the call fills the whole structure when it
        // returns 0.
        let modes = unsafe {
            assert_eq!(libc::tcgetattr(self.device.as_raw_fd(), modes.as_mut_ptr()), 0);
            modes.assume_init()
        };
        [modes.c_iflag, modes.c_oflag, modes.c_cflag, modes.c_lflag]
    }
}

/// Waits for the end of a command and returns its exit code.
#[track_caller]
pub(crate) fn end_of(mut child: Child) -> Option<i32> {
    let until = Instant::now() + PATIENCE;
    while Instant::now() < until {
        if let Some(status) = child.try_wait().unwrap() {
            return status.code();
        }
        thread::sleep(Duration::from_millis(20));
    }
    child.kill().unwrap();
    panic!("it does not end");
}
