//! What the documents name is there: each test of the specification, each file, each section of the
//! benches.

#![forbid(unsafe_code)]

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// Documents that name files and tests, beside the book's pages.
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
    for document in documents() {
        let text = read(&document);
        let sources = code(&text).filter(|word| word.contains('/') && is_source(word));
        for path in sources {
            assert!(root().join(path).is_file(), "{}: {path}", document.display());
        }
        for target in targets(&text) {
            let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
            let folder = document.parent().expect("a folder");
            let there = if path.is_empty() { document.clone() } else { folder.join(path) };
            assert!(there.exists(), "{}: {target}", document.display());
            let is_there = anchor.is_empty() || anchors(&read(there)).any(|one| one == anchor);
            assert!(is_there, "{}: {target}: no such heading", document.display());
        }
    }
}

#[test]
fn the_book_holds_every_page_and_leads_out_of_itself_nowhere() {
    let book = root().join("docs");
    let summary = read("docs/SUMMARY.md");
    let listed: BTreeSet<PathBuf> = targets(&summary).map(|target| book.join(target)).collect();
    let pages: BTreeSet<PathBuf> = pages(&book).into_iter().collect();
    assert_eq!(listed, pages);
    for page in pages {
        for target in targets(&read(&page)) {
            let up = target.matches("../").count();
            let depth = page.strip_prefix(&book).expect("a page").components().count() - 1;
            assert!(up <= depth, "{}: {target}", page.display());
        }
    }
}

/// The documents, those of the book among them.
fn documents() -> Vec<PathBuf> {
    let named = DOCUMENTS.iter().map(|name| root().join(name));
    pages(&root().join("docs")).into_iter().chain(named).collect()
}

/// The pages below a folder; the book's list of them is none.
fn pages(folder: &Path) -> Vec<PathBuf> {
    let entries =
        fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    let (folders, files): (Vec<_>, Vec<_>) = entries.partition(|path| path.is_dir());
    let is_page = |path: &PathBuf| {
        path.extension().is_some_and(|kind| kind == "md") && !path.ends_with("SUMMARY.md")
    };
    let below = folders.iter().flat_map(|folder| pages(folder));
    files.into_iter().filter(is_page).chain(below).collect()
}

/// Targets of links within the repository.
fn targets(text: &str) -> impl Iterator<Item = &str> {
    let outside_blocks = text.split("```").step_by(2);
    let targets = outside_blocks
        .flat_map(|text| text.split("](").skip(1))
        .filter_map(|rest| Some(rest.split_once(')')?.0));
    targets.filter(|target| !target.contains("://"))
}

/// What headings are linked by: in small letters, a dash for a space, without punctuation.
fn anchors(text: &str) -> impl Iterator<Item = String> {
    let headings = text.lines().filter(|line| line.starts_with('#'));
    headings.map(|line| {
        let kept = |one: char| one.is_alphanumeric() || matches!(one, ' ' | '-' | '_');
        let words = line.trim_start_matches('#').trim();
        words.to_lowercase().chars().filter(|one| kept(*one)).collect::<String>().replace(' ', "-")
    })
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
