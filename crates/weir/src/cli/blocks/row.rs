//! A block as it is listed.

use std::{fmt::Write as _, time::Duration};

use control::wire;
use flows_common::{Action, BlockStats};
use jiff::Timestamp;
use report::text::{number, plain};
use serde::Serialize;

use crate::cli::{emit, table};
use collector::{enforcer::FIRST_OF_PEOPLE, lists::Lists};
use datapath::Blocked;

/// A block as it is listed.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Row {
    target: String,
    /// The name of an [`Action`].
    action: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    packets_per_second: Option<u64>,
    /// Milliseconds of its lease that are left; 0 when it has run out.
    remaining_ms: u64,
    expired: bool,
    by_hand: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    list: Option<String>,
    /// Facts from the running node.
    #[serde(flatten)]
    told: Option<NodeFacts>,
    /// None where it shares its counters with others.
    #[serde(flatten)]
    hits: Option<Hits>,
}

/// Facts of a block that the running node has and the kernel lacks.
#[derive(Debug, PartialEq, Serialize)]
struct NodeFacts {
    /// `model`, `person`, `import` or `found`.
    origin: &'static str,
    who: Option<String>,
    reason: Option<String>,
    made: Option<Timestamp>,
    expires: Timestamp,
    /// The decision in the ledger.
    decision: Option<u64>,
    p_value: Option<f64>,
}

/// Hits of an entry.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Hits {
    dropped_packets: u64,
    dropped_bytes: u64,
    passed_packets: u64,
    /// Packets that shadow would have dropped.
    shadow_packets: u64,
    /// Milliseconds since the first drop, or would-be drop.
    first_drop_ago_ms: Option<u64>,
    /// Milliseconds since the last one.
    last_drop_ago_ms: Option<u64>,
}

impl Row {
    pub(super) fn of(
        blocked: &Blocked,
        stats: Option<&BlockStats>,
        lists: &Lists,
        now_ns: u64,
    ) -> Self {
        let entry = &blocked.entry;
        let ago = |at_ns: u64| (at_ns > 0).then(|| now_ns.saturating_sub(at_ns) / 1_000_000);
        Self {
            target: blocked.target.to_string(),
            action: Action::from_code(entry.action).map_or("unknown", Action::name),
            packets_per_second: entry.packets_per_second(),
            remaining_ms: entry.expires_ns.saturating_sub(now_ns) / 1_000_000,
            expired: entry.expires_ns <= now_ns,
            by_hand: entry.reason >= FIRST_OF_PEOPLE,
            list: lists.name(entry.reason).map(str::to_owned),
            told: None,
            hits: stats.map(|stats| Hits {
                dropped_packets: stats.dropped_packets,
                dropped_bytes: stats.dropped_bytes,
                passed_packets: stats.passed_packets,
                shadow_packets: stats.shadow_packets,
                first_drop_ago_ms: ago(stats.first_ns),
                last_drop_ago_ms: ago(stats.last_ns),
            }),
        }
    }

    /// A block as the running node tells of it.
    pub(super) fn told(block: &wire::Block, now: Timestamp) -> Self {
        let ago = |time: Option<Timestamp>| {
            time.map(|time| u64::try_from(now.duration_since(time).as_millis()).unwrap_or(0))
        };
        Self {
            target: block.target.to_string(),
            action: block.action.name(),
            packets_per_second: block.pps,
            remaining_ms: block.left_s.saturating_mul(1_000),
            expired: block.left_s == 0,
            by_hand: block.origin == wire::Origin::Person,
            list: block.list.clone(),
            told: Some(NodeFacts {
                origin: block.origin.name(),
                who: block.who.clone(),
                reason: block.reason.clone(),
                made: block.made,
                expires: block.expires,
                decision: block.decision,
                p_value: block.p_value,
            }),
            hits: Some(Hits {
                dropped_packets: block.dropped_packets,
                dropped_bytes: block.dropped_bytes,
                passed_packets: block.passed_packets,
                shadow_packets: block.would_drop_packets,
                first_drop_ago_ms: ago(block.first_drop),
                last_drop_ago_ms: ago(block.last_drop),
            }),
        }
    }

    fn cells(&self) -> Vec<String> {
        let action = match self.packets_per_second {
            Some(pps) => format!("{} {pps}/s", self.action),
            None => self.action.to_owned(),
        };
        let lease = if self.expired {
            "expired".to_owned()
        } else {
            length(self.remaining_ms.saturating_mul(1_000_000))
        };
        let ago = |ms: Option<u64>| {
            ms.map_or_else(|| "-".to_owned(), |ms| format!("{} ago", length(ms * 1_000_000)))
        };
        let hits = self.hits.as_ref();
        let count =
            |of: fn(&Hits) -> u64| hits.map_or_else(|| "-".to_owned(), |hits| of(hits).to_string());
        let mut cells = vec![
            self.target.clone(),
            action,
            lease,
            count(|hits| hits.dropped_packets),
            count(|hits| hits.passed_packets),
            ago(hits.and_then(|hits| hits.first_drop_ago_ms)),
            ago(hits.and_then(|hits| hits.last_drop_ago_ms)),
        ];
        if let Some(told) = &self.told {
            cells.push(told.why(self.list.as_deref()));
        }
        cells
    }
}

impl NodeFacts {
    /// Origin and reason: `model (p 0.0008)`, `ada: seen in the mail log`.
    fn why(&self, list: Option<&str>) -> String {
        let mut text = self.who.as_deref().map_or_else(|| self.origin.to_owned(), plain);
        if let Some(list) = list {
            let _ = write!(text, " (list {list})");
        }
        if let Some(p_value) = self.p_value {
            let _ = write!(text, " (p {})", number(p_value));
        }
        if let Some(reason) = &self.reason {
            let _ = write!(text, ": {}", plain(reason));
        }
        text
    }
}

/// Prints blocks, a page at a time as they come.
pub(super) struct Printer {
    json: bool,
    rows: usize,
    expired: bool,
}

impl Printer {
    pub(super) const fn new(json: bool) -> Self {
        Self { json, rows: 0, expired: false }
    }

    pub(super) fn print(&mut self, rows: &[Row]) -> anyhow::Result<()> {
        let text = self.page(rows)?;
        emit(&text)
    }

    pub(super) fn end(self) -> anyhow::Result<()> {
        emit(&self.last())
    }

    fn page(&mut self, rows: &[Row]) -> anyhow::Result<String> {
        if rows.is_empty() {
            return Ok(String::new());
        }
        let text = if self.json {
            let array = serde_json::to_string(rows)?;
            let lead = if self.rows == 0 { '[' } else { ',' };
            format!("{lead}{}", &array[1..array.len() - 1])
        } else {
            let text = columns(rows);
            let behind_head = text.find('\n').map_or(0, |end| end + 1);
            // The head stands once.
            text[if self.rows == 0 { 0 } else { behind_head }..].to_owned()
        };
        self.rows += rows.len();
        self.expired |= rows.iter().any(|row| row.expired);
        Ok(text)
    }

    fn last(&self) -> String {
        match (self.json, self.rows, self.expired) {
            (true, 0, _) => "[]\n",
            (true, ..) => "]\n",
            (false, 0, _) => "nothing is blocked\n",
            (false, _, true) => {
                "the kernel ignores expired entries; `weir unblock --expired` removes them\n"
            }
            (false, ..) => "",
        }
        .to_owned()
    }
}

/// The blocks for a person.
fn columns(rows: &[Row]) -> String {
    let head = ["target", "action", "lease", "dropped", "passed", "first drop", "last drop"];
    let mut cells = vec![head.map(str::to_owned).to_vec()];
    if rows.iter().any(|row| row.told.is_some()) {
        cells[0].push("why".to_owned());
    }
    cells.extend(rows.iter().map(Row::cells));
    table(&cells)
}

/// A length of time, to the second.
fn length(ns: u64) -> String {
    let seconds = ns.saturating_add(500_000_000) / 1_000_000_000;
    humantime::format_duration(Duration::from_secs(seconds)).to_string()
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use flows_common::BlockEntry;

    use super::*;
    use datapath::Target;

    const SECOND: u64 = 1_000_000_000;

    fn blocked(action: Action, expires_ns: u64) -> Blocked {
        let entry = BlockEntry { action: action.code(), expires_ns, ..BlockEntry::default() };
        Blocked { target: Target::from(IpAddr::from([192, 0, 2, 7])), entry }
    }

    #[test]
    fn an_entry_past_its_lease_is_listed_as_expired() {
        let of = |one| Row::of(&one, None, &Lists::default(), 9 * SECOND);
        let live = of(blocked(Action::Drop, 70 * SECOND));
        let dead = of(blocked(Action::Drop, 9 * SECOND));
        assert_eq!((live.remaining_ms, live.expired), (61_000, false));
        assert_eq!((dead.remaining_ms, dead.expired), (0, true));
        let mut printer = Printer::new(false);
        assert!(printer.page(&[live]).unwrap().contains("1m 1s"));
        let second = printer.page(&[dead]).unwrap();
        assert!(second.starts_with("192.0.2.7") && second.lines().count() == 1, "{second}");
        assert!(printer.last().contains("weir unblock --expired"));
    }

    #[test]
    fn pages_of_json_are_one_array() {
        for pages in 0..3 {
            let mut printer = Printer::new(true);
            let mut text = String::new();
            for _ in 0..pages {
                let rows: Vec<Row> = (1..=2)
                    .map(|ends| {
                        let one = blocked(Action::Drop, ends * SECOND);
                        Row::of(&one, None, &Lists::default(), 0)
                    })
                    .collect();
                text += &printer.page(&rows).unwrap();
            }
            text += &printer.last();
            let array: Vec<serde_json::Value> = serde_json::from_str(&text).unwrap();
            assert_eq!(array.len(), 2 * pages, "{text}");
        }
    }

    #[test]
    fn what_an_entry_met_is_listed_with_its_age() {
        let stats = BlockStats {
            dropped_packets: 12,
            passed_packets: 3,
            first_ns: SECOND,
            last_ns: 5 * SECOND,
            ..BlockStats::default()
        };
        let limited = blocked(Action::RateLimit, 70 * SECOND);
        let row = Row::of(&limited, Some(&stats), &Lists::default(), 9 * SECOND);
        assert_eq!(
            row.cells(),
            ["192.0.2.7", "rate-limit", "1m 1s", "12", "3", "8s ago", "4s ago"]
        );
        let json = serde_json::to_value(&row).unwrap();
        assert_eq!(json["last_drop_ago_ms"], 4_000);
        assert_eq!(json["dropped_packets"], 12);
    }
}
