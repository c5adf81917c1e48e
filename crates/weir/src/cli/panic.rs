//! `weir panic`: everything of weir's out of the kernel, at once.

use std::{path::PathBuf, process::ExitCode, time::Duration};

use clap::Args;
use datapath::{TakenOff, take_everything_off};

use super::{FAILED, Layers, node::NodeArgs};
use collector::config::RawConfig;

/// Longest wait for a node that may hang.
const PATIENCE: Duration = Duration::from_secs(2);

#[derive(Debug, Args)]
pub(super) struct PanicArgs {
    /// Off the interfaces of all network namespaces, not of this one only.
    #[arg(long)]
    everywhere: bool,
    #[command(flatten)]
    node: NodeArgs,
}

impl PanicArgs {
    pub(super) fn run(&self, layers: &Layers) -> anyhow::Result<ExitCode> {
        // A configuration that does not hold is no reason to go on dropping.
        let bpffs = layers.raw().map_or_else(
            |error| {
                let named = std::env::var_os("WEIR__GUARD__BPFFS").map(PathBuf::from);
                let bpffs = named.unwrap_or_else(|| RawConfig::default().guard.bpffs);
                eprintln!("weir: {error:#}; going on with `{}`", bpffs.display());
                bpffs
            },
            |raw| raw.guard.bpffs,
        );
        let taken = take_everything_off(&bpffs, self.everywhere)?;
        print!("{}", text(&taken));
        let running = self.node.client(layers).ok();
        let status = running.and_then(|client| client.patience(PATIENCE).status().ok());
        if let Some(status) = status {
            println!(
                "process {} still runs; it counts and guards nothing: stop it, or start it anew",
                status.pid
            );
        }
        for part in &taken.left {
            eprintln!("weir: still there: {part}");
        }
        Ok(if taken.left.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(FAILED) })
    }
}

fn text(taken: &TakenOff) -> String {
    let hooks = match &taken.hooks[..] {
        [] => "no hook was there".to_owned(),
        hooks => format!("off: {}", hooks.join(", ")),
    };
    format!("{hooks}; {} pins removed; nothing is blocked any more\n", taken.pins.len())
}
