//! `weir top --drops`: what the kernel drops here, by its reasons; it needs no node.

use std::{
    io::IsTerminal as _,
    time::{Duration, Instant},
};

use ::why::Drops;
use collector::signals::Signals;

use crate::cli::emit;

/// Clears the terminal and goes to its first line (ECMA-48).
const ANEW: &str = "\x1b[2J\x1b[H";

/// Prints a table each time, until it is told to end; one where that is asked for.
pub(super) fn show(every: Duration, once: bool) -> anyhow::Result<()> {
    let signals = Signals::listen()?;
    let mut drops = Drops::start()?;
    let mut since = Instant::now();
    while signals.wait(Some(every), || false).is_none() {
        let seconds = since.elapsed().as_secs_f64();
        since = Instant::now();
        let table = drops.table(seconds)?;
        let anew = if once || !std::io::stdout().is_terminal() { "" } else { ANEW };
        emit(&format!("{anew}{table}"))?;
        if once {
            break;
        }
    }
    Ok(())
}
