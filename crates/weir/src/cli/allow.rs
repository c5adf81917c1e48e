//! `weir allow`: what the running node never blocks.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use control::wire::{AllowQuery, AllowRequest, Allowed, DisallowRequest, LIMIT_MAX};
use ipnet::IpNet;
use jiff::Timestamp;
use report::text::plain;

use super::{
    Layers,
    node::{AskArgs, NodeArgs, lasting, print, seconds},
    status::until,
    table,
};

#[derive(Debug, Args)]
pub(super) struct AllowArgs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Never block an address or a prefix; blocks within it end at once.
    Add(AddArgs),
    /// Take back what was added.
    Remove(RemoveArgs),
    /// List what is never blocked, and why.
    List(ListArgs),
}

#[derive(Debug, Args)]
struct AddArgs {
    /// An address or a prefix.
    #[arg(value_parser = address_list::parse_net)]
    prefix: IpNet,
    /// Length of the exception; without it, until removed.
    #[arg(long = "for", value_name = "DURATION")]
    length: Option<humantime::Duration>,
    /// Reason, in one line.
    #[arg(long, value_name = "TEXT")]
    note: Option<String>,
    #[command(flatten)]
    ask: AskArgs,
}

#[derive(Debug, Args)]
struct RemoveArgs {
    /// The prefix, as `weir allow list` lists it.
    #[arg(value_parser = address_list::parse_net)]
    prefix: IpNet,
    #[command(flatten)]
    ask: AskArgs,
}

#[derive(Debug, Args)]
struct ListArgs {
    /// Print a JSON array.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    node: NodeArgs,
}

impl AllowArgs {
    pub(super) fn run(&self, layers: &Layers) -> anyhow::Result<ExitCode> {
        match &self.verb {
            Verb::Add(args) => args.run(layers),
            Verb::Remove(args) => args.run(layers),
            Verb::List(args) => args.run(layers),
        }
    }
}

impl AddArgs {
    fn run(&self, layers: &Layers) -> anyhow::Result<ExitCode> {
        let for_s = self.length.map(|length| seconds(length.into()));
        let request = AllowRequest { prefix: self.prefix.into(), for_s, note: self.note.clone() };
        let allowed = self.ask.client(layers)?.allow(&request)?;
        self.ask.print(&allowed, |allowed| {
            let length = for_s.map(|s| format!(" for {}", lasting(s))).unwrap_or_default();
            format!("{} is never blocked{length}\n", allowed.prefix)
        })
    }
}

impl RemoveArgs {
    fn run(&self, layers: &Layers) -> anyhow::Result<ExitCode> {
        let request = DisallowRequest { prefix: self.prefix.into() };
        let removed = self.ask.client(layers)?.disallow(&request)?;
        self.ask.print(&removed, |removed| format!("{} may be blocked again\n", removed.prefix))
    }
}

impl ListArgs {
    fn run(&self, layers: &Layers) -> anyhow::Result<ExitCode> {
        let client = self.node.client(layers)?;
        let mut query = AllowQuery { limit: Some(LIMIT_MAX), ..AllowQuery::default() };
        let mut allowed = Vec::new();
        loop {
            let page = client.allowed(&query)?;
            allowed.extend(page.items);
            let Some(next) = page.next else { break };
            query.after = Some(next.parse()?);
        }
        print(&allowed, self.json, |allowed| listing(allowed, Timestamp::now()))?;
        Ok(ExitCode::SUCCESS)
    }
}

/// The allowlist for a person.
fn listing(allowed: &[Allowed], now: Timestamp) -> String {
    if allowed.is_empty() {
        return "nothing is allowed beyond the rules\n".to_owned();
    }
    let dash = || "-".to_owned();
    let mut cells = vec![["prefix", "source", "who", "ends", "note"].map(str::to_owned).to_vec()];
    cells.extend(allowed.iter().map(|one| {
        vec![
            one.prefix.to_string(),
            one.source.name().to_owned(),
            one.who.as_deref().map_or_else(dash, plain),
            one.expires.map_or_else(dash, |end| format!("in {}", until(end, now))),
            one.note.as_deref().map_or_else(dash, plain),
        ]
    }));
    table(&cells)
}

#[cfg(test)]
mod tests {
    use control::wire::AllowSource;

    use super::*;

    #[test]
    fn the_list_says_where_each_comes_from() {
        let now: Timestamp = "2026-11-28T19:00:00Z".parse().unwrap();
        let own = Allowed {
            prefix: "192.0.2.1".parse().unwrap(),
            source: AllowSource::Own,
            who: None,
            since: None,
            expires: None,
            note: None,
        };
        let office = Allowed {
            prefix: "198.51.100.0/24".parse().unwrap(),
            source: AllowSource::Person,
            who: Some("ada".into()),
            expires: Some("2026-11-28T20:30:00Z".parse().unwrap()),
            note: Some("the \u{1b}[31moffice".into()),
            ..own.clone()
        };
        assert_eq!(
            listing(&[own, office], now),
            "prefix           source  who  ends       note\n\
             192.0.2.1        own     -    -          -\n\
             198.51.100.0/24  person  ada  in 1h 30m  the \u{fffd}[31moffice\n"
        );
    }
}
