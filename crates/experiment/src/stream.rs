//! Evidence, window by window: what every setting is tried on.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use dataset::Label;
use engine::Assessed;
use policy::{Evidence, WindowFacts};
use serde::Serialize;

/// Peer-windows that an experiment holds at most, some 200 bytes each.
pub const ROWS_LIMIT: usize = 10_000_000;

/// Failure to make a stream that can be experimented on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StreamError {
    /// More peer-windows than fit.
    #[error(
        "the input has more than {ROWS_LIMIT} peer-windows, which is the limit: take a part of \
         it, or longer windows with --window"
    )]
    Long,
    /// No peer in any window.
    #[error("the input holds no peer in any window: check that it has packets, and --home-net")]
    Empty,
}

/// Label of a peer in a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowLabel {
    /// It takes part in the attack of this number.
    Attack(usize),
    /// It is benign.
    Benign,
    /// It has no label.
    Unlabelled,
}

/// Peer in a window.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Evidence given to the policy.
    pub evidence: Evidence,
    /// Time of its first packet, on the windows' clock; the window's start where it is not known.
    pub first_ns: u64,
    /// Label of the peer.
    pub label: RowLabel,
}

/// Window with its peers.
#[derive(Clone, Debug, PartialEq)]
pub struct Moment {
    /// Facts of the window, as given to the policy.
    pub facts: WindowFacts,
    /// Its peers.
    pub rows: Vec<Row>,
}

/// An attack that the truth knows, and that has packets in the stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttackName {
    /// Its name; its class where it has none.
    pub name: String,
    /// Class of the attack.
    pub class: String,
}

impl AttackName {
    /// Its sources are forged, so that to block one is to block a third party.
    #[must_use]
    pub fn is_forged(&self) -> bool {
        self.class.starts_with("spoofed")
    }
}

/// The windows of a capture or a table, scored once.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Stream {
    moments: Vec<Moment>,
    attacks: Vec<AttackName>,
    numbers: BTreeMap<(String, String), usize>,
    rows: usize,
}

impl Stream {
    /// The number of what is known of a row, for [`Row::label`]; attacks are numbered as they
    /// come.
    pub fn label(&mut self, label: &Label) -> RowLabel {
        let Label::Attack { class, name } = label else {
            return if *label == Label::Benign { RowLabel::Benign } else { RowLabel::Unlabelled };
        };
        let name = name.as_deref().unwrap_or(class);
        let key = (name.to_owned(), class.to_string());
        let next = self.attacks.len();
        let number = *self.numbers.entry(key).or_insert(next);
        if number == next {
            self.attacks.push(AttackName { name: name.to_owned(), class: class.to_string() });
        }
        RowLabel::Attack(number)
    }

    /// Adds the assessment of the next window: `peers` gives, in the order of the evidence, the
    /// time of each peer's first packet and its label.
    ///
    /// # Errors
    /// [`StreamError::Long`].
    pub fn push_assessed(
        &mut self,
        assessed: Assessed,
        peers: impl IntoIterator<Item = (u64, Label)>,
    ) -> Result<(), StreamError> {
        let facts = assessed.facts;
        let rows = assessed
            .evidence
            .into_iter()
            .zip(peers)
            .map(|(evidence, (first_ns, label))| Row {
                first_ns,
                label: self.label(&label),
                evidence,
            })
            .collect();
        self.push(facts, rows)
    }

    /// Adds the next window; windows come in the order of time.
    ///
    /// # Errors
    /// [`StreamError::Long`].
    pub fn push(&mut self, facts: WindowFacts, rows: Vec<Row>) -> Result<(), StreamError> {
        self.rows += rows.len();
        if self.rows > ROWS_LIMIT {
            return Err(StreamError::Long);
        }
        self.moments.push(Moment { facts, rows });
        Ok(())
    }

    /// The windows, in the order of time.
    #[must_use]
    pub fn moments(&self) -> &[Moment] {
        &self.moments
    }

    /// The attacks, by the number in [`RowLabel::Attack`].
    #[must_use]
    pub fn attacks(&self) -> &[AttackName] {
        &self.attacks
    }

    /// Makes sure that there is something to try settings on.
    ///
    /// # Errors
    /// [`StreamError::Empty`].
    pub const fn require_rows(&self) -> Result<(), StreamError> {
        if self.rows == 0 { Err(StreamError::Empty) } else { Ok(()) }
    }
}

/// Packets and bytes, both ways.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Amount {
    /// Packets from and to the peers.
    pub packets: u64,
    /// Bytes on the wire of these.
    pub bytes: u64,
}

impl Amount {
    /// Adds more.
    pub const fn add(&mut self, more: Self) {
        self.packets = self.packets.saturating_add(more.packets);
        self.bytes = self.bytes.saturating_add(more.bytes);
    }
}

impl Row {
    /// Traffic of both directions.
    #[must_use]
    pub const fn amount(&self) -> Amount {
        Amount { packets: self.evidence.packets, bytes: self.evidence.bytes }
    }
}

/// Values by label of a row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ByLabel<T> {
    /// Of attacks.
    pub attack: T,
    /// Of benign rows.
    pub benign: T,
    /// Of rows without a label.
    pub unlabelled: T,
}

impl<T> ByLabel<T> {
    /// The one of a label.
    pub const fn of(&mut self, label: RowLabel) -> &mut T {
        match label {
            RowLabel::Attack(_) => &mut self.attack,
            RowLabel::Benign => &mut self.benign,
            RowLabel::Unlabelled => &mut self.unlabelled,
        }
    }

    /// The same, to be read.
    pub const fn get(&self, label: RowLabel) -> &T {
        match label {
            RowLabel::Attack(_) => &self.attack,
            RowLabel::Benign => &self.benign,
            RowLabel::Unlabelled => &self.unlabelled,
        }
    }
}

impl ByLabel<Amount> {
    /// All together.
    #[must_use]
    pub const fn all(mut self) -> Amount {
        self.attack.add(self.benign);
        self.attack.add(self.unlabelled);
        self.attack
    }
}

/// Traffic of one attack, both directions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SentByAttack {
    /// In all its windows.
    pub amount: Amount,
    /// Addresses it came from.
    pub sources: BTreeSet<IpAddr>,
    /// Time of its first packet.
    pub first_ns: u64,
    /// End of its last window.
    pub last_ns: u64,
}

/// Totals of the stream, independent of the setting.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Extent {
    /// Windows.
    pub windows: u64,
    /// Windows that lost flows.
    pub lossy_windows: u64,
    /// Peers in windows.
    pub rows: u64,
    /// Addresses.
    pub peers: u64,
    /// Start of the first window.
    pub start_ns: u64,
    /// End of the last window.
    pub end_ns: u64,
    /// All packets and bytes, by what is known of them.
    pub amounts: ByLabel<Amount>,
    /// Addresses, by what is known of them at any time.
    pub addresses: ByLabel<u64>,
    /// By attack.
    pub attacks: Vec<SentByAttack>,
}

impl Extent {
    /// Counts a stream.
    #[must_use]
    pub fn of(stream: &Stream) -> Self {
        let mut extent = Self {
            attacks: vec![SentByAttack::default(); stream.attacks.len()],
            ..Self::default()
        };
        let mut addresses: ByLabel<BTreeSet<IpAddr>> = ByLabel::default();
        let mut peers = BTreeSet::new();
        extent.start_ns = stream.moments.first().map_or(0, |moment| moment.facts.start_ns);
        extent.end_ns = stream.moments.last().map_or(0, |moment| moment.facts.end_ns);
        for Moment { facts, rows } in &stream.moments {
            extent.windows += 1;
            extent.lossy_windows += u64::from(facts.lossy);
            extent.rows += rows.len() as u64;
            for row in rows {
                let address = row.evidence.address;
                peers.insert(address);
                addresses.of(row.label).insert(address);
                extent.amounts.of(row.label).add(row.amount());
                let RowLabel::Attack(number) = row.label else { continue };
                let attack = &mut extent.attacks[number];
                if attack.sources.is_empty() {
                    attack.first_ns = row.first_ns;
                }
                attack.first_ns = attack.first_ns.min(row.first_ns);
                attack.last_ns = attack.last_ns.max(facts.end_ns);
                attack.sources.insert(address);
                attack.amount.add(row.amount());
            }
        }
        extent.peers = peers.len() as u64;
        extent.addresses = ByLabel {
            attack: addresses.attack.len() as u64,
            benign: addresses.benign.len() as u64,
            unlabelled: addresses.unlabelled.len() as u64,
        };
        extent
    }
}
