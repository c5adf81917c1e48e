//! The running node: windows drained, assessed, decided and carried out, and people who reach it.
//!
//! Contents: the live [`pipeline`], the [`node`] (policy, ledger and people in one place), its
//! [`enforcer`] (the one writer to the guard), the hosts that must stay reachable ([`protected`]),
//! the kernel side as configured ([`live`]), the [`config`]uration, and the [`sink`]s of events. A
//! [`dry_run`] emits the same events where nothing can be blocked.
//!
//! Never here: the command line, captures, experiments; the formula of a feature, the parsing or
//! counting of a packet, a threshold that no configuration names.
//!
//! Order of calls: [`config`] is read and checked; [`live::Live`] loads the programs and attaches
//! them; [`pipeline::Pipeline`] drains a window at each boundary, has the engine assess it, and
//! [`node::Node`] decide on it and write the entry; a signal ends it and the last window is drained.

pub mod alert_text;
pub mod clock;
pub mod config;
pub mod drain;
pub mod dry_run;
pub mod enforcer;
pub mod event;
pub mod event_text;
mod kept;
pub mod lists;
pub mod live;
pub mod log_ins;
pub mod node;
pub mod pipeline;
pub mod progress;
pub mod protected;
pub mod service_manager;
mod sessions;
pub mod setup;
pub mod signals;
pub mod sink;
pub mod versions;
