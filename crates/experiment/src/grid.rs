//! The settings that are tried: `[policy]` with some of its keys varied.
//!
//! A setting is a `[policy]` table patched key by key and read again, so that whatever key the
//! policy has can be varied, and is checked as in a configuration.

use policy::{Mode, MovedKey, Policy, PolicyConfig, ProtectedHosts, ValidPolicy};
use serde::{Deserialize, Serialize};
use toml::{Table, Value};

/// Settings that one experiment tries at most.
pub const SETTINGS_LIMIT: usize = 1_000;

/// Failure of a grid to be read or to be valid.
#[derive(Debug, thiserror::Error)]
pub enum GridError {
    /// The file is not of the shape of a grid.
    #[error(
        "the grid is not valid in line {line}: {reason}; it has a table `[policy]` with values and \
         a table `[grid]` with a list of values for each key"
    )]
    Shape {
        /// The line, from 1.
        line: usize,
        /// Defect, in words.
        reason: String,
    },
    /// `--set` is not of its shape.
    #[error("--set `{0}` is no key with values, such as `policy.expert.act_surprise=3,5,7`")]
    Assignment(String),
    /// A key stands in its place before.
    #[error("the grid: {0}")]
    Moved(#[from] MovedKey),
    /// An axis has no value.
    #[error("the grid's `{key}` must be a list of at least one value, got {got}")]
    Axis {
        /// The key.
        key: String,
        /// Value given.
        got: String,
    },
    /// Too many combinations.
    #[error("the grid must hold at most {SETTINGS_LIMIT} settings, got {got}: {axes}")]
    Large {
        /// Settings that it holds.
        got: String,
        /// Number of values of each key.
        axes: String,
    },
    /// A setting is not valid.
    #[error("the grid's setting `{setting}` is not valid: {reason}")]
    Setting {
        /// The setting.
        setting: String,
        /// Reason, with key, bound and value.
        reason: String,
    },
}

/// A key and the values that it takes in turn.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Axis {
    /// The key, as it is below `[policy]`: `ttl`, `expert.act_surprise`.
    pub key: String,
    /// Its values.
    pub values: Vec<Value>,
}

/// The settings to try.
#[derive(Clone, Debug, PartialEq)]
pub struct Grid {
    base: Table,
    axes: Vec<Axis>,
}

/// A setting to try.
#[derive(Clone, Debug, PartialEq)]
pub struct Setting {
    /// The varied keys with their values, each key by its last part, which is unique: `act_surprise=5
    /// ttl=5m`; `as configured` with none.
    pub name: String,
    /// The varied keys, as [`Axis::key`] has them, with their values.
    pub varied: Table,
    /// The policy, enforcing.
    pub config: ValidPolicy,
}

impl Setting {
    /// Its policy, which spares what is protected.
    #[must_use]
    pub fn policy(&self, protected: ProtectedHosts) -> Policy {
        Policy::new(self.config.clone(), protected)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawGrid {
    #[serde(default)]
    policy: Table,
    #[serde(default)]
    grid: Table,
}

impl Grid {
    /// A grid around a policy, with no key varied.
    #[must_use]
    pub fn around(policy: &PolicyConfig) -> Self {
        // A policy is a plain struct: what TOML could not hold, a configuration could not either.
        Self { base: Table::try_from(policy).unwrap_or_default(), axes: Vec::new() }
    }

    /// Reads a grid's file over what is there.
    ///
    /// # Errors
    /// It is no TOML, or has other tables than `[policy]` and `[grid]`; an axis is no list.
    pub fn read(&mut self, text: &str) -> Result<(), GridError> {
        let raw: RawGrid = toml::from_str(text).map_err(|error| {
            let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
            let line = before.matches('\n').count() + 1;
            GridError::Shape { line, reason: one_line(error.message()) }
        })?;
        MovedKey::check(raw.policy.keys().map(String::as_str))?;
        for (key, value) in flat(raw.policy) {
            put(&mut self.base, &key, value);
        }
        for (key, values) in flat(raw.grid) {
            match values {
                Value::Array(values) => self.vary(&key, values)?,
                other => return Err(GridError::Axis { key, got: other.to_string() }),
            }
        }
        Ok(())
    }

    /// Varies a key as `--set key=value,value` says, which goes before what was said before.
    ///
    /// # Errors
    /// It is of another shape.
    pub fn set(&mut self, assignment: &str) -> Result<(), GridError> {
        let wrong = || GridError::Assignment(assignment.to_owned());
        let (key, values) = assignment.split_once('=').ok_or_else(wrong)?;
        let key = key.trim();
        let key = key.strip_prefix("policy.").unwrap_or(key);
        if key.is_empty() || values.trim().is_empty() {
            return Err(wrong());
        }
        self.vary(key, listed(values))
    }

    /// Sets the seed of what is drawn by lot.
    pub fn seed(&mut self, seed: i64) {
        put(&mut self.base, "expert.seed", Value::Integer(seed));
    }

    fn vary(&mut self, key: &str, values: Vec<Value>) -> Result<(), GridError> {
        MovedKey::check([key])?;
        if values.is_empty() {
            return Err(GridError::Axis { key: key.to_owned(), got: "an empty list".to_owned() });
        }
        self.axes.retain(|axis| axis.key != key);
        let place = self.axes.partition_point(|axis| axis.key.as_str() < key);
        self.axes.insert(place, Axis { key: key.to_owned(), values });
        Ok(())
    }

    /// Varies `expert.act_surprise` and `expert.windows` within what the other keys allow, where nothing
    /// is varied.
    pub fn or_default(&mut self) {
        if !self.axes.is_empty() {
            return;
        }
        let expert = |key: &str| self.base.get("expert").and_then(|table| table.get(key));
        let number = |key: &str, or: f64| expert(key).and_then(Value::as_float).unwrap_or(or);
        let (least, most) = (number("alert_surprise", 0.0), number("decisive_surprise", 300.0));
        let acts = [3.0, 3.5, 4.0, 4.5, 5.0, 6.0, 8.0];
        let acts = acts.into_iter().filter(|act| (least..=most).contains(act));
        let of = expert("of_windows").and_then(Value::as_integer).unwrap_or(1);
        let windows = (1..=of.clamp(1, 3)).map(Value::Integer).collect();
        let axes = [
            Axis {
                key: "expert.act_surprise".to_owned(),
                values: acts.map(Value::Float).collect(),
            },
            Axis { key: "expert.windows".to_owned(), values: windows },
        ];
        self.axes = axes.into_iter().filter(|axis| !axis.values.is_empty()).collect();
    }

    /// The varied keys, in alphabetical order.
    #[must_use]
    pub fn axes(&self) -> &[Axis] {
        &self.axes
    }

    /// The keys that are not varied, as [`Axis::key`] has them, with their values; every setting
    /// enforces, whatever the configuration does.
    #[must_use]
    pub fn fixed(&self) -> Table {
        let mut fixed: Table = flat(self.base.clone()).into_iter().collect();
        fixed.insert("mode".to_owned(), Value::String(Mode::Enforce.name().to_owned()));
        fixed.retain(|key, _| self.axes.iter().all(|axis| axis.key != *key));
        fixed
    }

    /// Every combination, the last key's values in turn fastest; `block_capacity` is how many
    /// addresses the kernel's table holds. Each enforces, whatever `mode` says.
    ///
    /// # Errors
    /// There are too many, or one is not valid.
    pub fn settings(&self, block_capacity: u32) -> Result<Vec<Setting>, GridError> {
        let count = self
            .axes
            .iter()
            .try_fold(1_usize, |product, axis| product.checked_mul(axis.values.len()));
        let Some(count) = count.filter(|count| *count <= SETTINGS_LIMIT) else {
            return Err(self.large(count));
        };
        (0..count).map(|number| self.setting(number, block_capacity)).collect()
    }

    fn setting(&self, number: usize, block_capacity: u32) -> Result<Setting, GridError> {
        let mut varied = Table::new();
        let mut rest = number;
        for axis in self.axes.iter().rev() {
            varied.insert(axis.key.clone(), axis.values[rest % axis.values.len()].clone());
            rest /= axis.values.len();
        }
        let name = name(&varied);
        let refused = |reason: String| GridError::Setting {
            setting: name.clone(),
            reason: one_line(&reason),
        };
        let mut table = self.base.clone();
        for (key, value) in &varied {
            put(&mut table, key, value.clone());
        }
        // By key, so that the error names the one that is wrong.
        for (key, value) in flat(table.clone()) {
            let mut one = Table::new();
            put(&mut one, &key, value);
            one.try_into::<PolicyConfig>()
                .map_err(|error| refused(format!("`policy.{key}`: {}", error.message())))?;
        }
        let raw: PolicyConfig = table.try_into().map_err(|error| refused(error.to_string()))?;
        let raw = PolicyConfig { mode: Mode::Enforce, ..raw };
        let config = raw.check(block_capacity).map_err(|error| refused(error.to_string()))?;
        Ok(Setting { name, varied, config })
    }

    fn large(&self, count: Option<usize>) -> GridError {
        let axes = self.axes.iter().map(|axis| format!("{} of `{}`", axis.values.len(), axis.key));
        GridError::Large {
            got: count.map_or_else(|| "more than fit a number".to_owned(), |n| n.to_string()),
            axes: axes.collect::<Vec<_>>().join(" × "),
        }
    }
}

/// The values of a table and of the tables in it, each with its place: `expert.act_surprise`.
fn flat(table: Table) -> Vec<(String, Value)> {
    let below = |(key, value)| match value {
        Value::Table(inner) => flat(inner)
            .into_iter()
            .map(|(below, value)| (format!("{key}.{below}"), value))
            .collect(),
        value => vec![(key, value)],
    };
    table.into_iter().flat_map(below).collect()
}

/// Puts a value into a table, or into the table in it that its place names.
fn put(table: &mut Table, place: &str, value: Value) {
    let Some((key, below)) = place.split_once('.') else {
        table.insert(place.to_owned(), value);
        return;
    };
    let inner = table.entry(key).or_insert_with(|| Value::Table(Table::new()));
    if !inner.is_table() {
        *inner = Value::Table(Table::new());
    }
    if let Value::Table(inner) = inner {
        put(inner, below, value);
    }
}

/// A setting as people read it.
fn name(varied: &Table) -> String {
    if varied.is_empty() {
        return "as configured".to_owned();
    }
    let pairs = varied.iter().map(|(key, value)| {
        let key = key.rsplit('.').next().unwrap_or(key);
        match value {
            Value::String(text) => format!("{key}={text}"),
            other => format!("{key}={other}"),
        }
    });
    one_line(&pairs.collect::<Vec<_>>().join(" "))
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Values with commas between them, as TOML has them; what is no TOML is text.
fn listed(text: &str) -> Vec<Value> {
    let array = toml::from_str::<Table>(&format!("values = [{text}]"));
    if let Ok(Value::Array(values)) =
        array.map(|mut table| table.remove("values").unwrap_or_else(|| Value::Array(Vec::new())))
    {
        return values;
    }
    let word = |word: &str| {
        let one = toml::from_str::<Table>(&format!("value = {word}"));
        let value = one.ok().and_then(|mut table| table.remove("value"));
        value.unwrap_or_else(|| Value::String(word.to_owned()))
    };
    text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(word).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grid(text: &str, sets: &[&str]) -> Result<Vec<Setting>, String> {
        let mut grid = Grid::around(&PolicyConfig::default());
        let read = grid.read(text).and_then(|()| sets.iter().try_for_each(|set| grid.set(set)));
        read.and_then(|()| grid.settings(1_000)).map_err(|error| error.to_string())
    }

    fn names(settings: &[Setting]) -> Vec<&str> {
        settings.iter().map(|setting| setting.name.as_str()).collect()
    }

    #[test]
    fn every_combination_is_a_setting_in_the_order_given() {
        let text = "[policy]\nttl = '30s'\n[grid]\nexpert.windows = [2, 1]\nexpert.act_surprise = [3, 5]\n";
        let settings = grid(text, &[]).expect("valid");
        assert_eq!(
            names(&settings),
            [
                "act_surprise=3 windows=2",
                "act_surprise=3 windows=1",
                "act_surprise=5 windows=2",
                "act_surprise=5 windows=1"
            ]
        );
        assert!(settings.iter().all(|setting| setting.config.ttl.as_secs() == 30));
        assert!(settings.iter().all(|setting| setting.config.mode == Mode::Enforce));
        assert_eq!(names(&grid("", &[]).expect("valid")), ["as configured"]);
    }

    #[test]
    fn flags_take_texts_numbers_and_lists_and_go_before_the_file() {
        let sets = ["policy.expert.act_surprise=4,5", "ttl=1m, 5m", "allow=[], ['192.0.2.0/24']"];
        let settings = grid("[grid]\nexpert.act_surprise = [3]\n", &sets).expect("valid");
        assert_eq!(settings.len(), 8);
        assert_eq!(settings[0].name, "allow=[] act_surprise=4 ttl=1m");
        assert_eq!(settings[7].config.allow.len(), 1);
        assert_eq!(settings[7].config.ttl.as_secs(), 300);
    }

    #[test]
    fn what_is_wrong_is_named_with_its_bound() {
        let cases: [(&str, &[&str], &[&str]); 14] = [
            (
                "",
                &["expert.act_surprise=1.5"],
                &["act_surprise=1.5", "`policy.expert.act_surprise` must be at least"],
            ),
            ("", &["colour=1"], &["`policy.colour`", "unknown field `colour`", "ttl"]),
            (
                "",
                &["expert.colour=1"],
                &["`policy.expert.colour`", "unknown field", "act_surprise"],
            ),
            (
                "",
                &["policy.act_surprise=5"],
                &["`policy.act_surprise` is `policy.expert.act_surprise` now"],
            ),
            ("[policy]\nseed = 1\n", &[], &["`policy.seed` is `policy.expert.seed` now"]),
            ("[grid]\nwindows = [1]\n", &[], &["`policy.windows` is `policy.expert.windows` now"]),
            ("", &["mode=block"], &["`policy.mode`", "unknown variant `block`"]),
            (
                "",
                &["expert.windows=2,4"],
                &["`windows=4`", "between 1 and `policy.expert.of_windows` (3), got 4"],
            ),
            ("", &["act_surprise"], &["--set `act_surprise`", "policy.expert.act_surprise=3"]),
            ("", &["act_surprise="], &["--set `act_surprise=`"]),
            ("[grid]\nttl = 0.3\n", &[], &["`ttl` must be a list", "got 0.3"]),
            ("[grid]\nttl = []\n", &[], &["`ttl` must be a list", "an empty list"]),
            ("\n[capture]\n", &[], &["in line 2: unknown field `capture`", "[grid]"]),
            ("[policy]\nmarin = 0.3\n", &[], &["`policy.marin`", "unknown field"]),
        ];
        for (text, sets, told) in cases {
            let error = grid(text, sets).expect_err(text);
            assert!(!error.contains('\n'), "{error}");
            for word in told {
                assert!(error.contains(word), "`{word}` is not in: {error}");
            }
        }
    }

    #[test]
    fn a_grid_is_bounded_and_says_what_made_it_large() {
        let numbers = |count: u32| (1..=count).map(|n| n.to_string()).collect::<Vec<_>>().join(",");
        let sets =
            [format!("expert.min_packets={}", numbers(40)), format!("max_blocks={}", numbers(26))];
        let sets: Vec<&str> = sets.iter().map(String::as_str).collect();
        let error = grid("", &sets).expect_err("1,040 settings");
        assert!(error.contains("at most 1000 settings, got 1040"), "{error}");
        assert!(error.contains("40 of `expert.min_packets` × 26 of `max_blocks`"), "{error}");
    }

    #[test]
    fn the_default_grid_keeps_within_the_other_keys() {
        let mut policy = PolicyConfig::default();
        policy.expert.of_windows = 2;
        (policy.expert.act_surprise, policy.expert.decisive_surprise) = (4.0, 5.5);
        let mut grid = Grid::around(&policy);
        grid.or_default();
        let settings = grid.settings(1_000_000).expect("valid");
        assert_eq!(settings.len(), 5 * 2, "{:?}", names(&settings));
    }
}
