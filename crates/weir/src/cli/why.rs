//! `weir why`: where the packets of an address or a flow went.

use std::process::ExitCode;

use ::why::{Answer, Question, Sources, ask};
use clap::Args;
use collector::signals::Signals;

use super::{
    IN_PART, Layers, end_with,
    node::{NodeArgs, print},
};

#[derive(Debug, Args)]
pub(super) struct WhyArgs {
    /// An address, one end of a flow, or both: `[PROTOCOL] ADDRESS[:PORT] [ADDRESS[:PORT]]`.
    #[arg(required = true, num_args = 1..=3, value_name = "WHAT")]
    what: Vec<String>,
    /// How long to look; ^C ends it sooner.
    #[arg(long = "for", value_name = "DURATION", default_value = "10s")]
    length: humantime::Duration,
    /// Print a JSON object.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    node: NodeArgs,
}

impl WhyArgs {
    pub(super) fn run(&self, layers: &Layers) -> anyhow::Result<ExitCode> {
        let question = Question::parse(&self.what)?;
        let config = layers.raw()?.check()?;
        let client = self.node.client(layers)?;
        let sources = Sources { node: Some(&client), bpffs: &config.guard.bpffs };
        let signals = Signals::listen()?;
        if !self.json {
            eprintln!("weir: looking for {}; let it be tried meanwhile", self.length);
        }
        let answer = ask(&question, &sources, || {
            signals.wait(Some(self.length.into()), || false);
        });
        print(&answer, self.json, Answer::text)?;
        Ok(match answer.not_seen.first() {
            None => ExitCode::SUCCESS,
            Some(first) => end_with(IN_PART, first),
        })
    }
}
