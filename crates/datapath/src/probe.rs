//! Capabilities of this machine: for `weir doctor`, and before anything is loaded.

use std::{fs, path::Path};

use aya::util::KernelVersion;

use super::{
    error::KernelError,
    pin::{is_bpffs, leftovers},
};

/// Severity of a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// As it should be.
    Good,
    /// weir runs, with less than it could have.
    Limited,
    /// weir does not run.
    Missing,
}

/// Result of one check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Subject of the check.
    pub subject: &'static str,
    /// Severity.
    pub severity: Severity,
    /// State found.
    pub found: String,
    /// Remedy; empty where none is needed.
    pub remedy: String,
}

/// A kernel version and what weir has from it on.
struct Since {
    version: (u8, u8),
    name: &'static str,
    feature: &'static str,
}

/// Multi-buffer XDP is the youngest thing that weir cannot do without.
const REQUIRED: Since =
    Since { version: (5, 18), name: "5.18", feature: "XDP programs for multi-buffer frames" };
/// Without it, clsact filters are used.
const TCX: Since = Since { version: (6, 6), name: "6.6", feature: "TCX links" };

/// Capabilities, their bits, and whether `CAP_SYS_ADMIN` includes them.
const CAPABILITIES: [(&str, u32, bool); 3] =
    [("CAP_BPF", 39, true), ("CAP_NET_ADMIN", 12, false), ("CAP_PERFMON", 38, true)];
const CAP_SYS_ADMIN: u32 = 21;

/// Looks at everything; nothing is changed.
#[must_use]
pub fn probe(bpffs: &Path) -> Vec<Finding> {
    vec![kernel(), tcx(), capabilities(), jit(), btf(), bpf_filesystem(bpffs), pins(bpffs)]
}

/// Refuses to go on where weir cannot run.
pub(super) fn require() -> Result<(), KernelError> {
    if let Some((found, false)) = running_since(&REQUIRED) {
        let Since { name, feature, .. } = REQUIRED;
        return Err(KernelError::KernelTooOld { found, needed: name, feature });
    }
    match missing_capabilities() {
        Some(missing) if !missing.is_empty() => {
            Err(KernelError::MissingCapability { capabilities: missing.join(", ") })
        }
        _ => Ok(()),
    }
}

fn kernel() -> Finding {
    version_finding("kernel", &REQUIRED, Severity::Missing, "run a newer kernel")
}

fn tcx() -> Finding {
    version_finding(
        "TCX",
        &TCX,
        Severity::Limited,
        "weir uses clsact filters, which outlive a weir that is killed until the next one starts",
    )
}

fn version_finding(
    subject: &'static str,
    since: &Since,
    otherwise: Severity,
    remedy: &str,
) -> Finding {
    match running_since(since) {
        Some((running, true)) => good(subject, format!("kernel {running} has {}", since.feature)),
        Some((running, false)) => Finding {
            subject,
            severity: otherwise,
            found: format!("kernel {running} has no {} (from {} on)", since.feature, since.name),
            remedy: remedy.to_owned(),
        },
        None => limited(subject, "the kernel's version could not be read", "mount /proc"),
    }
}

/// The running kernel, and whether it has what is looked for; `None` where it cannot be told.
fn running_since(since: &Since) -> Option<(String, bool)> {
    let running = KernelVersion::current().ok()?;
    let (major, minor) = since.version;
    let name = fs::read_to_string("/proc/sys/kernel/osrelease").ok()?.trim().to_owned();
    Some((name, running >= KernelVersion::new(major, minor, 0)))
}

fn capabilities() -> Finding {
    let subject = "capabilities";
    match missing_capabilities() {
        Some(missing) if missing.is_empty() => {
            good(subject, CAPABILITIES.map(|(name, ..)| name).join(", "))
        }
        Some(missing) => Finding {
            subject,
            severity: Severity::Missing,
            found: format!("missing {}", missing.join(", ")),
            remedy: "run as root, or grant them (systemd: `AmbientCapabilities=`, containers: \
                     `capabilities.add`)"
                .to_owned(),
        },
        None => limited(subject, "the process's capabilities could not be read", "mount /proc"),
    }
}

/// The capabilities that this process lacks; `None` where it cannot be told.
#[must_use]
pub fn missing_capabilities() -> Option<Vec<&'static str>> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    Some(missing_in(effective(&status)?))
}

/// The effective capabilities in the text of `/proc/<pid>/status`.
fn effective(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"))?;
    u64::from_str_radix(line.trim(), 16).ok()
}

fn missing_in(effective: u64) -> Vec<&'static str> {
    let has = |bit: u32| effective >> bit & 1 == 1;
    CAPABILITIES
        .iter()
        .filter(|&&(_, bit, by_admin)| !(has(bit) || by_admin && has(CAP_SYS_ADMIN)))
        .map(|&(name, ..)| name)
        .collect()
}

fn jit() -> Finding {
    let subject = "BPF compiler";
    match fs::read_to_string("/proc/sys/net/core/bpf_jit_enable") {
        Ok(text) if text.trim() == "0" => limited(
            subject,
            "programs are interpreted, several times slower",
            "sysctl net.core.bpf_jit_enable=1",
        ),
        _ => good(subject, "programs are compiled".to_owned()),
    }
}

fn btf() -> Finding {
    let subject = "kernel types (BTF)";
    if Path::new("/sys/kernel/btf/vmlinux").exists() {
        return good(subject, "/sys/kernel/btf/vmlinux".to_owned());
    }
    limited(
        subject,
        "no /sys/kernel/btf/vmlinux; weir's programs need none, other tools may",
        "run a kernel built with CONFIG_DEBUG_INFO_BTF=y",
    )
}

fn bpf_filesystem(bpffs: &Path) -> Finding {
    let subject = "BPF filesystem";
    if is_bpffs(bpffs) {
        return good(subject, bpffs.display().to_string());
    }
    limited(
        subject,
        format!("`{}` is none: blocks would end with the process", bpffs.display()),
        format!("mount -t bpf bpf -o mode=0700 {}", bpffs.display()),
    )
}

fn pins(bpffs: &Path) -> Finding {
    let subject = "pins";
    match leftovers(bpffs) {
        Ok(left) if left.held => {
            good(subject, format!("{}, held by a running weir", left.pins.len()))
        }
        Ok(left) if left.pins.is_empty() => good(subject, "none".to_owned()),
        Ok(left) => {
            let links = left.guarded_interfaces().len();
            Finding {
                subject,
                severity: Severity::Good,
                found: format!(
                    "{} left by an earlier weir, its guard in force on {links} interfaces",
                    left.pins.len()
                ),
                remedy: "the next `weir run` takes them over; `weir detach` removes them"
                    .to_owned(),
            }
        }
        Err(error) => limited(subject, error.to_string(), String::new()),
    }
}

fn limited(subject: &'static str, found: impl Into<String>, remedy: impl Into<String>) -> Finding {
    let (found, remedy) = (found.into(), remedy.into());
    Finding { subject, severity: Severity::Limited, found, remedy }
}

fn good(subject: &'static str, found: String) -> Finding {
    Finding { subject, severity: Severity::Good, found, remedy: String::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_administrator_has_what_it_includes() {
        assert!(missing_in(1 << CAP_SYS_ADMIN | 1 << 12).is_empty());
        assert_eq!(missing_in(1 << 39), ["CAP_NET_ADMIN", "CAP_PERFMON"]);
    }

    #[test]
    fn the_effective_capabilities_are_those_read() {
        assert_eq!(effective("Name:\tx\nCapEff:\t000000c000001000\n"), Some(0xc0_0000_1000));
        assert_eq!(effective("Name:\tx\n"), None);
    }

    #[test]
    fn every_finding_that_is_not_good_has_a_remedy() {
        for finding in probe(Path::new("/proc")) {
            assert!(
                finding.severity == Severity::Good || !finding.remedy.is_empty(),
                "{finding:?}"
            );
        }
    }
}
