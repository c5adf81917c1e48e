//! `weir why` beside a running node, and without one.

use serde_json::Value;

use crate::support::{Bench, assert_one_line, told};

fn asked(bench: &Bench, what: &[&str]) -> Value {
    let output = bench.output(&[&["why", "--for", "300ms", "--json"], what].concat());
    serde_json::from_str(&told(&output)).expect("JSON")
}

fn texts<'a>(answer: &'a Value, of: &str) -> Vec<&'a str> {
    let texts = answer[of].as_array().map_or(&[][..], Vec::as_slice);
    texts.iter().filter_map(Value::as_str).collect()
}

#[test]
fn a_block_is_told_with_its_story_and_what_is_no_question_is_refused() {
    let Some(bench) = Bench::new() else { return };
    let what = ["203.0.113.9"];
    let alone = asked(&bench, &what);
    assert_eq!(alone["findings"][0]["cause"], "never-arrived");
    assert!(texts(&alone, "standing")[0].starts_with("no node answered"), "{alone}");

    let mut weir = bench.enforcing(&[]);
    told(&bench.output(&["block", "203.0.113.0/24", "--for", "10m", "--reason", "a test"]));
    let answer = asked(&bench, &what);
    let standing = texts(&answer, "standing");
    assert_eq!(standing.len(), 1, "{answer}");
    for part in
        ["203.0.113.0/24 is blocked since", "by root (a test)", "it met no packet meanwhile"]
    {
        assert!(standing[0].contains(part), "{part}: {answer}");
    }
    let text = told(&bench.output(&["why", "--for", "300ms", "udp", "203.0.113.9:53"]));
    assert!(text.starts_with("not weir: never-arrived\n"), "{text}");
    assert_eq!(weir.terminate(), Some(0));

    let refused = bench.output(&["why", "203.0.113.0/24"]);
    assert_one_line(&refused, &["`203.0.113.0/24` is no address", "203.0.113.7:443"]);
}
