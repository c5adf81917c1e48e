//! Waiting for SIGINT and SIGTERM, and for SIGHUP where it means something.

use std::{
    future::pending,
    sync::mpsc::{self, Receiver, RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};

use tokio::signal::unix::{Signal, SignalKind, signal};

/// Interval at which a wait checks for the end of its work.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Name of the signal that asks for a reload.
pub const SIGHUP: &str = "SIGHUP";

/// Waits for a signal that may not be caught at all.
async fn hung_up(signal: Option<&mut Signal>) {
    match signal {
        Some(signal) => drop(signal.recv().await),
        None => pending().await,
    }
}

/// The signals that ask the process to end.
#[derive(Debug)]
pub struct Signals {
    caught: Receiver<&'static str>,
}

impl Signals {
    /// Catches SIGINT and SIGTERM from now on.
    ///
    /// # Errors
    /// The handlers cannot be installed.
    pub fn listen() -> std::io::Result<Self> {
        Self::start(false)
    }

    /// Catches SIGHUP as well, by which a service manager asks for a reload.
    ///
    /// # Errors
    /// The handlers cannot be installed.
    pub fn listen_for_reload() -> std::io::Result<Self> {
        Self::start(true)
    }

    fn start(reloads: bool) -> std::io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
        let (mut interrupt, mut terminate, mut hangup) = {
            let _context = runtime.enter();
            let hangup = reloads.then(|| signal(SignalKind::hangup())).transpose()?;
            (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?, hangup)
        };
        let (tell, caught) = mpsc::channel();
        // It lives as long as the process: there is always somebody to ask it to end.
        thread::Builder::new().name("weir-signals".into()).spawn(move || {
            runtime.block_on(async {
                loop {
                    let name = tokio::select! {
                        _ = interrupt.recv() => "SIGINT",
                        _ = terminate.recv() => "SIGTERM",
                        () = hung_up(hangup.as_mut()) => SIGHUP,
                    };
                    if tell.send(name).is_err() {
                        return;
                    }
                }
            });
        })?;
        Ok(Self { caught })
    }

    /// Waits for a while.
    ///
    /// # Errors
    /// A signal came meanwhile.
    pub fn pause(&self, length: Duration) -> anyhow::Result<()> {
        match self.wait(Some(length), || false) {
            Some(name) => anyhow::bail!("ended by {name}"),
            None => Ok(()),
        }
    }

    /// Waits for a signal, for `limit` to pass, or for `ended` to hold; returns the signal's name.
    pub fn wait(&self, limit: Option<Duration>, ended: impl Fn() -> bool) -> Option<&'static str> {
        let start = Instant::now();
        loop {
            let left = limit.map_or(LOOK_EVERY, |limit| limit.saturating_sub(start.elapsed()));
            match self.caught.recv_timeout(left.min(LOOK_EVERY)) {
                Ok(name) => return Some(name),
                Err(RecvTimeoutError::Disconnected) => return None,
                Err(RecvTimeoutError::Timeout) => {}
            }
            if ended() || limit.is_some_and(|limit| start.elapsed() >= limit) {
                return None;
            }
        }
    }
}
