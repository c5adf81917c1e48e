//! `weir token new`: tokens for the HTTP interface.

use std::{collections::BTreeSet, process::ExitCode};

use clap::{Args, Subcommand, ValueEnum};
use control::token::{NewToken, Scope, check_name};

use super::{Layers, emit};

#[derive(Debug, Args)]
pub(super) struct TokenArgs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Make a token: print it once, and the entry for the file of tokens.
    New(NewArgs),
}

#[derive(Debug, Args)]
struct NewArgs {
    /// Whose it is; every change is recorded under this name.
    #[arg(value_parser = name)]
    name: String,
    /// Scopes of the token, joined by commas.
    #[arg(long, value_enum, value_delimiter = ',', required = true, num_args = 1)]
    scope: Vec<ScopeChoice>,
    /// Print a JSON object.
    #[arg(long)]
    json: bool,
}

/// Scope of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum ScopeChoice {
    /// Seeing the node.
    Read,
    /// Changing its state.
    Write,
}

impl TokenArgs {
    pub(super) fn run(&self, _layers: &Layers) -> anyhow::Result<ExitCode> {
        let Verb::New(args) = &self.verb;
        let token = NewToken::random()?;
        emit(&args.text(&token)?)?;
        Ok(ExitCode::SUCCESS)
    }
}

impl NewArgs {
    fn text(&self, token: &NewToken) -> anyhow::Result<String> {
        let scopes: BTreeSet<Scope> = self
            .scope
            .iter()
            .map(|scope| match scope {
                ScopeChoice::Read => Scope::Read,
                ScopeChoice::Write => Scope::Write,
            })
            .collect();
        let entry = token.entry(&self.name, &scopes);
        if self.json {
            let answer = serde_json::json!({ "token": token.text(), "entry": entry });
            return Ok(format!("{}\n", serde_json::to_string(&answer)?));
        }
        Ok(format!(
            "# The token, shown this once:\n{}\n\n# For the file that `api.tokens` names (chmod 600), \
             then `weir reload`:\n{entry}",
            token.text()
        ))
    }
}

fn name(text: &str) -> Result<String, String> {
    check_name(text).map(|()| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_is_shown_once_and_its_entry_is_without_it() {
        let args = NewArgs { name: "grafana".into(), scope: vec![ScopeChoice::Read], json: false };
        let token = NewToken::from_bytes([7; 32]);
        let text = args.text(&token).unwrap();
        assert_eq!(text.matches(token.text()).count(), 1);
        let (_, entry) = text.split_once("[[token]]").unwrap();
        assert!(entry.contains("name = \"grafana\"") && entry.contains("[\"read\"]"), "{text}");
    }
}
