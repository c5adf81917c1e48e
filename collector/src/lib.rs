//! weir's collector: from flow windows to blocks.
//!
//! What is here: the kernel side's loader and tables ([`kernel`]), captures as a source
//! ([`source`]), the live [`pipeline`], the [`detector`] and [`learner`] around the models, the
//! crate [`policy`], what carries it out ([`enforcer`]), where events go ([`sink`]), settings tried on
//! recorded traffic ([`experiment`]), and the commands ([`cli`]).
//!
//! What is never here: the formula of a feature (crate `model`), the parsing or counting of a
//! packet (crate `flows-common`), a threshold that no configuration names.
//!
//! Order of calls, live: [`config`] is read and checked; [`live::Live`] loads the programs and
//! attaches them; [`pipeline::Pipeline`] drains a window at each boundary, has the detector weigh
//! it, the policy decide and [`enforcer`] write the entry, through [`node::Node`], which people reach by
//! the API as well; a signal ends it and the last window is drained.

pub mod clock;
pub mod config;
pub mod digest;
pub mod dry_run;
pub mod enforcer;
pub mod event;
pub mod event_text;
pub mod live;
pub mod node;
pub mod pipeline;
pub mod protected;
pub mod signals;
pub mod sink;
