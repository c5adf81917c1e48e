//! Common Event Format, version 0 (`CEF:0`).

use std::fmt::Write as _;

use super::{Observer, port, transport};
use crate::told::{Class, Severity, Told};

/// The line of a record.
pub(super) fn line(told: &Told<'_>, observer: &Observer) -> String {
    let severity = match told.severity {
        Severity::Informational => 1,
        Severity::Low => 3,
        Severity::Medium => 5,
        Severity::High => 8,
    };
    let mut line = format!(
        "CEF:0|weir|weir|{}|{}|{}|{severity}|",
        env!("CARGO_PKG_VERSION"),
        told.name,
        header(told.title)
    );
    let reasons = told.reasons.iter().map(|reason| {
        let [value, low, high] = [reason.value, reason.benign_low, reason.benign_high];
        format!("{} {value} ({low} to {high})", reason.feature)
    });
    let reasons = reasons.collect::<Vec<_>>().join("; ");
    let text = |one: &dyn ToString| Some(one.to_string());
    let fields = [
        ("rt", text(&told.time.as_millisecond())),
        ("dvchost", text(&observer.host)),
        ("cat", text(&told.name)),
        ("act", told.outcome.map(|one| one.name().to_owned())),
        ("reason", told.refusal.map(|one| one.name().to_owned())),
        ("externalId", told.incident.map(|one| one.id.to_string())),
        ("start", told.incident.map(|one| one.opened.as_millisecond().to_string())),
        ("src", told.remote_address().or(told.local).map(|one| one.to_string())),
        ("dst", told.remote_address().and(told.local).map(|one| one.to_string())),
        ("dpt", told.service.and_then(port).map(|one| one.to_string())),
        ("proto", told.service.and_then(transport).map(str::to_uppercase)),
        (
            "deviceDirection",
            (told.class == Class::Finding).then(|| {
                let inbound = told.remote.is_some();
                if inbound { "0" } else { "1" }.to_owned()
            }),
        ),
        ("suser", told.who.map(str::to_owned)),
        ("cnt", told.packets.map(|one| one.to_string())),
        ("cfp1", told.surprise.map(|one| one.to_string())),
        ("cfp1Label", told.surprise.map(|_| "surprise".to_owned())),
        ("cn1", told.ttl_s.map(|one| one.to_string())),
        ("cn1Label", told.ttl_s.map(|_| "block seconds".to_owned())),
        ("cs1", (!reasons.is_empty()).then(|| reasons.clone())),
        ("cs1Label", (!reasons.is_empty()).then(|| "reasons".to_owned())),
        ("msg", text(&told.message)),
    ];
    let known = fields.into_iter().filter_map(|(name, value)| Some((name, value?)));
    for (index, (name, value)) in known.enumerate() {
        let gap = if index == 0 { "" } else { " " };
        // A string takes whatever is written.
        let _ = write!(line, "{gap}{name}={}", extension(&value));
    }
    line
}

/// A value of the header: no pipe ends it.
fn header(text: &str) -> String {
    text.replace('\\', "\\\\").replace('|', "\\|").replace(['\r', '\n'], " ")
}

/// A value of the extension: no equals sign begins another.
fn extension(text: &str) -> String {
    let text = text.replace('\\', "\\\\").replace('=', "\\=");
    text.replace("\r\n", "\\n").replace(['\r', '\n'], "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_end_a_value_is_escaped() {
        assert_eq!(header("a|b\\c\nd"), "a\\|b\\\\c d");
        assert_eq!(extension("a=b|c\\d\r\ne"), "a\\=b|c\\\\d\\ne");
    }
}
