//! `docs/threat-model.md` promises nothing without a test that there is.

#![forbid(unsafe_code)]

use std::path::Path;

/// The tests that a line names: `path/of/file.rs::name`, in backticks.
fn named(line: &str) -> Vec<(&str, &str)> {
    line.split('`').skip(1).step_by(2).filter_map(|code| code.split_once(".rs::")).collect()
}

/// True where a file's text has a test of this name that a plain run does not leave out.
fn has_test(text: &str, name: &str) -> bool {
    let Some(at) = text.find(&format!("fn {name}(")) else { return false };
    let attributes = text[..at].rsplit("}\n").next().unwrap_or_default();
    attributes.contains("#[test]") && !attributes.contains("#[ignore")
}

#[test]
fn each_promise_names_a_test_that_there_is() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let page = std::fs::read_to_string(root.join("docs/threat-model.md")).expect("the page");
    let mut promises = 0;
    for line in page.lines().filter(|line| line.starts_with("| ") && !line.contains("| shown by")) {
        let tests = named(line);
        assert!(!tests.is_empty(), "a promise without a test: {line}");
        for (file, name) in tests {
            let file = format!("{file}.rs");
            let text = std::fs::read_to_string(root.join(&file))
                .unwrap_or_else(|error| panic!("{file}: {error}"));
            assert!(has_test(&text, name), "{file} has no test `{name}` that is run");
        }
        promises += 1;
    }
    assert!(promises > 30, "only {promises} promises were found");
    let adversaries = page.lines().filter(|line| line.starts_with("## ")).count();
    assert_eq!(adversaries, page.matches("\nNot promised").count(), "what each is not promised");
}

#[test]
fn a_name_that_is_no_test_is_told_from_one() {
    let text = "#[test]\nfn one() {\n}\n\nfn two() {\n}\n\n#[test]\n#[ignore = \"long\"]\nfn three() {\n}\n";
    assert_eq!(
        ["one", "two", "three", "four"].map(|name| has_test(text, name)),
        [true, false, false, false]
    );
}
