//! `cargo xtask kernels`: weir on the kernels that Debian offers, and on this machine's.
//!
//! Each is booted under qemu, without KVM, and shows whether the programs load, what
//! the verifier followed, whether the conformance tests, the guard at every hook and a restart pass,
//! and whether the demo's loop closes. On a CPU of the first x86-64 the commands must write what they
//! write here, to the bit.

mod image;
mod machine;
mod outcome;
mod packages;

use std::fmt::Write as _;
use std::process::ExitCode;

use crate::failure::Failure;
use crate::invoke;
use crate::workspace::Workspace;
use machine::Payload;
use outcome::Outcome;
use packages::KERNELS;

/// This machine's kernel, among the names.
const HERE: &str = "host";
/// The oldest CPU that the compiler's default target allows, among the names.
const BASELINE: &str = "baseline";
/// Kernel that the baseline CPU runs, for it boots soonest.
const BASELINE_KERNEL: usize = 1;

/// The checks on every kernel, as `check.sh` knows them, and the steps that these are.
const CHECKS: &str = "load counts hooks restart trace links loop";
/// The check that takes a guest of its own.
const SHARING: &str = "sharing";
const STEPS: [&str; 8] =
    ["doctor", "conformance", "hooks", "restart", "trace", "links", "sharing", "loop"];
/// The steps of the check `commands`.
const COMMANDS: [&str; 9] =
    ["version", "inspect", "learn", "config", "replay", "tables", "score", "explain", "train"];

const PAGE: &str = "docs/kernels.md";

/// Every name that may be given.
pub(crate) fn names() -> Vec<&'static str> {
    KERNELS.iter().map(|kernel| kernel.name).chain([HERE, BASELINE]).collect()
}

/// Runs the checks on the kernels named, all where none is, and prints the matrix; `write` keeps it
/// in the documentation.
pub(crate) fn run(
    workspace: &Workspace,
    names: &[String],
    write: bool,
) -> Result<ExitCode, Failure> {
    let is_asked = |name: &str| names.is_empty() || names.iter().any(|one| one == name);
    let cache = packages::cache()?;
    let payload = Payload::build(workspace)?;
    let base = payload.image(workspace, &cache)?;
    let (mut rows, mut all_pass) = (String::new(), true);
    for kernel in KERNELS.iter().filter(|kernel| is_asked(kernel.name)) {
        println!("kernels: {} ({})", kernel.name, kernel.about);
        let outcome = packages::fetch(workspace, &cache, kernel).and_then(|bootable| {
            let boot =
                |name: &str, checks| payload.boot(workspace, &base, &bootable, name, "max", checks);
            let outcome = boot(kernel.name, CHECKS)?;
            Ok(outcome.and(boot(&format!("{}-{SHARING}", kernel.name), SHARING)?))
        });
        all_pass &= tell(&mut rows, kernel.about, outcome);
    }
    if is_asked(HERE) {
        println!("kernels: this machine's");
        let outcome = payload.here(workspace, HERE, &format!("{CHECKS} {SHARING}"));
        all_pass &= tell(&mut rows, "the host's, no guest", outcome);
    }
    let mut page = format!("{HEAD}{rows}");
    if is_asked(BASELINE) {
        println!("kernels: a CPU of the first x86-64");
        let bootable = packages::fetch(workspace, &cache, &KERNELS[BASELINE_KERNEL])?;
        let there = payload.boot(workspace, &base, &bootable, BASELINE, "qemu64", "commands")?;
        let here = payload.here(workspace, "baseline-host", "commands")?;
        let (told, passes) = compared(&there, &here);
        all_pass &= passes;
        let _ = write!(page, "\n{told}\n");
    }
    print!("\n{page}");
    println!("kernels: the consoles are in {}", payload.folder().display());
    if write {
        keep(workspace, &page)?;
    }
    Ok(if all_pass { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

const HEAD: &str = "\
| kernel | loads | instructions verified: ingress / egress / TC guard / XDP guard | load, s | hooks of the loop | counts, guard, restart | kinds of interfaces | XDP beside xdp-filter | loop | fell back |
|---|---|---|---|---|---|---|---|---|---|
";

/// Adds a row, and below it why the kernel does not pass; true where it does.
fn tell(rows: &mut String, about: &str, outcome: Result<Outcome, Failure>) -> bool {
    let outcome = match outcome {
        Ok(outcome) => outcome,
        Err(failure) => {
            println!("kernels: {about}: {failure}");
            let _ =
                writeln!(rows, "| {about} | not run: {} |||||||||", one_line(&failure.to_string()));
            return false;
        }
    };
    let release = outcome.release.as_deref().unwrap_or("?");
    let _ = writeln!(rows, "| {release}, {about} | {} |", outcome.cells().join(" | "));
    let faults = outcome.faults(&STEPS);
    for fault in &faults {
        println!("kernels: {about}: {fault}");
        let _ = writeln!(rows, "| ↳ | {} |||||||||", one_line(fault));
    }
    faults.is_empty()
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|")
}

/// Whether every command ran on both CPUs and wrote the same.
fn compared(there: &Outcome, here: &Outcome) -> (String, bool) {
    let mut faults = there.faults(&COMMANDS);
    faults.extend(
        here.faults(&COMMANDS).into_iter().map(|fault| format!("on this machine: {fault}")),
    );
    for (name, sum) in &here.digests {
        if there.digests.get(name) != Some(sum) {
            faults.push(format!("`{name}` writes something else than on this machine"));
        }
    }
    if here.digests.is_empty() {
        faults.push("nothing was compared".to_owned());
    }
    let release = there.release.as_deref().unwrap_or("?");
    let written = here.digests.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
    let told = if faults.is_empty() {
        format!(
            "On a CPU of the first x86-64 (qemu64, no AVX; {release}) every command ran ({}), and \
             what they write is that of this machine to the bit: {written}.",
            COMMANDS.join(", ")
        )
    } else {
        format!("On a CPU of the first x86-64 (qemu64; {release}): {}.", faults.join("; "))
    };
    (told, faults.is_empty())
}

/// Puts the matrix between the marks of the page.
fn keep(workspace: &Workspace, matrix: &str) -> Result<(), Failure> {
    const MARKS: [&str; 2] = ["<!-- matrix -->\n", "<!-- end of the matrix -->\n"];
    let path = workspace.root().join(PAGE);
    let bad_page = || {
        Failure::new(
            format!("{PAGE} has no place for the matrix"),
            format!("restore it: `git checkout -- {PAGE}`"),
        )
    };
    let page = std::fs::read_to_string(&path).map_err(|_| bad_page())?;
    let (before, rest) = page.split_once(MARKS[0]).ok_or_else(bad_page)?;
    let (_, after) = rest.split_once(MARKS[1]).ok_or_else(bad_page)?;
    let printed = |program: &str, arguments: &[&str]| {
        let output = invoke::captured(workspace.command(program).args(arguments));
        output.unwrap_or_default().trim().to_owned()
    };
    let when = printed("date", &["-u", "+%F"]);
    let commit = printed("git", &["describe", "--always", "--dirty"]);
    let [begin, end] = MARKS;
    let kept = format!("{before}{begin}Run on {when} at commit {commit}.\n\n{matrix}{end}{after}");
    packages::write(&path, kept.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_digest_or_none_at_all_is_a_fault() {
        let mut steps = String::new();
        for name in COMMANDS {
            let _ = writeln!(steps, "@@ step {name} 0 1");
        }
        let console =
            |digest: &str| Outcome::read(&format!("@@ kernel 6\n{steps}{digest}@@ end\n"));
        let (score, other) = ("@@ digest score a\n", "@@ digest score b\n");
        assert!(compared(&console(score), &console(score)).1);
        let (told, passes) = compared(&console(other), &console(score));
        assert!(!passes && told.contains("`score` writes something else"), "{told}");
        assert!(!compared(&console(""), &console("")).1);
    }

    #[test]
    fn a_kernel_that_cannot_boot_says_why_in_its_row() {
        let mut rows = String::new();
        let dead = Outcome::read("Kernel panic - not syncing: no init\n");
        assert!(!tell(&mut rows, "x", Ok(dead)));
        assert!(rows.contains("did not boot; the last it said: Kernel panic"), "{rows}");
    }
}
