//! What came of a load, in numbers.

use std::{fmt::Write as _, time::Duration};

use indicatif::HumanCount;
use serde::Serialize;

use datapath::{BlockCount, Loaded, Target};

/// Why a target must not be blocked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    Own,
    Gateway,
    Resolver,
    Allowed,
    TooWide,
}

/// Lines refused, by reason.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Refused {
    own: u64,
    gateway: u64,
    resolver: u64,
    allowed: u64,
    too_wide: u64,
}

/// What came of a load, in numbers. Each line is one of new, replaced, kept, repeated, bad or
/// refused.
#[derive(Debug, Default, Serialize)]
pub(super) struct Tally {
    pub(super) dry_run: bool,
    /// Lines that say something.
    pub(super) lines: u64,
    new: u64,
    /// Blocked before for a shorter time, or with less done about it.
    replaced: u64,
    /// Blocked before for as long, or with more done about it.
    kept: u64,
    repeated: u64,
    pub(super) bad: u64,
    pub(super) refused: Refused,
    /// Of those blocked, prefixes with a part on the allowlist.
    pub(super) partly_allowed: u64,
    /// Of those that are new, replaced or kept.
    blocked: BlockCount,
    /// Entries written that the kernel still held at the end; none in a dry run, nor where they
    /// were not all there.
    pub(super) read_back: Option<u64>,
    /// What the kernel's tables hold in all.
    pub(super) tables: Option<Tables>,
    pub(super) load_seconds: f64,
    pub(super) read_back_seconds: f64,
    /// Why the load stopped half-way.
    pub(super) stopped: Option<String>,
}

/// How full the kernel's tables are, expired entries included.
#[derive(Debug, Serialize)]
pub(super) struct Tables {
    pub(super) held: BlockCount,
    pub(super) capacity: BlockCount,
}

impl Refused {
    pub(super) const fn add(&mut self, refusal: Refusal) {
        match refusal {
            Refusal::Own => self.own += 1,
            Refusal::Gateway => self.gateway += 1,
            Refusal::Resolver => self.resolver += 1,
            Refusal::Allowed => self.allowed += 1,
            Refusal::TooWide => self.too_wide += 1,
        }
    }

    /// Each reason that there was, and all together.
    fn list(&self) -> (u64, String) {
        let each = [
            (self.own, "own"),
            (self.gateway, "gateway"),
            (self.resolver, "resolver"),
            (self.allowed, "allowlist"),
            (self.too_wide, "too wide"),
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

impl Tally {
    /// Counts what became of a line.
    pub(super) const fn count(&mut self, target: &Target, loaded: Loaded) {
        match loaded {
            Loaded::New => self.new += 1,
            Loaded::Replaced => self.replaced += 1,
            Loaded::Kept => self.kept += 1,
            Loaded::Repeated => {
                self.repeated += 1;
                return;
            }
        }
        self.blocked.add(target);
    }

    /// Targets of the list that are blocked now.
    pub(super) const fn standing(&self) -> u64 {
        self.new + self.replaced + self.kept
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
        if self.partly_allowed > 0 {
            let _ = writeln!(
                text,
                "{} prefixes have a part on the allowlist, which wins",
                n(self.partly_allowed)
            );
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
    use std::net::IpAddr;

    use super::*;

    #[test]
    fn each_line_is_told_of_once() {
        let mut tally = Tally { dry_run: true, lines: 6, bad: 1, ..Tally::default() };
        let address = Target::from(IpAddr::from([192, 0, 2, 1]));
        let net: ipnet::IpNet = "198.51.100.0/24".parse().unwrap();
        tally.count(&address, Loaded::New);
        tally.count(&address, Loaded::Repeated);
        tally.count(&Target::from(net), Loaded::Kept);
        tally.refused.add(Refusal::Own);
        tally.refused.add(Refusal::TooWide);
        assert_eq!(tally.standing(), 2);
        assert_eq!(
            tally.text(Duration::from_hours(1)),
            "would block 1 addresses and 1 prefixes for 1h unless their lines say otherwise\n\
             of 6 lines: 1 new, 0 replaced, 1 kept as they stood (for as long, or stricter), 1 \
             repeated\n\
             1 bad lines are not blocked\n\
             2 lines refused: 1 own, 1 too wide\n"
        );
    }
}
