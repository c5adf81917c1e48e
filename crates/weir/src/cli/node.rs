//! Reaching the running node.

use std::{path::PathBuf, process::ExitCode, time::Duration};

use clap::Args;
use control::{Client, ClientError};
use serde::Serialize;

use super::{Layers, emit};

/// Address of the running node.
#[derive(Debug, Args)]
pub(super) struct NodeArgs {
    /// The node's Unix socket; `api.socket` without it.
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
}

/// A question to the node, and the form of its answer.
#[derive(Debug, Args)]
pub(super) struct AskArgs {
    /// Print a JSON object.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    node: NodeArgs,
}

impl AskArgs {
    pub(super) fn client(&self, layers: &Layers) -> anyhow::Result<Client> {
        self.node.client(layers)
    }

    /// Prints an answer, which ends the command.
    pub(super) fn print<T: Serialize>(
        &self,
        answer: &T,
        text: impl FnOnce(&T) -> String,
    ) -> anyhow::Result<ExitCode> {
        print(answer, self.json, text)?;
        Ok(ExitCode::SUCCESS)
    }
}

impl NodeArgs {
    /// A client of the node; nothing is asked yet.
    pub(super) fn client(&self, layers: &Layers) -> anyhow::Result<Client> {
        let socket = match &self.socket {
            Some(socket) => socket.clone(),
            None => layers.raw()?.check()?.api.socket,
        };
        Ok(Client::unix(&socket)?)
    }
}

/// The answer of a node, or `None` where no node runs.
pub(super) fn if_running<T>(answer: Result<T, ClientError>) -> anyhow::Result<Option<T>> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(ClientError::NoNode { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Prints an answer, as JSON or for a person.
pub(super) fn print<T: Serialize>(
    answer: &T,
    json: bool,
    text: impl FnOnce(&T) -> String,
) -> anyhow::Result<()> {
    if json { emit(&format!("{}\n", serde_json::to_string(answer)?)) } else { emit(&text(answer)) }
}

/// Whole seconds of a length of time, rounded up: the unit of the interface.
pub(super) fn seconds(length: Duration) -> u64 {
    length.as_secs() + u64::from(length.subsec_nanos() > 0)
}

/// Seconds as a person reads them: `1m 30s`.
pub(super) fn lasting(seconds: u64) -> String {
    humantime::format_duration(Duration::from_secs(seconds)).to_string()
}

/// A length of time to two units at most: `1day 3h`.
pub(super) fn roughly(seconds: u64) -> String {
    let coarse = match seconds {
        s if s >= 86_400 => s - s % 3_600,
        s if s >= 3_600 => s - s % 60,
        s => s,
    };
    lasting(coarse)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_a_second_is_a_second() {
        assert_eq!([0, 1, 1_000, 1_001].map(|ms| seconds(Duration::from_millis(ms))), [0, 1, 1, 2]);
    }

    #[test]
    fn a_long_time_is_told_roughly() {
        assert_eq!([59, 3_725, 97_325].map(roughly), ["59s", "1h 2m", "1day 3h"]);
    }
}
