//! Entries in force, as a list that `weir import` reads.

use std::fmt::Write as _;

use clap::ValueEnum;
use flows_common::Action;

use super::super::emit;
use datapath::Blocked;

/// Bytes written to standard output at a time.
const CHUNK: usize = 64 << 10;

/// Format of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum ListFormat {
    /// Addresses and prefixes, one a line.
    Text,
    /// With action, rate and what is left of the lease.
    Csv,
}

/// Writes the entries whose lease is not over, to the second.
pub(super) fn write(blocked: &[Blocked], format: ListFormat, now_ns: u64) -> anyhow::Result<()> {
    let mut text = match format {
        ListFormat::Text => String::new(),
        ListFormat::Csv => "address,action,pps,ttl\n".to_owned(),
    };
    for one in blocked {
        if let Some(line) = line(one, format, now_ns) {
            text.push_str(&line);
        }
        if text.len() >= CHUNK {
            emit(&text)?;
            text.clear();
        }
    }
    emit(&text)
}

fn line(blocked: &Blocked, format: ListFormat, now_ns: u64) -> Option<String> {
    let entry = &blocked.entry;
    let left_ns = entry.expires_ns.checked_sub(now_ns).filter(|&left_ns| left_ns > 0)?;
    let mut line = blocked.target.to_string();
    if format == ListFormat::Csv {
        let action = Action::from_code(entry.action)?.name();
        let pps = entry.packets_per_second().map_or_else(String::new, |pps| pps.to_string());
        // A list has no block below a second.
        let seconds = left_ns.div_ceil(1_000_000_000);
        let _ = write!(line, ",{action},{pps},{seconds}");
    }
    line.push('\n');
    Some(line)
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use address_list::{Asks, Options, Reader};
    use flows_common::BlockEntry;

    use super::*;
    use datapath::Target;

    const SECOND: u64 = 1_000_000_000;

    fn blocked(target: Target, entry: BlockEntry) -> Blocked {
        Blocked { target, entry }
    }

    #[test]
    fn what_is_written_is_read_again_with_action_rate_and_lease() {
        let limited = BlockEntry {
            action: Action::RateLimit.code(),
            packet_cost_ns: SECOND / 25,
            expires_ns: 91 * SECOND,
            ..BlockEntry::default()
        };
        let net: ipnet::IpNet = "2001:db8::/32".parse().unwrap();
        let line = line(&blocked(Target::from(net), limited), ListFormat::Csv, SECOND).unwrap();
        let list = format!("address,action,pps,ttl\n{line}");
        let mut reader = Reader::new(list.as_bytes(), Options::default());
        let entry = reader.next_line().unwrap().unwrap().entry.unwrap();
        assert_eq!(entry.net, net);
        let asks = Asks {
            lease: Some(std::time::Duration::from_secs(90)),
            action: Some(Action::RateLimit),
            packets_per_second: Some(25),
        };
        assert_eq!(entry.asks, asks);
    }

    #[test]
    fn what_has_run_out_is_not_on_the_list() {
        let target = Target::from(IpAddr::from([192, 0, 2, 1]));
        let entry =
            BlockEntry { action: Action::Drop.code(), expires_ns: SECOND, ..BlockEntry::default() };
        assert_eq!(line(&blocked(target, entry), ListFormat::Text, SECOND), None);
        let last = line(&blocked(target, entry), ListFormat::Csv, SECOND - 1);
        assert_eq!(last.as_deref(), Some("192.0.2.1,drop,,1\n"));
    }
}
