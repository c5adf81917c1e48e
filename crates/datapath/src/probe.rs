//! Capabilities of this machine: for `weir doctor`, and before anything is loaded.

use std::{fmt::Write as _, fs, io, path::Path};

use flows_common::Direction;

use super::{
    dispatcher::{self, NotShared},
    error::KernelError,
    floor::{FLOOR, is_below_floor, release, remedy},
    object::{PROGRAMS, TRACE_PROGRAMS, Verified, XDP_GUARD, is_guard, verify, verify_extension},
    pin::{Leftovers, gone_namespaces, is_bpffs, leftovers, leftovers_here, mount_remedy},
    syscall,
};

/// An interface that every network namespace has.
const LOOPBACK: u32 = 1;

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

/// Capabilities, their bits, and whether `CAP_SYS_ADMIN` includes them.
const CAPABILITIES: [(&str, u32, bool); 3] =
    [("CAP_BPF", 39, true), ("CAP_NET_ADMIN", 12, false), ("CAP_PERFMON", 38, true)];
const CAP_SYS_ADMIN: u32 = 21;

/// Looks at everything; nothing is changed.
///
/// Has the kernel verify every program, some 100 ms.
#[must_use]
pub fn probe(bpffs: &Path) -> Vec<Finding> {
    let capabilities = capabilities();
    let may_load = capabilities.severity == Severity::Good;
    let mut findings = vec![kernel(), capabilities];
    findings.extend(programs(may_load.then(verify)));
    findings.extend(may_load.then(|| shared_hook(try_shared())));
    findings.extend([
        tcx(syscall::query_tcx(LOOPBACK, Direction::Ingress).map(drop)),
        jit(),
        btf(),
        bpf_filesystem(bpffs),
        pins(bpffs),
    ]);
    findings
}

/// Refuses to go on where weir cannot run.
pub(super) fn require() -> Result<(), KernelError> {
    if let Some(missing) = missing_capabilities().filter(|missing| !missing.is_empty()) {
        return Err(KernelError::MissingCapability { capabilities: missing.join(", ") });
    }
    let namespace = fs::read_to_string("/proc/self/timens_offsets").unwrap_or_default();
    match boot_offset_s(&namespace) {
        Some(offset_s) if offset_s != 0.0 => Err(KernelError::OtherBootClock { offset_s }),
        _ => Ok(()),
    }
}

/// Seconds that a time namespace puts on the boot clock; `None` where the kernel has none.
fn boot_offset_s(offsets: &str) -> Option<f64> {
    let line = offsets.lines().find_map(|line| line.strip_prefix("boottime"))?;
    let mut numbers = line.split_whitespace().map(str::parse::<f64>);
    Some(numbers.next()?.ok()? + numbers.next()?.ok()? / 1e9)
}

fn kernel() -> Finding {
    let (major, minor) = FLOOR;
    match release() {
        Some(release) if is_below_floor(&release) => limited(
            "kernel",
            format!("{release}, before {major}.{minor}: whether its programs load is said below"),
            format!("run Linux {major}.{minor} or newer where one does not"),
        ),
        Some(release) => good("kernel", release),
        None => limited("kernel", "the kernel's version could not be read", "mount /proc"),
    }
}

/// One finding where all programs load, else one for each that does not; `None` where it was not
/// tried.
fn programs(verified: Option<Result<[Verified; PROGRAMS.len()], KernelError>>) -> Vec<Finding> {
    let subject = "programs";
    let verified = match verified {
        None => {
            let remedy = "run the doctor as weir is to run";
            return vec![limited(subject, "not tried, for capabilities are missing", remedy)];
        }
        Some(Err(error)) => return vec![missing(subject, &error)],
        Some(Ok(verified)) => verified,
    };
    let (mut taken, mut refused) = (Vec::new(), Vec::new());
    for Verified { program, instructions } in verified {
        match instructions {
            Ok(Some(followed)) => taken.push(format!("{program} ({followed} instructions)")),
            Ok(None) => taken.push(program.to_owned()),
            Err(error) if program.starts_with("xdp") => {
                let remedy = "none needed: the guard sits at TC ingress (`guard.xdp = \"auto\"`)";
                refused.push(limited(subject, format!("no XDP: {error}"), remedy));
            }
            Err(error) if program.ends_with("_l3") => {
                let remedy = "none needed where every interface has an Ethernet header";
                refused.push(limited(subject, format!("no tun, no tunnels: {error}"), remedy));
            }
            Err(error) if TRACE_PROGRAMS.contains(&program) => {
                let remedy = "none needed: `weir why` then tells less";
                refused.push(limited(subject, format!("no trace: {error}"), remedy));
            }
            Err(error) if is_guard(program) => {
                let remedy = "none needed where the guard sits at XDP";
                refused.push(limited(subject, format!("no guard at TC: {error}"), remedy));
            }
            Err(error) => refused.push(missing(subject, &error)),
        }
    }
    if refused.is_empty() {
        return vec![good(subject, format!("the kernel takes {}", taken.join(", ")))];
    }
    refused
}

/// Has the kernel verify the guard behind a dispatcher, on no interface.
fn try_shared() -> Result<u8, NotShared> {
    let (dispatcher, place, version) = dispatcher::sample()?;
    match verify_extension(&dispatcher, &place) {
        Ok(()) => Ok(version),
        Err(error) => Err(NotShared::Refused {
            program: XDP_GUARD.to_owned(),
            why: dispatcher::root_cause(&error),
        }),
    }
}

fn shared_hook(probed: Result<u8, NotShared>) -> Finding {
    let subject = "shared XDP hook";
    match probed {
        Ok(version) => good(subject, format!("by libxdp's dispatcher, version {version}")),
        Err(why @ NotShared::NoLibxdp) => good(subject, format!("not needed: {why}")),
        Err(why) => limited(
            subject,
            format!("none: {why}"),
            "none needed where no program of libxdp's is to run beside weir's: the guard has the hook \
             for itself, or sits at TC ingress where another program has it",
        ),
    }
}

fn missing(subject: &'static str, error: &KernelError) -> Finding {
    let (found, remedy) = (error.to_string(), remedy());
    Finding { subject, severity: Severity::Missing, found, remedy }
}

fn tcx(asked: io::Result<()>) -> Finding {
    let subject = "TCX";
    match asked {
        Ok(()) => good(subject, "the kernel has TCX links".to_owned()),
        Err(error) => limited(
            subject,
            match error.raw_os_error() {
                Some(libc::EINVAL) => "the kernel has no TCX links (Linux 6.6)".to_owned(),
                _ => format!("the kernel does not tell whether it has TCX links: {error}"),
            },
            "none needed: weir uses clsact filters, which outlive a weir that is killed until the \
             next one starts",
        ),
    }
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
        "no /sys/kernel/btf/vmlinux; the guard and the flows need none, `weir why` cannot tell the kernel's drops",
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
        mount_remedy(bpffs),
    )
}

fn pins(bpffs: &Path) -> Finding {
    match all_pins(bpffs) {
        Ok((here, others, gone)) => pins_found(&here, others, gone),
        Err(error) => limited("pins", error.to_string(), String::new()),
    }
}

/// Pins of this network namespace, the number of all others, and the namespaces among those that are
/// gone.
fn all_pins(bpffs: &Path) -> Result<(Leftovers, usize, usize), KernelError> {
    let here = leftovers_here(bpffs)?;
    let others = leftovers(bpffs)?.pins.len().saturating_sub(here.pins.len());
    Ok((here, others, gone_namespaces(bpffs)?))
}

fn pins_found(here: &Leftovers, others: usize, gone: usize) -> Finding {
    let count = here.pins.len();
    let mut found = match (count, here.held) {
        (0, _) => "none".to_owned(),
        (_, true) => format!("{count}, held by a running weir"),
        (_, false) => format!(
            "{count} left by an earlier weir, its guard in force on {} interfaces",
            here.guarded_interfaces().len()
        ),
    };
    if others > 0 {
        let _ = write!(found, "; {others} of other network namespaces");
    }
    if gone > 0 {
        let _ = write!(found, ", {gone} of which are gone");
    }
    let remedy = match (gone, count, here.held) {
        (1.., ..) => "the next `weir run` removes those of namespaces that are gone",
        (0, 1.., false) => "the next `weir run` takes them over; `weir detach` removes them",
        _ => "",
    };
    let severity = if gone > 0 { Severity::Limited } else { Severity::Good };
    Finding { subject: "pins", severity, found, remedy: remedy.to_owned() }
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
    use crate::object::{TC_GUARD, XDP_GUARD};

    #[test]
    fn the_offset_of_a_time_namespace_is_read_to_the_nanosecond() {
        let offsets = "monotonic           0         0\nboottime      -86400 500000000\n";
        assert_eq!(boot_offset_s(offsets), Some(-86_399.5));
        assert_eq!(boot_offset_s(""), None);
    }

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

    fn rejected(program: &'static str) -> KernelError {
        let source = io::Error::from_raw_os_error(libc::EINVAL);
        let (said, remedy) = ("back-edge".to_owned(), remedy());
        KernelError::Rejected { program, source, said, remedy }
    }

    #[test]
    fn a_refused_xdp_program_costs_xdp_and_a_refused_flow_program_the_node() {
        let worst = |refused: &'static str| {
            let found = programs(Some(Ok(PROGRAMS.map(|program| Verified {
                program,
                instructions: match program {
                    _ if program == refused => Err(rejected(program)),
                    _ => Ok(Some(1_000)),
                },
            }))));
            assert!(found.iter().all(|one| one.found.contains(refused)), "{found:?}");
            found.iter().map(|one| one.severity).max()
        };
        assert_eq!(worst(XDP_GUARD), Some(Severity::Limited));
        assert_eq!(worst(TC_GUARD), Some(Severity::Limited));
        assert_eq!(worst("tc_ingress_l3"), Some(Severity::Limited));
        assert_eq!(worst("trace_dropped"), Some(Severity::Limited));
        assert_eq!(worst("tc_ingress"), Some(Severity::Missing));
        assert_eq!(worst(""), Some(Severity::Good));
        let untried: Vec<_> = programs(None).iter().map(|one| one.severity).collect();
        assert_eq!(untried, [Severity::Limited]);
    }

    #[test]
    fn a_kernel_without_tcx_is_told_with_what_stands_in() {
        for (code, expected) in [(libc::EINVAL, "has no TCX"), (libc::EPERM, "does not tell")] {
            let found = tcx(Err(io::Error::from_raw_os_error(code)));
            assert_eq!(found.severity, Severity::Limited);
            assert!(found.found.contains(expected), "{found:?}");
            assert!(found.remedy.contains("clsact"), "{found:?}");
        }
    }

    #[test]
    fn pins_of_other_namespaces_are_not_offered_to_this_one() {
        let here = |count, held| Leftovers { pins: vec!["BLOCK_V4".into(); count], held };
        for (left, others, gone, found, remedy) in [
            (here(0, false), 0, 0, "none", ""),
            (here(0, false), 9, 0, "none; 9 of other network namespaces", ""),
            (here(9, true), 0, 0, "9, held by a running weir", ""),
            (here(9, false), 9, 0, "in force on 0 interfaces; 9 of other", "`weir detach` removes"),
            (here(0, false), 9, 1, "9 of other network namespaces, 1 of which are gone", "removes"),
        ] {
            let told = pins_found(&left, others, gone);
            assert!(told.found.contains(found) && told.remedy.contains(remedy), "{told:?}");
            assert_eq!(
                (told.severity == Severity::Good, told.remedy.is_empty()),
                (gone == 0, remedy.is_empty())
            );
        }
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
