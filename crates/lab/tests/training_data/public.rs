//! `public.toml`: every field says what was read and where, or that nothing was.

use std::{collections::BTreeSet, fs};

use serde::Deserialize;

/// The whole file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Manifest {
    set: Vec<DataSet>,
}

/// A public data set.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct DataSet {
    id: String,
    name: String,
    address: Field,
    holds: Field,
    licence: Field,
    size: Field,
    checksum: Field,
    label: Field,
    reasoned: Vec<String>,
    #[serde(default)]
    flaws: Vec<Read>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "a field is \"not verified\" or a table of value, read_at, read_on")]
enum Field {
    Read(Read),
    Nothing(NotVerified),
}

#[derive(Debug, Deserialize)]
enum NotVerified {
    #[serde(rename = "not verified")]
    NotVerified,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Read {
    value: String,
    #[serde(rename = "read_at")]
    address: String,
    #[serde(rename = "read_on")]
    day: toml::value::Datetime,
}

impl Read {
    fn check(&self, of: &str) {
        assert!(!self.value.trim().is_empty(), "{of}");
        assert!(self.address.starts_with("http"), "{of}: {}", self.address);
        assert!(self.day.date.is_some() && self.day.time.is_none(), "{of}");
    }
}

#[test]
fn the_manifest_of_public_data_sets_parses_and_names_its_sources() {
    let text = fs::read_to_string(super::folder().join("public.toml")).expect("public.toml");
    let manifest: Manifest = toml::from_str(&text).expect("public.toml is valid");
    let ids: BTreeSet<_> = manifest.set.iter().map(|set| set.id.as_str()).collect();
    assert_eq!(ids.len(), manifest.set.len(), "each set stands once");
    for wanted in ["cic-ids2017", "cse-cic-ids2018", "unsw-nb15", "ctu-13", "kitsune", "mawi"] {
        assert!(ids.contains(wanted), "{wanted}");
    }
    for set in &manifest.set {
        assert!(!set.name.is_empty());
        let fields = [&set.address, &set.holds, &set.licence, &set.size, &set.checksum, &set.label];
        for field in fields {
            if let Field::Read(read) = field {
                read.check(&set.id);
            }
        }
        assert!(matches!(set.address, Field::Read(_)), "{}: where is it?", set.id);
        set.flaws.iter().for_each(|flaw| flaw.check(&set.id));
        assert!(set.reasoned.iter().all(|line| !line.trim().is_empty()), "{}", set.id);
    }
}
