//! `weir events`: what the running node tells, as it comes.

use std::{ops::ControlFlow, process::ExitCode};

use clap::Args;
use collector::event::Event;
use control::{Followed, wire::EventsQuery};

use super::{Layers, emit, line_of, node::NodeArgs};

#[derive(Debug, Args)]
pub(super) struct EventsArgs {
    /// Begin with those that the node still has, instead of the next.
    #[arg(long)]
    from_start: bool,
    /// End after so many.
    #[arg(long, short = 'n', value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    number: Option<u64>,
    /// Print a JSON object a line: all of them, windows too.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    node: NodeArgs,
}

impl EventsArgs {
    pub(super) fn run(&self, layers: &Layers) -> anyhow::Result<ExitCode> {
        let client = self.node.client(layers)?;
        // One that is not there at first is not waited for.
        client.status()?;
        let mut left = self.number.unwrap_or(u64::MAX);
        let mut emitted = Ok(());
        let after = self.from_start.then(|| EventsQuery::START.to_owned());
        client.follow(after, |followed| {
            let Some(line) = self.line(followed) else { return ControlFlow::Continue(()) };
            emitted = emit(&format!("{line}\n"));
            left -= 1;
            if left == 0 || emitted.is_err() {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        })?;
        emitted.map(|()| ExitCode::SUCCESS)
    }

    fn line(&self, followed: Followed) -> Option<String> {
        match followed {
            Followed::Event { json, .. } if self.json => Some(json),
            Followed::Event { json, .. } => {
                serde_json::from_str::<Event>(&json).ok().and_then(|event| line_of(&event, false))
            }
            other => {
                tell_of_stream(&other);
                None
            }
        }
    }
}

/// Says on standard error what a stream of events tells of itself.
pub(super) fn tell_of_stream(followed: &Followed) {
    match followed {
        Followed::Event { .. } => {}
        Followed::Gap { missed: Some(missed), .. } => {
            eprintln!("weir: {missed} events are not kept any more");
        }
        Followed::Gap { missed: None, .. } => eprintln!("weir: the node was started anew"),
        Followed::Away { why } => eprintln!("weir: {why}; looking for it again"),
        Followed::Back => eprintln!("weir: it is back"),
    }
}
