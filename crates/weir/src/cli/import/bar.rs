//! How far a load is, on a terminal.

use std::{
    io::{IsTerminal as _, stderr},
    time::{Duration, Instant},
};

use indicatif::{HumanCount, ProgressBar, ProgressStyle};

use replay::ReadProgress;

/// How often it is drawn at most.
const DRAW_EVERY: Duration = Duration::from_millis(100);
/// Lines between two looks at the clock.
const LOOK_EVERY: u64 = 1_024;

const OF_A_FILE: &str = "{bar:30} {bytes} of {total_bytes}, {msg}, {eta} left";
const OF_A_PIPE: &str = "{spinner} {bytes}, {msg}";

/// A progress bar on standard error; nothing where that is no terminal.
pub(super) struct Bar {
    drawn: Option<Drawn>,
}

struct Drawn {
    bar: ProgressBar,
    file: ReadProgress,
    last: Instant,
}

impl Bar {
    pub(super) fn start(file: ReadProgress) -> Self {
        if !stderr().is_terminal() {
            return Self { drawn: None };
        }
        let (bar, template) = match file.size() {
            Some(size) => (ProgressBar::new(size), OF_A_FILE),
            None => (ProgressBar::new_spinner(), OF_A_PIPE),
        };
        let style = ProgressStyle::with_template(template).expect("the constants are templates");
        bar.set_style(style);
        Self { drawn: Some(Drawn { bar, file, last: Instant::now() }) }
    }

    /// Says how many lines were taken by now.
    pub(super) fn advance(&mut self, lines: u64) {
        let Some(drawn) = &mut self.drawn else { return };
        if !lines.is_multiple_of(LOOK_EVERY) || drawn.last.elapsed() < DRAW_EVERY {
            return;
        }
        drawn.last = Instant::now();
        drawn.bar.set_message(format!("{} lines", HumanCount(lines)));
        drawn.bar.set_position(drawn.file.read());
    }

    /// Does something that prints, with the bar out of the way.
    pub(super) fn aside(&self, print: impl FnOnce()) {
        match &self.drawn {
            Some(drawn) => drawn.bar.suspend(print),
            None => print(),
        }
    }

    pub(super) fn finish(&self) {
        if let Some(drawn) = &self.drawn {
            drawn.bar.finish_and_clear();
        }
    }
}
