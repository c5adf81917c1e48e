//! Kernel side of the lab: namespaces, links, settings of interfaces.

pub(crate) mod namespace;
pub(crate) mod offload;
pub(crate) mod packet;
pub(crate) mod ready;
pub(crate) mod sysctl;
pub(crate) mod wiring;
