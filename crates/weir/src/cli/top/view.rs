//! Layout of the screen: from 60 columns and 16 lines on, designed for 80 by 24.

mod overlay;

use std::fmt::Write as _;

use collector::{alert_text::cells, event_text::describe_service};
use control::wire::{Alert, Block, DriftState, Health, Mode, Status};
use ratatui::{
    Frame,
    layout::{Constraint, Layout, Rect},
    style::{Color, Modifier, Style, Stylize as _},
    text::{Line, Span},
    widgets::{self, Borders, Cell, Paragraph, Row, Sparkline, Table},
};
use report::text::{count, number, plain};

use super::{
    app::{App, Pane},
    history::History,
};
use crate::cli::{
    node::roughly,
    status::{breaker, counts, rate, until},
};

/// The smallest terminal that holds anything useful.
const LEAST: (u16, u16) = (60, 16);
/// Lines of what is the matter with this host's own side.
const MATTERS: usize = 3;
/// The widest target that is shown whole: an IPv6 prefix.
const TARGET_MAX: usize = 43;

/// Draws everything.
pub(super) fn draw(frame: &mut Frame, app: &mut App) {
    let area = frame.area();
    if area.width < LEAST.0 || area.height < LEAST.1 {
        let (width, height) = LEAST;
        let text = format!(
            "weir top needs {width} by {height}, here are {} by {}",
            area.width, area.height
        );
        frame.render_widget(Paragraph::new(text), area);
        return;
    }
    let matters = matters(app);
    let [head, told, charts, blocks, alerts, refused, foot] = Layout::vertical([
        Constraint::Length(3),
        Constraint::Length(u16::try_from(matters.len()).unwrap_or(0)),
        Constraint::Length(if area.height < 22 { 3 } else { 5 }),
        Constraint::Fill(3),
        Constraint::Fill(3),
        Constraint::Length(1),
        Constraint::Length(1),
    ])
    .areas(area);
    frame.render_widget(Paragraph::new(header(app)), head);
    frame.render_widget(Paragraph::new(matters), told);
    draw_charts(frame, app, charts);
    draw_blocks(frame, app, blocks);
    draw_alerts(frame, app, alerts);
    frame.render_widget(Paragraph::new(refusals(app)), refused);
    frame.render_widget(Paragraph::new(footer(app)), foot);
    overlay::draw(frame, app);
}

fn header(app: &App) -> Vec<Line<'static>> {
    let Some(status) = &app.status else {
        let waiting = app.gone.as_ref().map_or_else(
            || Line::from(format!("asking {}...", plain(&app.socket))),
            |why| Line::from(plain(why)).style(alarming()),
        );
        return vec![Line::from("weir".bold()), waiting];
    };
    let mut first = vec![
        Span::from(format!("weir {} ", plain(&status.version))).bold(),
        Span::styled(format!(" {} ", status.mode.name().to_uppercase()), mode_style(status.mode)),
    ];
    if let Some(confirm) = status.confirm {
        let text = format!(
            " {} in {} unless you press c",
            confirm.falls_back_to.name(),
            roughly(confirm.left_s)
        );
        first.push(Span::styled(text, warning()));
    }
    if app.paused {
        first.push(Span::styled("  PAUSED", warning()));
    }
    first.push(Span::from(format!("  up {}", roughly(status.uptime_s))));
    let second = match &app.gone {
        Some(why) => Line::from(format!("reconnecting: {}", plain(why))).style(alarming()),
        // What opened it takes the line, for it is what has to be read.
        None if status.breaker.open => Line::from(breaker_spans(status)),
        None => Line::from([breaker_spans(status), drift_spans(status)].concat()),
    };
    let mut third = if status.breaker.open { drift_spans(status) } else { Vec::new() };
    third.extend(background(status));
    vec![Line::from(first), second, Line::from(third)]
}

fn breaker_spans(status: &Status) -> Vec<Span<'static>> {
    let style = if status.breaker.open { alarming() } else { Style::new() };
    vec![Span::from("breaker "), Span::styled(breaker(status), style), Span::from("  ")]
}

/// The drift watch in few words: the feature that moved the furthest, and how many more did.
fn drift_spans(status: &Status) -> Vec<Span<'static>> {
    let drift = &status.drift;
    let drifting = drift.state == DriftState::Drifting;
    let mut text = drift.state.name().to_owned();
    if let Some(since) = drift.since.filter(|_| drifting) {
        let _ = write!(text, " for {}", until(status.time, since));
    }
    if let Some(moved) = drift.moved.first() {
        let _ = write!(text, ": {}", plain(&moved.feature));
        if drift.moved.len() > 1 {
            let _ = write!(text, " and {} more", drift.moved.len() - 1);
        }
    }
    let style = if drifting { warning() } else { Style::new() };
    vec![Span::from("drift "), Span::styled(text, style), Span::from("  ")]
}

fn background(status: &Status) -> Vec<Span<'static>> {
    let seen = status.window.as_ref().map_or_else(String::new, |window| {
        format!("{} flows, {} peers  ", count(window.flows), count(window.peers))
    });
    let model = status.model.as_ref().map_or_else(
        || "none".to_owned(),
        |model| {
            let name = model.path.rsplit('/').next().unwrap_or(&model.path);
            format!("{} {}", plain(name), plain(&model.hash.chars().take(8).collect::<String>()))
        },
    );
    let failed = matches!(status.ledger.health, Health::Degraded | Health::Failed);
    let ledger = status.ledger.health.name();
    let interfaces: Vec<String> = status
        .interfaces
        .iter()
        .map(|interface| format!("{} {}", plain(&interface.name), plain(&interface.guard)))
        .collect();
    vec![
        Span::from(format!("{seen}model {model}  ledger ")),
        Span::styled(ledger, if failed { alarming() } else { Style::new() }),
        Span::from(format!("  {}", interfaces.join(", "))),
    ]
}

fn draw_charts(frame: &mut Frame, app: &App, area: Rect) {
    let [left, right] = Layout::horizontal([Constraint::Fill(1); 2]).areas(area);
    let window = app.status.as_ref().and_then(|status| status.window.as_ref());
    let traffic = window.map_or_else(String::new, |window| {
        let lossy = if window.lossy { " LOSSY" } else { "" };
        format!("{} packets/s{lossy}", rate(window.packets_per_second))
    });
    let decided = window.map_or_else(String::new, |window| {
        let late = app.status.as_ref().map_or(0, |status| status.late_windows);
        let late = if late > 0 { format!(", {} late", count(late)) } else { String::new() };
        format!(
            "decided after {} ms, window {}{late}",
            number(window.decided_after_ms),
            count(window.number)
        )
    });
    chart(frame, left, &traffic, &app.traffic);
    chart(frame, right, &decided, &app.decided);
}

fn chart(frame: &mut Frame, area: Rect, title: &str, history: &History) {
    let block = widgets::Block::bordered().title(format!(" {title} "));
    let values = history.last(area.width.saturating_sub(2));
    let line = Sparkline::default()
        .block(block)
        .data(values)
        .max(history.highest().max(1))
        .style(Style::new().fg(Color::Cyan));
    frame.render_widget(line, area);
}

fn draw_blocks(frame: &mut Frame, app: &mut App, area: Rect) {
    let totals = app.status.as_ref().map(|status| status.blocks).unwrap_or_default();
    let mut title = format!(
        " blocks {} of {}, {} of {} in the last minute ",
        count(totals.active),
        count(totals.limit),
        count(totals.made_last_minute),
        count(totals.limit_per_minute),
    );
    if totals.active > app.blocks.len() as u64 {
        let _ = write!(title, "(the first {}) ", count(app.blocks.len() as u64));
    }
    let widest = app.blocks.iter().map(|block| block.target.to_string().len()).max().unwrap_or(0);
    let target = u16::try_from(widest.clamp(9, TARGET_MAX)).unwrap_or(9);
    let widths = [
        Constraint::Length(target),
        Constraint::Length(14),
        Constraint::Length(9),
        Constraint::Length(11),
        Constraint::Fill(1),
    ];
    let head = Row::new(["target", "action", "left", "dropped", "by"]).style(Modifier::UNDERLINED);
    let table = Table::new(app.blocks.iter().map(block_row), widths)
        .header(head)
        .block(pane(title, app.pane == Pane::Blocks))
        .row_highlight_style(Modifier::REVERSED);
    frame.render_stateful_widget(table, area, &mut app.block_rows);
}

fn block_row(block: &Block) -> Row<'static> {
    let action = match block.pps {
        Some(pps) => format!("{} {pps}/s", block.action.name()),
        None => block.action.name().to_owned(),
    };
    let dropped = match block.would_drop_packets {
        0 => count(block.dropped_packets),
        would => format!("({})", count(would)),
    };
    let mut by = block.who.as_deref().map_or_else(|| block.origin.name().to_owned(), plain);
    if let Some(p_value) = block.p_value {
        let _ = write!(by, " (p {})", number(p_value));
    }
    if let Some(reason) = &block.reason {
        let _ = write!(by, ": {}", plain(reason));
    }
    Row::new([block.target.to_string(), action, roughly(block.left_s), dropped, by].map(Cell::from))
}

fn draw_alerts(frame: &mut Frame, app: &mut App, area: Rect) {
    let widest = app.alerts.iter().map(|alert| cells(alert)[0].len()).max().unwrap_or(0);
    let peer = u16::try_from(widest.max(9)).unwrap_or(9);
    let widths = [
        Constraint::Length(8),
        Constraint::Length(peer),
        Constraint::Length(12),
        Constraint::Fill(1),
    ];
    let head = Row::new(["time", "subject", "outcome", "why"]).style(Modifier::UNDERLINED);
    let table = Table::new(app.alerts.iter().map(alert_row), widths)
        .header(head)
        .block(pane(" alerts ".to_owned(), app.pane == Pane::Alerts))
        .row_highlight_style(Modifier::REVERSED);
    frame.render_stateful_widget(table, area, &mut app.alert_rows);
}

fn alert_row(alert: &Alert) -> Row<'static> {
    let time = alert.time().strftime("%H:%M:%S").to_string();
    Row::new([time].into_iter().chain(cells(alert)).map(Cell::from))
}

/// What is the matter with this host's own services and addresses, now.
fn matters(app: &App) -> Vec<Line<'static>> {
    let Some(status) = &app.status else { return Vec::new() };
    let matters = status.services.iter().take(MATTERS);
    matters.map(|one| Line::from(describe_service(one, status.time)).style(warning())).collect()
}

fn refusals(app: &App) -> Line<'static> {
    let Some(status) = app.status.as_ref() else { return Line::default() };
    if status.refusals.is_empty() {
        return Line::from("refused: none");
    }
    Line::from(format!("refused: {}", counts(&status.refusals)))
}

fn footer(app: &App) -> Line<'static> {
    match &app.note {
        Some(note) => Line::from(plain(note)).style(warning()),
        None => Line::from(
            "q quit  tab pane  \u{2191}\u{2193} row  enter details  u unblock  c confirm  p pause  ? help",
        )
        .style(Modifier::DIM),
    }
}

fn pane(title: String, current: bool) -> widgets::Block<'static> {
    let block = widgets::Block::new().borders(Borders::ALL).title(title);
    if current { block.border_style(Style::new().fg(Color::Cyan).bold()) } else { block }
}

fn mode_style(mode: Mode) -> Style {
    match mode {
        Mode::Observe => Style::new().reversed(),
        Mode::Shadow => Style::new().reversed().fg(Color::Yellow),
        Mode::Enforce => Style::new().reversed().fg(Color::Green),
    }
}

fn warning() -> Style {
    Style::new().fg(Color::Yellow).bold()
}

fn alarming() -> Style {
    Style::new().fg(Color::Red).bold()
}
