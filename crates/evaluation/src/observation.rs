//! Observations: what a detector said of one row, and what the row was.

use std::{collections::HashMap, fmt, net::IpAddr};

use thiserror::Error;

/// A scored row: an entity over a time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Observation<'a> {
    /// The window's first nanosecond, unix time.
    pub start_ns: i64,
    /// The first nanosecond after the window, unix time.
    pub end_ns: i64,
    /// What the row is about.
    pub entity: Entity,
    /// Higher means more anomalous; finite.
    pub score: f64,
    /// Chance of such a score in a benign row, as the detector claims it, in [0, 1]; none for a
    /// detector that was not calibrated.
    pub p_value: Option<f64>,
    /// Label of the row.
    pub truth: Truth<'a>,
}

/// What a row is about; a false alarm is one however many rows of an entity raise it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Entity {
    /// An address: a remote one of peers, one of the host's side of hosts.
    Address(IpAddr),
    /// A service of the host's side.
    Service {
        /// Its IP protocol.
        protocol: u8,
        /// Its port.
        port: u16,
    },
    /// All of the host's side.
    Net,
}

/// Label of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Truth<'a> {
    /// Benign.
    Benign,
    /// Part of an attack.
    Attack {
        /// The kind of attack, such as `syn_scan`.
        class: &'a str,
        /// The attack's own name; attacks of a class without one count as one.
        name: Option<&'a str>,
    },
    /// Nobody said. Such rows are counted and left out.
    Unlabelled,
}

/// Scored rows, held column by column: 40 bytes a row, and each window, entity and attack once.
#[derive(Clone, Debug, Default)]
pub struct Observations {
    pub(crate) rows: Vec<Row>,
    pub(crate) windows: Interned<(i64, i64)>,
    pub(crate) peers: Interned<Entity>,
    pub(crate) attacks: Interned<AttackName>,
    pub(crate) unlabelled: u64,
}

/// Class and name of an attack.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct AttackName {
    pub(crate) class: String,
    pub(crate) name: String,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Row {
    pub(crate) score: f64,
    pub(crate) p_value: Option<f64>,
    pub(crate) window: u32,
    pub(crate) peer: u32,
    /// Index of the attack; none for a benign row.
    pub(crate) attack: Option<u32>,
}

/// An observation that cannot be.
#[derive(Clone, Debug, Error, PartialEq)]
#[non_exhaustive]
pub enum ObservationError {
    /// A score is NaN or infinite.
    #[error("the score of {entity} is {value}: scores must be finite, see what the model was fed")]
    NonFiniteScore {
        /// What it is about.
        entity: Entity,
        /// The value found.
        value: f64,
    },
    /// A p-value is none.
    #[error(
        "the p-value of {entity} is {value}: p-values lie in [0, 1], calibrate the model again"
    )]
    PValueOutOfBounds {
        /// What it is about.
        entity: Entity,
        /// The value found.
        value: f64,
    },
    /// A window that ends before it begins.
    #[error(
        "a window of {entity} ends at {end_ns} ns but starts at {start_ns} ns: \
         the table is damaged, capture or replay it again"
    )]
    WindowBackwards {
        /// What it is about.
        entity: Entity,
        /// Its start, unix time.
        start_ns: i64,
        /// Its end, unix time.
        end_ns: i64,
    },
    /// More distinct values than can be counted.
    #[error("more than {} distinct {what}: evaluate a part of the time at once", u32::MAX)]
    TooMany {
        /// Of what.
        what: &'static str,
    },
}

impl From<IpAddr> for Entity {
    fn from(address: IpAddr) -> Self {
        Self::Address(address)
    }
}

impl fmt::Display for Entity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::Service { protocol, port } => write!(f, "service {protocol}/{port}"),
            Self::Net => f.write_str("the whole net"),
        }
    }
}

impl Observations {
    /// No rows yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a row. Rows may come in any order.
    pub fn push(&mut self, row: Observation<'_>) -> Result<(), ObservationError> {
        let Observation { start_ns, end_ns, entity, score, p_value, truth } = row;
        if !score.is_finite() {
            return Err(ObservationError::NonFiniteScore { entity, value: score });
        }
        if let Some(value) = p_value.filter(|p| !(0.0..=1.0).contains(p)) {
            return Err(ObservationError::PValueOutOfBounds { entity, value });
        }
        if end_ns < start_ns {
            return Err(ObservationError::WindowBackwards { entity, start_ns, end_ns });
        }
        let attack = match truth {
            Truth::Unlabelled => {
                self.unlabelled += 1;
                return Ok(());
            }
            Truth::Benign => None,
            Truth::Attack { class, name } => {
                let name = name.unwrap_or(class).to_owned();
                let attack = AttackName { class: class.to_owned(), name };
                Some(self.attacks.index(attack, "attacks")?)
            }
        };
        let window = self.windows.index((start_ns, end_ns), "windows")?;
        let peer = self.peers.index(entity, "peers")?;
        self.rows.push(Row { score, p_value, window, peer, attack });
        Ok(())
    }

    /// Labelled rows.
    #[must_use]
    pub fn labelled(&self) -> usize {
        self.rows.len()
    }

    /// Rows left out for want of a label.
    #[must_use]
    pub const fn unlabelled(&self) -> u64 {
        self.unlabelled
    }

    /// Start and end of a row's window, unix nanoseconds.
    pub(crate) fn span(&self, row: &Row) -> (i64, i64) {
        self.windows.values[row.window as usize]
    }
}

/// Values that occur many times, held once.
#[derive(Clone, Debug)]
pub(crate) struct Interned<T> {
    pub(crate) values: Vec<T>,
    indices: HashMap<T, u32>,
}

impl<T> Default for Interned<T> {
    fn default() -> Self {
        Self { values: Vec::new(), indices: HashMap::new() }
    }
}

impl<T: Clone + Eq + std::hash::Hash> Interned<T> {
    fn index(&mut self, value: T, what: &'static str) -> Result<u32, ObservationError> {
        if let Some(index) = self.indices.get(&value) {
            return Ok(*index);
        }
        let index = u32::try_from(self.values.len())
            .ok()
            .filter(|index| *index < u32::MAX)
            .ok_or(ObservationError::TooMany { what })?;
        self.values.push(value.clone());
        self.indices.insert(value, index);
        Ok(index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEER: Entity = Entity::Address(IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1)));

    fn row() -> Observation<'static> {
        Observation {
            start_ns: 0,
            end_ns: 1_000_000_000,
            entity: PEER,
            score: 0.5,
            p_value: Some(0.5),
            truth: Truth::Benign,
        }
    }

    #[test]
    fn what_cannot_be_is_refused_by_name() {
        let mut rows = Observations::new();
        let refused = |rows: &mut Observations, row| rows.push(row).unwrap_err().to_string();
        let nan = Observation { score: f64::NAN, ..row() };
        assert!(refused(&mut rows, nan).starts_with("the score of 192.0.2.1 is NaN"));
        let above = Observation { p_value: Some(1.5), ..row() };
        assert!(refused(&mut rows, above).starts_with("the p-value of 192.0.2.1 is 1.5"));
        let backwards = Observation { end_ns: -1, ..row() };
        assert!(refused(&mut rows, backwards).contains("ends at -1 ns but starts at 0 ns"));
        assert_eq!(rows.labelled(), 0);
    }

    #[test]
    fn unlabelled_rows_are_counted_and_left_out() {
        let mut rows = Observations::new();
        rows.push(Observation { truth: Truth::Unlabelled, ..row() }).unwrap();
        rows.push(row()).unwrap();
        assert_eq!((rows.labelled(), rows.unlabelled()), (1, 1));
    }

    #[test]
    fn an_attack_without_a_name_is_called_after_its_class() {
        let mut rows = Observations::new();
        for name in [None, Some("flood"), None] {
            let truth = Truth::Attack { class: "flood", name };
            rows.push(Observation { truth, ..row() }).unwrap();
        }
        assert_eq!(rows.attacks.values.len(), 1);
    }

    #[test]
    fn a_row_is_as_large_as_documented() {
        assert_eq!(size_of::<Row>(), 40);
    }
}
