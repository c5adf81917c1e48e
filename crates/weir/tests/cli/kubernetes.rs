//! What is shipped for Kubernetes is fit for its API, and for weir.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path, process::Command};

use crate::support::told;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../packaging/kubernetes");

const CAPABILITIES: &str = "
          capabilities:
            add:
            - BPF
            - NET_ADMIN
            - PERFMON
            drop:
            - ALL
          privileged: false
";

/// Answer of `weir config check`, with these variables.
fn check(variables: &[(&str, &str)]) -> String {
    let mut weir = Command::new(env!("CARGO_BIN_EXE_weir"));
    weir.args(["config", "check", "--config"]).arg(Path::new(FOLDER).join("weir.toml"));
    told(&weir.envs(variables.iter().copied()).output().expect("it starts"))
}

#[test]
fn the_pods_configuration_holds_with_and_without_a_monitor() {
    assert!(check(&[]).contains("- it watches eth0, in windows of 1s\n"));
    let folder = tempfile::tempdir().expect("a folder");
    let tokens = folder.path().join("tokens.toml");
    fs::write(&tokens, "").expect("a file");
    fs::set_permissions(&tokens, fs::Permissions::from_mode(0o400)).expect("a mode");
    let tokens = tokens.to_str().expect("a path in UTF-8");
    let listen = fs::read_to_string(Path::new(FOLDER).join("pod-monitor/listen.yaml")).unwrap();
    assert!(listen.contains("value: \"0.0.0.0:9464\"") && listen.contains("WEIR__API__TOKENS"));
    check(&[("WEIR__API__LISTEN", "0.0.0.0:9464"), ("WEIR__API__TOKENS", tokens)]);
}

#[test]
fn the_manifests_are_of_the_api_and_ask_for_three_capabilities() {
    let Some(kubectl) = test_support::program("kubectl") else { return };
    let folder = tempfile::tempdir().expect("a folder");
    // kustomize takes no absolute path.
    let up = "../".repeat(folder.path().components().count() - 1);
    let whole = format!("resources: [{up}{FOLDER}]\ncomponents: [{up}{FOLDER}/pod-monitor]\n");
    fs::write(folder.path().join("kustomization.yaml"), whole).expect("a file");
    let made = folder.path().join("made.yaml");
    for of in [Path::new(FOLDER), folder.path()] {
        let text =
            told(&Command::new(&kubectl).arg("kustomize").arg(of).output().expect("it starts"));
        assert!(text.contains(CAPABILITIES), "{text}");
        assert_eq!(text.matches("capabilities:").count(), 1, "one container");
        // The monitor's definition is its operator's own, not of the API.
        let parts = text.split("---\n").filter(|part| !part.contains("kind: PodMonitor"));
        fs::write(&made, parts.collect::<Vec<_>>().join("---\n")).expect("a file");
        let Some(validate) = test_support::program("kubernetes-validate") else { return };
        told(&Command::new(validate).arg("--strict").arg(&made).output().expect("it starts"));
    }
}
