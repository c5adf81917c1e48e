//! `cargo xtask bench`: make ready what weir is compared with, and become `weir-bench`.

use std::path::PathBuf;
use std::process::ExitCode;

use crate::demo::become_program;
use crate::failure::Failure;
use crate::python::Environment;
use crate::workspace::Workspace;

/// Names the Python interpreter that can import scikit-learn and weir's own package; unset where
/// there is none, and what needs it is then shown as skipped.
const VARIABLE: &str = "WEIR_BENCH_PYTHON";

/// Package that replay is compared with. Not among the environment's requirements: its compiled
/// part is not to be had for every machine, and nothing else needs it.
const NFSTREAM: &str = "nfstream==6.6.0";

/// Builds the benches in release and replaces this process by them.
pub(crate) fn run(workspace: &Workspace, passed_on: &[String]) -> Result<ExitCode, Failure> {
    let python = interpreter(workspace);
    let mut command = workspace.cargo();
    command.args(["run", "--release", "--package", "benches", "--bin", "weir-bench", "--"]);
    match python {
        Some(python) => command.env(VARIABLE, python),
        None => command.env_remove(VARIABLE),
    };
    become_program(command.args(passed_on))
}

/// The interpreter of the environment under the target folder, with weir's package built anew.
fn interpreter(workspace: &Workspace) -> Option<PathBuf> {
    let prepared = Environment::ensure(workspace).and_then(|environment| {
        environment.install_weir(workspace, "release").map(|()| environment)
    });
    match prepared {
        Ok(environment) => {
            if !environment.install(workspace, NFSTREAM).unwrap_or(false) {
                println!("skipped: comparison with {NFSTREAM}: it could not be installed");
            }
            Some(environment.interpreter())
        }
        Err(failure) => {
            println!("skipped: comparison with scikit-learn: {failure}");
            None
        }
    }
}
