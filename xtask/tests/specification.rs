//! What the documents name is there: each test of the specification, each file, each section of the
//! benches.

#![forbid(unsafe_code)]

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Documents that name files and tests; those in `docs/` beside them.
const DOCUMENTS: [&str; 6] = [
    "SPECIFICATION.md",
    "README.md",
    "ARCHITECTURE.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "benches/README.md",
];
/// Tests that the specification names, at least: fewer are a mistake in reading it.
const LEAST: usize = 40;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace").to_owned()
}

fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn is_source(path: &str) -> bool {
    Path::new(path).extension().is_some_and(|extension| extension == "rs")
}

/// Text and target of each link whose text is code.
fn links(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.split("[`").skip(1).filter_map(|rest| {
        let (name, rest) = rest.split_once("`](")?;
        Some((name, rest.split_once(')')?.0))
    })
}

/// Words in backticks.
fn code(text: &str) -> impl Iterator<Item = &str> {
    let outside_blocks = text.split("```").step_by(2);
    outside_blocks.flat_map(|text| text.split('`').skip(1).step_by(2))
}

#[test]
fn every_test_that_the_specification_names_is_there() {
    let specification = read("SPECIFICATION.md");
    let mut named = 0;
    for (name, path) in links(&specification).filter(|(_, path)| is_source(path)) {
        let source = read(path);
        // A property takes what is made for it.
        let before = source.split(&format!("fn {name}(")).next().expect("a first part");
        assert!(before.len() < source.len(), "{path} has no `{name}`");
        let attributes = before.rsplit("\n\n").next().expect("a last part");
        assert!(attributes.contains("#[test]"), "`{name}` in {path} is no test");
        assert!(!attributes.contains("#[ignore"), "`{name}` in {path} is not run");
        named += 1;
    }
    assert!(named >= LEAST, "{named} tests");
}

#[test]
fn every_file_that_a_document_names_is_there() {
    let folder = fs::read_dir(root().join("docs")).expect("the documents");
    let docs = folder.map(|entry| entry.expect("an entry").path());
    let documents: Vec<PathBuf> =
        docs.chain(DOCUMENTS.iter().map(|name| root().join(name))).collect();
    for document in documents {
        let text = read(&document);
        let sources = code(&text).filter(|word| word.contains('/') && is_source(word));
        for path in sources {
            assert!(root().join(path).is_file(), "{}: {path}", document.display());
        }
        let targets = text.split("](").skip(1).filter_map(|rest| Some(rest.split_once(')')?.0));
        let files = targets.filter(|target| !target.contains("://") && !target.starts_with('#'));
        for target in files {
            let path = target.split('#').next().expect("a first part");
            let there = document.parent().expect("a folder").join(path);
            assert!(there.exists(), "{}: {target}", document.display());
        }
    }
}

#[test]
fn every_section_of_the_benches_that_the_specification_names_is_there() {
    let specification = read("SPECIFICATION.md");
    let sections = specification.split("--only ").skip(1);
    let names = sections.flat_map(|rest| {
        let cell = rest.split('|').next().unwrap_or_default();
        cell.split(['`', ',', ' ']).filter(|word| !word.is_empty() && !word.starts_with('['))
    });
    let mut found = 0;
    for name in names.take_while(|name| name.chars().all(|letter| letter.is_ascii_lowercase())) {
        let section = root().join("benches/src/section").join(name);
        assert!(section.is_dir() || section.with_extension("rs").is_file(), "no section {name}");
        found += 1;
    }
    assert!(found > 0);
}
