//! First steps: the file to begin with, and what comes next on the way from nothing to enforcement.
//!
//! No I/O: what stands on the machine is told to it, and what to do is what it tells.

use std::path::{Path, PathBuf};

use control::wire::Status;

use crate::config::{FirstConfig, Mode};

/// The file that the packaged service reads.
pub const FILE: &str = "/etc/weir/weir.toml";

/// What is to become of the configuration file.
#[derive(Clone, Debug, PartialEq)]
pub enum Plan {
    /// It is written.
    Write(FirstConfig),
    /// It stays, for it says all of that.
    Done,
    /// It stays, for somebody changed it: what it would have said.
    Yours(FirstConfig),
}

impl Plan {
    /// The plan for a file as it is; none where there is none yet. `interfaces` are those to watch, if
    /// the file is not to stay with its own; `model` is the one that was learnt.
    #[must_use]
    pub fn of(file: Option<&str>, interfaces: Vec<String>, model: Option<PathBuf>) -> Self {
        let wanted = FirstConfig { interfaces, model, mode: Mode::Observe };
        let Some(text) = file else { return Self::Write(wanted) };
        let Some(mut found) = FirstConfig::of(text) else { return Self::Yours(wanted) };
        let before = found.clone();
        if !wanted.interfaces.is_empty() {
            found.interfaces = wanted.interfaces;
        }
        found.model = found.model.or(wanted.model);
        if found == before { Self::Done } else { Self::Write(found) }
    }
}

/// The next step for a person; `file` is the configuration, `model` where a model of it belongs, and
/// `restart` the command that has the node read the file anew.
#[must_use]
pub fn next_step(status: Option<&Status>, file: &Path, model: &Path, restart: &str) -> String {
    let (file, model) = (file.display(), model.display());
    let Some(status) = status else {
        return format!("start it: `{restart}`");
    };
    if status.model.is_none() {
        return format!(
            "it counts flows; let it learn what is ordinary here, in a time without attacks: `weir learn \
             --config {file} --for 30m --out {model}`, then `weir setup` again"
        );
    }
    let claim = status.claim.as_ref();
    if let Some(claim) = claim.filter(|claim| !claim.supported) {
        return format!(
            "it tells what is unusual (`weir alerts --follow`) and would block nobody yet: {}",
            claim.advice
        );
    }
    match status.mode {
        Mode::Observe => format!(
            "what it finds can be acted on at the configured error rate; have the kernel count what it \
             would drop, for a day: `mode = \"shadow\"` in {file}, `{restart}`, then `weir blocks`"
        ),
        Mode::Shadow => format!(
            "look whom it would have blocked: `weir blocks`; where you agree: `weir enforce \
             --confirm-within 5m`, `weir confirm`, and `mode = \"enforce\"` in {file} for the next start"
        ),
        Mode::Enforce => {
            "none: it enforces; `weir top` watches it, `weir panic` takes everything off at once"
                .to_owned()
        }
    }
}

#[cfg(test)]
mod tests {
    use control::{Node as _, fake::FakeNode, wire::LiveClaim};

    use super::*;

    fn eth0() -> Vec<String> {
        vec!["eth0".to_owned()]
    }

    #[test]
    fn a_file_is_written_once_and_only_one_that_nobody_changed_is_written_anew() {
        let model = || Some(PathBuf::from("/m.weir"));
        let Plan::Write(first) = Plan::of(None, eth0(), None) else { panic!("it is not there") };
        let text = first.to_toml();
        assert_eq!(Plan::of(Some(&text), Vec::new(), None), Plan::Done);
        assert_eq!(Plan::of(Some(&text), eth0(), None), Plan::Done);
        let learnt = FirstConfig { model: model(), ..first.clone() };
        assert_eq!(Plan::of(Some(&text), Vec::new(), model()), Plan::Write(learnt.clone()));
        assert_eq!(Plan::of(Some(&learnt.to_toml()), Vec::new(), model()), Plan::Done);
        let edited = text.replace("# metrics_open = true", "metrics_open = true");
        assert!(edited != text);
        let yours = Plan::of(Some(&edited), eth0(), model());
        assert_eq!(yours, Plan::Yours(FirstConfig { model: model(), ..first }));
    }

    #[test]
    fn each_stage_knows_the_next() {
        let mut status = FakeNode::busy().status().expect("a status");
        let mut steps = Vec::new();
        let told = |status: Option<&Status>| {
            next_step(status, Path::new("/f"), Path::new("/m"), "systemctl restart weir")
        };
        steps.push((told(None), "systemctl restart weir"));
        let model = status.model.take();
        steps.push((told(Some(&status)), "weir learn --config /f --for 30m --out /m"));
        status.model = model;
        let claim = LiveClaim {
            peers_per_window: 10.0,
            trained_at: None,
            needed: 900,
            held_out: 100,
            supported: false,
            advice: "learn for longer".to_owned(),
        };
        status.claim = Some(claim.clone());
        steps.push((told(Some(&status)), "would block nobody yet: learn for longer"));
        status.claim = Some(LiveClaim { supported: true, ..claim });
        for (mode, word) in [
            (Mode::Observe, "mode = \"shadow\""),
            (Mode::Shadow, "weir enforce --confirm-within 5m"),
            (Mode::Enforce, "weir panic"),
        ] {
            status.mode = mode;
            steps.push((told(Some(&status)), word));
        }
        for (step, word) in steps {
            assert!(step.contains(word), "`{word}` is not in: {step}");
        }
    }
}
