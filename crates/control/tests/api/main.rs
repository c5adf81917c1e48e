//! The interface over real sockets, with a node without traffic.

mod access;
mod client;
mod faults;
mod following;
mod http;
mod openapi;
mod page;
mod socket;
mod support;
