//! Overlays over the panes: help, details, questions.

use collector::alert_text::details as details_of;
use control::wire::Block;
use ratatui::{
    Frame,
    layout::{Constraint, Flex, Layout},
    style::Modifier,
    text::Line,
    widgets::{self, Clear, Paragraph, Wrap},
};
use report::text::{count, number, plain};

use crate::cli::{
    node::lasting,
    top::app::{App, Overlay, Pane},
};

/// The widest overlay.
const WIDTH: u16 = 76;

/// Draws what lies over the panes, if anything does.
pub(super) fn draw(frame: &mut Frame, app: &App) {
    let (title, lines) = match app.overlay {
        None => return,
        Some(Overlay::Help) => (" keys ", help()),
        Some(Overlay::Details) => match details(app) {
            Some(lines) => (" details ", lines),
            // The row has gone meanwhile.
            None => return,
        },
        Some(Overlay::Unblock(target)) => {
            (" unblock ", question(&format!("End the block of {target}?")))
        }
        Some(Overlay::Confirm) => (" confirm ", question("Keep the mode as it is?")),
    };
    let area = frame.area();
    let width = WIDTH.min(area.width.saturating_sub(4));
    let inner = usize::from(width.saturating_sub(2)).max(1);
    let height: usize = lines.iter().map(|line| line.width().div_ceil(inner).max(1)).sum();
    let height = u16::try_from(height + 2).unwrap_or(u16::MAX).min(area.height);
    let [area] = Layout::vertical([Constraint::Length(height)]).flex(Flex::Center).areas(area);
    let [area] = Layout::horizontal([Constraint::Length(width)]).flex(Flex::Center).areas(area);
    frame.render_widget(Clear, area);
    let text = Paragraph::new(lines)
        .wrap(Wrap { trim: false })
        .block(widgets::Block::bordered().title(title).border_style(Modifier::BOLD));
    frame.render_widget(text, area);
}

fn question(text: &str) -> Vec<Line<'static>> {
    vec![Line::from(text.to_owned()), Line::default(), Line::from("y yes   any other key no")]
}

fn help() -> Vec<Line<'static>> {
    [
        "tab, \u{2190} \u{2192}    to the other list",
        "\u{2191} \u{2193}         to another row; page keys go by ten",
        "enter       everything about the selected row",
        "u           end the block of the selected row",
        "c           confirm an enforcement that would fall back",
        "p           pause the picture; the node goes on",
        "q, esc      quit",
        "",
        "A number in (parentheses) counts what shadow would have dropped.",
    ]
    .map(Line::from)
    .to_vec()
}

fn details(app: &App) -> Option<Vec<Line<'static>>> {
    let lines = match app.pane {
        Pane::Blocks => block(app.selected_block()?),
        Pane::Alerts => details_of(app.selected_alert()?),
    };
    Some(lines.into_iter().map(Line::from).collect())
}

fn block(block: &Block) -> Vec<String> {
    let mut lines = vec![
        format!(
            "{} {}, ends in {} ({})",
            block.target,
            block.action.name(),
            lasting(block.left_s),
            block.expires
        ),
        format!(
            "dropped {} packets, {} bytes; passed {}; would drop {}",
            count(block.dropped_packets),
            count(block.dropped_bytes),
            count(block.passed_packets),
            count(block.would_drop_packets)
        ),
        format!(
            "made by {}",
            block.who.as_deref().map_or_else(|| block.origin.name().to_owned(), plain)
        ),
    ];
    let facts = [
        block.made.map(|made| format!("made at {made}")),
        block.reason.as_deref().map(|reason| format!("because: {}", plain(reason))),
        block.p_value.map(|p_value| format!("p-value {}", number(p_value))),
        block.offence.map(|offence| format!("block number {offence} of it")),
        block.decision.map(|decision| format!("decision {decision} in the ledger")),
    ];
    lines.extend(facts.into_iter().flatten());
    lines
}
