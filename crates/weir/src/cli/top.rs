//! `weir top`: the running node, live in a terminal.
//!
//! A thread polls the node ([`poller`]), this one draws and takes keys; state and keys are in
//! [`app`], layout is in [`view`].

mod app;
mod drops;
mod history;
mod poller;
mod view;

use std::{io::IsTerminal as _, process::ExitCode, time::Duration};

use anyhow::Context as _;
use clap::Args;
use crossterm::event::{self, Event, KeyEventKind};
use ratatui::{DefaultTerminal, Terminal, backend::TestBackend};

use super::{Layers, emit, node::NodeArgs};
use app::{App, Step};
use collector::signals::Signals;
use poller::{Poller, snapshot};

/// Wait for a key between two looks for news.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Longest time that the node may take to answer.
const PATIENCE: Duration = Duration::from_secs(3);
/// The frame of `--once` where there is no terminal.
const FRAME: (u16, u16) = (80, 24);

#[derive(Debug, Args)]
pub(super) struct TopArgs {
    /// Print one frame as text and end; it needs no terminal.
    #[arg(long)]
    once: bool,
    /// Interval at which the node is polled, 200ms to 60s.
    #[arg(long, value_name = "DURATION", default_value = "1s", value_parser = interval)]
    every: Duration,
    /// What the kernel drops in this network namespace, by its reasons; it needs no node.
    #[arg(long)]
    drops: bool,
    #[command(flatten)]
    node: NodeArgs,
}

impl TopArgs {
    pub(super) fn run(&self, layers: &Layers) -> anyhow::Result<ExitCode> {
        if self.drops {
            drops::show(self.every, self.once)?;
            return Ok(ExitCode::SUCCESS);
        }
        let client = self.node.client(layers)?.patience(PATIENCE);
        let mut app = App::new(client.socket());
        if self.once {
            app.take_snapshot(snapshot(&client)?);
            emit(&frame(&mut app)?)?;
            return Ok(ExitCode::SUCCESS);
        }
        anyhow::ensure!(
            std::io::stdin().is_terminal() && std::io::stdout().is_terminal(),
            "`weir top` needs a terminal; `weir top --once` prints one frame without"
        );
        let signals = Signals::listen()?;
        let poller = Poller::start(client, self.every)?;
        // From here on a panic restores the terminal too: ratatui hooks in.
        let mut terminal = ratatui::try_init().context("the terminal cannot be taken over")?;
        let watched = watch(&mut terminal, &mut app, &poller, &signals);
        ratatui::try_restore().context("the terminal cannot be restored; `reset` does")?;
        poller.stop();
        watched?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Draws and takes keys until it is told to end.
fn watch(
    terminal: &mut DefaultTerminal,
    app: &mut App,
    poller: &Poller,
    signals: &Signals,
) -> anyhow::Result<()> {
    loop {
        terminal.draw(|frame| view::draw(frame, app)).context("the terminal")?;
        if signals.wait(Some(Duration::ZERO), || false).is_some() {
            return Ok(());
        }
        if event::poll(LOOK_EVERY).context("the terminal")? {
            // A resize is drawn like anything else.
            if let Event::Key(key) = event::read().context("the terminal")?
                && key.kind != KeyEventKind::Release
            {
                match app.key(key) {
                    Step::Stay => {}
                    Step::Quit => return Ok(()),
                    Step::Ask(request) => app.note(poller.ask(request)),
                }
            }
        }
        poller.news().for_each(|news| app.take(news));
    }
}

/// The screen as text.
fn frame(app: &mut App) -> anyhow::Result<String> {
    let (width, height) = if std::io::stdout().is_terminal() {
        crossterm::terminal::size().unwrap_or(FRAME)
    } else {
        FRAME
    };
    let mut terminal = Terminal::new(TestBackend::new(width, height))?;
    terminal.draw(|frame| view::draw(frame, app))?;
    Ok(text(terminal.backend()))
}

/// Content of a backend, without the blanks at the lines' ends.
fn text(backend: &TestBackend) -> String {
    let buffer = backend.buffer();
    let mut text = String::new();
    for line in buffer.content().chunks(usize::from(buffer.area.width).max(1)) {
        let line: String = line.iter().map(ratatui::buffer::Cell::symbol).collect();
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

fn interval(text: &str) -> Result<Duration, String> {
    let every = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    let bounds = Duration::from_millis(200)..=Duration::from_mins(1);
    if bounds.contains(&every) {
        Ok(every)
    } else {
        Err(format!("between 200ms and 60s, got {text}"))
    }
}

#[cfg(test)]
mod tests;
