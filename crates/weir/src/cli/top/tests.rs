//! Screens and keys of `weir top`, with a fake node and without a terminal.

use control::{
    Node as _, Who,
    fake::FakeNode,
    wire::{AlertQuery, BlockQuery},
};
use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::{Terminal, backend::TestBackend};

use super::{
    app::{App, Overlay, Pane, Step},
    poller::{News, Request, Snapshot},
    text, view,
};

fn seen(node: &FakeNode) -> Snapshot {
    Snapshot {
        status: node.status().unwrap(),
        blocks: node.blocks(&BlockQuery::default()).unwrap().items,
        alerts: node.alerts(&AlertQuery::default()).unwrap().items,
    }
}

fn app(node: &FakeNode) -> App {
    let mut app = App::new("/run/weir/weir.sock".as_ref());
    for _ in 0..24 {
        node.tick();
        app.take(News::Snapshot(Box::new(seen(node))));
    }
    app
}

fn drawn(app: &mut App, width: u16, height: u16) -> String {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| view::draw(frame, app)).unwrap();
    text(terminal.backend())
}

fn press(app: &mut App, code: KeyCode) -> Step {
    app.key(KeyEvent::new(code, KeyModifiers::NONE))
}

#[test]
fn a_busy_node_fits_into_80_by_24() {
    insta::assert_snapshot!(drawn(&mut app(&FakeNode::busy()), 80, 24));
}

#[test]
fn a_wide_terminal_shows_the_reasons_whole() {
    let text = drawn(&mut app(&FakeNode::busy()), 140, 40);
    assert!(text.contains("distinct_local_ports 812 (benign 0 to 4 ports); unanswered"), "{text}");
    assert!(text.contains("ada: seen in the mail log"), "{text}");
}

#[test]
fn every_size_is_drawn_and_one_too_small_says_so() {
    let mut app = app(&FakeNode::busy());
    for overlay in [None, Some(Overlay::Help), Some(Overlay::Confirm)] {
        app.overlay = overlay;
        for (width, height) in [(1, 1), (60, 16), (61, 17), (79, 23), (300, 100)] {
            drawn(&mut app, width, height);
        }
    }
    assert!(drawn(&mut app, 50, 10).contains("needs 60 by 16"));
}

#[test]
fn before_the_node_has_answered_it_says_whom_it_asks() {
    let mut app = App::new("/run/weir/weir.sock".as_ref());
    assert!(drawn(&mut app, 80, 24).contains("asking /run/weir/weir.sock"));
}

#[test]
fn a_node_that_goes_away_is_told_of_and_the_last_picture_stays() {
    let node = FakeNode::busy();
    let mut app = app(&node);
    app.take(News::Gone("no weir runs here".into()));
    let text = drawn(&mut app, 80, 24);
    assert!(text.contains("reconnecting: no weir runs here") && text.contains("192.0.2.7"));
    press(&mut app, KeyCode::Down);
    press(&mut app, KeyCode::Char('u'));
    assert_eq!(app.overlay, None, "nobody could be asked");
    app.take(News::Snapshot(Box::new(seen(&node))));
    assert!(!drawn(&mut app, 80, 24).contains("reconnecting"));
}

#[test]
fn an_unblock_is_asked_about_before_it_is_done() {
    let node = FakeNode::busy();
    let mut app = app(&node);
    press(&mut app, KeyCode::Char('u'));
    assert_eq!(app.overlay, None, "nothing is selected");
    press(&mut app, KeyCode::Down);
    let target = app.blocks[0].target;
    for (answer, expect) in [
        (KeyCode::Char('n'), Step::Stay),
        (KeyCode::Char('y'), Step::Ask(Request::Unblock(target))),
    ] {
        press(&mut app, KeyCode::Char('u'));
        assert!(drawn(&mut app, 80, 24).contains("End the block of 192.0.2.7?"));
        assert_eq!(press(&mut app, answer), expect);
        assert_eq!(app.overlay, None);
    }
}

#[test]
fn a_selected_row_stays_selected_when_others_come_and_go() {
    let node = FakeNode::busy();
    let mut app = app(&node);
    press(&mut app, KeyCode::Tab);
    assert_eq!(app.pane, Pane::Alerts);
    press(&mut app, KeyCode::Down);
    press(&mut app, KeyCode::Down);
    let id = app.selected_alert().unwrap().id();
    node.alert("192.0.2.99", events::ActionTaken::Blocked);
    app.take(News::Snapshot(Box::new(seen(&node))));
    assert_eq!(app.selected_alert().unwrap().id(), id);
    press(&mut app, KeyCode::Enter);
    let text = drawn(&mut app, 80, 24);
    assert!(text.contains("rate-limited") && text.contains("tail score 21.4"), "{text}");
}

#[test]
fn only_what_waits_to_be_confirmed_is() {
    let node = FakeNode::busy();
    let mut app = app(&node);
    press(&mut app, KeyCode::Char('c'));
    assert_eq!(press(&mut app, KeyCode::Char('y')), Step::Ask(Request::Confirm));
    let who = Who::Local { uid: 0, gid: 0, pid: None, user: None };
    node.confirm(&who).unwrap();
    app.take(News::Snapshot(Box::new(seen(&node))));
    press(&mut app, KeyCode::Char('c'));
    assert_eq!(app.overlay, None);
    assert!(drawn(&mut app, 80, 24).contains("nothing to confirm"));
}

#[test]
fn a_paused_picture_stays_as_it_is() {
    let node = FakeNode::busy();
    let mut app = app(&node);
    press(&mut app, KeyCode::Char('p'));
    let before = app.status.clone();
    node.tick();
    app.take(News::Snapshot(Box::new(seen(&node))));
    assert_eq!(app.status, before);
    assert!(drawn(&mut app, 80, 24).contains("PAUSED"));
    press(&mut app, KeyCode::Char('p'));
    app.take(News::Snapshot(Box::new(seen(&node))));
    assert_ne!(app.status, before);
}

#[test]
fn the_keys_end_it() {
    let mut app = app(&FakeNode::busy());
    assert_eq!(press(&mut app, KeyCode::Char('q')), Step::Quit);
    assert_eq!(app.key(KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL)), Step::Quit);
    press(&mut app, KeyCode::Char('?'));
    assert!(drawn(&mut app, 80, 24).contains("to the other list"));
    assert_eq!(press(&mut app, KeyCode::Esc), Step::Stay, "it closes the help first");
    assert_eq!(press(&mut app, KeyCode::Esc), Step::Quit);
}

#[test]
fn an_open_breaker_is_shown_with_the_way_out() {
    let node = FakeNode::busy();
    node.trip("61 blocks in a minute");
    let text = drawn(&mut app(&node), 160, 40);
    assert!(text.contains("OPEN, blocks only shadow: 61 blocks in a minute"), "{text}");
    assert!(text.contains("`weir rearm`"), "{text}");
}
