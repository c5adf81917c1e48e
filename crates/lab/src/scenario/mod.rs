//! Scenarios: who sends what, when and how much, as TOML.
//!
//! A scenario is read as written, checked once, and from then on valid.

mod attack;
mod benign;
mod builtin;
mod raw;

use std::path::Path;
use std::time::Duration;

pub(crate) use attack::DECOYS;
pub use attack::{Attack, AttackPlan, Channel, ScanGuise};
pub use benign::{Benign, BenignKind, BenignPlan, Clients};
pub use builtin::BUILTIN;

use crate::{LabError, Topology};

/// Benign traffic and attacks around one topology, all within bounds.
///
/// ```toml
/// name = "example"
/// summary = "two kinds of traffic and one attack"
/// seed = 42                         # 42 if not given
/// duration = "1m 30s"               # when it is run as a whole
///
/// [topology]                        # see [`Topology`]
/// clients = 6
/// attackers = 2
///
/// [[benign]]
/// does = { kind = "web", port = 80, pause = "400ms" }    # see [`BenignPlan`]
///
/// [[benign]]
/// does = { kind = "dns" }           # measures not given are the usual ones
/// clients = [0, 3]                  # "all" if not given
/// families = ["v6"]                 # both if not given
/// start = "10s"                     # at once if not given
/// duration = "30s"                  # to the end if not given
///
/// [[attack]]
/// name = "scan"                     # its class if not given
/// does = { kind = "syn_scan", ports = [1, 1024], rate = 300 }    # see [`AttackPlan`]
/// attacker = 0                      # the first if not given
/// family = "v4"                     # v4 if not given
/// start = "40s"
/// duration = "10s"
/// ```
#[derive(Clone, Debug)]
pub struct Scenario {
    /// Its name.
    pub name: String,
    /// Purpose, in a line.
    pub summary: String,
    /// Seed of all its randomness: the same seed draws the same sizes and pauses.
    pub seed: u64,
    /// Duration, where it is run as a whole.
    pub duration: Duration,
    /// Topology of the lab.
    pub topology: Topology,
    /// Traffic of the benign clients.
    pub benign: Vec<Benign>,
    /// Attacks.
    pub attacks: Vec<Attack>,
}

impl Scenario {
    /// A scenario that ships with the lab; [`BUILTIN`] lists them.
    pub fn builtin(name: &str) -> Result<Self, LabError> {
        let Some((_, text)) = BUILTIN.iter().find(|(known, _)| *known == name) else {
            let known: Vec<_> = BUILTIN.iter().map(|(name, _)| *name).collect();
            return Err(LabError::Invalid(format!(
                "no scenario `{name}` is built in; there are {}, or give a path",
                known.join(", ")
            )));
        };
        Self::parse(&format!("the built-in scenario `{name}`"), text)
    }

    /// Reads a scenario from a file.
    pub fn load(path: &Path) -> Result<Self, LabError> {
        let text = std::fs::read_to_string(path).map_err(|source| LabError::File {
            doing: "read",
            path: path.to_owned(),
            source,
        })?;
        Self::parse(&path.display().to_string(), &text)
    }

    /// Reads a scenario from TOML; `origin` names it in messages.
    pub fn parse(origin: &str, text: &str) -> Result<Self, LabError> {
        raw::RawScenario::parse(text)
            .and_then(Self::try_from)
            .map_err(|message| LabError::Scenario { origin: origin.to_owned(), message })
    }

    /// The attack of this name.
    pub fn attack(&self, name: &str) -> Result<&Attack, LabError> {
        self.attacks.iter().find(|attack| attack.name == name).ok_or_else(|| {
            let known: Vec<_> = self.attacks.iter().map(|attack| attack.name.as_str()).collect();
            LabError::Invalid(format!(
                "the scenario `{}` has no attack `{name}`; it has {}",
                self.name,
                known.join(", ")
            ))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documented_example_is_valid() {
        let lines = include_str!("mod.rs").lines().skip_while(|line| *line != "/// ```toml");
        let example: Vec<&str> = lines
            .skip(1)
            .take_while(|line| *line != "/// ```")
            .map(|line| line.trim_start_matches("///").trim_start())
            .collect();
        let scenario = Scenario::parse("the documentation", &example.join("\n")).unwrap();
        assert_eq!((scenario.benign.len(), scenario.attacks.len()), (2, 1));
    }
}
