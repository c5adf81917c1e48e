//! Proof that the guard is where frames pass.
//!
//! A hook can be taken from weir without a word: another program detaches the link. What the flow
//! programs see behind the guard then tells: a window that began after the guard's count of frames
//! last moved, and in which frames came in, was not guarded.

use super::{Inner, Node, effects::Effects};
use crate::{clock::boot_ns, event::WindowEvent};
use flows_common::Direction;

/// The guard's count of incoming frames, as it was read.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Bypass {
    frames: u64,
    /// When it was first seen to stand there, in ns of the boot clock.
    since_ns: u64,
    /// True where frames passed the guard by in the last window.
    pub(super) passed_by: bool,
}

impl Bypass {
    /// Takes a count that was read just now, and a window that ended before.
    const fn take(&mut self, frames: u64, now_ns: u64, window: &WindowEvent) {
        if frames != self.frames || self.since_ns == 0 {
            *self = Self { frames, since_ns: now_ns, passed_by: false };
        } else if window.start_ns >= self.since_ns && window.frames[0] > 0 {
            self.passed_by = true;
        }
    }
}

impl Node {
    /// Looks whether the window's frames passed the guard, and tells where that changes.
    pub(super) fn watch_guard(
        &self,
        inner: &mut Inner,
        window: &WindowEvent,
        effects: &mut Effects,
    ) {
        let Some(guard) = &self.guard else { return };
        let before = inner.bypass.passed_by;
        match guard.guard_counters(Direction::Ingress) {
            Ok(counters) => inner.bypass.take(counters.frames, boot_ns(), window),
            Err(error) => effects.failed("guard", &error.into()),
        }
        if inner.bypass.passed_by && !before {
            effects.failed("guard", &anyhow::anyhow!(PASSED_BY));
        }
    }
}

/// What is told while it is so.
pub(super) const PASSED_BY: &str = "frames come in past the guard, which drops nothing: its hook was taken from it; start weir anew";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::window_event;

    #[test]
    fn only_a_window_after_the_count_stood_still_tells_that_the_guard_is_passed_by() {
        let window = |start_ns, frames| {
            let window = model::Window { start_ns, end_ns: start_ns + 10, ..Default::default() };
            WindowEvent { frames: [frames, 0], ..window_event(1, &window) }
        };
        let mut bypass = Bypass::default();
        let mut take = |frames, now_ns, window: &WindowEvent| {
            bypass.take(frames, now_ns, window);
            bypass.passed_by
        };
        assert!(!take(5, 12, &window(0, 5)), "the first look");
        assert!(!take(5, 22, &window(10, 1)), "they came before the count was read");
        assert!(!take(5, 32, &window(20, 0)), "nothing came");
        assert!(take(5, 42, &window(30, 1)));
        assert!(take(5, 52, &window(40, 0)), "it holds until the guard counts again");
        assert!(!take(6, 62, &window(50, 1)));
    }
}
