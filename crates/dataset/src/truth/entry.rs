//! An interval as typed, and as it is meant.

use std::net::IpAddr;
use std::ops::RangeInclusive;

use ipnet::IpNet;
use jiff::Timestamp;

use super::Interval;

/// Letters that a class or a name may have.
const MAX_NAME: usize = 100;

/// An interval as typed: what is empty is open.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawInterval {
    #[serde(deserialize_with = "super::toml::words")]
    pub(super) from: String,
    #[serde(deserialize_with = "super::toml::words")]
    pub(super) to: String,
    #[serde(deserialize_with = "super::toml::words")]
    pub(super) remote: String,
    #[serde(deserialize_with = "super::toml::words")]
    pub(super) local: String,
    #[serde(deserialize_with = "super::toml::words")]
    pub(super) remote_port: String,
    #[serde(deserialize_with = "super::toml::words")]
    pub(super) local_port: String,
    #[serde(deserialize_with = "super::toml::words")]
    pub(super) protocol: String,
    pub(super) class: String,
    pub(super) name: String,
}

/// A value that is not of its column's form.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refused {
    pub(super) column: &'static str,
    pub(super) reason: String,
}

impl RawInterval {
    /// The columns, as CSV names them.
    pub(super) const COLUMNS: [&'static str; 9] =
        ["from", "to", "remote", "local", "remote_port", "local_port", "protocol", "class", "name"];

    /// The field of a column's name.
    pub(super) fn field(&mut self, column: &str) -> Option<&mut String> {
        Some(match column {
            "from" => &mut self.from,
            "to" => &mut self.to,
            "remote" => &mut self.remote,
            "local" => &mut self.local,
            "remote_port" => &mut self.remote_port,
            "local_port" => &mut self.local_port,
            "protocol" => &mut self.protocol,
            "class" => &mut self.class,
            "name" => &mut self.name,
            _ => return None,
        })
    }

    pub(super) fn check(&self) -> Result<Interval, Refused> {
        let refused = |column| move |reason| Refused { column, reason };
        let interval = Interval {
            from_ns: time(&self.from, i64::MIN).map_err(refused("from"))?,
            to_ns: time(&self.to, i64::MAX).map_err(refused("to"))?,
            remote: prefixes(&self.remote).map_err(refused("remote"))?,
            local: prefixes(&self.local).map_err(refused("local"))?,
            remote_ports: ports(&self.remote_port).map_err(refused("remote_port"))?,
            local_ports: ports(&self.local_port).map_err(refused("local_port"))?,
            protocol: protocol(&self.protocol).map_err(refused("protocol"))?,
            class: name(&self.class)
                .and_then(|class| class.ok_or_else(|| "must not be empty".to_owned()))
                .map_err(refused("class"))?,
            name: name(&self.name).map_err(refused("name"))?,
        };
        if interval.from_ns > interval.to_ns {
            let reason = format!("`{}` lies before `from`, which is `{}`", self.to, self.from);
            return Err(Refused { column: "to", reason });
        }
        Ok(interval)
    }
}

fn time(text: &str, open: i64) -> Result<i64, String> {
    if text.is_empty() {
        return Ok(open);
    }
    let wrong = || {
        format!(
            "`{text}` is no time between 1677 and 2262: give RFC 3339 with an offset, as \
             2026-11-22T21:00:00Z, or unix seconds"
        )
    };
    if let Some(ns) = unix_seconds(text) {
        return Ok(ns);
    }
    let time: Timestamp = text.parse().map_err(|_| wrong())?;
    i64::try_from(time.as_nanosecond()).map_err(|_| wrong())
}

/// Decimal seconds in ns, exactly; digits past the ninth are cut off.
fn unix_seconds(text: &str) -> Option<i64> {
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, ""));
    let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let digits = seconds.strip_prefix('-').unwrap_or(seconds);
    if digits.is_empty() || !is_digits(digits) || !is_digits(fraction) {
        return None;
    }
    let fraction: i64 = format!("{fraction:0<9}")[..9].parse().ok()?;
    let fraction = if seconds.starts_with('-') { -fraction } else { fraction };
    seconds.parse::<i64>().ok()?.checked_mul(1_000_000_000)?.checked_add(fraction)
}

fn prefixes(text: &str) -> Result<Vec<IpNet>, String> {
    let prefix = |word: &str| {
        let net = word.parse::<IpNet>().or_else(|_| word.parse::<IpAddr>().map(IpNet::from));
        net.map(|net| net.trunc())
            .map_err(|_| format!("`{word}` is neither an address nor a prefix like 192.0.2.0/24"))
    };
    text.split_whitespace().map(prefix).collect()
}

fn ports(text: &str) -> Result<RangeInclusive<u16>, String> {
    if text.is_empty() {
        return Ok(0..=u16::MAX);
    }
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let port = |text: &str| text.trim().parse::<u16>().ok();
    match (port(first), port(last)) {
        (Some(first), Some(last)) if first <= last => Ok(first..=last),
        _ => Err(format!("`{text}` is neither a port (0 to 65535) nor a range like 1-1024")),
    }
}

fn protocol(text: &str) -> Result<Option<u8>, String> {
    Ok(Some(match text.to_ascii_lowercase().as_str() {
        "" => return Ok(None),
        "icmp" => 1,
        "tcp" => 6,
        "udp" => 17,
        "icmpv6" => 58,
        "sctp" => 132,
        number => number.parse().map_err(|_| {
            format!("`{text}` is neither tcp, udp, icmp, icmpv6, sctp nor a number to 255")
        })?,
    }))
}

fn name(text: &str) -> Result<Option<String>, String> {
    let text = text.trim();
    if text.chars().count() > MAX_NAME || text.chars().any(char::is_control) {
        return Err(format!("must be at most {MAX_NAME} printable characters"));
    }
    Ok((!text.is_empty()).then(|| text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_rfc_3339_or_unix_seconds() {
        for (text, ns) in [
            ("1795384800", 1_795_384_800_000_000_000),
            ("1795384800.000000001", 1_795_384_800_000_000_001),
            ("1795384800.5", 1_795_384_800_500_000_000),
            ("-0.25", -250_000_000),
            ("2026-11-22T22:00:00Z", 1_795_384_800_000_000_000),
            ("2026-11-22T23:00:00.5+01:00", 1_795_384_800_500_000_000),
        ] {
            assert_eq!(time(text, 0), Ok(ns), "{text}");
        }
        for text in ["2026-11-22T22:00:00", "noon", "1e9", "", "99999999999", ".5", "1.-5"] {
            assert_eq!(time(text, 7).is_ok(), text.is_empty(), "{text}");
        }
    }

    #[test]
    fn ports_and_protocols_are_numbers_or_what_stands_for_them() {
        assert_eq!(ports("1-1024"), Ok(1..=1024));
        assert_eq!(ports("443"), Ok(443..=443));
        assert_eq!(ports(""), Ok(0..=u16::MAX));
        assert!(ports("5-1").is_err() && ports("65536").is_err() && ports("-1").is_err());
        assert_eq!(protocol("TCP"), Ok(Some(6)));
        assert_eq!(protocol("47"), Ok(Some(47)));
        assert!(protocol("quic").is_err());
    }

    #[test]
    fn an_interval_that_ends_before_it_begins_is_refused() {
        let raw = RawInterval {
            from: "2".to_owned(),
            to: "1".to_owned(),
            class: "x".to_owned(),
            ..RawInterval::default()
        };
        assert_eq!(raw.check().expect_err("backwards").column, "to");
    }
}
