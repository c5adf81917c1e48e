//! The breaker: it ends enforcement that would hit too much ordinary traffic.

use events::Trip;

/// State of the breaker: closed, or open since a trip.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Breaker {
    open: Option<Open>,
}

/// An open breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Open {
    /// Cause.
    pub trip: Trip,
    /// Time of the trip, in ns of the boot clock.
    pub since_ns: u64,
    /// Time at which it closes by itself; `None` waits for a person.
    pub rearms_ns: Option<u64>,
}

impl Breaker {
    /// Cause and times, while it is open.
    #[must_use]
    pub const fn open(&self) -> Option<&Open> {
        self.open.as_ref()
    }

    pub(crate) fn trip(&mut self, trip: Trip, now_ns: u64, rearms_ns: Option<u64>) {
        self.open = Some(Open { trip, since_ns: now_ns, rearms_ns });
    }

    /// Closes it where its time is over; true if it did.
    pub(crate) fn rearm_when_due(&mut self, now_ns: u64) -> bool {
        let due = self.open.and_then(|open| open.rearms_ns).is_some_and(|due| due <= now_ns);
        due && self.rearm()
    }

    /// Closes it; true if it was open.
    pub(crate) fn rearm(&mut self) -> bool {
        self.open.take().is_some()
    }
}
