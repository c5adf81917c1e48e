//! Progress of a reading, on a terminal.

use std::{
    io::{IsTerminal as _, stderr},
    time::{Duration, Instant},
};

use ::replay::ReadProgress;
use indicatif::{HumanCount, ProgressBar, ProgressStyle};

/// Time between two drawings, at least.
const DRAW_EVERY: Duration = Duration::from_millis(100);

const OF_FILES: &str = "{bar:30} {bytes} of {total_bytes}, {msg}, {eta} left";
const OF_A_PIPE: &str = "{spinner} {bytes}, {msg}";

/// A progress bar on standard error; nothing where that is no terminal.
pub(super) struct Bar {
    drawn: Option<Drawn>,
}

struct Drawn {
    bar: ProgressBar,
    files: Vec<ReadProgress>,
    began: Instant,
    last: Instant,
}

impl Bar {
    pub(super) fn start(files: Vec<ReadProgress>) -> Self {
        if !stderr().is_terminal() {
            return Self { drawn: None };
        }
        let size = files.iter().map(ReadProgress::size).sum::<Option<u64>>();
        let (bar, template) = match size {
            Some(size) => (ProgressBar::new(size), OF_FILES),
            None => (ProgressBar::new_spinner(), OF_A_PIPE),
        };
        let style = ProgressStyle::with_template(template).expect("the constants are templates");
        bar.set_style(style);
        let now = Instant::now();
        Self { drawn: Some(Drawn { bar, files, began: now, last: now }) }
    }

    /// No bar.
    pub(super) const fn none() -> Self {
        Self { drawn: None }
    }

    /// Draws what was read by now, if it is time to; `message` gets the seconds since the start.
    pub(super) fn advance(&mut self, message: impl FnOnce(f64) -> String) {
        let Some(drawn) = &mut self.drawn else { return };
        if drawn.last.elapsed() < DRAW_EVERY {
            return;
        }
        drawn.last = Instant::now();
        drawn.bar.set_message(message(drawn.began.elapsed().as_secs_f64()));
        drawn.bar.set_position(drawn.files.iter().map(ReadProgress::read).sum());
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

/// A count per second as a person reads it, to a whole number.
pub(super) fn rounded(per_second: f64) -> HumanCount {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "`as` holds a float to the range of the integer, and a rate is no negative number"
    )]
    HumanCount(per_second.round() as u64)
}
