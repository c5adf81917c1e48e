//! State on the screen, and the keys that change it.

use std::path::Path;

use control::wire::{Alert, Block, Prefix, Status};
use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::widgets::TableState;

use super::{
    history::History,
    poller::{News, Request, Snapshot},
};

/// A list that a person moves in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pane {
    Blocks,
    Alerts,
}

/// Overlay over the panes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Overlay {
    Help,
    /// Everything about the selected row.
    Details,
    /// Question: end this block?
    Unblock(Prefix),
    /// Question: confirm the enforcement?
    Confirm,
}

/// Step that a key leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Stay,
    Quit,
    Ask(Request),
}

/// State on the screen.
#[derive(Debug)]
pub(super) struct App {
    pub(super) socket: String,
    pub(super) status: Option<Status>,
    /// Those that dropped the most first.
    pub(super) blocks: Vec<Block>,
    /// The newest first.
    pub(super) alerts: Vec<Alert>,
    /// Why the node does not answer.
    pub(super) gone: Option<String>,
    pub(super) traffic: History,
    pub(super) decided: History,
    pub(super) pane: Pane,
    pub(super) block_rows: TableState,
    pub(super) alert_rows: TableState,
    pub(super) overlay: Option<Overlay>,
    pub(super) paused: bool,
    pub(super) note: Option<String>,
    last_window: Option<u64>,
}

impl App {
    /// Nothing is known yet of the node on this socket.
    pub(super) fn new(socket: &Path) -> Self {
        Self {
            socket: socket.display().to_string(),
            status: None,
            blocks: Vec::new(),
            alerts: Vec::new(),
            gone: None,
            traffic: History::default(),
            decided: History::default(),
            pane: Pane::Blocks,
            block_rows: TableState::default(),
            alert_rows: TableState::default(),
            overlay: None,
            paused: false,
            note: None,
            last_window: None,
        }
    }

    /// Takes what the poller tells.
    pub(super) fn take(&mut self, news: News) {
        match news {
            News::Snapshot(snapshot) if !self.paused => self.take_snapshot(*snapshot),
            News::Snapshot(_) => self.gone = None,
            News::Gone(why) => self.gone = Some(why),
            News::Answer(told) => self.note = Some(told),
        }
    }

    /// Shows the node as it is at this moment; the selected rows stay selected.
    pub(super) fn take_snapshot(&mut self, snapshot: Snapshot) {
        self.gone = None;
        let target = self.selected_block().map(|block| block.target);
        let alert = self.selected_alert().map(Alert::id);
        if let Some(window) = &snapshot.status.window
            && self.last_window != Some(window.number)
        {
            self.last_window = Some(window.number);
            self.traffic.push(window.packets_per_second);
            self.decided.push(window.decided_after_ms);
        }
        self.status = Some(snapshot.status);
        self.blocks = snapshot.blocks;
        let hits = |block: &Block| block.dropped_packets.max(block.would_drop_packets);
        self.blocks.sort_by(|a, b| hits(b).cmp(&hits(a)).then(a.target.cmp(&b.target)));
        self.alerts = snapshot.alerts;
        let row = target.and_then(|target| self.blocks.iter().position(|one| one.target == target));
        self.block_rows.select(row);
        let row = alert.and_then(|alert| self.alerts.iter().position(|one| one.id() == alert));
        self.alert_rows.select(row);
    }

    /// Says something in the last line.
    pub(super) fn note(&mut self, note: &str) {
        self.note = Some(note.to_owned());
    }

    pub(super) fn selected_block(&self) -> Option<&Block> {
        self.block_rows.selected().and_then(|row| self.blocks.get(row))
    }

    pub(super) fn selected_alert(&self) -> Option<&Alert> {
        self.alert_rows.selected().and_then(|row| self.alerts.get(row))
    }

    /// Takes a key.
    pub(super) fn key(&mut self, key: KeyEvent) -> Step {
        self.note = None;
        if key.modifiers.contains(KeyModifiers::CONTROL) && key.code == KeyCode::Char('c') {
            return Step::Quit;
        }
        if let Some(overlay) = self.overlay.take() {
            return match (overlay, key.code) {
                (Overlay::Unblock(target), KeyCode::Char('y')) => {
                    Step::Ask(Request::Unblock(target))
                }
                (Overlay::Confirm, KeyCode::Char('y')) => Step::Ask(Request::Confirm),
                // Any other key only closes it.
                _ => Step::Stay,
            };
        }
        match key.code {
            KeyCode::Char('q') | KeyCode::Esc => return Step::Quit,
            KeyCode::Tab | KeyCode::BackTab | KeyCode::Left | KeyCode::Right => self.other_pane(),
            KeyCode::Down | KeyCode::Char('j') => self.go(1),
            KeyCode::Up | KeyCode::Char('k') => self.go(-1),
            KeyCode::PageDown => self.go(10),
            KeyCode::PageUp => self.go(-10),
            KeyCode::Enter => self.details(),
            KeyCode::Char('u') => self.ask_to_unblock(),
            KeyCode::Char('c') => self.ask_to_confirm(),
            KeyCode::Char('p') => self.paused = !self.paused,
            KeyCode::Char('?' | 'h') => self.overlay = Some(Overlay::Help),
            _ => {}
        }
        Step::Stay
    }

    fn other_pane(&mut self) {
        self.pane = match self.pane {
            Pane::Blocks => Pane::Alerts,
            Pane::Alerts => Pane::Blocks,
        };
    }

    /// Moves the selection by so many rows, and into the list where there is none.
    fn go(&mut self, by: isize) {
        let (state, rows) = match self.pane {
            Pane::Blocks => (&mut self.block_rows, self.blocks.len()),
            Pane::Alerts => (&mut self.alert_rows, self.alerts.len()),
        };
        let Some(last) = rows.checked_sub(1) else { return };
        let row = state.selected().map_or(0, |row| row.saturating_add_signed(by).min(last));
        state.select(Some(row));
    }

    fn details(&mut self) {
        let selected = match self.pane {
            Pane::Blocks => self.selected_block().is_some(),
            Pane::Alerts => self.selected_alert().is_some(),
        };
        if selected {
            self.overlay = Some(Overlay::Details);
        } else {
            self.note("select a row with the arrow keys first");
        }
    }

    /// A block can be ended from either list.
    fn ask_to_unblock(&mut self) {
        let target = match self.pane {
            Pane::Blocks => self.selected_block().map(|block| block.target),
            Pane::Alerts => self
                .selected_alert()
                .and_then(Alert::decision)
                .map(|decision| Prefix::of_host(decision.peer())),
        };
        match target {
            Some(target) if self.gone.is_none() => self.overlay = Some(Overlay::Unblock(target)),
            Some(_) => self.note("the node does not answer"),
            None => self.note("select a row of a peer with the arrow keys first"),
        }
    }

    fn ask_to_confirm(&mut self) {
        let waits = self.status.as_ref().is_some_and(|status| status.confirm.is_some());
        match (waits, &self.gone) {
            (true, None) => self.overlay = Some(Overlay::Confirm),
            (true, Some(_)) => self.note("the node does not answer"),
            (false, _) => self.note("there is nothing to confirm"),
        }
    }
}
