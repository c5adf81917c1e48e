//! Counts of a load.

use std::{fmt::Write as _, time::Duration};

use control::wire::{Imported, ReadBack, TableCount};
use indicatif::HumanCount;
use serde::Serialize;

/// Lines refused, by reason.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Refused {
    own: u64,
    no_host: u64,
    gateway: u64,
    resolver: u64,
    administrator: u64,
    allowed: u64,
    too_wide: u64,
    /// For a reason that this weir does not know and the node does.
    other: u64,
}

/// Counts of a load. Each line is one of new, replaced, kept, repeated, bad or refused.
#[derive(Debug, Default, Serialize)]
pub(super) struct LoadCounts {
    pub(super) dry_run: bool,
    /// Lines with an entry, bad ones included.
    pub(super) lines: u64,
    new: u64,
    /// Blocked before for a shorter time, or with less done about it.
    replaced: u64,
    /// Blocked before for as long, or with more done about it.
    kept: u64,
    repeated: u64,
    pub(super) bad: u64,
    pub(super) refused: Refused,
    /// Of those that are new, replaced or kept.
    blocked: TableCount,
    /// Entries written that the kernel still held at the end; none in a dry run, nor where they
    /// were not all there.
    read_back: Option<u64>,
    /// Contents of the kernel's tables.
    tables: Option<Tables>,
    pub(super) load_seconds: f64,
    pub(super) read_back_seconds: f64,
    /// Why the load stopped half-way.
    pub(super) stopped: Option<String>,
}

/// Entries and capacity of the kernel's tables, expired entries included.
#[derive(Debug, Serialize)]
struct Tables {
    held: TableCount,
    capacity: TableCount,
}

impl Refused {
    pub(super) fn add(&mut self, code: &str) {
        *match code {
            "own_address" => &mut self.own,
            "no_host" => &mut self.no_host,
            "gateway" => &mut self.gateway,
            "resolver" => &mut self.resolver,
            "administrator" => &mut self.administrator,
            "allowed" => &mut self.allowed,
            "too_wide" => &mut self.too_wide,
            _ => &mut self.other,
        } += 1;
    }

    /// Each reason that there was, and all together.
    fn list(&self) -> (u64, String) {
        let each = [
            (self.own, "own"),
            (self.no_host, "no host"),
            (self.gateway, "gateway"),
            (self.resolver, "resolver"),
            (self.administrator, "administrator"),
            (self.allowed, "allowlist"),
            (self.too_wide, "too wide"),
            (self.other, "for another reason"),
        ];
        let all = each.iter().map(|(count, _)| count).sum();
        let named: Vec<String> = each
            .iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, what)| format!("{} {what}", HumanCount(*count)))
            .collect();
        (all, named.join(", "))
    }
}

impl LoadCounts {
    /// Counts what became of a batch; its refusals are counted line by line.
    pub(super) const fn add(&mut self, imported: &Imported) {
        self.new += imported.new;
        self.replaced += imported.replaced;
        self.kept += imported.kept;
        self.repeated += imported.repeated;
        self.blocked.v4 += imported.blocked.v4;
        self.blocked.v6 += imported.blocked.v6;
        self.blocked.prefixes += imported.blocked.prefixes;
    }

    /// Takes over what was read back at the end.
    pub(super) const fn take_read_back(&mut self, read_back: Option<ReadBack>) {
        let Some(read_back) = read_back else { return };
        self.read_back = Some(read_back.written);
        self.tables = Some(Tables { held: read_back.held, capacity: read_back.capacity });
    }

    /// For a person.
    pub(super) fn text(&self, lease: Duration) -> String {
        let n = HumanCount;
        let addresses = (self.blocked.v4 + self.blocked.v6) as u64;
        let prefixes = self.blocked.prefixes as u64;
        let verb = if self.dry_run { "would block" } else { "blocked" };
        let mut text = format!(
            "{verb} {} addresses and {} prefixes for {} unless their lines say otherwise\n",
            n(addresses),
            n(prefixes),
            humantime::format_duration(lease)
        );
        let _ = writeln!(
            text,
            "of {} lines: {} new, {} replaced, {} kept as they stood (for as long, or stricter), \
             {} repeated",
            n(self.lines),
            n(self.new),
            n(self.replaced),
            n(self.kept),
            n(self.repeated)
        );
        if self.bad > 0 {
            let _ = writeln!(text, "{} bad lines are not blocked", n(self.bad));
        }
        let (refused, reasons) = self.refused.list();
        if refused > 0 {
            let _ = writeln!(text, "{} lines refused: {reasons}", n(refused));
        }
        if let (Some(read_back), Some(tables)) = (self.read_back, &self.tables) {
            let _ = writeln!(
                text,
                "loaded in {:.1} s; {} written entries read back in {:.1} s, all in force",
                self.load_seconds,
                n(read_back),
                self.read_back_seconds
            );
            let Tables { held, capacity } = tables;
            let of = |held: usize, capacity: usize| {
                format!("{} of {}", n(held as u64), n(capacity as u64))
            };
            let _ = writeln!(
                text,
                "the tables hold {} IPv4 addresses, {} IPv6 addresses, {} prefixes",
                of(held.v4, capacity.v4),
                of(held.v6, capacity.v6),
                of(held.prefixes, capacity.prefixes)
            );
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_is_told_of_once() {
        let mut load_counts =
            LoadCounts { dry_run: true, lines: 6, bad: 1, ..LoadCounts::default() };
        load_counts.add(&Imported {
            new: 1,
            repeated: 1,
            kept: 1,
            blocked: TableCount { v4: 1, v6: 0, prefixes: 1 },
            ..Imported::default()
        });
        load_counts.refused.add("own_address");
        load_counts.refused.add("too_wide");
        assert_eq!(
            load_counts.text(Duration::from_hours(1)),
            "would block 1 addresses and 1 prefixes for 1h unless their lines say otherwise\n\
             of 6 lines: 1 new, 0 replaced, 1 kept as they stood (for as long, or stricter), 1 \
             repeated\n\
             1 bad lines are not blocked\n\
             2 lines refused: 1 own, 1 too wide\n"
        );
    }

    #[test]
    fn every_reason_to_protect_a_host_has_its_count() {
        for refusal in ["own_address", "no_host", "gateway", "resolver", "administrator", "allowed"]
        {
            let mut refused = Refused::default();
            refused.add(refusal);
            assert_eq!((refused.other, refused.list().0), (0, 1), "{refusal}");
        }
    }
}
