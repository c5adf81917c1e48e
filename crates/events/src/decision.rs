//! Decisions: what is to be done about an anomalous peer, and the record of what was.

use std::{net::IpAddr, time::Duration};

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize};

use crate::{Action, ActionTaken, Claim, Evidence, Incident, Reason, Refusal, Scope, Service};

/// Answer to an anomalous peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing is done, for this reason.
    Refused(Refusal),
    /// A block; in observe mode the one that would be made.
    Block {
        /// Action of the kernel on its packets.
        action: Action,
        /// The part of them that it acts on.
        scope: Scope,
        /// Length.
        ttl: Duration,
        /// End, on the clock of the windows.
        expires_ns: u64,
        /// Number of this block among the peer's, from 1.
        offence: u32,
        /// Drawn by lot to end early, which shows what the peer does then.
        early: bool,
    },
}

/// An anomalous peer in one window, and the answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// Measurements of the peer.
    pub evidence: Evidence,
    /// Error rate claimed.
    pub claim: Claim,
    /// Answer.
    pub outcome: Outcome,
}

/// Number and time of a decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// Its number; later ones are higher.
    pub id: u64,
    /// Number of the window.
    pub window: u64,
    /// Time of the answer, in ns of the windows' clock.
    pub at_ns: u64,
    /// The same on the wall clock.
    pub time: Timestamp,
}

/// An anomalous peer in one window, and what was done about it: the row of the ledger, an alert
/// of the API and the event, alike.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = Decision))]
pub struct DecisionRecord {
    /// Its number in the ledger, or counted from 1 where there is none; later ones are higher.
    pub id: u64,
    /// Time of the answer: by the wall clock, in replay by the capture's.
    pub time: Timestamp,
    /// The same in ns of the boot clock: when the entry was in the kernel, or the decision fell.
    pub at_ns: u64,
    /// Number of the window.
    pub window: u64,
    /// Incident that it belongs to, where that was recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incident: Option<Incident>,
    /// Measurements of the peer.
    #[serde(flatten)]
    pub evidence: Evidence,
    /// Error rate claimed of calling it anomalous, where that was recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claim: Option<Claim>,
    /// Answer.
    pub outcome: ActionTaken,
    /// Action of the kernel on its packets, or the one that it would have taken; none for a
    /// refusal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<crate::openapi::Action>))]
    pub action: Option<Action>,
    /// The part of its packets that the action is on; none for a refusal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<crate::openapi::Scope>))]
    pub scope: Option<Scope>,
    /// Refusal of a guard.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refusal: Option<Refusal>,
    /// Length of the block, in seconds; 0 for none.
    pub ttl_s: u64,
    /// Number of this block among the peer's, from 1; 0 for none.
    pub offence: u32,
    /// Drawn by lot to end early.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub early: bool,
    /// The features that made the score, the strongest first. One that another version recorded
    /// in a form of its own is passed over.
    #[serde(deserialize_with = "known_reasons")]
    pub reasons: Vec<Reason>,
}

impl DecisionRecord {
    /// The record of a decision, the action that it led to, and the features that made the score.
    #[must_use]
    pub fn of(
        stamp: Stamp,
        decision: Decision,
        outcome: ActionTaken,
        reasons: Vec<Reason>,
    ) -> Self {
        let Stamp { id, window, at_ns, time } = stamp;
        let Decision { evidence, claim, outcome: decided } = decision;
        let record = Self {
            id,
            time,
            at_ns,
            window,
            incident: None,
            evidence,
            claim: Some(claim),
            outcome,
            action: None,
            scope: None,
            refusal: None,
            ttl_s: 0,
            offence: 0,
            early: false,
            reasons,
        };
        match decided {
            Outcome::Refused(refusal) => Self { refusal: Some(refusal), ..record },
            Outcome::Block { action, scope, ttl, offence, early, .. } => Self {
                action: Some(action),
                scope: Some(scope),
                ttl_s: ttl.as_secs(),
                offence,
                early,
                ..record
            },
        }
    }

    /// True where people are to be told: the incident did not only go on.
    #[must_use]
    pub fn is_news(&self) -> bool {
        self.incident.is_none_or(|incident| incident.change.is_some())
    }

    /// The remote address.
    #[must_use]
    pub const fn peer(&self) -> IpAddr {
        self.evidence.address
    }
}

fn known_reasons<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Reason>, D::Error> {
    let reasons = Vec::<serde_json::Value>::deserialize(deserializer)?;
    Ok(reasons.into_iter().filter_map(|one| serde_json::from_value(one).ok()).collect())
}

/// A service of this host that failed its clients: what they met there is no evidence against them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Outage {
    /// Service of the host.
    pub service: Service,
    /// Remotes that met it in the window.
    pub clients: u64,
    /// Flows that were refused, reset or met silence; none where the clients only stood out.
    pub flows: u64,
    /// A person said so beforehand.
    pub told: bool,
}

/// A service that is to be limited.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ServiceLimit {
    /// Service of the host.
    pub service: Service,
    /// Unproven sources that turned to it in the window: they completed no handshake.
    pub sources: u64,
    /// Their packets.
    pub packets: u64,
    /// Packets a second that all unproven sources together keep.
    pub packets_per_second: u32,
    /// End of the limit, in ns of the windows' clock.
    pub expires_ns: u64,
    /// The service was limited already, and the lease is renewed.
    pub renewed: bool,
    /// Action on packets above the limit: drop ([`Action::RateLimit`]) or only count
    /// ([`Action::Shadow`]).
    #[cfg_attr(feature = "openapi", schema(value_type = crate::openapi::Action))]
    pub action: Action,
}
