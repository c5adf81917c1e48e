//! `cargo xtask build-cost`: what each form of the program costs to build, from nothing.

use std::time::Instant;

use crate::demo::Build;
use crate::failure::Failure;
use crate::invoke;
use crate::workspace::Workspace;

/// The forms that can be asked for.
pub(crate) const FORMS: [(&str, Build); 3] =
    [("node", Build::Node), ("demo", Build::Demo), ("everything", Build::Everything)];

/// Builds each form into an empty target folder of its own, and prints CPU time (user and
/// system, of cargo and all that it starts), time and the program's size.
pub(crate) fn run(workspace: &Workspace, names: &[String]) -> Result<(), Failure> {
    let mut rows = Vec::new();
    for (name, build) in FORMS {
        if !(names.is_empty() || names.iter().any(|wanted| wanted == name)) {
            continue;
        }
        let target = workspace.target().join("xtask/build-cost");
        // It need not be there.
        let _ = std::fs::remove_dir_all(&target);
        let (before, start) = (children_seconds(), Instant::now());
        let mut command = build.command(workspace);
        invoke::or_fail(
            command.env("CARGO_TARGET_DIR", &target).env("CARGO_INCREMENTAL", "0"),
            "weir could not be built",
            "read the compiler's first error above; `cargo xtask setup` checks the tools",
        )?;
        let (cpu, took) = (children_seconds() - before, start.elapsed().as_secs_f64());
        let program = build.program(&target);
        let bytes = program.metadata().map_or(0, |metadata| metadata.len());
        rows.push(format!(
            "{name:<10} {:7.1} {:7.1} {:6.1}",
            cpu / 60.0,
            took / 60.0,
            bytes as f64 / 1e6
        ));
        let _ = std::fs::remove_dir_all(&target);
    }
    println!("\n{:<10} {:>7} {:>7} {:>6}\n{}", "build", "CPU min", "min", "MB", rows.join("\n"));
    Ok(())
}

/// User and system seconds of all children that have ended; see proc(5), `cutime` and `cstime`,
/// which count hundredths for every program.
fn children_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The second field is a name, which may hold anything but ends in the last parenthesis.
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    let hundredths: f64 =
        fields.skip(13).take(2).filter_map(|field| field.parse::<f64>().ok()).sum();
    hundredths / 100.0
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn what_a_child_computes_is_counted() {
        let before = children_seconds();
        let mut child = Command::new("sh");
        child.args(["-c", "i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done"]);
        assert!(child.status().expect("sh runs").success());
        assert!(children_seconds() > before);
    }
}
