//! What the kernel drops of anybody's, by its reasons, from one look to the next.

use std::fmt::Write as _;

use datapath::{KernelError, Trace, TraceCounters, TraceFilter, TracePoint, Traced};
use report::text::{columns, count, number};

use crate::reasons;

/// The kernel's drops in the calling thread's network namespace, watched.
#[derive(Debug)]
pub struct Drops {
    trace: Trace,
    before: Traced,
}

impl Drops {
    /// Begins to count.
    ///
    /// # Errors
    /// As for [`Trace::start`].
    pub fn start() -> Result<Self, KernelError> {
        let trace = Trace::start(&TraceFilter::of_nobody(), &[TracePoint::Dropped])?;
        Ok(Self { trace, before: Traced::default() })
    }

    /// A table of what was dropped in the `seconds` since the last look, and in all.
    ///
    /// # Errors
    /// The tables cannot be read.
    pub fn table(&mut self, seconds: f64) -> Result<String, KernelError> {
        let after = self.trace.read()?;
        let rows = rows(&self.before, &after, seconds);
        let missed = after.missed + after.ledger.values().map(|one| one.no_room).sum::<u64>();
        self.before = after;
        let mut text = columns(&rows);
        if missed > 0 {
            // Writing to a string does not fail.
            let _ = writeln!(text, "{} buffers were not counted", count(missed));
        }
        Ok(text)
    }
}

fn rows(before: &Traced, after: &Traced, seconds: f64) -> Vec<Vec<String>> {
    let mut rows =
        vec![["reason", "packets/s", "bytes/s", "packets", "usually"].map(str::to_owned).to_vec()];
    let earlier = |name: &str| {
        let found = before.reasons.iter().find(|(reason, _)| reason.name == name);
        found.map_or_else(TraceCounters::default, |(_, counters)| *counters)
    };
    let mut now: Vec<(u64, Vec<String>)> = after
        .reasons
        .iter()
        .filter(|(reason, _)| !reason.is_no_loss())
        .map(|(reason, counters)| {
            let was = earlier(&reason.name);
            let packets = counters.packets.saturating_sub(was.packets);
            let bytes = counters.bytes.saturating_sub(was.bytes);
            let rate = |count: u64| number(count as f64 / seconds.max(f64::MIN_POSITIVE));
            let usually = reasons::told(&reason.name).map_or("", |(means, _)| means);
            let row = vec![
                reason.name.clone(),
                rate(packets),
                rate(bytes),
                count(counters.packets),
                usually.to_owned(),
            ];
            (packets, row)
        })
        .collect();
    now.sort_by_key(|(packets, _)| std::cmp::Reverse(*packets));
    rows.extend(now.into_iter().map(|(_, row)| row));
    rows
}

#[cfg(test)]
mod tests {
    use datapath::DropReason;

    use super::*;

    #[test]
    fn the_busiest_reason_of_late_is_first_and_what_was_used_up_is_none() {
        let of = |all: [(&str, u64); 3]| Traced {
            reasons: all
                .into_iter()
                .map(|(name, packets)| {
                    let reason = DropReason { number: 0, name: name.to_owned() };
                    (
                        reason,
                        TraceCounters { packets, bytes: 100 * packets, ..TraceCounters::default() },
                    )
                })
                .collect(),
            ..Traced::default()
        };
        let before = of([("NO_SOCKET", 1_000), ("TCP_CSUM", 10), ("CONSUMED", 0)]);
        let after = of([("NO_SOCKET", 1_010), ("TCP_CSUM", 60), ("CONSUMED", 5)]);
        let rows = rows(&before, &after, 2.0);
        assert_eq!(rows.len(), 3);
        assert_eq!(rows[1][..4], ["TCP_CSUM", "25", "2500", "60"].map(str::to_owned));
        assert_eq!(rows[2][..2], ["NO_SOCKET", "5"].map(str::to_owned));
    }
}
