//! `weir events`: what the running node tells, as it comes.

use std::{ops::ControlFlow, process::ExitCode, thread::sleep, time::Duration};

use clap::Args;
use collector::event::Event;
use control::{ClientError, Followed, wire::EventsQuery};

use super::{Layers, emit, line_of, node::NodeArgs};

/// Interval at which a node that went away is looked for.
const LOOK_EVERY: Duration = Duration::from_secs(1);

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
        let mut after = self.from_start.then(|| EventsQuery::START.to_owned());
        let mut left = self.number.unwrap_or(u64::MAX);
        let (mut failed, mut was_there, mut gone) = (None, false, false);
        loop {
            let ended = client.follow(&EventsQuery { after: after.clone() }, |followed| {
                (was_there, gone) = (true, false);
                let (id, line) = self.line(followed);
                after = Some(id);
                let Some(line) = line else { return ControlFlow::Continue(()) };
                failed = emit(&format!("{line}\n")).err();
                left -= 1;
                if left == 0 || failed.is_some() {
                    ControlFlow::Break(())
                } else {
                    ControlFlow::Continue(())
                }
            });
            if let Some(error) = failed {
                return Err(error);
            }
            match ended {
                Ok(ControlFlow::Break(())) => return Ok(ExitCode::SUCCESS),
                Ok(ControlFlow::Continue(())) => (was_there, gone) = (true, false),
                // It may come back.
                Err(error @ ClientError::NoNode { .. }) if was_there => {
                    if !std::mem::replace(&mut gone, true) {
                        eprintln!("weir: {error}; looking for it again");
                    }
                    sleep(LOOK_EVERY);
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn line(&self, followed: Followed) -> (String, Option<String>) {
        match followed {
            Followed::Event { id, json } if self.json => (id, Some(json)),
            Followed::Event { id, json } => {
                let event = serde_json::from_str::<Event>(&json).ok();
                (id, event.and_then(|event| line_of(&event, false)))
            }
            Followed::Gap { id, missed } => {
                let missed = missed.map_or_else(
                    || "the node was started anew".to_owned(),
                    |missed| format!("{missed} events are not kept any more"),
                );
                eprintln!("weir: {missed}");
                (id, None)
            }
        }
    }
}
