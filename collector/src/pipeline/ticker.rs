//! The window clock: drains at each boundary, or later where the next stage has no room.

use std::{
    net::IpAddr,
    sync::{
        atomic::Ordering,
        mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError},
    },
    time::{Duration, Instant},
};

use super::{DrainedWindow, GLANCE_EVERY};
use crate::{
    drain::Drain,
    progress::{Progress, Stage},
};

/// Runs until told to stop, then drains once more.
///
/// Boundaries lie at fixed distances from the start; one that passed while a drain took long is
/// skipped, and the next window is the longer for it. `scanned` is called where a glance in between
/// finds a scan.
pub(super) fn run(
    mut drain: impl Drain,
    window: Duration,
    stopped: &Receiver<()>,
    drained: &SyncSender<DrainedWindow>,
    progress: &Progress,
    scanned: impl Fn(&[IpAddr]),
) -> anyhow::Result<()> {
    let start = Instant::now();
    let mut boundary = 1_u32;
    let mut late = 0;
    let mut waiting: Option<DrainedWindow> = None;
    loop {
        let left = || (window * boundary).saturating_sub(start.elapsed());
        let stops = |wait| !matches!(stopped.recv_timeout(wait), Err(RecvTimeoutError::Timeout));
        let mut stopping = false;
        while !stopping && left() > GLANCE_EVERY {
            stopping = stops(GLANCE_EVERY);
            let remotes = if stopping { Vec::new() } else { drain.glance()? };
            if !remotes.is_empty() {
                scanned(&remotes);
            }
        }
        let stopping = stopping || stops(left());
        let passed = start.elapsed().as_nanos() / window.as_nanos();
        boundary = u32::try_from(passed).unwrap_or(u32::MAX).max(boundary).saturating_add(1);

        if let Some(held) = waiting.take() {
            match drained.try_send(held) {
                Ok(()) => {}
                Err(TrySendError::Full(held)) if stopping => {
                    if drained.send(held).is_err() {
                        return Ok(());
                    }
                }
                Err(TrySendError::Full(held)) => {
                    late += 1;
                    progress.late.fetch_add(1, Ordering::Relaxed);
                    waiting = Some(held);
                    continue;
                }
                // The next stage ended with an error, which its own thread reports.
                Err(TrySendError::Disconnected(_)) => return Ok(()),
            }
        }
        let window = progress.work(Stage::Drain, || drain.drain())?;
        let next = DrainedWindow { window, late: std::mem::take(&mut late) };
        if stopping {
            let _ = drained.send(next);
            return Ok(());
        }
        match drained.try_send(next) {
            Ok(()) => {}
            Err(TrySendError::Full(held)) => waiting = Some(held),
            Err(TrySendError::Disconnected(_)) => return Ok(()),
        }
    }
}
