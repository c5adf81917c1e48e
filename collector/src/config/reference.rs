//! The configuration as people read of it: every key with what it is, and the file to begin with.

use std::{fmt::Write as _, path::PathBuf};

use figment::Figment;
use policy::{ExpertConfig, PolicyConfig};

use super::{
    Mode, RawApi, RawCapture, RawConfig, RawEvents, RawGuard, RawLedger, RawLogIns, RawModel,
    RawTables,
};

/// Columns that a remark takes at most, in a file.
const WIDTH: usize = 96;

/// A section: its name, what it is about, its keys, and what each of them is.
struct Section {
    name: &'static str,
    about: &'static str,
    keys: &'static [&'static str],
    docs: &'static [&'static str],
}

macro_rules! sections {
    ($($name:literal $section:ident $about:literal,)*) => {
        /// The sections, in the order of the file.
        const SECTIONS: &[Section] = &[$(Section {
            name: $name,
            about: $about,
            keys: $section::KEYS,
            docs: $section::DOCS,
        },)*];
    };
}

sections! {
    "capture" RawCapture "What is watched.",
    "tables" RawTables "Capacities of the kernel's tables. `weir doctor` says what they take of memory.",
    "model" RawModel "What scores.",
    "policy" PolicyConfig "What may be done, and how often it may be wrong.",
    "policy.expert" ExpertConfig "What takes the statistics of [decisions](decisions.md), or an experiment, to choose.",
    "guard" RawGuard "Where blocks take effect, and what outlives the process.",
    "events" RawEvents "Where events go, besides standard output.",
    "log_ins" RawLogIns "Failed log-ins as evidence.",
    "ledger" RawLedger "The record of decisions, blocks and acts of people.",
    "api" RawApi "Where people and programs reach the node.",
}

/// Keys of the file to begin with, and a value to begin with where the default is none.
const FIRST: [(&str, &str, Option<&str>); 9] = [
    ("capture", "interfaces", None),
    ("model", "path", Some("\"/var/lib/weir/model.weir\"")),
    ("policy", "mode", None),
    ("policy", "wrong_blocks", None),
    ("policy", "false_alarms", None),
    ("policy", "allow", None),
    ("log_ins", "journal", None),
    ("api", "listen", Some("\"127.0.0.1:9464\"")),
    ("api", "metrics_open", Some("true")),
];

/// What the file to begin with sets.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FirstConfig {
    /// Interfaces to watch.
    pub interfaces: Vec<String>,
    /// The model, once there is one.
    pub model: Option<PathBuf>,
    /// What may be done.
    pub mode: Mode,
}

impl FirstConfig {
    /// What a file sets that is as [`Self::to_toml`] wrote it; none where somebody changed more.
    #[must_use]
    pub fn of(text: &str) -> Option<Self> {
        let raw = RawConfig::layered(text, Figment::new()).ok()?;
        let found = Self {
            interfaces: raw.capture.interfaces,
            model: raw.model.path,
            mode: raw.policy.mode,
        };
        (found.to_toml() == text).then_some(found)
    }

    /// The configuration that it stands for.
    #[must_use]
    pub fn raw(&self) -> RawConfig {
        let mut raw = RawConfig::default();
        raw.capture.interfaces.clone_from(&self.interfaces);
        raw.model.path.clone_from(&self.model);
        raw.policy.mode = self.mode;
        raw
    }

    /// The file: what is set, and beside it, as remarks, what a person would look for first.
    #[must_use]
    pub fn to_toml(&self) -> String {
        let raw = self.raw();
        let mut text = "# weir: what it watches and what it may do. `weir config check` tells it in sentences,\n\
                        # `weir config show` prints every key with its value.\n"
            .to_owned();
        let mut before = "";
        for (section, key, example) in FIRST {
            if section != before {
                let _ = writeln!(text, "\n[{section}]");
                before = section;
            }
            for line in remark(&format!("{} {}", doc(section, key), words(section, key))) {
                let _ = writeln!(text, "# {line}");
            }
            let is_set =
                matches!(key, "interfaces" | "mode") || (key == "path" && self.model.is_some());
            let own = value(&raw, section, key);
            let example = example.filter(|_| !is_set).map(str::to_owned);
            let value = example.or(own).unwrap_or_default();
            let _ = writeln!(text, "{}{key} = {value}", if is_set { "" } else { "# " });
        }
        text
    }
}

/// Beginning of the page of the configuration.
const BEGINNING: &str = "\
# Configuration

Flags go over the environment, that over the file of `--config` (TOML), that over the defaults. The
environment spells `policy.max_blocks` as `WEIR__POLICY__MAX_BLOCKS`. Unknown keys are errors. `weir config
show` prints every key with its value, `weir config check` whether it holds, `weir setup` writes a file to
begin with, and `weir reload` (or SIGHUP) takes over what changed under `policy` and the model, all or
nothing, and names the keys that take a restart.

";

/// The page of the configuration, in Markdown: every key with its default and what it is.
#[must_use]
pub fn reference() -> String {
    let defaults = RawConfig::default();
    let mut text = BEGINNING.to_owned();
    for Section { name, about, keys, docs } in SECTIONS {
        // A string takes all.
        let _ = writeln!(
            text,
            "## `[{name}]`\n\n{about}\n\n| key | default | what it is |\n|---|---|---|"
        );
        for (key, doc) in keys.iter().zip(*docs).filter(|(key, _)| **key != "expert") {
            let default =
                value(&defaults, name, key).map_or_else(String::new, |one| format!("`{one}`"));
            let words = words(name, key);
            let words = if words.is_empty() { words } else { format!(" {words}") };
            let _ = writeln!(
                text,
                "| `{key}` | {default} | {}{words} |",
                doc.trim().replace('|', "\\|")
            );
        }
        text.push('\n');
    }
    text.pop();
    text
}

/// Documentation of a key.
fn doc(section: &str, key: &str) -> &'static str {
    let section = SECTIONS.iter().find(|one| one.name == section);
    let found =
        section.and_then(|one| Some(one.docs[one.keys.iter().position(|name| *name == key)?]));
    found.unwrap_or_default()
}

/// A key's value as a file has it; none where it is not set.
fn value(raw: &RawConfig, section: &str, key: &str) -> Option<String> {
    let mut table = &toml::Value::try_from(raw).ok()?;
    for name in section.split('.') {
        table = table.get(name)?;
    }
    table.get(key).map(ToString::to_string)
}

/// The words that a key takes, where it takes no others: those that are asked for instead of one that
/// there is not.
fn words(section: &str, key: &str) -> String {
    let tried = format!("[{section}]\n{key} = \"no such word\"");
    let refused = RawConfig::layered(&tried, Figment::new()).err().map(|error| error.to_string());
    let words = refused.as_deref().and_then(|text| {
        let (_, expected) = text.split_once("unknown variant")?.1.split_once("expected `")?;
        let (expected, _) = expected.split_once("``")?;
        let words: Vec<&str> = expected.split('`').skip(1).step_by(2).collect();
        Some(format!("One of `{}`.", words.join("`, `")))
    });
    words.unwrap_or_default()
}

/// A text in lines that a remark takes.
fn remark(text: &str) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        if lines.last().is_some_and(|line| line.len() + word.len() >= WIDTH) {
            lines.push(String::new());
        }
        if let Some(line) = lines.last_mut() {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first() -> FirstConfig {
        FirstConfig { interfaces: vec!["eth0".to_owned()], ..FirstConfig::default() }
    }

    #[test]
    fn each_key_stands_in_the_reference_with_what_it_is() {
        let defaults = toml::Value::try_from(RawConfig::default()).unwrap();
        let sections = SECTIONS.iter().filter(|one| !one.name.contains('.'));
        let named: Vec<&str> = sections.map(|one| one.name).collect();
        let there: Vec<&str> = defaults.as_table().unwrap().keys().map(String::as_str).collect();
        assert_eq!(named.iter().collect::<std::collections::BTreeSet<_>>(), there.iter().collect());
        for Section { keys, docs, .. } in SECTIONS {
            for (key, doc) in keys.iter().zip(*docs) {
                assert!(!doc.trim().is_empty(), "{key}");
            }
        }
        let text = reference();
        assert!(
            include_str!("../../../docs/configuration.md") == text,
            "docs/configuration.md is of other keys: put there what \
             `cargo run --package collector --example configuration` prints"
        );
        assert!(text.contains("| `mode` | `\"observe\"` | "), "{text}");
        assert!(text.contains("One of `observe`, `shadow`, `enforce`."), "{text}");
        assert!(text.contains("| `path` |  | A `.weir` file. |"), "{text}");
    }

    #[test]
    fn the_first_file_sets_what_it_was_told_and_nothing_else() {
        let [bare, whole] =
            [first(), FirstConfig { model: Some("/m.weir".into()), mode: Mode::Shadow, ..first() }];
        for config in [bare, whole] {
            let text = config.to_toml();
            assert!(text.lines().all(|line| line.len() <= WIDTH + 2), "{text}");
            let read = RawConfig::layered(&text, Figment::new()).expect(&text);
            assert_eq!(read, config.raw());
            // What stands there as a remark is fit to be set.
            let all = text.lines().map(|line| line.strip_prefix("# ").unwrap_or(line));
            let set: Vec<&str> =
                all.filter(|line| line.contains(" = ") || line.starts_with('[')).collect();
            let read = RawConfig::layered(&set.join("\n"), Figment::new()).expect(&text);
            assert_eq!(read.check().err().map(|error| error.to_string()), None);
        }
    }

    #[test]
    fn the_file_that_is_shipped_is_the_one_to_begin_with() {
        assert_eq!(include_str!("../../../packaging/weir.toml"), first().to_toml());
    }

    #[test]
    fn a_file_that_somebody_changed_is_told_from_one_that_nobody_did() {
        let text = first().to_toml();
        assert_eq!(FirstConfig::of(&text), Some(first()));
        let shadow = text.replace("mode = \"observe\"", "mode = \"shadow\"");
        assert_eq!(FirstConfig::of(&shadow), Some(FirstConfig { mode: Mode::Shadow, ..first() }));
        for changed in
            [text.replace("# allow = []", "allow = [\"192.0.2.0/24\"]"), text + "# mine\n"]
        {
            assert_eq!(FirstConfig::of(&changed), None, "{changed}");
        }
    }
}
