//! The commands of `docs/quick-start.md` that need no root are run as they stand there.

use std::{fs, os::unix::fs::symlink, path::Path, process::Command};

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

/// The blocks of commands below a heading.
fn commands<'a>(page: &'a str, heading: &str) -> Vec<&'a str> {
    let (_, below) = page.split_once(&format!("\n## {heading}\n")).expect(heading);
    let section = below.split("\n## ").next().expect("a first part");
    let blocks = section.split("```").skip(1).step_by(2);
    blocks.filter_map(|block| block.strip_prefix("sh\n")).collect()
}

#[test]
fn captures_become_a_model_and_settings_are_tried_by_the_documented_commands() {
    let page = fs::read_to_string(Path::new(ROOT).join("docs/quick-start.md")).expect("a page");
    let mut script = String::from("set -eu\n");
    for heading in ["You have captures", "You ask what a setting would do"] {
        script.extend(commands(&page, heading));
    }
    let folder = tempfile::tempdir().expect("a folder");
    symlink(Path::new(ROOT).join("training-data"), folder.path().join("training-data")).unwrap();
    let programs = Path::new(env!("CARGO_BIN_EXE_weir")).parent().expect("a folder");
    let path = std::env::var("PATH").unwrap_or_default();
    let ran = Command::new("sh")
        .args(["-c", &script])
        .current_dir(folder.path())
        .env("PATH", format!("{}:{path}", programs.display()))
        .output()
        .expect("a shell");
    let said = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success(), "{said}\n{script}");
    for page in ["report.html", "settings.html"] {
        let text = fs::read_to_string(folder.path().join(page)).expect(page);
        assert!(text.contains("</html>"), "{page}");
    }
}
