//! Alerts as a person reads them: in a line, in the cells of a table, and whole.

use std::{fmt::Write as _, time::Duration};

use events::{Alert, Change, DecisionRecord, Incident, OwnAlert, Reason, Standing};
use report::text::{count, number, plain};

use crate::event_text::{describe_limit, describe_outage, describe_site};

/// Reasons shown in a line.
const REASONS_SHOWN: usize = 3;

/// An alert in a line.
#[must_use]
pub fn describe(alert: &Alert) -> String {
    let mut line = alert.time().strftime("%Y-%m-%d %H:%M:%S").to_string();
    let record = match alert {
        Alert::Own(own) => return line + " " + &describe_own(own),
        Alert::Remote(record) => record,
    };
    let seen = &record.evidence;
    if let Some(Incident { id, change, windows, .. }) = record.incident {
        let change = change.map_or("goes on", Change::name);
        let _ = write!(line, " incident {id} {change}, window {windows}:");
    }
    let _ = write!(line, " {} {}", seen.address, outcome(record));
    if record.ttl_s > 0 {
        let _ = write!(line, " for {}", lasting(record.ttl_s));
    }
    let _ = write!(
        line,
        ": surprise {}, p {}, {} {} packets",
        number(seen.surprise),
        number(seen.p_value),
        count(seen.packets),
        seen.standing.name(),
    );
    for (index, reason) in record.reasons.iter().take(REASONS_SHOWN).enumerate() {
        let lead = if index == 0 { "; " } else { ", " };
        let _ = write!(line, "{lead}{}", why(reason));
    }
    line
}

/// An alert as cells: what it is about, the answer, and why.
#[must_use]
pub fn cells(alert: &Alert) -> [String; 3] {
    let record = match alert {
        Alert::Own(own) => {
            let outcome = match own {
                OwnAlert::Service(event) => event.outcome.text(),
                OwnAlert::Outage(_) => "outage",
                OwnAlert::Site(_) => "alarm",
            };
            return [own.site().to_string(), outcome.to_owned(), describe_own(own)];
        }
        Alert::Remote(record) => record,
    };
    let mut reasons: Vec<String> = record.reasons.iter().map(why).collect();
    if record.refusal.is_some() {
        reasons.insert(0, outcome(record));
    }
    [record.peer().to_string(), record.outcome.text().to_owned(), reasons.join("; ")]
}

/// Everything about an alert, in lines.
#[must_use]
pub fn details(alert: &Alert) -> Vec<String> {
    let time = alert.time().strftime("%Y-%m-%d %H:%M:%S");
    let record = match alert {
        Alert::Own(own) => {
            let [subject, ..] = cells(alert);
            return vec![format!("{time} {subject}"), String::new(), describe_own(own)];
        }
        Alert::Remote(record) => record,
    };
    let seen = &record.evidence;
    let lasts =
        if record.ttl_s > 0 { format!(" for {}", lasting(record.ttl_s)) } else { String::new() };
    let mut lines = vec![
        format!("{time} {}, window {}", seen.address, count(record.window)),
        format!("{}{lasts}", outcome(record)),
        format!(
            "surprise {} over {}, p {}, score {}, tail score {}",
            number(seen.surprise),
            model::Horizon::from_ms(seen.horizon_ms),
            number(seen.p_value),
            number(seen.peer_score.into()),
            number(seen.tail_score.into())
        ),
        format!(
            "{} packets in {} flows, {}",
            count(seen.packets),
            count(seen.flows),
            match seen.standing {
                Standing::Proven => "proven to be its own",
                Standing::Initiated => "which this host asked for",
                Standing::Unproven => "unproven: they may be forged",
            }
        ),
        String::new(),
    ];
    let reasons = record.reasons.iter();
    lines.extend(reasons.map(|reason| format!("{} {}", reason.subject.name(), why(reason))));
    lines
}

fn describe_own(own: &OwnAlert) -> String {
    match own {
        OwnAlert::Service(event) => describe_limit(event),
        OwnAlert::Outage(event) => describe_outage(event),
        OwnAlert::Site(event) => describe_site(event),
    }
}

/// Outcome of a decision, with the refusal in parentheses.
fn outcome(record: &DecisionRecord) -> String {
    match record.refusal {
        Some(refusal) => format!("{} ({})", record.outcome.text(), refusal.text()),
        None => record.outcome.text().to_owned(),
    }
}

/// A reason as a person reads it: `distinct_local_ports 812 (benign 0 to 4 ports)`.
fn why(reason: &Reason) -> String {
    let unit =
        if reason.unit.is_empty() { String::new() } else { format!(" {}", plain(&reason.unit)) };
    format!(
        "{} {} (benign {} to {}{unit})",
        plain(&reason.feature),
        number(reason.value.into()),
        number(reason.benign_low.into()),
        number(reason.benign_high.into()),
    )
}

fn lasting(seconds: u64) -> String {
    humantime::format_duration(Duration::from_secs(seconds)).to_string()
}
