//! An anomalous peer in a window.

use std::net::IpAddr;
use std::time::Duration;

use crate::columns::{Field, Fields, Kept};
use crate::record::{Outcome, Text};
use crate::table::Table;

/// An anomalous peer in a window, and what came of it.
///
/// A refusal is a decision with its [`outcome`](Self::outcome), not a table of its own: it has the
/// same evidence, and the question that people ask, what happened to this address and why, is
/// answered by one query.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// Its number, from [`Ids`](crate::Ids): a block made of it refers to it.
    pub id: u64,
    /// The run.
    pub run: u64,
    /// Number of the window in the run.
    pub window: u64,
    /// When it fell, in wall-clock ns.
    pub at_ns: i64,
    /// The peer.
    pub address: IpAddr,
    /// The chance of a score as high in a benign window.
    pub p_value: f64,
    /// The same, given this calibration set; where it was computed.
    pub p_conditional: Option<f64>,
    /// The peer model's score.
    pub peer_score: f32,
    /// The highest score among its flows.
    pub flow_score: f32,
    /// The highest novelty of the peer and its flows.
    pub novelty: f32,
    /// How far above the calibration's highest score, as a share of the way to 1.
    pub excess: f64,
    /// Packets from and to it in the window.
    pub packets: u64,
    /// Bytes from and to it in the window.
    pub bytes: u64,
    /// Its address is not forged.
    pub verified: bool,
    /// What came of it.
    pub outcome: Outcome,
    /// What the block does, or would do; none for a refusal.
    pub action: Option<Text>,
    /// The code of the guard that refused.
    pub refusal: Option<Text>,
    /// Which block of this peer it is, from 1; 0 for none.
    pub offence: u32,
    /// How long the block lasts; none for a refusal.
    pub ttl: Option<Duration>,
    /// The hash of the model that scored it.
    pub model: Text,
    /// The features that made the score, the strongest first, as JSON.
    pub reasons: Text,
}

impl Kept for Decision {
    const TABLE: Table = Table::Decisions;
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "run",
        "window",
        "at_ns",
        "address",
        "p_value",
        "p_conditional",
        "peer_score",
        "flow_score",
        "novelty",
        "excess",
        "packets",
        "bytes",
        "verified",
        "outcome",
        "action",
        "refusal",
        "offence",
        "ttl_ns",
        "model",
        "reasons",
    ];

    fn values(&self) -> Vec<Field<'_>> {
        vec![
            self.id.into(),
            self.run.into(),
            self.window.into(),
            self.at_ns.into(),
            self.address.into(),
            self.p_value.into(),
            self.p_conditional.into(),
            self.peer_score.into(),
            self.flow_score.into(),
            self.novelty.into(),
            self.excess.into(),
            self.packets.into(),
            self.bytes.into(),
            self.verified.into(),
            self.outcome.code().into(),
            self.action.as_ref().into(),
            self.refusal.as_ref().into(),
            self.offence.into(),
            self.ttl.into(),
            (&self.model).into(),
            (&self.reasons).into(),
        ]
    }

    fn read(fields: &mut Fields<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            id: fields.number()?,
            run: fields.number()?,
            window: fields.number()?,
            at_ns: fields.whole()?,
            address: fields.parsed(|text| text.parse().ok())?,
            p_value: fields.small()?,
            p_conditional: fields.small()?,
            peer_score: fields.small()?,
            flow_score: fields.small()?,
            novelty: fields.small()?,
            excess: fields.small()?,
            packets: fields.number()?,
            bytes: fields.number()?,
            verified: fields.flag()?,
            outcome: fields.parsed(Outcome::of_code)?,
            action: fields.optional_text()?,
            refusal: fields.optional_text()?,
            offence: fields.small()?,
            ttl: fields.duration()?,
            model: fields.text()?,
            reasons: fields.text()?,
        })
    }
}
