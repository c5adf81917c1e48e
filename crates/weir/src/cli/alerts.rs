//! `weir alerts`: incidents of peers, services and this host's own side, and what was done about
//! them: a line for each change of one.

use std::{net::IpAddr, ops::ControlFlow, process::ExitCode, time::Duration};

use super::{Layers, emit, events::tell_of_stream, node::NodeArgs};
use anyhow::Context as _;
use clap::Args;
use collector::{alert_text::describe, event::Event};
use control::{
    Client, ClientError, Followed,
    wire::{Alert, AlertQuery, EventsQuery, LIMIT_MAX},
};
use jiff::Timestamp;

#[derive(Debug, Args)]
pub(super) struct AlertsArgs {
    /// Go on with those that come, until interrupted.
    #[arg(long, short)]
    follow: bool,
    /// Only those from this time on, or this long ago: `2026-11-28T19:00:00Z`, `10m`.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    since: Option<Moment>,
    /// Only those of this address.
    #[arg(long, value_name = "ADDRESS")]
    peer: Option<IpAddr>,
    /// Number of alerts at most, the latest ones.
    #[arg(long, short = 'n', value_name = "N", default_value_t = 20)]
    limit: u32,
    /// Print a JSON array; with --follow an object a line.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    node: NodeArgs,
}

/// A time, told by itself or by how long ago it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Moment {
    At(Timestamp),
    Ago(Duration),
}

impl AlertsArgs {
    pub(super) fn run(&self, layers: &Layers) -> anyhow::Result<ExitCode> {
        let client = self.node.client(layers)?;
        let since = self.since.map(|since| since.before(Timestamp::now())).transpose()?;
        let query = AlertQuery { since, peer: self.peer, ..AlertQuery::default() };
        // Asked for first, so that nothing falls between it and what is followed.
        let newest = if self.follow { newest(&client)? } else { 0 };
        let alerts = latest(&client, &query, self.limit)?;
        if self.json && !self.follow {
            emit(&format!("{}\n", serde_json::to_string(&alerts)?))?;
            return Ok(ExitCode::SUCCESS);
        }
        if alerts.is_empty() && !self.follow {
            emit("no alert fits\n")?;
        }
        for alert in &alerts {
            self.print(alert)?;
        }
        if self.follow {
            self.follow(&client, alerts.last().map_or(newest, Alert::id), &query)?;
        }
        Ok(ExitCode::SUCCESS)
    }

    /// Prints those with a higher number as they come.
    fn follow(&self, client: &Client, after: u64, query: &AlertQuery) -> anyhow::Result<()> {
        let mut printed = Ok(());
        client.follow(Some(EventsQuery::START.to_owned()), |followed| {
            let Followed::Event { json, .. } = followed else {
                tell_of_stream(&followed);
                return ControlFlow::Continue(());
            };
            let told = serde_json::from_str::<Event>(&json).ok().and_then(Event::into_alert);
            let Some(alert) = told.filter(|alert| alert.id() > after && query.fits(alert)) else {
                return ControlFlow::Continue(());
            };
            printed = self.print(&alert);
            if printed.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        printed
    }

    fn print(&self, alert: &Alert) -> anyhow::Result<()> {
        let line = if self.json { serde_json::to_string(alert)? } else { describe(alert) };
        emit(&format!("{line}\n"))
    }
}

/// The number of the newest alert; 0 where there is none.
fn newest(client: &Client) -> Result<u64, ClientError> {
    let page = client.alerts(&AlertQuery { limit: Some(1), ..AlertQuery::default() })?;
    Ok(page.items.first().map_or(0, Alert::id))
}

/// The latest alerts that fit, the oldest of them first.
fn latest(client: &Client, query: &AlertQuery, limit: u32) -> anyhow::Result<Vec<Alert>> {
    let mut query = query.clone();
    let mut alerts = Vec::new();
    loop {
        let left = limit.saturating_sub(u32::try_from(alerts.len()).unwrap_or(u32::MAX));
        if left == 0 {
            break;
        }
        query.limit = Some(left.min(LIMIT_MAX));
        let page = client.alerts(&query)?;
        alerts.extend(page.items);
        let Some(next) = page.next else { break };
        query.before = Some(next.parse().context("the node's cursor")?);
    }
    alerts.reverse();
    Ok(alerts)
}

impl Moment {
    fn before(self, now: Timestamp) -> anyhow::Result<Timestamp> {
        match self {
            Self::At(time) => Ok(time),
            Self::Ago(length) => now.checked_sub(length).context("--since lies too far back"),
        }
    }
}

fn moment(text: &str) -> Result<Moment, String> {
    text.parse()
        .map(Moment::At)
        .or_else(|_| humantime::parse_duration(text).map(Moment::Ago))
        .map_err(|_| {
            format!("`{text}` is neither a time like 2026-11-28T19:00:00Z nor a length like 10m")
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_told_by_itself_or_by_how_long_ago() {
        let now: Timestamp = "2026-11-28T19:00:00Z".parse().unwrap();
        for (text, expect) in
            [("10m", "2026-11-28T18:50:00Z"), ("2026-11-28T18:00:00+01:00", "2026-11-28T17:00:00Z")]
        {
            let time = moment(text).unwrap().before(now).unwrap();
            assert_eq!(time, expect.parse::<Timestamp>().unwrap(), "{text}");
        }
        assert!(moment("yesterday").unwrap_err().contains("`yesterday`"));
    }
}
