//! Targets as people write them: `syslog+tls://logs.example:6514`.

use std::{fmt, path::PathBuf, str::FromStr};

/// A place that records go to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// Standard output.
    Output,
    /// Lines at the end of a file.
    File(PathBuf),
    /// The journal of this machine.
    Journald,
    /// A syslog server.
    Syslog {
        /// Transport.
        transport: Transport,
        /// Host and port.
        address: String,
    },
    /// A webhook.
    Http {
        /// Its URL.
        url: String,
    },
    /// A receiver of the OpenTelemetry protocol over HTTP.
    Otlp {
        /// URL of its logs.
        url: String,
    },
}

/// Transport of syslog.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// RFC 5426.
    Udp,
    /// RFC 6587, by octet counting.
    Tcp,
    /// RFC 5425.
    Tls,
}

/// A text that names no target.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no target: one of `-`, `file:///PATH`, `journald:`, `syslog+udp://HOST:PORT`, \
     `syslog+tcp://HOST:PORT`, `syslog+tls://HOST:PORT`, `http://…`, `https://…`, \
     `otlp+http://HOST:PORT`, `otlp+https://HOST:PORT`"
)]
pub struct TargetError(String);

impl FromStr for Target {
    type Err = TargetError;

    fn from_str(text: &str) -> Result<Self, TargetError> {
        let unknown = || TargetError(text.to_owned());
        match text {
            "-" => return Ok(Self::Output),
            "journald:" => return Ok(Self::Journald),
            _ => {}
        }
        let (scheme, rest) = text.split_once("://").ok_or_else(unknown)?;
        let host = rest.split('/').next().unwrap_or_default();
        let is_url = !host.is_empty() && !rest.contains(char::is_whitespace);
        let syslog = |transport, default: u16| {
            let has_port =
                host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
            let address = if has_port { host.to_owned() } else { format!("{host}:{default}") };
            (is_url && rest == host).then_some(Self::Syslog { transport, address })
        };
        let target = match scheme {
            "file" => rest.starts_with('/').then(|| Self::File(rest.into())),
            "syslog+udp" => syslog(Transport::Udp, 514),
            "syslog+tcp" => syslog(Transport::Tcp, 601),
            "syslog+tls" => syslog(Transport::Tls, 6514),
            "http" | "https" => is_url.then(|| Self::Http { url: text.to_owned() }),
            "otlp+http" | "otlp+https" => is_url.then(|| {
                let url = text.trim_start_matches("otlp+").trim_end_matches('/');
                let has_path = rest.trim_end_matches('/') != host;
                // OTLP 1.x, "Default paths": a URL without one gets that of the signal.
                let url = if has_path { url.to_owned() } else { format!("{url}/v1/logs") };
                Self::Otlp { url }
            }),
            _ => None,
        };
        target.ok_or_else(unknown)
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Output => f.write_str("standard output"),
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Journald => f.write_str("the journal"),
            Self::Syslog { address, .. } => f.write_str(address),
            Self::Http { url } | Self::Otlp { url } => f.write_str(url),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_read_from_its_url() {
        let syslog =
            |transport, address: &str| Target::Syslog { transport, address: address.into() };
        let otlp = |url: &str| Target::Otlp { url: url.to_owned() };
        for (text, expected) in [
            ("-", Target::Output),
            ("journald:", Target::Journald),
            ("file:///var/log/weir.ocsf", Target::File("/var/log/weir.ocsf".into())),
            ("syslog+udp://192.0.2.7", syslog(Transport::Udp, "192.0.2.7:514")),
            ("syslog+tcp://[2001:db8::1]:1601", syslog(Transport::Tcp, "[2001:db8::1]:1601")),
            ("syslog+tls://logs.example", syslog(Transport::Tls, "logs.example:6514")),
            ("https://siem.example/in", Target::Http { url: "https://siem.example/in".into() }),
            ("otlp+http://127.0.0.1:4318", otlp("http://127.0.0.1:4318/v1/logs")),
            ("otlp+https://o.example/otlp/v1/logs", otlp("https://o.example/otlp/v1/logs")),
        ] {
            assert_eq!(text.parse(), Ok(expected), "{text}");
        }
        for text in
            ["", "tcp://x", "file://x", "syslog+udp://", "syslog+tcp://a/b", "http://", "udp"]
        {
            assert!(text.parse::<Target>().is_err(), "{text:?}");
        }
    }
}
