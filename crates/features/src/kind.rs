//! Kinds of rows, and the times that a row covers.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use flows_common::Span;
use thiserror::Error;

/// A table of features: what its rows are about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// A flow in a window.
    Flow,
    /// A remote address over a horizon.
    Peer,
    /// An address on the host's side over a horizon.
    Host,
    /// A service of the host's side, a protocol and a port, over a horizon.
    Service,
    /// All addresses on the host's side together over a horizon.
    Net,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 5] = [Self::Flow, Self::Peer, Self::Host, Self::Service, Self::Net];

    /// The kinds that are scored.
    pub const SCORED: [Self; 4] = [Self::Peer, Self::Host, Self::Service, Self::Net];

    /// The name of its table: `flow`, `peer`, `host`, `service` or `net`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Flow => "flow",
            Self::Peer => "peer",
            Self::Host => "host",
            Self::Service => "service",
            Self::Net => "net",
        }
    }

    /// True where its rows are scored. Those of flows are for study: their columns enter no score.
    #[must_use]
    pub const fn is_scored(self) -> bool {
        !matches!(self, Self::Flow)
    }

    /// The kind of a name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// The time that a row covers, in whole milliseconds: the window's own length, or 10, 60 or 600 s.
///
/// ```
/// use weir_features::Horizon;
///
/// let minute: Horizon = "60s".parse()?;
/// assert_eq!((minute.to_string(), minute.ms()), ("60s".to_owned(), 60_000));
/// assert!("0s".parse::<Horizon>().is_err());
/// # Ok::<(), weir_features::HorizonError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Horizon {
    ms: u32,
}

/// A text that is no horizon.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("a horizon is a whole number of seconds or milliseconds such as 10s or 100ms, got `{got}`")]
pub struct HorizonError {
    /// The text.
    pub got: String,
}

impl Horizon {
    /// So many milliseconds, at least 1.
    #[must_use]
    pub const fn from_ms(ms: u32) -> Self {
        Self { ms: if ms == 0 { 1 } else { ms } }
    }

    /// In milliseconds, at least 1.
    #[must_use]
    pub const fn ms(self) -> u32 {
        self.ms
    }

    /// In nanoseconds.
    #[must_use]
    pub const fn ns(self) -> u64 {
        self.ms as u64 * 1_000_000
    }
}

impl Default for Horizon {
    /// That of a window of 1 s.
    fn default() -> Self {
        Self::from_ms(1_000)
    }
}

impl From<Duration> for Horizon {
    /// To the nearest millisecond.
    fn from(length: Duration) -> Self {
        let ms = (length.as_nanos() + 500_000) / 1_000_000;
        Self::from_ms(u32::try_from(ms).unwrap_or(u32::MAX))
    }
}

impl fmt::Display for Horizon {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self.ms {
            ms if ms % 1_000 == 0 => format!("{}s", ms / 1_000),
            ms => format!("{ms}ms"),
        };
        f.pad(&text)
    }
}

impl FromStr for Horizon {
    type Err = HorizonError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parsed = match (text.strip_suffix("ms"), text.strip_suffix('s')) {
            (Some(ms), _) => ms.parse().ok(),
            (None, Some(s)) => s.parse::<u32>().ok().and_then(|s| s.checked_mul(1_000)),
            (None, None) => None,
        };
        let refused = || HorizonError { got: text.to_owned() };
        parsed.filter(|&ms| ms > 0).map(Self::from_ms).ok_or_else(refused)
    }
}

/// The horizons of windows of one length: that length itself, and of 10, 60 and 600 s those that
/// hold at least two windows.
///
/// ```
/// use std::time::Duration;
/// use weir_features::Horizons;
///
/// assert_eq!(Horizons::of(Duration::from_secs(1)).to_string(), "1s, 10s, 60s, 600s");
/// assert_eq!(Horizons::of(Duration::from_secs(7)).to_string(), "7s, 60s, 600s");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Horizons {
    all: [Horizon; Self::MOST],
    len: usize,
}

impl Horizons {
    /// The most horizons that there are.
    pub const MOST: usize = 4;

    /// A window of more than so many times its configured length is no measure of a rate.
    const LONGEST_WINDOW: u64 = 3;

    const LONGER: [Horizon; 3] =
        [Horizon::from_ms(10_000), Horizon::from_ms(60_000), Horizon::from_ms(600_000)];

    /// Those of windows of a length.
    #[must_use]
    pub fn of(window: Duration) -> Self {
        let window = Horizon::from(window);
        let mut horizons = Self { all: [window; Self::MOST], len: 1 };
        for longer in Self::LONGER {
            if u64::from(longer.ms) >= 2 * u64::from(window.ms) {
                horizons.all[horizons.len] = longer;
                horizons.len += 1;
            }
        }
        horizons
    }

    /// From short to long; the first is the window.
    #[must_use]
    pub fn all(&self) -> &[Horizon] {
        &self.all[..self.len]
    }

    /// The window's length.
    #[must_use]
    pub const fn window(&self) -> Horizon {
        self.all[0]
    }

    /// True of a window that is no measure of a rate: it lasted several times as long as it should.
    #[must_use]
    pub fn is_overlong(&self, window: Span) -> bool {
        window.duration_ns() > Self::LONGEST_WINDOW * self.window().ns()
    }
}

impl fmt::Display for Horizons {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<String> = self.all().iter().map(Horizon::to_string).collect();
        f.pad(&names.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_horizon_reads_back_as_it_is_written() {
        for text in ["100ms", "1s", "1500ms", "600s"] {
            assert_eq!(text.parse::<Horizon>().map(|one| one.to_string()).as_deref(), Ok(text));
        }
        for text in ["", "10", "0ms", "-1s", "4294968s"] {
            assert_eq!(text.parse::<Horizon>(), Err(HorizonError { got: text.to_owned() }));
        }
    }

    #[test]
    fn a_window_of_a_minute_has_two_horizons_and_one_of_a_tenth_has_four() {
        assert_eq!(Horizons::of(Duration::from_mins(1)).to_string(), "60s, 600s");
        assert_eq!(Horizons::of(Duration::from_millis(100)).to_string(), "100ms, 10s, 60s, 600s");
    }

    #[test]
    fn flows_alone_are_not_scored() {
        let scored: Vec<Kind> = Kind::ALL.into_iter().filter(|kind| kind.is_scored()).collect();
        assert_eq!(scored, Kind::SCORED);
        assert!(Kind::ALL.into_iter().all(|kind| Kind::from_name(kind.name()) == Some(kind)));
    }
}
