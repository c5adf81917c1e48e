//! Where did my packet vanish? One answer to "was it you?", about an address or a flow.
//!
//! ```text
//! Question::parse ─► ask(question, sources, wait) ─► Answer: text, JSON
//!                      │ weir: blocks, limits, what is allowed   (the node, the pinned guard)
//!                      │ the kernel: came, left, dropped and why (datapath::Trace)
//!                      └ the sockets: full queues, lost segments (sock_diag)
//! ```
//!
//! Whatever could not be looked at is in the answer, with the reason. The network namespace of the
//! calling thread is meant, and nothing of others' is counted. Never here: what a person types, and how
//! long is waited.

#![forbid(unsafe_code)]

mod answer;
mod asking;
mod drops;
mod not_seen;
mod own;
mod question;
mod reasons;
mod sockets;

pub use answer::{Answer, Cause, Finding, Seen};
pub use asking::ask;
pub use drops::Drops;
pub use own::Sources;
pub use question::{Question, QuestionError};
