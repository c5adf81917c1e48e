//! The commands of weir's repository: `cargo xtask setup | demo | test | oracle | bench |
//! kernels | notebooks | training-data | build-cost | package | dist | lint | docs`.
//!
//! Here: finding out what a machine lacks and installing it, the one way to build and
//! run the demo, the tests and the benches, and the tests' summary. What is never here: a
//! dependency from outside (this crate is compiled before anything else can be said to the
//! user), a prompt, or a step that only CI takes.
//!
//! Order of calls: [`args::parse`] reads the command, [`setup::prepare`] makes the machine ready
//! for it, [`demo`], [`mod@bench`] or the steps of [`check`] run it, and [`report`] sums up.

#![forbid(unsafe_code)]

mod args;
mod bench;
mod build_cost;
mod check;
mod counts;
mod demo;
mod dist;
mod failure;
mod invoke;
mod junit;
mod kernels;
mod oracle;
mod package;
mod privilege;
mod python;
mod report;
mod setup;
mod skips;
mod training_data;
mod version;
mod workspace;

use std::process::ExitCode;

use args::Command;
use failure::Failure;
use setup::Purpose;
use workspace::Workspace;

/// The command could not be understood; nothing was done.
const EXIT_USAGE: u8 = 2;

fn main() -> ExitCode {
    let command = match args::parse(std::env::args().skip(1)) {
        Ok(command) => command,
        Err(mistake) => {
            eprintln!("error: {mistake}\n\n{}", args::HELP);
            return ExitCode::from(EXIT_USAGE);
        }
    };
    match run(command) {
        Ok(code) => code,
        Err(failure) => {
            eprintln!("error: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<ExitCode, Failure> {
    let Some(purpose) = purpose(&command) else {
        println!("{}", args::HELP);
        return Ok(ExitCode::SUCCESS);
    };
    let workspace = Workspace::locate()?;
    setup::prepare(&workspace, purpose)?;
    match command {
        Command::Help | Command::Setup => {}
        Command::Demo { passed_on } => return demo::run(&workspace, &passed_on),
        Command::Test { quick } => {
            let oracle = oracle::last(&workspace);
            return Ok(report::run_and_sum_up(check::all(&workspace, quick), Some(&oracle)));
        }
        Command::Oracle => return oracle::run(&workspace),
        Command::Kernels { names, write } => return kernels::run(&workspace, &names, write),
        Command::Bench { passed_on } => return bench::run(&workspace, &passed_on),
        Command::TrainingData { names } => training_data::run(&workspace, &names)?,
        Command::BuildCost { names } => build_cost::run(&workspace, &names)?,
        Command::Notebooks { write } => {
            return Ok(report::run_and_sum_up(vec![check::notebooks(&workspace, write)], None));
        }
        Command::Package => package::run(&workspace)?,
        Command::Dist(options) => dist::run(&workspace, &options)?,
        Command::Lint => return Ok(report::run_and_sum_up(check::lints(&workspace), None)),
        Command::Docs => return Ok(report::run_and_sum_up(check::docs(&workspace), None)),
    }
    Ok(ExitCode::SUCCESS)
}

/// The reason to prepare the machine; none where only the help is asked for.
fn purpose(command: &Command) -> Option<Purpose> {
    Some(match command {
        Command::Help => return None,
        Command::Setup => Purpose::Everything,
        Command::Test { quick: false } | Command::Oracle => Purpose::Test,
        Command::Test { quick: true } | Command::Lint | Command::Docs => Purpose::Lint,
        Command::Bench { .. } => Purpose::Bench,
        Command::Notebooks { .. } => Purpose::Notebooks,
        Command::Dist(options) if options.wants("image") || options.wants("wheel") => Purpose::Dist,
        Command::Demo { .. }
        | Command::Kernels { .. }
        | Command::TrainingData { .. }
        | Command::BuildCost { .. }
        | Command::Dist(_)
        | Command::Package => Purpose::Demo,
    })
}
