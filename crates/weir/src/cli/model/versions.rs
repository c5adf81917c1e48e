//! `weir model versions`, `rollback` and `learn`: models that the running node learnt on the way.

use std::{fmt::Write as _, process::ExitCode};

use clap::{Args, ValueEnum};
use control::wire::{LearnRequest, ModelVersion, Models, RollBackRequest};

use crate::cli::{Layers, node::AskArgs};

#[derive(Debug, Args)]
pub(super) struct VersionsArgs {
    #[command(flatten)]
    ask: AskArgs,
}

#[derive(Debug, Args)]
pub(super) struct RollBackArgs {
    /// The version, 0 for the configured file; the one before that in force without it.
    #[arg(value_name = "VERSION")]
    to: Option<u32>,
    #[command(flatten)]
    ask: AskArgs,
}

#[derive(Debug, Args)]
pub(super) struct LearnArgs {
    /// Let learning go on, or stop it.
    switch: Switch,
    #[command(flatten)]
    ask: AskArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Switch {
    On,
    Off,
}

impl VersionsArgs {
    pub(super) fn run(&self, layers: &Layers) -> anyhow::Result<ExitCode> {
        self.ask.print(&self.ask.client(layers)?.models()?, text)
    }
}

impl RollBackArgs {
    pub(super) fn run(&self, layers: &Layers) -> anyhow::Result<ExitCode> {
        let request = RollBackRequest { to: self.to };
        self.ask.print(&self.ask.client(layers)?.roll_back(&request)?, text)
    }
}

impl LearnArgs {
    pub(super) fn run(&self, layers: &Layers) -> anyhow::Result<ExitCode> {
        let request = LearnRequest { on: self.switch == Switch::On };
        self.ask.print(&self.ask.client(layers)?.learn(&request)?, text)
    }
}

fn text(models: &Models) -> String {
    let Models { in_force, learning, versions } = models;
    let mark = |number: u32| if number == *in_force { "*" } else { " " };
    let mut text = format!("{} 0  the configured file\n", mark(0));
    for ModelVersion { number, created, change, .. } in versions {
        let _ = writeln!(text, "{} {number}  {created:.0}  {change}", mark(*number));
    }
    text + &format!("learning: {}\n", learning.name())
}
