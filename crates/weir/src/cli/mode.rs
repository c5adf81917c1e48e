//! `weir mode`, `weir enforce`, `weir confirm`, `weir rearm`, `weir reload`: the running node as a
//! whole.

use std::{fmt::Write as _, process::ExitCode, time::Duration};

use anyhow::ensure;
use clap::Args;
use control::wire::{Mode, ModeRequest, ModeState, Reloaded, Status};
use report::text::{count, plain};

use super::{
    Layers,
    node::{AskArgs, seconds},
    status::{breaker, waits},
};

/// The shortest time in which a person can confirm.
const CONFIRM_MIN: Duration = Duration::from_secs(10);
/// The longest for which an enforcement may wait to be confirmed.
const CONFIRM_MAX: Duration = Duration::from_hours(24);

#[derive(Debug, Args)]
pub(super) struct ModeArgs {
    /// Action allowed on an anomaly from now on.
    #[arg(value_name = "MODE", value_parser = super::modes())]
    mode: Mode,
    #[command(flatten)]
    ask: AskArgs,
}

#[derive(Debug, Args)]
pub(super) struct EnforceArgs {
    /// Fall back to shadow after this long unless `weir confirm` comes before.
    #[arg(long, value_name = "DURATION")]
    confirm_within: Option<humantime::Duration>,
    #[command(flatten)]
    ask: AskArgs,
}

#[derive(Debug, Args)]
pub(super) struct ConfirmArgs {
    #[command(flatten)]
    ask: AskArgs,
}

#[derive(Debug, Args)]
pub(super) struct RearmArgs {
    #[command(flatten)]
    ask: AskArgs,
}

#[derive(Debug, Args)]
pub(super) struct ReloadArgs {
    #[command(flatten)]
    ask: AskArgs,
}

impl ModeArgs {
    pub(super) fn run(&self, layers: &Layers) -> anyhow::Result<ExitCode> {
        go_to(&self.ask, layers, &ModeRequest { mode: self.mode, confirm_within_s: None })
    }
}

impl EnforceArgs {
    pub(super) fn run(&self, layers: &Layers) -> anyhow::Result<ExitCode> {
        let within: Option<Duration> = self.confirm_within.map(Into::into);
        if let Some(within) = within {
            let [least, most, got] =
                [CONFIRM_MIN, CONFIRM_MAX, within].map(humantime::format_duration);
            ensure!(
                (CONFIRM_MIN..=CONFIRM_MAX).contains(&within),
                "--confirm-within must be between {least} and {most}, got {got}"
            );
        }
        let confirm_within_s = within.map(seconds);
        go_to(&self.ask, layers, &ModeRequest { mode: Mode::Enforce, confirm_within_s })
    }
}

impl ConfirmArgs {
    pub(super) fn run(&self, layers: &Layers) -> anyhow::Result<ExitCode> {
        let state = self.ask.client(layers)?.confirm()?;
        self.ask.print(&state, |state| format!("confirmed: the mode stays {}\n", state.mode.name()))
    }
}

impl RearmArgs {
    pub(super) fn run(&self, layers: &Layers) -> anyhow::Result<ExitCode> {
        let status = self.ask.client(layers)?.rearm()?;
        self.ask.print(&status, rearmed)
    }
}

impl ReloadArgs {
    pub(super) fn run(&self, layers: &Layers) -> anyhow::Result<ExitCode> {
        let reloaded = self.ask.client(layers)?.reload()?;
        self.ask.print(&reloaded, reloaded_text)
    }
}

fn go_to(ask: &AskArgs, layers: &Layers, request: &ModeRequest) -> anyhow::Result<ExitCode> {
    ask.print(&ask.client(layers)?.set_mode(request)?, gone_to)
}

fn gone_to(state: &ModeState) -> String {
    let mode = state.mode.name();
    match &state.confirm {
        Some(confirm) => format!("the mode is {mode}; it {}\n", waits(confirm)),
        None => format!("the mode is {mode}\n"),
    }
}

fn rearmed(status: &Status) -> String {
    format!("the breaker is {}; the mode is {}\n", breaker(status), status.mode.name())
}

fn reloaded_text(reloaded: &Reloaded) -> String {
    let noun = if reloaded.allowed == 1 { "prefix" } else { "prefixes" };
    let mut text = format!("{} {noun} allowed\n", count(reloaded.allowed));
    for (keys, what) in [
        (&reloaded.changed, "changed and in force"),
        (&reloaded.needs_restart, "changed, in force after a restart only"),
    ] {
        if !keys.is_empty() {
            let keys: Vec<String> = keys.iter().map(|key| plain(key)).collect();
            let _ = writeln!(text, "{what}: {}", keys.join(", "));
        }
    }
    if let Some(model) = &reloaded.model {
        let hash: String = plain(model).chars().take(12).collect();
        let _ = writeln!(text, "another model is in force with the next window: {hash}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_reload_did_not_change_is_named_too() {
        let reloaded = Reloaded {
            allowed: 2,
            changed: vec!["policy.ttl".into()],
            needs_restart: vec!["tables.flows".into()],
            model: Some("9f86d081884c7d659a2feaa0c55ad015".into()),
        };
        assert_eq!(
            reloaded_text(&reloaded),
            "2 prefixes allowed\nchanged and in force: policy.ttl\n\
             changed, in force after a restart only: tables.flows\n\
             another model is in force with the next window: 9f86d081884c\n"
        );
        let nothing = Reloaded { allowed: 1, ..Reloaded::default() };
        assert_eq!(reloaded_text(&nothing), "1 prefix allowed\n");
    }
}
