//! What the program tells of its own command line, and where it stands.

use std::{fs, process::Command};

const DOCUMENTED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/cli/weir.md");

#[test]
fn the_documented_command_line_is_that_of_the_code() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut weir = Command::new(env!("CARGO_BIN_EXE_weir"));
    assert!(weir.arg("reference").arg(folder.path()).status().expect("it starts").success());
    let told = fs::read_to_string(folder.path().join("weir.md")).expect("a page");
    let documented = fs::read_to_string(DOCUMENTED).expect("a page");
    assert!(
        documented == told,
        "docs/cli/weir.md is of another command line: put `target/reference/weir.md` there, which \
         `cargo run --package weir reference target/reference` writes"
    );
    for command in ["weir-run", "weir-model-inspect", "weir-lab-up"] {
        assert!(folder.path().join(format!("man/{command}.1")).exists(), "{command}");
    }
}
