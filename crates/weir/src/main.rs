//! The `weir` command.

mod cli;

use std::process::ExitCode;

use clap::Parser;
use report::text::one_line;

use cli::{Arguments, FAILED};
use nix::sys::signal::{SigHandler, Signal, signal};

fn main() -> ExitCode {
    #[cfg(feature = "reference")]
    if let Some(ended) = reference::answer(&<Arguments as clap::CommandFactory>::command()) {
        return ended;
    }
    let arguments = Arguments::parse();
    if !arguments.outlives_its_reader() {
        end_with_the_reader();
    }
    match arguments.run() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("weir: {}", one_line(error.chain()));
            ExitCode::from(FAILED)
        }
    }
}

/// Ends the process quietly when what it prints is read no longer, as in `weir … | head`: Rust
/// starts every program with SIGPIPE ignored, and printing then panics.
fn end_with_the_reader() {
    // SAFETY: the default action is no handler, so no code of ours runs in a signal; no other
    // thread runs yet.
    let set = unsafe { signal(Signal::SIGPIPE, SigHandler::SigDfl) };
    // It fails for signals that do not exist only, and then nothing is worse than before.
    let _ = set;
}
