//! `weir doctor`: what this machine can do, and what was left behind. Changes nothing.

use std::{fmt::Write as _, fs, path::Path, process::ExitCode};

use clap::Args;
use serde::Serialize;

use super::{FAILED, Layers, Overrides, emit};
use collector::config::{Config, Mode};
use datapath::{
    Finding, InterfaceName, InterfaceSelection, Severity, guard_bytes, memory_bytes, neighbours,
    orphans, probe,
};

#[derive(Debug, Args)]
pub(super) struct DoctorArgs {
    /// Print a JSON array.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    overrides: Overrides,
}

/// A finding as it is told.
#[derive(Debug, Serialize)]
struct FindingRow<'a> {
    subject: &'a str,
    /// `ok`, `warning` or `missing`.
    state: &'static str,
    found: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    remedy: &'a str,
}

impl DoctorArgs {
    pub(super) fn run(&self, layers: &Layers) -> anyhow::Result<ExitCode> {
        let config = layers.resolve(&self.overrides)?;
        let findings = examine(&config);
        if self.json {
            let told: Vec<FindingRow<'_>> = findings.iter().map(FindingRow::of).collect();
            emit(&format!("{}\n", serde_json::to_string(&told)?))?;
        } else {
            emit(&text(&findings))?;
        }
        let missing = findings.iter().any(|finding| finding.severity == Severity::Missing);
        Ok(if missing { ExitCode::from(FAILED) } else { ExitCode::SUCCESS })
    }
}

/// Everything that is looked at, under this configuration.
pub(super) fn examine(config: &Config) -> Vec<Finding> {
    let bpffs = &config.guard.bpffs;
    let mut findings = probe(bpffs);
    for finding in &mut findings {
        if finding.subject == "BPF filesystem"
            && finding.severity == Severity::Limited
            && config.guard.persist
            && config.policy.mode != Mode::Observe
        {
            finding.severity = Severity::Missing;
            finding.found = format!("`{}` is none, and the blocks are to persist", bpffs.display());
            finding.remedy.push_str(", or set `guard.persist = false`");
        }
    }
    findings.extend([realtime(), memory(config), interfaces(config), model(config)]);
    findings.extend(others(config));
    findings.push(orphan_programs(bpffs));
    #[cfg(feature = "lab")]
    findings.push(dead_labs());
    findings
}

fn realtime() -> Finding {
    let subject = "preemption";
    let version = fs::read_to_string("/proc/sys/kernel/version").unwrap_or_default();
    let flag = fs::read_to_string("/sys/kernel/realtime").unwrap_or_default();
    if version.contains("PREEMPT_RT") || flag.trim() == "1" {
        return Finding {
            subject,
            severity: Severity::Limited,
            found:
                "PREEMPT_RT: a program may be preempted by another on its CPU, and a count be lost"
                    .to_owned(),
            remedy: "run a kernel without PREEMPT_RT where counts must be exact".to_owned(),
        };
    }
    good(subject, "no PREEMPT_RT: counts are exact".to_owned())
}

fn memory(config: &Config) -> Finding {
    let tables = &config.tables;
    let cpus = std::thread::available_parallelism()
        .map_or(1, |cpus| u32::try_from(cpus.get()).unwrap_or(u32::MAX));
    let flows = memory_bytes(tables.flows, tables.peers, cpus);
    let guard = guard_bytes(tables.blocks, tables.stats_slots, cpus);
    let meminfo = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    memory_finding(flows, guard, available(&meminfo))
}

fn memory_finding(flows: u64, guard: u64, available: Option<u64>) -> Finding {
    let subject = "memory";
    let need = flows + guard;
    let mb = |bytes: u64| bytes / 1_000_000;
    let found = format!(
        "{} MB of kernel memory for the configured tables ({} flows and peers, {} blocks), {} MB \
         available",
        mb(need),
        mb(flows),
        mb(guard),
        available.map_or_else(|| "unknown".to_owned(), |bytes| mb(bytes).to_string()),
    );
    let remedy = "lower `tables.flows`, `tables.peers` or `tables.blocks`".to_owned();
    let severity = match available {
        Some(available) if need > available => Severity::Missing,
        Some(available) if need > available / 4 => Severity::Limited,
        _ => return good(subject, found),
    };
    Finding { subject, severity, found, remedy }
}

/// `MemAvailable` in the text of `/proc/meminfo`, in bytes.
fn available(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    Some(line.trim().strip_suffix(" kB")?.parse::<u64>().ok()? * 1_024)
}

fn interfaces(config: &Config) -> Finding {
    let subject = "interfaces";
    if config.interfaces.is_empty() {
        return good(subject, "none is configured; --interface names one".to_owned());
    }
    let missing = |found: String| Finding {
        subject,
        severity: Severity::Missing,
        found,
        remedy: "`ip -brief link` lists those of this network namespace".to_owned(),
    };
    match InterfaceSelection::new(config.interfaces.iter().cloned()).resolve() {
        Ok(found) if found.is_empty() => {
            missing(format!("none matches `{}`", config.interfaces.join("`, `")))
        }
        Ok(found) => {
            let names: Vec<&str> = found.keys().map(InterfaceName::as_str).collect();
            good(subject, names.join(", "))
        }
        Err(error) => missing(error.to_string()),
    }
}

/// Programs of others on each configured interface that has any.
fn others(config: &Config) -> Vec<Finding> {
    let selection = InterfaceSelection::new(config.interfaces.iter().cloned());
    let on = |interface: &InterfaceName| {
        let found = neighbours(&config.guard.bpffs, interface, None)
            .ok()
            .filter(|found| !found.is_empty())?;
        let subject = "other programs";
        let told: Vec<String> = found.iter().map(ToString::to_string).collect();
        let found_text = format!("{interface}: {}", told.join("; "));
        if !found.iter().any(|one| one.is_before) {
            return Some(good(subject, found_text));
        }
        let remedy = "none needed while they let packets go on (`TCX_NEXT`): weir compares its counts \
                      with the interface's, and says what crosses it unseen";
        let remedy = remedy.to_owned();
        Some(Finding { subject, severity: Severity::Limited, found: found_text, remedy })
    };
    selection.resolve().unwrap_or_default().keys().filter_map(on).collect()
}

fn model(config: &Config) -> Finding {
    let subject = "model";
    let Some(path) = &config.model else {
        return good(subject, "none is configured; --model names one".to_owned());
    };
    match super::load_model(path) {
        Ok(model) => {
            good(subject, format!("{}, made {}", path.display(), model.manifest().created))
        }
        Err(error) => Finding {
            subject,
            severity: Severity::Missing,
            found: report::text::one_line(error.chain()),
            remedy: "`weir learn` makes one".to_owned(),
        },
    }
}

fn orphan_programs(bpffs: &Path) -> Finding {
    let subject = "orphan programs";
    let limited = |found, remedy: &str| Finding {
        subject,
        severity: Severity::Limited,
        found,
        remedy: remedy.to_owned(),
    };
    match orphans(bpffs) {
        Ok(found) if found.is_empty() => good(subject, "none".to_owned()),
        Ok(found) => {
            let named: Vec<String> =
                found.iter().map(|one| format!("{} (id {})", one.name, one.id)).collect();
            limited(
                format!("loaded, and held by no process and no pin: {}", named.join(", ")),
                "`weir run` on the interface replaces them, `tc filter del` removes them; pins \
                 elsewhere hold them if `guard.bpffs` was another",
            )
        }
        Err(error) => limited(error.to_string(), "run as root"),
    }
}

#[cfg(feature = "lab")]
fn dead_labs() -> Finding {
    let subject = "labs";
    let dead = lab::Lab::leftovers();
    if dead.is_empty() {
        return good(subject, "none left behind".to_owned());
    }
    let ids: Vec<&str> = dead.iter().map(|lab| lab.id.as_str()).collect();
    Finding {
        subject,
        severity: Severity::Limited,
        found: format!("left behind by processes that were killed: {}", ids.join(", ")),
        remedy: "weir lab clean".to_owned(),
    }
}

fn good(subject: &'static str, found: String) -> Finding {
    Finding { subject, severity: Severity::Good, found, remedy: String::new() }
}

impl<'a> FindingRow<'a> {
    fn of(finding: &'a Finding) -> Self {
        Self {
            subject: finding.subject,
            state: state(finding.severity),
            found: &finding.found,
            remedy: &finding.remedy,
        }
    }
}

const fn state(severity: Severity) -> &'static str {
    match severity {
        Severity::Good => "ok",
        Severity::Limited => "warning",
        Severity::Missing => "missing",
    }
}

/// Findings as text, one a line, with the remedy below it.
pub(super) fn text(findings: &[Finding]) -> String {
    let width = findings.iter().map(|finding| finding.subject.len()).max().unwrap_or(0);
    let mut text = String::new();
    for finding in findings {
        let state = state(finding.severity);
        let _ = writeln!(text, "{state:<7}  {:<width$}  {}", finding.subject, finding.found);
        if !finding.remedy.is_empty() {
            let _ = writeln!(text, "{:<7}  {:<width$}  -> {}", "", "", finding.remedy);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use collector::config::RawConfig;

    fn config(change: impl FnOnce(&mut RawConfig)) -> Config {
        let mut raw = RawConfig::default();
        change(&mut raw);
        raw.check().expect("a valid configuration")
    }

    #[test]
    fn tables_beyond_the_memory_there_is_are_missing_it() {
        for (available, severity) in [
            (Some(1_000_000_000), Severity::Good),
            (Some(300_000_000), Severity::Limited),
            (Some(80_000_000), Severity::Missing),
            (None, Severity::Good),
        ] {
            assert_eq!(memory_finding(70_000_000, 30_000_000, available).severity, severity);
        }
    }

    #[test]
    fn available_memory_is_read_in_bytes() {
        let meminfo = "MemTotal:  8000 kB\nMemAvailable:    4000 kB\n";
        assert_eq!(available(meminfo), Some(4_096_000));
        assert_eq!(available(""), None);
    }

    #[test]
    fn an_interface_or_a_model_that_is_not_there_is_missing() {
        let config = config(|raw| {
            raw.capture.interfaces = vec!["weir-n*".to_owned()];
            raw.model.path = Some("/nowhere/model.weir".into());
        });
        let found = interfaces(&config);
        assert_eq!(found.severity, Severity::Missing);
        assert_eq!(found.found, "none matches `weir-n*`");
        let found = model(&config);
        assert_eq!(found.severity, Severity::Missing);
        assert!(found.found.contains("/nowhere/model.weir"), "{}", found.found);
    }

    #[test]
    fn no_bpf_filesystem_is_missing_only_where_blocks_are_to_persist() {
        for (mode, persist, severity) in [
            (Mode::Observe, true, Severity::Limited),
            (Mode::Enforce, false, Severity::Limited),
            (Mode::Enforce, true, Severity::Missing),
        ] {
            let config = config(|raw| {
                raw.policy.mode = mode;
                raw.guard.persist = persist;
                raw.guard.bpffs = "/proc".into();
            });
            let findings = examine(&config);
            let found = findings.iter().find(|one| one.subject == "BPF filesystem").unwrap();
            assert_eq!(found.severity, severity, "{mode:?} {persist}");
        }
    }

    #[test]
    fn a_remedy_stands_below_its_finding() {
        let finding = Finding {
            subject: "labs",
            severity: Severity::Limited,
            found: "left behind: ab1".to_owned(),
            remedy: "weir lab clean".to_owned(),
        };
        assert_eq!(
            text(&[finding]),
            "warning  labs  left behind: ab1\n               -> weir lab clean\n"
        );
    }
}
