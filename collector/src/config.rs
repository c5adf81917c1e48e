//! Configuration: flags over environment over TOML over defaults, checked once.
//!
//! [`RawConfig`] is what is written, [`Config`] what is valid; past [`Config`] nothing is checked
//! again. The environment spells a key `WEIR__SECTION__KEY`. Unknown keys are errors.

mod api;
mod raw;
mod reference;
mod sentences;

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use control::ServerConfig;
use figment::{
    Figment,
    providers::{Env, Format, Serialized},
};
use ipnet::IpNet;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

pub use api::RawApi;
pub use raw::{
    RawCapture, RawConfig, RawEvents, RawGuard, RawLedger, RawLogIns, RawModel, RawTables,
    XdpChoice,
};

pub use policy::{Mode, PolicyConfig, Unverified};
pub use reference::{FirstConfig, reference};
pub use sentences::sentences;

use policy::{BoundError, MovedKey, ValidPolicy};

use datapath::{BLOCK_CAPACITY, PREFIX_CAPACITY, STATS_SLOTS, TABLE_CAPACITY};

/// The shortest window.
pub const WINDOW_MIN: Duration = Duration::from_millis(100);
/// The longest window.
pub const WINDOW_MAX: Duration = Duration::from_mins(1);

/// The least room that a ledger may be held to, in bytes.
const LEDGER_MIN: u64 = 16 << 20;
/// The longest that records may be kept.
const MAX_AGE: Duration = Duration::from_hours(24 * 3_650);

/// The prefix of environment variables.
const ENVIRONMENT: &str = "WEIR__";

/// Why a configuration does not hold.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file is not there or cannot be read.
    #[error("configuration `{path}`: {source}; name another with --config or leave it out")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// A key or value is not of its shape, or is not known.
    #[error("configuration: {0}; `weir config show` prints every key with its default")]
    Shape(#[from] Box<figment::Error>),
    /// A key of the file stands in its place before.
    #[error("configuration: {0}")]
    Moved(#[from] MovedKey),
    /// A variable of the environment names a key by its place before.
    #[error(
        "environment: `WEIR__POLICY__{key}` is `WEIR__POLICY__EXPERT__{key}` now",
        key = .0.0.to_uppercase()
    )]
    MovedVariable(MovedKey),
    /// A value is out of bounds.
    #[error("configuration: {0}")]
    Bound(#[from] BoundError),
    /// A file or a flag names a model or interface that a command needs, and none is given.
    #[error("configuration: `{key}` is not set; {remedy}")]
    Missing {
        /// The key, as `section.key`.
        key: &'static str,
        /// The remedy.
        remedy: &'static str,
    },
}

/// A valid configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// As it was written, defaults included.
    pub raw: RawConfig,
    /// Interface names or globs; may be empty where a command needs none.
    pub interfaces: Vec<String>,
    /// Length of a window, from [`WINDOW_MIN`] to [`WINDOW_MAX`].
    pub window: Duration,
    /// Kernel table sizes.
    pub tables: RawTables,
    /// The model file.
    pub model: Option<PathBuf>,
    /// It is learnt on.
    pub learn: bool,
    /// Settings by which verdicts become blocks.
    pub policy: ValidPolicy,
    /// Guard and persistence.
    pub guard: RawGuard,
    /// Destination of events.
    pub events: RawEvents,
    /// Failed log-ins as evidence.
    pub log_ins: RawLogIns,
    /// The record of what was decided.
    pub ledger: RawLedger,
    /// Addresses and limits of the API.
    pub api: ServerConfig,
}

/// TOML by the parser that reads every other file here; figment's own provider brings an older
/// one with it.
struct Toml;

impl Format for Toml {
    type Error = toml::de::Error;

    const NAME: &'static str = "TOML";

    fn from_str<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, Self::Error> {
        toml::from_str(text)
    }
}

impl RawConfig {
    /// Reads the layers: defaults, then the file, then the environment. Flags come on top of
    /// what this returns.
    ///
    /// # Errors
    /// A file that cannot be read, an unknown key, a value of the wrong shape.
    pub fn read(file: Option<&Path>) -> Result<Self, ConfigError> {
        let mut text = String::new();
        if let Some(path) = file {
            // Figment takes an absent file for an empty one.
            text = std::fs::read_to_string(path)
                .map_err(|source| ConfigError::Unreadable { path: path.to_owned(), source })?;
        }
        let environment = Figment::from(Env::prefixed(ENVIRONMENT).split("__"));
        refuse_moved(&environment).map_err(ConfigError::MovedVariable)?;
        Self::layered(&text, environment)
    }

    /// The defaults, under a file's text, under further layers.
    fn layered(text: &str, over: Figment) -> Result<Self, ConfigError> {
        let file = Figment::from(Toml::string(text));
        refuse_moved(&file)?;
        Figment::from(Serialized::defaults(Self::default()))
            .merge(file)
            .merge(over)
            .extract()
            .map_err(|error| ConfigError::Shape(Box::new(error)))
    }

    /// Checks every bound.
    ///
    /// # Errors
    /// The first value out of bounds, with the bound.
    pub fn check(self) -> Result<Config, ConfigError> {
        BoundError::check("capture.window", self.capture.window, WINDOW_MIN, WINDOW_MAX)?;
        for (key, value, bounds) in [
            ("tables.flows", self.tables.flows, TABLE_CAPACITY),
            ("tables.peers", self.tables.peers, TABLE_CAPACITY),
            ("tables.blocks", self.tables.blocks, BLOCK_CAPACITY),
            ("tables.prefixes", self.tables.prefixes, PREFIX_CAPACITY),
            ("tables.stats_slots", self.tables.stats_slots, STATS_SLOTS),
        ] {
            if !bounds.contains(&value) {
                let (least, most) = bounds.into_inner();
                return Err(bound(key, format!("between {least} and {most}"), value));
            }
        }
        let ledger = &self.ledger;
        BoundError::check("ledger.max_age", ledger.max_age, Duration::from_hours(1), MAX_AGE)?;
        if ledger.max_bytes < LEDGER_MIN {
            let least = format!("at least {LEDGER_MIN}");
            return Err(bound("ledger.max_bytes", least, ledger.max_bytes));
        }
        let policy = self.policy.clone().check(self.tables.blocks)?;
        Ok(Config {
            raw: self.clone(),
            interfaces: self.capture.interfaces,
            window: self.capture.window,
            tables: self.tables,
            model: self.model.path,
            learn: self.model.learn,
            policy,
            guard: self.guard,
            events: self.events,
            log_ins: self.log_ins,
            ledger: self.ledger,
            api: self.api.check()?,
        })
    }

    /// SHA-256 of the configuration as [`Self::to_toml`] writes it, hexadecimal.
    #[must_use]
    pub fn digest(&self) -> String {
        format!("{:x}", Sha256::digest(self.to_toml()))
    }

    /// The configuration as a TOML file; keys that are not set are remarks.
    #[must_use]
    pub fn to_toml(&self) -> String {
        let text = toml::to_string_pretty(self).unwrap_or_else(|error| format!("# {error}\n"));
        let all = serde_json::to_value(self).unwrap_or_default();
        let mut lines: Vec<String> = Vec::new();
        for line in text.lines() {
            lines.push(line.to_owned());
            let section = line.strip_prefix('[').and_then(|line| line.strip_suffix(']'));
            let Some(section) = section else { continue };
            let table = all.pointer(&format!("/{}", section.replace('.', "/")));
            for (key, value) in table.and_then(Value::as_object).into_iter().flatten() {
                if value.is_null() {
                    lines.push(format!("# {key} is not set"));
                }
            }
        }
        lines.join("\n") + "\n"
    }
}

impl Config {
    /// The interfaces to watch.
    ///
    /// # Errors
    /// None is configured.
    pub fn require_interfaces(&self) -> Result<&[String], ConfigError> {
        if self.interfaces.is_empty() {
            return Err(ConfigError::Missing {
                key: "capture.interfaces",
                remedy: "name one with --interface, for example --interface eth0",
            });
        }
        Ok(&self.interfaces)
    }

    /// The model to score with.
    ///
    /// # Errors
    /// None is configured.
    pub fn require_model(&self) -> Result<&Path, ConfigError> {
        self.model.as_deref().ok_or(ConfigError::Missing {
            key: "model.path",
            remedy: "name one with --model; `weir learn` makes one",
        })
    }

    /// The keys, as `section.key`, that another configuration gives another value.
    #[must_use]
    pub fn differing_keys(&self, other: &Self) -> Vec<String> {
        let table = |raw: &RawConfig| serde_json::to_value(raw).unwrap_or_default();
        let mut differing = Vec::new();
        differ("", &table(&self.raw), &table(&other.raw), &mut differing);
        differing
    }

    /// The prefixes that are never blocked.
    #[must_use]
    pub fn allow(&self) -> &[IpNet] {
        &self.policy.allow
    }
}

/// Refuses a layer that names a key of `[policy.expert]` in `[policy]`.
fn refuse_moved(layer: &Figment) -> Result<(), MovedKey> {
    let policy = layer.find_value("policy").ok();
    let keys = policy.as_ref().and_then(figment::value::Value::as_dict).into_iter().flatten();
    MovedKey::check(keys.map(|(key, _)| key.as_str()))
}

/// Collects the places of the values below `at` that differ.
fn differ(at: &str, ours: &Value, others: &Value, differing: &mut Vec<String>) {
    let Some(table) = ours.as_object() else {
        if ours != others {
            differing.push(at.to_owned());
        }
        return;
    };
    for (key, value) in table {
        let at = if at.is_empty() { key.clone() } else { format!("{at}.{key}") };
        differ(&at, value, &others[key], differing);
    }
}

fn bound(key: &'static str, bound: String, got: impl std::fmt::Display) -> ConfigError {
    BoundError::new(key, bound, got).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(toml: &str) -> Result<Config, ConfigError> {
        RawConfig::layered(toml, Figment::new())?.check()
    }

    #[test]
    fn the_defaults_hold_and_do_not_enforce() {
        let config = parsed("").expect("defaults hold");
        assert_eq!(config.policy.mode, Mode::Observe);
        assert_eq!(config.window, Duration::from_secs(1));
    }

    #[test]
    fn what_is_not_set_is_shown_too() {
        let shown = RawConfig::default().to_toml();
        for (section, key) in [("model", "path"), ("api", "listen"), ("api", "tokens")] {
            let (_, behind) = shown.split_once(&format!("[{section}]\n")).expect(section);
            let own = behind.split("\n[").next().unwrap_or_default();
            assert!(own.contains(&format!("# {key} is not set\n")), "{section}.{key}: {shown}");
        }
        let table = serde_json::to_value(RawConfig::default()).unwrap();
        for (section, keys) in table.as_object().unwrap() {
            assert!(shown.contains(&format!("[{section}]")), "{section}");
            for key in keys.as_object().unwrap().keys() {
                assert!(shown.contains(key.as_str()), "{section}.{key}");
            }
        }
    }

    #[test]
    fn what_show_prints_reads_back_as_the_same_configuration() {
        let shown = RawConfig::default().to_toml();
        assert_eq!(parsed(&shown).unwrap(), RawConfig::default().check().unwrap());
    }

    #[test]
    fn an_error_names_the_key_the_bound_and_the_value() {
        for (toml, expect) in [
            (
                "[capture]\nwindow = \"50ms\"",
                "`capture.window` must be between 100ms and 1m, got 50ms",
            ),
            ("[tables]\nflows = 0", "`tables.flows` must be between 64 and 16777216, got 0"),
            (
                "[policy.expert]\nwindows = 4",
                "`policy.expert.windows` must be between 1 and `policy.expert.of_windows` (3), got 4",
            ),
            ("[policy]\nmode = \"block\"", "unknown variant"),
            ("[policy]\nallow = [\"192.0.2.300\"]", "allow"),
            (
                "[policy]\nflood_baseline = \"2m\"",
                "`policy.flood_baseline` is `policy.expert.flood_baseline` now",
            ),
            ("[policy.expert]\nttl = \"2m\"", "unknown field"),
            ("[polcy]\nmode = \"shadow\"", "unknown field"),
        ] {
            let error = parsed(toml).expect_err(toml).to_string();
            assert!(error.contains(expect), "{toml}: {error}");
        }
    }

    #[test]
    fn the_keys_that_differ_are_named_with_their_section() {
        let other =
            parsed("[policy]\nttl = \"1m\"\nexpert.act_surprise = 4.0\n[tables]\nflows = 128")
                .unwrap();
        let differing = parsed("").unwrap().differing_keys(&other);
        assert_eq!(differing, ["policy.expert.act_surprise", "policy.ttl", "tables.flows"]);
    }

    #[test]
    fn an_allowed_address_is_a_prefix_of_its_full_length() {
        let config = parsed("[policy]\nallow = [\"192.0.2.1\", \"2001:db8::/32\"]").unwrap();
        assert_eq!(
            config.allow(),
            ["192.0.2.1/32".parse().unwrap(), "2001:db8::/32".parse().unwrap()]
        );
    }
}
