//! `weir config show` and `weir config check`.

use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::Layers;

#[derive(Debug, Args)]
pub(super) struct ConfigArgs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Print every key with its value, as a TOML file.
    Show,
    /// Check the configuration.
    Check,
}

impl ConfigArgs {
    pub(super) fn run(self, layers: &Layers) -> anyhow::Result<ExitCode> {
        let raw = layers.raw()?;
        match self.verb {
            Verb::Show => print!("{}", raw.to_toml()),
            Verb::Check => {
                raw.check()?;
                println!("the configuration is valid");
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}
