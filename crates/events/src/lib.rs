//! Events and decisions as records: one type for each, and for its parts.
//!
//! Each type has its serde form beside it: the ledger stores a [`DecisionRecord`] as it is, the API
//! answers with it, the event log writes it ([`Event::Anomaly`]), and the policy decides in the
//! same words ([`Evidence`], [`Outcome`], [`Refusal`]). A new field of a decision is a change of
//! this crate, and of the place that computes it.
//!
//! Never here: I/O, clocks, and the computation of anything. [`Action`] is the kernel's own
//! ([`flows_common::Action`]), which has the one spelling of each action.
//!
//! Order of use: what scores fills in [`Evidence`]; the policy makes a [`Decision`] of it; what
//! carries the decision out says which [`ActionTaken`] it led to; [`DecisionRecord::of`] joins
//! these under a number and a time.

#![forbid(unsafe_code)]

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

mod alert;
mod claim;
mod decision;
mod drift;
mod event;
mod evidence;
mod incident;
mod learning;
mod notice;
#[cfg(feature = "openapi")]
pub mod openapi;
mod prefix;
mod refusal;
mod share;
mod site;
mod words;

pub use alert::{Alert, OwnAlert};
pub use claim::{Claim, Contradiction, PValues, ProcedureChoice};
pub use decision::{Decision, DecisionRecord, Outage, Outcome, ServiceLimit, Stamp};
pub use drift::{Drift, Moved};
pub use event::{
    ActEvent, DifferenceEvent, DriftEvent, Event, ExpiredEvent, FailureEvent, NoticeEvent,
    OutageEvent, ServiceEvent, Text, WindowEvent,
};
pub use evidence::{Evidence, Reason, Service};
pub use flows_common::{Action, Scope, Standing};
pub use incident::{Change, ClosedEvent, Entity, Incident};
pub use learning::{ModelAct, ModelChange, ModelEvent, RangeMoved};
pub use notice::Notice;
pub use prefix::{Prefix, PrefixError};
pub use refusal::Refusal;
pub use share::{Share, ShareError};
pub use site::{Site, SiteEvent};
pub use words::{ActionTaken, How, Mode, Origin, PreviousEnd, Subject, Trip};
