//! Circles of files, and the size of crates: whoever opens a file should not have to read a whole
//! crate to understand it.
//!
//! A file leads to another when it names an item of it; a module and the parts that it declares are
//! read together, so that only the parts lead to the module. Two or three files may lead to each
//! other; a larger circle is one file in pieces.

mod reader;
mod tree;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use tree::{Edges, Tree};

/// Files that may lead to each other.
const FILES_LIMIT: usize = 3;

/// Lines of a crate's `src`, unit tests included.
const LINES_LIMIT: usize = 12_200;

#[test]
fn no_more_than_three_files_lead_to_each_other() {
    let mut found = String::new();
    for package in packages() {
        for name in ["lib.rs", "main.rs"] {
            let root = package.join("src").join(name);
            if root.exists() {
                let edges = Tree::read(&root, &|path| std::fs::read_to_string(path).ok()).edges();
                for circle in tree::circles(&edges) {
                    if circle.len() > FILES_LIMIT {
                        describe(&circle, &edges, &mut found);
                    }
                }
            }
        }
    }
    assert!(found.is_empty(), "circles of more than {FILES_LIMIT} files:\n{found}");
}

#[test]
fn no_crate_outgrows_its_reader() {
    let mut seen = 0;
    for package in packages() {
        let mut lines = 0;
        for_each_file(&package.join("src"), &mut |text| lines += text.lines().count());
        let name = package.strip_prefix(super::root()).unwrap_or(&package).display();
        assert!(lines <= LINES_LIMIT, "{name}/src has {lines} lines, more than {LINES_LIMIT}");
        seen += lines;
    }
    assert!(seen > LINES_LIMIT, "only {seen} lines were found in all crates");
}

fn describe(circle: &BTreeSet<PathBuf>, edges: &Edges, found: &mut String) {
    let short =
        |path: &Path| path.strip_prefix(super::root()).unwrap_or(path).display().to_string();
    writeln!(found, "{} files:", circle.len()).expect("a string takes all");
    for file in circle {
        for (target, name) in edges[file].iter().filter(|(target, _)| circle.contains(*target)) {
            writeln!(found, "  {} -> {} by {name}", short(file), short(target))
                .expect("a string takes all");
        }
    }
}

/// The folders with a package in them: at the root, and one folder below it.
fn packages() -> Vec<PathBuf> {
    let mut packages = Vec::new();
    for folder in folders(super::root()) {
        for candidate in [vec![folder.clone()], folders(&folder)].concat() {
            if candidate.join("Cargo.toml").exists() && candidate.join("src").exists() {
                packages.push(candidate);
            }
        }
    }
    assert!(packages.len() > 10, "{packages:?}");
    packages
}

fn folders(below: &Path) -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> = std::fs::read_dir(below)
        .expect("a folder")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.is_dir() && !is_left_out(path))
        .collect();
    folders.sort();
    folders
}

fn is_left_out(path: &Path) -> bool {
    path.file_name()
        .and_then(|name| name.to_str())
        .is_none_or(|name| name == "target" || name.starts_with('.'))
}

fn for_each_file(folder: &Path, each: &mut impl FnMut(String)) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            for_each_file(&path, each);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            each(std::fs::read_to_string(&path).expect("a text"));
        }
    }
}

/// Reads a crate of these files, the first of which is its root; lists its edges.
fn edges_of(files: &[(&str, &str)]) -> Vec<String> {
    let text = |path: &Path| {
        files.iter().find(|(name, _)| Path::new(name) == path).map(|(_, text)| (*text).to_owned())
    };
    let edges = Tree::read(Path::new(files[0].0), &text).edges();
    let mut lines = Vec::new();
    for (from, targets) in edges {
        lines.extend(targets.keys().map(|to| format!("{}->{}", from.display(), to.display())));
    }
    lines.sort();
    lines
}

/// A name, the files of a crate with their texts, and the edges between them.
type Case = (&'static str, &'static [(&'static str, &'static str)], &'static [&'static str]);

const CASES: [Case; 11] = [
        (
            "a module that is only declared",
            &[("lib.rs", "mod a;"), ("a.rs", "pub struct A;")],
            &[],
        ),
        (
            "use-trees, in one file and in folders",
            &[
                ("lib.rs", "mod a; mod b; pub const ROOT: u8 = 0;"),
                ("a.rs", "use crate::{ROOT, b::{self, deep::{Deep as D, More}}};"),
                ("b/mod.rs", "pub mod deep;"),
                ("b/deep.rs", "use super::super::a; pub struct Deep; pub enum More {}"),
            ],
            &["a.rs->b/deep.rs", "a.rs->b/mod.rs", "a.rs->lib.rs", "b/deep.rs->a.rs"],
        ),
        (
            "what is handed on leads to where it is from",
            &[
                ("lib.rs", "mod a; mod b; pub use b::B;"),
                ("a.rs", "use crate::B;"),
                ("b.rs", "pub struct B;"),
            ],
            &["a.rs->b.rs"],
        ),
        (
            "a part leads to its module, and a module to the parts of another",
            &[
                ("lib.rs", "mod a; mod c; const ROOT: u8 = c::d::DEEP;"),
                ("a.rs", "mod b; fn f() { b::g(crate::c::d::DEEP) }"),
                ("a/b.rs", "use super::f; pub fn g(_: u8) { crate::ROOT; }"),
                ("c.rs", "pub mod d; use d::DEEP;"),
                ("c/d.rs", "pub const DEEP: u8 = 0;"),
            ],
            &["a.rs->c/d.rs", "a/b.rs->a.rs", "a/b.rs->lib.rs", "lib.rs->c/d.rs"],
        ),
        (
            "paths in the middle of code",
            &[
                ("lib.rs", "mod a; mod b;"),
                ("a.rs", "fn f<'a>(x: &'a u8) -> u8 { let c = '\\''; super::b::g::<u8>(x) }"),
                ("b.rs", "pub fn g() {} impl crate::a::T for u8 {}"),
            ],
            &["a.rs->b.rs", "b.rs->a.rs"],
        ),
        (
            "a glob, and an item that came by it",
            &[
                ("lib.rs", "mod a; mod b; mod c;"),
                ("a.rs", "use super::b::*; fn f() { Kind::One; }"),
                ("b.rs", "pub use super::c::Kind;"),
                ("c.rs", "pub enum Kind { One }"),
            ],
            &["a.rs->b.rs", "a.rs->c.rs", "b.rs->c.rs"],
        ),
        (
            "tests are left out, with all they name",
            &[
                ("lib.rs", "mod a; mod b;"),
                (
                    "a.rs",
                    "#[cfg(test)] #[expect(x)] use crate::b::B; #[cfg(test)] mod tests { use crate::b; }
                     #[cfg(all(test, unix))] fn f() -> [u8; 1] { crate::b::B; } fn g() {}",
                ),
                ("b.rs", "pub struct B; #[cfg(test)] mod tests; #[cfg(feature = \"x\")] use crate::a::g;"),
            ],
            &["b.rs->a.rs"],
        ),
        (
            "text and remarks name nothing",
            &[
                ("lib.rs", "mod a; mod b;"),
                ("a.rs", "/* crate::b /* :: */ crate::b::B */ const A: &str = r#\"crate::b::\" B\"#; // crate::b::B"),
                ("b.rs", "/// [`crate::a::A`]\nconst B: &[u8] = b\"\\\" crate::a::A\";"),
            ],
            &[],
        ),
        (
            "a module within a file is of that file",
            &[
                ("lib.rs", "mod a; mod b { pub mod c; pub struct B; }"),
                ("a.rs", "use crate::b::B; use crate::b::c::C;"),
                ("b/c.rs", "pub struct C; use super::B;"),
            ],
            &["a.rs->b/c.rs", "a.rs->lib.rs", "b/c.rs->lib.rs"],
        ),
        (
            "what is outside leads nowhere",
            &[("lib.rs", "use std::fmt; mod a; use ::a::X; pub use other::now;"), ("a.rs", "use super::now; fn f() { ::crate_b::g(); fmt::Write; }")],
            &[],
        ),
        (
            "what a macro made is of the module it is asked of",
            &[
                ("lib.rs", "#[macro_use] mod a; mod b;"),
                ("a.rs", "macro_rules! made { () => {} } made! { enum Feature {} }"),
                ("b.rs", "use crate::a::Feature;"),
            ],
            &["b.rs->a.rs"],
        ),
    ];

#[test]
fn a_path_leads_to_the_file_that_defines_its_item() {
    for (what, files, expected) in CASES {
        assert_eq!(edges_of(files), expected, "{what}");
    }
}

#[test]
fn files_that_lead_to_each_other_are_one_circle() {
    let files = [
        ("lib.rs", "mod a; mod b; mod c; mod d; pub use a::A;"),
        ("a.rs", "use crate::b::B; pub struct A;"),
        ("b.rs", "use crate::c::C; pub struct B;"),
        ("c.rs", "use crate::{A, d::D}; pub struct C;"),
        ("d.rs", "pub struct D;"),
    ];
    let text = |path: &Path| {
        files.iter().find(|(name, _)| Path::new(name) == path).map(|(_, text)| (*text).to_owned())
    };
    let edges = Tree::read(Path::new("lib.rs"), &text).edges();
    let circle = BTreeSet::from(["a.rs", "b.rs", "c.rs"].map(PathBuf::from));
    assert_eq!(tree::circles(&edges), [circle]);
}
