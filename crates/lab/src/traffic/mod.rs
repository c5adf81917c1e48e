//! Traffic: servers, benign clients and attackers, each on a thread in its own namespace.

mod attack;
mod benign;
mod crew;
mod injector;
mod pace;
mod server;
mod wire;

pub use attack::RunningAttack;
pub use benign::RunningBenign;
pub(crate) use server::Servers;

use crate::scenario::Attack;
use crate::{Lab, LabError, Scenario};

impl Lab {
    /// Starts a scenario's benign traffic.
    pub fn start_benign(&self, scenario: &Scenario) -> Result<RunningBenign, LabError> {
        self.serve()?;
        RunningBenign::start(self, scenario)
    }

    /// Starts one attack, whatever its scenario says about when, and returns when its first
    /// frame is about to leave.
    pub fn start_attack(&self, attack: &Attack) -> Result<RunningAttack, LabError> {
        self.serve()?;
        RunningAttack::start(self, attack)
    }
}
