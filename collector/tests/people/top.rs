//! `weir top` as a process; what it draws has its own tests.

use crate::support::{Bench, assert_one_line};

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
