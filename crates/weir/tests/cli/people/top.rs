//! `weir top` as a process; what it draws has its own tests.

use super::{
    support::{Bench, assert_one_line},
    terminal::{Terminal, end_of},
};

#[test]
fn one_frame_is_printed_without_a_terminal() {
    let bench = Bench::new();
    let text = bench.told(&["top", "--once"]);
    assert_eq!(text.lines().count(), 24, "{text}");
    for word in ["ENFORCE", "192.0.2.7", "blocks 4 of 1,000", "too_few_windows 118", "q quit"] {
        assert!(text.contains(word), "`{word}` is not in:\n{text}");
    }
    assert!(!text.contains('\u{1b}'), "{text:?}");
}

#[test]
fn without_a_terminal_it_says_what_works() {
    let bench = Bench::new();
    assert_one_line(&bench.output(&["top"]), &["terminal", "weir top --once"]);
    assert_eq!(bench.output(&["top", "--every", "1ms"]).status.code(), Some(2));
}

/// Leaves the screen that `weir top` draws on for the one that was there before.
const BACK: &str = "\u{1b}[?1049l";

/// Ends a running `weir top`.
type End = fn(&mut Terminal, &std::process::Child);

#[test]
fn the_terminal_is_as_it_was_after_a_key_and_after_a_signal() {
    let bench = Bench::new();
    let by_key: End = |terminal, _| terminal.press("q");
    let by_signal: End = |_, child| {
        let pid = nix::unistd::Pid::from_raw(i32::try_from(child.id()).unwrap());
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
    };
    for end in [by_key, by_signal] {
        let mut terminal = Terminal::open();
        let before = terminal.modes();
        let child = terminal.run(bench.weir(&["top"]));
        terminal.wait_for("192.0.2.7");
        assert_ne!(terminal.modes(), before, "keys come one by one while it runs");
        end(&mut terminal, &child);
        terminal.wait_for(BACK);
        assert_eq!(end_of(child), Some(0));
        assert_eq!(terminal.modes(), before);
    }
}

#[test]
fn a_selected_block_is_ended_by_keys() {
    let bench = Bench::new();
    let mut terminal = Terminal::open();
    let child = terminal.run(bench.weir(&["top", "--every", "200ms"]));
    terminal.wait_for("192.0.2.7");
    // The arrow key as a terminal sends it.
    terminal.press("\u{1b}[B");
    terminal.press("u");
    terminal.wait_for("End");
    terminal.press("y");
    terminal.wait_for("longer");
    assert_eq!(bench.acts(), ["unblock 192.0.2.7"]);
    terminal.press("q");
    assert_eq!(end_of(child), Some(0));
}
