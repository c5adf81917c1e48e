//! `weir config show` and `weir config check`.

use std::{fmt::Write as _, path::PathBuf, process::ExitCode};

use clap::{Args, Subcommand};
use control::{Client, token::Tokens};
use policy::statistics::{Support, Unsupported, support};
use serde::Serialize;

use super::{Layers, emit};
use collector::{
    config::{Config, Mode, sentences},
    protected::read_allow_files,
};

const VALID: &str = "the configuration is valid: a node of it will do this\n";

/// Peers in a window where neither the model nor a flag tells.
const PEERS: f64 = 10.0;

#[derive(Debug, Args)]
pub(super) struct ConfigArgs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Print every key with its value, as a TOML file; keys that are not set are remarks.
    Show,
    /// Check the configuration and the files that it names; with a model also whether its calibration supports the error
    /// rates. Ends with 1 where it does not and the mode is enforce.
    Check(CheckArgs),
}

#[derive(Debug, Args)]
struct CheckArgs {
    /// The model whose calibration is asked; the configured one without it.
    #[arg(long, short, value_name = "FILE")]
    model: Option<PathBuf>,
    /// Ordinary peers expected in a window; without it as the running node sees them, or as in the
    /// model's training where none runs.
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..))]
    peers: Option<u32>,
    /// Print the answers as a JSON object.
    #[arg(long)]
    json: bool,
}

/// Result of a check.
#[derive(Debug, Serialize)]
struct Checked {
    /// The configuration holds; one that does not is an error.
    valid: bool,
    /// The calibration supports every configured rate; `null` without a model.
    supported: Option<bool>,
    rates: Option<Support>,
}

impl ConfigArgs {
    pub(super) fn run(self, layers: &Layers) -> anyhow::Result<ExitCode> {
        let raw = layers.raw()?;
        match self.verb {
            Verb::Show => {
                emit(&raw.to_toml())?;
                Ok(ExitCode::SUCCESS)
            }
            Verb::Check(args) => args.run(&raw.check()?),
        }
    }
}

impl CheckArgs {
    fn run(self, config: &Config) -> anyhow::Result<ExitCode> {
        read_allow_files(&config.policy.allow_files)?;
        let tokens = config.api.listen.as_ref().and_then(|listen| listen.tokens.as_deref());
        tokens.map(Tokens::read).transpose()?;
        let Some(path) = self.model.as_ref().or(config.model.as_ref()) else {
            let found = Checked { valid: true, supported: None, rates: None };
            self.report(&found, &format!("{VALID}{}", sentences(config)))?;
            return Ok(ExitCode::SUCCESS);
        };
        let basis = engine::basis(&super::load_model(path)?);
        let live = || Client::unix(&config.api.socket).ok()?.status().ok()?.claim;
        let live = self.peers.is_none().then(live).flatten().map(|claim| claim.peers_per_window);
        let told = self.peers.map(f64::from).or(live).or(basis.peers_per_window);
        let peers = told.unwrap_or(PEERS);
        let rates = support(&config.policy, &basis, peers, config.window);
        let whole = rates.is_whole();
        let asked = Config { model: Some(path.clone()), ..config.clone() };
        let mut text = format!("{VALID}{}{}", sentences(&asked), rates.to_text());
        if live.is_some() {
            let _ = writeln!(text, "so the running node sees it of late: {}", rates.advice());
        }
        if told.is_none() {
            text.push_str("the model does not tell its traffic; --peers says how many to expect\n");
        }
        let fails = !whole
            && config.policy.mode == Mode::Enforce
            && config.policy.unsupported == Unsupported::Refuse;
        if fails {
            text.push_str("nothing would be blocked: `policy.unsupported` is \"refuse\"\n");
        }
        self.report(&Checked { valid: true, supported: Some(whole), rates: Some(rates) }, &text)?;
        Ok(if fails { ExitCode::FAILURE } else { ExitCode::SUCCESS })
    }

    fn report(&self, found: &Checked, text: &str) -> anyhow::Result<()> {
        if !self.json {
            return emit(text);
        }
        // It holds nothing that JSON could not.
        emit(&format!("{}\n", serde_json::to_string_pretty(found).unwrap_or_default()))
    }
}
