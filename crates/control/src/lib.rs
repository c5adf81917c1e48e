//! Interface of people and programs to a running weir: over a Unix socket, and over HTTP with
//! tokens.
//!
//! [`Node`] is what a node lets be seen and done, [`wire`] what travels as JSON, [`Server`] what
//! listens, [`Client`] what the command line asks with. The interface describes itself:
//! [`openapi`].
//!
//! Nothing of weir's other crates is here but the words of `events`. The node knows the meaning of
//! a block, a window or a feature; here they are words and numbers.
//!
//! Order of calls: a [`Node`] is made; [`Server::start`] checks that nobody can ask who should
//! not, and listens; each request passes the bounds ([`Limits`]), the access rules and the
//! request's own checks before the node sees it; [`Server::stop`] lets what is under way end.

#![forbid(unsafe_code)]

mod client;
#[cfg(feature = "fake")]
pub mod fake;
mod feed;
mod gateway;
pub mod metrics;
mod node;
mod page;
mod server;
pub mod token;
pub mod wire;

pub use client::{Client, ClientError, Followed};
pub use feed::Feed;
pub use gateway::Gateway;
pub use node::{Node, Who};
pub use server::{
    BindError, Limits, Listen, NODE_THREADS, Rate, Server, ServerConfig, StartError, openapi,
};
