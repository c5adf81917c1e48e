//! Network namespaces with a protected host, benign clients and attackers.

mod documentation;
mod error;
mod lab;
mod moment;
mod net;
mod plan;
mod registry;
mod stop;
mod topology;

pub use documentation::is_documentation;
pub use error::LabError;
pub use lab::Lab;
pub use moment::{Moment, boot_ns};
pub use plan::{Family, Interface, Node, Role};
pub use registry::Registration;
pub use stop::Stop;
pub use topology::{MAX_ATTACKERS, MAX_CLIENTS, Topology};
