//! Schemas of feature tables: what identifies one, and with the feature `arrow` the tables.

#[cfg(feature = "arrow")]
mod tables;

use std::{fmt::Write as _, sync::LazyLock};

use flows_common::{EtherClass, Loss, PacketCounters};
use sha2::{Digest, Sha256};

#[cfg(feature = "arrow")]
pub use self::tables::*;
use crate::feature::{
    FORMULA_REVISION, Feature, FlowFeature, HostFeature, PeerFeature, ServiceFeature, Use,
};
use crate::kind::Kind;

/// Identity of a schema: a model fits the tables of the same identity.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SchemaId {
    /// The schema's name, with its version.
    pub name: String,
    /// The first 16 hex digits of the SHA-256 over name, [`FORMULA_REVISION`] and each feature's
    /// name, unit, use and doc, in order.
    pub hash: String,
    /// The names of the features that are scored, in the order of model input; none of flows.
    pub features: Vec<String>,
}

/// The name of a table's schema.
#[must_use]
pub const fn schema_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Flow => "weir.flow.v2",
        Kind::Peer => "weir.peer.v4",
        Kind::Host => "weir.host.v1",
        Kind::Service => "weir.service.v1",
        Kind::Net => "weir.net.v1",
    }
}

/// The kind of the rows of a schema, by its name; none where this build has no such table.
#[must_use]
pub fn kind_of(name: &str) -> Option<Kind> {
    Kind::ALL.into_iter().find(|&kind| schema_name(kind) == name)
}

/// The identity of a table's schema.
#[must_use]
pub fn schema_id(kind: Kind) -> SchemaId {
    let name = schema_name(kind);
    match kind {
        Kind::Flow => id_of::<FlowFeature>(name),
        Kind::Peer => id_of::<PeerFeature>(name),
        Kind::Host | Kind::Net => id_of::<HostFeature>(name),
        Kind::Service => id_of::<ServiceFeature>(name),
    }
}

fn id_of<F: Feature>(name: &str) -> SchemaId {
    let mut digest = Sha256::new();
    // Each part ends in a byte that no part contains, so that no two lists read alike.
    let mut part = |text: &str| {
        digest.update(text.as_bytes());
        digest.update([0]);
    };
    part(name);
    part(&FORMULA_REVISION.to_string());
    for feature in F::ALL {
        part(feature.name());
        part(feature.unit());
        // A score makes the same of both: what tells them apart is the decision's.
        let used = if feature.is_rate() { Use::Act } else { feature.used() };
        part(&format!("{used:?}"));
        part(feature.doc());
    }
    let digest = digest.finalize();
    let mut hash = String::with_capacity(16);
    for byte in &digest[..8] {
        write!(hash, "{byte:02x}").expect("a string takes what is written");
    }
    let features = F::scored().map(|feature| feature.name().to_owned()).collect();
    SchemaId { name: name.to_owned(), hash, features }
}

/// Each count of a ledger with its name: `frames.ingress`, `lost.table_full`, `not_ip.arp`, …;
/// always the same names in the same order.
pub fn ledger_counts(packet_counters: &PacketCounters) -> impl Iterator<Item = (String, u64)> {
    ledger_names().iter().cloned().zip(ledger_values(packet_counters))
}

/// The names of [`ledger_counts`].
#[must_use]
pub fn ledger_names() -> &'static [String] {
    static NAMES: LazyLock<Vec<String>> = LazyLock::new(|| {
        let by_direction = ["frames", "frame_bytes", "segments"]
            .into_iter()
            .flat_map(|name| ["ingress", "egress"].map(|way| format!("{name}.{way}")));
        let losses = Loss::ALL.into_iter().map(|loss| format!("lost.{}", loss.name()));
        let not_ip = EtherClass::ALL.into_iter().map(|class| format!("not_ip.{}", class.name()));
        let tables = ["flow_inserts", "peer_inserts", "peer_full"].map(str::to_owned);
        by_direction.chain(losses).chain(not_ip).chain(tables).collect()
    });
    &NAMES
}

/// The counts of [`ledger_counts`].
pub fn ledger_values(packet_counters: &PacketCounters) -> impl Iterator<Item = u64> {
    let &PacketCounters { frames, frame_bytes, segments, .. } = packet_counters;
    let by_direction = [frames, frame_bytes, segments].into_iter().flatten();
    let losses = Loss::ALL.into_iter().map(|loss| packet_counters.losses[loss.index()]);
    let not_ip = EtherClass::ALL.into_iter().map(|class| packet_counters.not_ip[class.index()]);
    let tables =
        [packet_counters.flow_inserts, packet_counters.peer_inserts, packet_counters.peer_full];
    by_direction.chain(losses).chain(not_ip).chain(tables)
}
