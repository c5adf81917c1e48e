//! Where a table's rows come from, in its files' footers.

use std::fmt::Write as _;

use parquet::file::metadata::KeyValue;

/// Key of the captures, a line each: the digest in hexadecimal, a space, the name.
const ORIGIN: &str = "weir.origin";
/// Key of the windows' length, in ns.
const WINDOW: &str = "weir.window.length_ns";
/// Key of the local prefixes.
const HOME: &str = "weir.home";

/// A capture that rows come from.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Origin {
    /// SHA-256 of its frames.
    pub digest: [u8; 32],
    /// Its name.
    pub name: String,
}

/// How a table's rows came about; all of it stands in the footers of its files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Provenance {
    /// The captures that were replayed as one; none of a live capture.
    pub origins: Vec<Origin>,
    /// Configured length of a window, in ns.
    pub window_ns: Option<u64>,
    /// Local prefixes, separated by commas.
    pub home: Option<String>,
}

impl Origin {
    /// The digest in hexadecimal.
    #[must_use]
    pub fn hex(&self) -> String {
        self.digest.iter().fold(String::with_capacity(64), |mut hex, byte| {
            // A string takes what is written.
            let _ = write!(hex, "{byte:02x}");
            hex
        })
    }

    fn read(line: &str) -> Option<Self> {
        let (hex, name) = line.split_once(' ')?;
        let mut digest = [0; 32];
        if hex.len() != 64 || !hex.is_ascii() {
            return None;
        }
        for (at, byte) in digest.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).ok()?;
        }
        Some(Self { digest, name: name.to_owned() })
    }
}

impl Provenance {
    /// What the column of sources says of every row: the captures' names.
    #[must_use]
    pub fn source(&self) -> Option<String> {
        let names: Vec<&str> = self.origins.iter().map(|origin| origin.name.as_str()).collect();
        (!names.is_empty()).then(|| names.join(", "))
    }

    pub(crate) fn to_metadata(&self) -> Vec<KeyValue> {
        let lines: Vec<String> = self
            .origins
            .iter()
            .map(|origin| format!("{} {}", origin.hex(), origin.name.replace('\n', " ")))
            .collect();
        let origins = (!lines.is_empty()).then(|| lines.join("\n"));
        [
            (ORIGIN, origins),
            (WINDOW, self.window_ns.map(|length| length.to_string())),
            (HOME, self.home.clone()),
        ]
        .into_iter()
        .filter_map(|(key, value)| Some(KeyValue::new(key.to_owned(), value?)))
        .collect()
    }

    /// Reads it back; what is absent or cannot be read is nothing.
    pub(crate) fn from_metadata(pairs: &[KeyValue]) -> Self {
        let value = |key: &str| pairs.iter().find(|pair| pair.key == key)?.value.as_deref();
        Self {
            origins: value(ORIGIN)
                .map(|text| text.lines().filter_map(Origin::read).collect())
                .unwrap_or_default(),
            window_ns: value(WINDOW).and_then(|text| text.parse().ok()),
            home: value(HOME).map(str::to_owned),
        }
    }

    /// True of a key that it writes.
    pub(crate) fn is_own(key: &str) -> bool {
        [ORIGIN, WINDOW, HOME].contains(&key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn provenance_comes_back_from_a_footer() {
        let origin = |byte, name: &str| Origin { digest: [byte; 32], name: name.to_owned() };
        let provenance = Provenance {
            origins: vec![origin(0xab, "a b.pcap"), origin(1, "c.pcapng.zst")],
            window_ns: Some(60_000_000_000),
            home: Some("192.0.2.0/24,2001:db8::/32".to_owned()),
        };
        assert_eq!(Provenance::from_metadata(&provenance.to_metadata()), provenance);
        assert_eq!(provenance.source().as_deref(), Some("a b.pcap, c.pcapng.zst"));
        let nothing = Provenance::default();
        assert_eq!(nothing.to_metadata(), []);
        assert_eq!((Provenance::from_metadata(&[]), nothing.source()), (nothing.clone(), None));
    }

    #[test]
    fn what_is_no_origin_is_none() {
        for line in ["", "ab x", "zz x", &format!("{} x", "g".repeat(64)), &"é".repeat(40)] {
            assert_eq!(Origin::read(line), None, "{line}");
        }
    }
}
