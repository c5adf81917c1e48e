//! Single peer-windows, each with the features that made it.

use std::{fmt::Write as _, net::IpAddr};

use ::model::{
    Horizon, Kind, ModelFile,
    assess::{Reason, UNUSUAL, assess},
};
use dataset::{Dataset, Selection};
use report::text::{number, percent, plain, short_number};
use serde::Serialize;

use crate::cli::{
    reading::{Level, Piece, read},
    table,
};

/// Which peer-windows are explained.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted {
    pub(super) top: usize,
    pub(super) peer: Option<IpAddr>,
    pub(super) at_ns: Option<i64>,
}

/// A peer in a window, and why it is what it is.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Alert {
    window_start: jiff::Timestamp,
    window_end: jiff::Timestamp,
    peer: IpAddr,
    #[serde(skip_serializing_if = "Option::is_none")]
    label: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    attack: Option<String>,
    /// The time that was unusual.
    horizon_ms: u32,
    p_value: f64,
    /// −log10 of the chance in a benign window, by the tail of the calibration.
    surprise: f64,
    score: f32,
    tail_score: f32,
    reasons: Vec<Reason>,
}

impl Wanted {
    fn admits(&self, rows: &Piece, index: usize) -> bool {
        self.peer.is_none_or(|peer| rows.remote[index] == peer)
            && self
                .at_ns
                .is_none_or(|at| (rows.starts_ns[index]..rows.ends_ns[index]).contains(&at))
    }
}

/// The wanted peer-windows, the most anomalous first; ties in the order of the data.
pub(super) fn explain(
    dataset: &Dataset,
    model: &ModelFile,
    selection: &Selection,
    wanted: &Wanted,
) -> anyhow::Result<Vec<Alert>> {
    let mut alerts: Vec<Alert> = Vec::new();
    read(dataset, Level::Decision, selection, &mut |rows| {
        if !(0..rows.len()).any(|index| wanted.admits(rows, index)) {
            return Ok(());
        }
        let peers = rows.peers();
        let count = peers.peers().len();
        let assessment = assess(model.detectors(), Kind::Peer, peers.rows(), count);
        for (number, entity) in rows.entities().iter().enumerate() {
            let (index, assessed) = (entity.row, assessment.entities()[number]);
            let place = alerts.partition_point(|alert| alert.surprise >= assessed.surprise);
            if place >= wanted.top || !wanted.admits(rows, index) {
                continue;
            }
            let time = |ns: i64| jiff::Timestamp::from_nanosecond(i128::from(ns));
            let label = &entity.label;
            let alert = Alert {
                window_start: time(rows.starts_ns[index])?,
                window_end: time(rows.ends_ns[index])?,
                peer: rows.remote[index],
                label: label.class().map(str::to_owned),
                attack: label.attack().map(str::to_owned),
                horizon_ms: assessment.horizon(number).map_or(0, Horizon::ms),
                p_value: assessed.p_value,
                surprise: assessed.surprise,
                score: assessed.score,
                tail_score: assessed.tail_score,
                reasons: assessment.reasons(number),
            };
            alerts.insert(place, alert);
            alerts.truncate(wanted.top);
        }
        Ok(())
    })?;
    if alerts.is_empty() {
        let whose = wanted.peer.map(|peer| format!(" of {peer}")).unwrap_or_default();
        let when = wanted
            .at_ns
            .and_then(|at| jiff::Timestamp::from_nanosecond(i128::from(at)).ok())
            .map(|at| format!(" at {at}"))
            .unwrap_or_default();
        anyhow::bail!(
            "there is no peer-window{whose}{when} to explain: check the address, the time and the \
             filters against what the tables hold"
        );
    }
    Ok(alerts)
}

pub(super) fn to_json(alerts: &[Alert]) -> anyhow::Result<String> {
    Ok(serde_json::to_string_pretty(alerts)? + "\n")
}

pub(super) fn to_text(alerts: &[Alert]) -> String {
    let mut text = String::new();
    for alert in alerts {
        let label = match (&alert.label, &alert.attack) {
            (Some(label), Some(attack)) => {
                format!(", labelled {} ({})", plain(label), plain(attack))
            }
            (Some(label), None) => format!(", labelled {}", plain(label)),
            (None, _) => String::new(),
        };
        let _ = writeln!(
            text,
            "{} {}: surprise {} over {}, p {}{label}\n  score {}, tail score {}{}",
            alert.window_start.strftime("%Y-%m-%d %H:%M:%S%.3f UTC"),
            alert.peer,
            number(alert.surprise),
            Horizon::from_ms(alert.horizon_ms),
            number(alert.p_value),
            short_number(alert.score),
            short_number(alert.tail_score),
            if alert.surprise >= UNUSUAL { "" } else { "; what one benign row in a hundred has" },
        );
        for line in reasons(&alert.reasons).lines() {
            let _ = writeln!(text, "  {line}");
        }
        text.push('\n');
    }
    text
}

fn reasons(reasons: &[Reason]) -> String {
    let head = ["of", "feature", "value", "benign 1 %", "benign 99 %", "unit", "share"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    rows.extend(reasons.iter().map(|reason| {
        vec![
            reason.subject.name().to_owned(),
            reason.feature.clone(),
            short_number(reason.value),
            short_number(reason.benign_low),
            short_number(reason.benign_high),
            reason.unit.clone(),
            percent(reason.share),
        ]
    }));
    table(&rows)
}
