//! `weir lab`: network namespaces to try things in, and captures made up without any.

mod synthesize;

use std::{path::PathBuf, process::ExitCode};

use clap::{Args, Subcommand};
use lab::{Lab, Scenario};

use super::Layers;
use collector::signals::Signals;
use report::text::columns as table;

#[derive(Debug, Args)]
pub(super) struct LabArgs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Build a scenario's namespaces and keep them until Ctrl-C.
    Up {
        /// A built-in scenario or a TOML file.
        #[arg(default_value = "demo")]
        scenario: String,
    },
    /// Run a scenario as a whole; write its capture and its ground truth.
    Record {
        /// A built-in scenario or a TOML file.
        #[arg(default_value = "demo")]
        scenario: String,
        /// The capture, compressed where it ends in `.zst`; the ground truth goes beside it, as
        /// `.truth.json`.
        #[arg(long, short, value_name = "FILE", default_value = "lab.pcap")]
        out: PathBuf,
        /// Bytes kept of each frame.
        #[arg(long, default_value_t = 128)]
        snap_length: u32,
    },
    /// Make up captures of random networks, with an attack or without, and their ground truth; no
    /// packet is sent.
    Synthesize(synthesize::SynthesizeArgs),
    /// List labs, those that a killed process left behind too.
    List,
    /// Remove what killed processes left behind.
    Clean,
    /// List the built-in scenarios.
    Scenarios,
}

impl LabArgs {
    pub(super) fn run(self, _: &Layers) -> anyhow::Result<ExitCode> {
        match self.verb {
            Verb::Up { scenario } => up(&load(&scenario)?)?,
            Verb::Record { scenario, out, snap_length } => {
                ::demo::record(&load(&scenario)?, &out, snap_length)?;
            }
            Verb::Synthesize(args) => args.run()?,
            Verb::List => list(),
            Verb::Clean => {
                let removed = Lab::remove_leftovers()?;
                println!("{} leftover labs removed", removed.len());
            }
            Verb::Scenarios => {
                for (name, _) in lab::BUILTIN {
                    println!("{name}: {}", Scenario::builtin(name)?.summary);
                }
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// A built-in scenario, or a file where the name looks like one.
fn load(name: &str) -> anyhow::Result<Scenario> {
    let scenario = if name.contains(['/', '.']) {
        Scenario::load(name.as_ref())
    } else {
        Scenario::builtin(name)
    };
    Ok(scenario?)
}

fn up(scenario: &Scenario) -> anyhow::Result<()> {
    let signals = Signals::listen()?;
    let lab = Lab::build(&scenario.topology)?;
    let mut rows = vec![["node", "namespace", "addresses"].map(str::to_owned).to_vec()];
    for node in std::iter::once(lab.host()).chain(lab.clients()).chain(lab.attackers()) {
        let addresses: Vec<String> = node.addresses().iter().map(ToString::to_string).collect();
        rows.push(vec![node.name.clone(), node.namespace.clone(), addresses.join(" ")]);
    }
    print!("{}", table(&rows));
    println!(
        "`ip netns exec {} bash` enters the host; Ctrl-C removes the lab",
        lab.host().namespace
    );
    signals.wait(None, || false);
    lab.remove()?;
    Ok(())
}

fn list() {
    let labs = Lab::registered();
    if labs.is_empty() {
        println!("no labs");
        return;
    }
    let mut rows = vec![["lab", "owner", "state", "namespaces"].map(str::to_owned).to_vec()];
    for lab in &labs {
        let state = if lab.owner_is_alive() { "running" } else { "left behind" };
        rows.push(vec![
            lab.id.clone(),
            format!("pid {}", lab.pid),
            state.to_owned(),
            lab.namespaces.join(" "),
        ]);
    }
    print!("{}", table(&rows));
    if labs.iter().any(|lab| !lab.owner_is_alive()) {
        println!("`weir lab clean` removes what was left behind");
    }
}
