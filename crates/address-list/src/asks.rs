//! Requests of a line besides its address.

use std::time::Duration;

use flows_common::Action;

use crate::{LineError, error::shown};

/// The shortest that a block may last.
pub const SHORTEST_LEASE: Duration = Duration::from_secs(1);
/// The longest that a block may last.
pub const LONGEST_LEASE: Duration = Duration::from_hours(24 * 365);

/// Requests of a line besides its address; where it has none, the reader of the list decides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Asks {
    /// Length of the block, within [`SHORTEST_LEASE`] and [`LONGEST_LEASE`].
    pub lease: Option<Duration>,
    /// Action on its packets.
    pub action: Option<Action>,
    /// Packets a second that a rate limit leaves, at least 1.
    pub packets_per_second: Option<u32>,
}

/// A length of time: a number of seconds, or numbers with units.
pub(crate) fn lease(text: &str) -> Result<Duration, LineError> {
    let wrong = || LineError::Lease(shown(text));
    let lease = match text.parse() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => humantime::parse_duration(text).map_err(|_| wrong())?,
    };
    if (SHORTEST_LEASE..=LONGEST_LEASE).contains(&lease) {
        Ok(lease)
    } else {
        Err(LineError::LeaseBounds(lease))
    }
}

/// An action by the name that `weir blocks` lists it under.
pub(crate) fn action(text: &str) -> Result<Action, LineError> {
    Action::from_name(text).ok_or_else(|| LineError::Action(shown(text)))
}

/// Packets a second.
pub(crate) fn rate(text: &str) -> Result<u32, LineError> {
    match text.parse() {
        Ok(rate) if rate > 0 => Ok(rate),
        _ => Err(LineError::Rate(shown(text))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_is_in_seconds_or_has_units() {
        assert_eq!(lease("90"), Ok(Duration::from_secs(90)));
        assert_eq!(lease("1h 30m"), Ok(Duration::from_mins(90)));
        assert_eq!(lease("7d"), Ok(Duration::from_hours(168)));
        assert_eq!(lease("soon"), Err(LineError::Lease("soon".to_owned())));
        assert_eq!(lease("0"), Err(LineError::LeaseBounds(Duration::ZERO)));
        assert!(matches!(lease("2years"), Err(LineError::LeaseBounds(_))));
    }

    #[test]
    fn an_action_and_a_rate_are_as_they_are_listed() {
        assert_eq!(action("Rate-Limit"), Ok(Action::RateLimit));
        assert!(action("ban").is_err());
        assert_eq!(rate("25"), Ok(25));
        assert!(rate("0").is_err() && rate("-1").is_err() && rate("4294967296").is_err());
    }
}
