//! The commands of weir's repository: `cargo xtask setup | demo | test | oracle | bench |
//! notebooks | training-data | build-cost | package | lint | docs`.
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
mod failure;
mod invoke;
mod junit;
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
    if let Command::Help = command {
        println!("{}", args::HELP);
        return Ok(ExitCode::SUCCESS);
    }
    let workspace = Workspace::locate()?;
    match command {
        Command::Help => Ok(ExitCode::SUCCESS),
        Command::Setup => {
            setup::prepare(&workspace, Purpose::Everything)?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Demo { passed_on } => {
            setup::prepare(&workspace, Purpose::Demo)?;
            demo::run(&workspace, &passed_on)
        }
        Command::Test { quick } => {
            setup::prepare(&workspace, if quick { Purpose::Lint } else { Purpose::Test })?;
            Ok(report::run_and_sum_up(
                check::all(&workspace, quick),
                Some(&oracle::last(&workspace)),
            ))
        }
        Command::Oracle => {
            setup::prepare(&workspace, Purpose::Test)?;
            oracle::run(&workspace)
        }
        Command::Bench { passed_on } => {
            setup::prepare(&workspace, Purpose::Bench)?;
            bench::run(&workspace, &passed_on)
        }
        Command::TrainingData { names } => {
            setup::prepare(&workspace, Purpose::Demo)?;
            training_data::run(&workspace, &names)?;
            Ok(ExitCode::SUCCESS)
        }
        Command::BuildCost { names } => {
            setup::prepare(&workspace, Purpose::Demo)?;
            build_cost::run(&workspace, &names)?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Notebooks { write } => {
            setup::prepare(&workspace, Purpose::Notebooks)?;
            Ok(report::run_and_sum_up(vec![check::notebooks(&workspace, write)], None))
        }
        Command::Package => {
            setup::prepare(&workspace, Purpose::Demo)?;
            package::run(&workspace)?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Lint => {
            setup::prepare(&workspace, Purpose::Lint)?;
            Ok(report::run_and_sum_up(check::lints(&workspace), None))
        }
        Command::Docs => {
            setup::prepare(&workspace, Purpose::Lint)?;
            Ok(report::run_and_sum_up(check::docs(&workspace), None))
        }
    }
}
