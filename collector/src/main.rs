//! The `weir` command.

use std::process::ExitCode;

use clap::Parser;
use collector::cli::{Arguments, FAILED, one_line};

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match arguments.run() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("weir: {}", one_line(&error));
            ExitCode::from(FAILED)
        }
    }
}
