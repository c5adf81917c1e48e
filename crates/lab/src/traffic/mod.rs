//! Traffic: servers, benign clients and attackers, each on a thread in its own namespace.

mod attack;
mod benign;
mod crew;
mod draw;
mod frame;
mod pace;
mod server;
mod wire;

pub use attack::RunningAttack;
pub use benign::RunningBenign;
pub(crate) use server::Servers;
