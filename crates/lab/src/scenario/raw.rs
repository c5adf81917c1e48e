//! A scenario as written, and how it becomes a valid one.

use std::collections::HashSet;
use std::fmt::Display;
use std::time::Duration;

use serde::Deserialize;

use super::{Attack, AttackPlan, Benign, BenignPlan, Clients, Scenario};
use crate::{Family, Topology};

/// The whole file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawScenario {
    name: String,
    #[serde(default)]
    summary: String,
    #[serde(default = "usual_seed")]
    seed: u64,
    #[serde(with = "duration")]
    duration: Duration,
    #[serde(default)]
    topology: Topology,
    #[serde(default)]
    benign: Vec<RawBenign>,
    #[serde(default)]
    attack: Vec<RawAttack>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawBenign {
    does: BenignPlan,
    #[serde(default)]
    clients: RawClients,
    #[serde(default = "both_families")]
    families: Vec<Family>,
    #[serde(with = "duration", default)]
    start: Duration,
    #[serde(default)]
    duration: Option<Text>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawAttack {
    name: Option<String>,
    does: AttackPlan,
    #[serde(default)]
    attacker: usize,
    #[serde(default = "usual_family")]
    family: Family,
    #[serde(with = "duration", default)]
    start: Duration,
    #[serde(with = "duration")]
    duration: Duration,
}

/// `"all"`, or a list of indices.
#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "`clients` must be \"all\" or a list of indices")]
enum RawClients {
    Word(AllWord),
    Indices(Vec<usize>),
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum AllWord {
    All,
}

impl Default for RawClients {
    fn default() -> Self {
        Self::Word(AllWord::All)
    }
}

/// A duration inside an `Option`.
#[derive(Debug, Deserialize)]
struct Text(#[serde(with = "duration")] Duration);

impl RawScenario {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        toml::from_str(text).map_err(|error| {
            let line = error.span().map(|span| {
                let before = text.get(..span.start).unwrap_or_default();
                1 + before.matches('\n').count()
            });
            let message = error.message().replace('\n', " ");
            line.map_or(message.clone(), |line| format!("line {line}: {message}"))
        })
    }
}

impl TryFrom<RawScenario> for Scenario {
    type Error = String;

    fn try_from(raw: RawScenario) -> Result<Self, String> {
        raw.topology.check().map_err(|error| error.to_string())?;
        let clients = raw.topology.clients;
        let benign = numbered(raw.benign, "benign", |_, benign| benign.valid(clients))?;
        let attackers = raw.topology.attackers;
        let attacks = numbered(raw.attack, "attack", |index, attack| {
            attack.valid(attackers, raw.seed.wrapping_add(1_000 + index as u64))
        })?;
        let mut names = HashSet::new();
        if let Some(twice) = attacks.iter().find(|attack| !names.insert(&attack.name)) {
            return Err(format!("two attacks are named `{}`; give one a `name`", twice.name));
        }
        if !(Duration::from_secs(1)..=Duration::from_hours(2)).contains(&raw.duration) {
            return Err(format!(
                "`duration` must be 1s to 2h, got {}",
                humantime::format_duration(raw.duration)
            ));
        }
        Ok(Self {
            name: raw.name,
            summary: raw.summary,
            seed: raw.seed,
            duration: raw.duration,
            topology: raw.topology,
            benign,
            attacks,
        })
    }
}

impl RawBenign {
    fn valid(self, clients: usize) -> Result<Benign, String> {
        self.does.check()?;
        let clients = match self.clients {
            RawClients::Word(AllWord::All) => Clients::All,
            RawClients::Indices(indices) => {
                indices.iter().try_for_each(|index| member("clients", *index, clients))?;
                Clients::Some(indices)
            }
        };
        if self.families.is_empty() {
            return Err("`families` must name v4, v6 or both, got none".to_owned());
        }
        Ok(Benign {
            does: self.does,
            clients,
            families: self.families,
            start: self.start,
            duration: self.duration.map(|text| text.0),
        })
    }
}

impl RawAttack {
    fn valid(self, attackers: usize, seed: u64) -> Result<Attack, String> {
        member("attacker", self.attacker, attackers)?;
        let attack = Attack {
            name: self.name.unwrap_or_else(|| self.does.class().name().to_owned()),
            does: self.does,
            attacker: self.attacker,
            family: self.family,
            start: self.start,
            duration: self.duration,
            seed,
        };
        attack.check()?;
        Ok(attack)
    }
}

/// Converts each entry of a list, and says which one was wrong.
fn numbered<T, U>(
    entries: Vec<T>,
    list: &str,
    convert: impl Fn(usize, T) -> Result<U, String>,
) -> Result<Vec<U>, String> {
    entries
        .into_iter()
        .enumerate()
        .map(|(index, entry)| {
            convert(index, entry).map_err(|message| format!("{list} {}: {message}", index + 1))
        })
        .collect()
}

fn member(name: &str, index: usize, count: usize) -> Result<(), String> {
    if index < count {
        Ok(())
    } else {
        Err(format!("`{name}` names the index {index}, but the topology has {count} of them"))
    }
}

/// Checks a measure against its bounds.
pub(super) fn within<T: PartialOrd + Display + Copy>(
    name: &str,
    value: T,
    least: T,
    most: T,
) -> Result<(), String> {
    if least <= value && value <= most {
        Ok(())
    } else {
        Err(format!("`{name}` must be {least} to {most}, got {value}"))
    }
}

fn usual_seed() -> u64 {
    42
}

fn both_families() -> Vec<Family> {
    vec![Family::V4, Family::V6]
}

fn usual_family() -> Family {
    Family::V4
}

/// Durations written as `350ms`, `1m 30s`.
pub(super) mod duration {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, de::Error};

    pub(in crate::scenario) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Duration, D::Error> {
        let text = String::deserialize(deserializer)?;
        humantime::parse_duration(&text).map_err(|error| {
            D::Error::custom(format!("`{text}` is no duration like `350ms` or `1m 30s`: {error}"))
        })
    }
}

#[cfg(test)]
mod tests {
    use crate::Scenario;

    fn refused(text: &str) -> String {
        let head = "name = \"t\"\nduration = \"10s\"\n";
        Scenario::parse("t.toml", &format!("{head}{text}")).unwrap_err().to_string()
    }

    #[test]
    fn what_is_wrong_is_named_with_its_place_and_bound() {
        for (text, message) in [
            ("sed = 1", "t.toml: line 3: unknown field `sed`"),
            ("[topology]\nclients = 0", "t.toml: `clients` must be 1 to 64, got 0"),
            (
                "[[benign]]\ndoes = { kind = \"web\", port = 81 }",
                "t.toml: benign 1: `port` of web traffic must be 80 or 443, got 81",
            ),
            (
                "[[benign]]\ndoes = { kind = \"dns\" }\nclients = [6]",
                "t.toml: benign 1: `clients` names the index 6, but the topology has 6 of them",
            ),
            (
                "[[benign]]\ndoes = { kind = \"dns\" }\nclients = \"some\"",
                "t.toml: line 5: `clients` must be \"all\" or a list of indices",
            ),
            (
                "[[attack]]\nduration = \"1s\"\ndoes = { kind = \"syn_flood\", rate = 60000 }",
                "t.toml: attack 1: `rate` must be 1 to 50000, got 60000",
            ),
            (
                "[[attack]]\nduration = \"30m\"\ndoes = { kind = \"syn_flood\" }",
                "t.toml: attack 1: `rate` times `duration` must be at most 2000000 frames, got \
                 3600000",
            ),
            (
                "[[attack]]\nduration = \"soon\"\ndoes = { kind = \"syn_flood\" }",
                "t.toml: line 4: `soon` is no duration like `350ms` or `1m 30s`",
            ),
        ] {
            let told = refused(text);
            assert!(told.starts_with(message), "{told}");
            assert!(!told.contains('\n'), "{told}");
        }
    }

    #[test]
    fn an_option_of_another_kind_is_refused() {
        let told =
            refused("[[attack]]\nduration = \"1s\"\ndoes = { kind = \"beaconing\", rate = 3 }");
        assert!(told.contains("unknown field `rate`"), "{told}");
    }

    #[test]
    fn two_attacks_of_one_name_are_refused() {
        let attack = "[[attack]]\nduration = \"1s\"\ndoes = { kind = \"syn_scan\" }\n";
        assert_eq!(
            refused(&attack.repeat(2)),
            "t.toml: two attacks are named `syn_scan`; give one a `name`"
        );
    }
}
