//! Tokens as the command makes them.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

use control::token::{Scope, Tokens};

use super::support::weir;

#[test]
fn what_is_printed_for_the_file_makes_the_token_known() {
    let folder = tempfile::tempdir().unwrap();
    let words = ["token", "new", "pager", "--scope", "read,write"];
    let output = weir(Path::new("/nowhere"), &words).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success());
    let token = text.lines().find(|line| line.starts_with("weir_")).expect("a token");
    // The whole output may be saved by mistake or on purpose: it is not TOML, its entry is.
    let entry = &text[text.find("[[token]]").expect("an entry")..];
    let path = folder.path().join("tokens.toml");
    fs::write(&path, entry).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    let tokens = Tokens::read(&path).unwrap();
    let found = tokens.find(token).expect("it is known");
    assert_eq!(found.name, "pager");
    assert!(found.scopes.contains(&Scope::Read) && found.scopes.contains(&Scope::Write));
}

#[test]
fn a_name_behind_the_scope_is_a_name() {
    let words = ["token", "new", "--scope", "read", "prom"];
    let output = weir(Path::new("/nowhere"), &words).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("name = \"prom\"") && text.contains("[\"read\"]"), "{text}");
}

#[test]
fn a_token_without_scope_or_with_a_bad_name_is_a_wrong_command_line() {
    for words in [&["token", "new", "pager"][..], &["token", "new", "a b", "--scope", "read"]] {
        let output = weir(Path::new("/nowhere"), words).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{words:?}");
    }
}
