//! Arrow schemas of feature tables, made from the features themselves.
//!
//! A table has identity columns, the peer table also those of [`PeerFacts`](crate::PeerFacts), and
//! then one `Float32` column per feature, in the features' order, with its unit and doc in the
//! field's metadata. A model sees those of the role [`ROLE_FEATURE`] alone. Only a peer's service
//! may be null. The schema's metadata name it, and carry the window's ledger:
//!
//! | key | value |
//! |---|---|
//! | `weir.schema` | `weir.flow.v2`, `weir.peer.v4`, `weir.host.v1`, `weir.service.v1` or `weir.net.v1` |
//! | `weir.schema.version` | the number at the name's end |
//! | `weir.schema.hash` | [`SchemaId::hash`] |
//! | `weir.window.start_ns`, `.end_ns` | the window's bounds |
//! | `weir.window.evicted_flows`, `.evicted_packets` | what the tables evicted |
//! | `weir.window.imbalance`, `.lossy` | what the accounting identity leaves over; whether to trust it |
//! | `weir.ledger.…` | each count of [`ledger_counts`], losses by cause |

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{
    Array, ArrayRef, BooleanArray, FixedSizeBinaryArray, Float32Array, RecordBatch, StringArray,
    UInt8Array, UInt16Array, UInt32Array, UInt64Array,
};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use flows_common::{Span, Standing, Window};
use thiserror::Error;

use super::{SchemaId, kind_of, ledger_counts, schema_id, schema_name};
use crate::context::Observed;
use crate::facts::{LocalService, PeerFacts};
use crate::feature::{Feature, FlowFeature, HostFeature, PeerFeature, ServiceFeature};
use crate::flow_record::FlowRecord;
use crate::kind::Kind;
use crate::record::{PeerRecord, Row, SiteKey, SiteRecord};

/// The metadata key of a schema's name.
pub const SCHEMA_KEY: &str = "weir.schema";
/// The metadata key of a schema's version.
pub const VERSION_KEY: &str = "weir.schema.version";
/// The metadata key of a schema's hash.
pub const HASH_KEY: &str = "weir.schema.hash";
/// The field metadata key of a column's role: [`ROLE_FEATURE`], [`ROLE_STUDY`], [`ROLE_IDENTITY`]
/// or [`ROLE_EVIDENCE`].
pub const ROLE_KEY: &str = "weir.role";
/// The role of a column that models see.
pub const ROLE_FEATURE: &str = "feature";
/// The role of a feature's column that no model sees.
pub const ROLE_STUDY: &str = "study";
/// The role of a column that says who or when; models never see it.
pub const ROLE_IDENTITY: &str = "identity";
/// The role of a column that a decision asks for; models never see it.
pub const ROLE_EVIDENCE: &str = "evidence";
/// The field metadata key of a unit.
pub const UNIT_KEY: &str = "weir.unit";
/// The field metadata key of the unit that a value stands for; see
/// [`Feature::natural_unit`].
pub const NATURAL_UNIT_KEY: &str = "weir.natural_unit";
/// The field metadata key of a doc.
pub const DOC_KEY: &str = "weir.doc";

/// The columns of a peer's service: null together, where it opened no flow.
const SERVICE: [&str; 2] = ["service_protocol", "service_port"];

/// A table's schema, without a window's ledger.
#[must_use]
pub fn table_schema(kind: Kind) -> SchemaRef {
    let facts = facts_of(kind, &[]);
    match kind {
        Kind::Flow => schema::<FlowFeature>(kind, &facts),
        Kind::Peer => schema::<PeerFeature>(kind, &facts),
        Kind::Host | Kind::Net => schema::<HostFeature>(kind, &facts),
        Kind::Service => schema::<ServiceFeature>(kind, &facts),
    }
}

/// A table of what a window brought: one row per record, in the records' order.
///
/// # Panics
///
/// Where the columns are not those of the schema, which is made with them.
#[must_use]
pub fn batch(kind: Kind, observed: &Observed, window: &Window) -> RecordBatch {
    let plain = table_schema(kind);
    let mut metadata = plain.metadata().clone();
    metadata.extend(window_metadata(window));
    let schema = Schema::new_with_metadata(plain.fields().clone(), metadata);
    RecordBatch::try_new(Arc::new(schema), columns(kind, std::slice::from_ref(observed)))
        .expect("the schema was made of these columns")
}

/// The columns of [`batch`] of several windows, for who writes them by the thousand and has the
/// schema.
#[must_use]
pub fn columns(kind: Kind, observed: &[Observed]) -> Vec<ArrayRef> {
    let facts = facts_of(kind, observed);
    let sites = || observed.iter().flat_map(|one| one.sites_of(kind));
    match kind {
        Kind::Flow => columns_of::<FlowFeature>(facts, flows(observed)),
        Kind::Peer => columns_of::<PeerFeature>(facts, observed.iter().flat_map(|one| &one.peers)),
        Kind::Host | Kind::Net => columns_of::<HostFeature>(facts, sites()),
        Kind::Service => columns_of::<ServiceFeature>(facts, sites()),
    }
}

fn flows(observed: &[Observed]) -> impl Iterator<Item = &FlowRecord> + Clone {
    observed.iter().flat_map(|one| &one.flows)
}

/// Rows of a part of the host's side, with the windows that they came with.
fn sites(kind: Kind, observed: &[Observed]) -> Vec<(Span, &SiteRecord)> {
    observed.iter().flat_map(|one| one.sites_of(kind).map(|row| (one.window, row))).collect()
}

/// The scored features of a table as model input: row-major, in the columns' order.
///
/// The table must name one of this build's schemas, and have its hash and its columns.
pub fn feature_rows(batch: &RecordBatch) -> Result<Vec<f32>, SchemaError> {
    let expected = check(batch.schema_ref())?;
    let columns = expected.features.len();
    let mut rows = vec![0.0; batch.num_rows() * columns];
    let mut values = Vec::with_capacity(columns);
    for name in &expected.features {
        let column = batch.column_by_name(name).and_then(|array| array.as_primitive_opt());
        let column: &Float32Array =
            column.ok_or_else(|| SchemaError::Column { name: name.clone() })?;
        if column.null_count() > 0 {
            return Err(SchemaError::Null { name: name.clone() });
        }
        values.push(column.values());
    }
    for (index, row) in rows.chunks_exact_mut(columns.max(1)).enumerate() {
        for (value, column) in row.iter_mut().zip(&values) {
            *value = column[index];
        }
    }
    Ok(rows)
}

/// The facts of each peer, from the evidence columns of a peer table.
///
/// # Errors
/// [`SchemaError::Evidence`] for a column that is absent, of another type, or has nulls.
pub fn facts_of_peers(batch: &RecordBatch) -> Result<Vec<PeerFacts>, SchemaError> {
    let packets: &UInt64Array = evidence_column(batch, "packets")?;
    let bytes: &UInt64Array = evidence_column(batch, "bytes")?;
    let standings: &StringArray = evidence_column(batch, "standing")?;
    let flows: &UInt64Array = evidence_column(batch, "flows")?;
    let protocols: &UInt8Array = evidence_column(batch, SERVICE[0])?;
    let ports: &UInt16Array = evidence_column(batch, SERVICE[1])?;
    let first: &UInt64Array = evidence_column(batch, "first_packet_ns")?;
    let standings = standings
        .iter()
        .map(|name| name.and_then(Standing::from_name))
        .collect::<Option<Vec<_>>>()
        .ok_or(SchemaError::Evidence { name: "standing" })?;
    let service = |row| {
        let is_known = protocols.is_valid(row) && ports.is_valid(row);
        let service = || LocalService { protocol: protocols.value(row), port: ports.value(row) };
        is_known.then(service)
    };
    let facts = |row| PeerFacts {
        packets: packets.value(row),
        bytes: bytes.value(row),
        standing: standings[row],
        flows: flows.value(row),
        service: service(row),
        first_packet_ns: first.value(row),
    };
    Ok((0..batch.num_rows()).map(facts).collect())
}

fn evidence_column<'a, A: Array + 'static>(
    batch: &'a RecordBatch,
    name: &'static str,
) -> Result<&'a A, SchemaError> {
    let column = batch.column_by_name(name).and_then(|column| column.as_any().downcast_ref::<A>());
    column
        .filter(|column| column.null_count() == 0 || SERVICE.contains(&name))
        .ok_or(SchemaError::Evidence { name })
}

/// Identity of a table's schema, if it is one of this build's.
pub fn check(schema: &Schema) -> Result<SchemaId, SchemaError> {
    let text = |key: &str| schema.metadata().get(key).cloned().unwrap_or_default();
    let name = text(SCHEMA_KEY);
    let Some(kind) = kind_of(&name) else { return Err(SchemaError::Name { name }) };
    let expected = schema_id(kind);
    let hash = text(HASH_KEY);
    if hash == expected.hash {
        Ok(expected)
    } else {
        Err(SchemaError::Hash { name, hash, expected: expected.hash })
    }
}

/// A table that is not one of this build's.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SchemaError {
    /// Another schema, or none.
    #[error(
        "the table's schema is `{name}`, this build's are {}: make it again with \
         `weir replay --out` or `weir capture`",
        Kind::ALL.map(|kind| format!("`{}`", schema_name(kind))).join(", ")
    )]
    Name {
        /// Schema name that the table carries.
        name: String,
    },
    /// The features were defined otherwise when the table was made.
    #[error(
        "the table's `{name}` has the hash {hash}, this build's is {expected}: \
         its features were defined otherwise, make it again with `weir replay --out` or \
         `weir capture`"
    )]
    Hash {
        /// The schema's name.
        name: String,
        /// The table's hash.
        hash: String,
        /// This build's hash.
        expected: String,
    },
    /// A feature's column is absent, or of another type.
    #[error("the table has no Float32 column `{name}`: make it again with this build")]
    Column {
        /// The feature's name.
        name: String,
    },
    /// A column of evidence is absent, of another type, or has nulls.
    #[error("the table has no whole column `{name}`: make it again with this build")]
    Evidence {
        /// The column's name.
        name: &'static str,
    },
    /// A feature's column has nulls.
    #[error("the table's column `{name}` has nulls, features have none: make it again")]
    Null {
        /// The feature's name.
        name: String,
    },
}

/// A column that is no feature.
struct Fact {
    name: &'static str,
    role: &'static str,
    unit: &'static str,
    doc: &'static str,
    values: ArrayRef,
}

fn facts_of(kind: Kind, observed: &[Observed]) -> Vec<Fact> {
    match kind {
        Kind::Flow => flow_facts(observed),
        Kind::Peer => peer_facts(observed),
        Kind::Host => {
            let rows = sites(kind, observed);
            let address = |(_, row): &(Span, &SiteRecord)| match row.key {
                SiteKey::Host(address) => address,
                _ => [0; 16],
            };
            let local = identity(
                "local_address",
                "address",
                "The address on the host's side, 16 bytes, IPv4 as ::ffff:a.b.c.d.",
                addresses(rows.iter().map(address)),
            );
            row_identity(&rows, [local])
        }
        Kind::Service => {
            let rows = sites(kind, observed);
            let service = |(_, row): &(Span, &SiteRecord)| match row.key {
                SiteKey::Service(service) => service,
                _ => LocalService { protocol: 0, port: 0 },
            };
            let protocols = rows.iter().map(|row| service(row).protocol);
            let ports = rows.iter().map(|row| service(row).port);
            let key = [
                identity(
                    "protocol",
                    "protocol",
                    "The IP protocol number.",
                    UInt8Array::from_iter_values(protocols),
                ),
                identity(
                    "local_port",
                    "port",
                    "The local transport port.",
                    UInt16Array::from_iter_values(ports),
                ),
            ];
            row_identity(&rows, key)
        }
        Kind::Net => row_identity(&sites(kind, observed), []),
    }
}

fn flow_facts(observed: &[Observed]) -> Vec<Fact> {
    let [start, end] = window_identity(flows(observed).map(|flow| flow.window));
    let keys = || flows(observed).map(|flow| &flow.key);
    vec![
        start,
        end,
        identity(
            "local_address",
            "address",
            "The address on the host's side, 16 bytes, IPv4 as ::ffff:a.b.c.d.",
            addresses(keys().map(|key| key.local)),
        ),
        identity(
            "remote_address",
            "address",
            "The address on the network's side, 16 bytes, IPv4 as ::ffff:a.b.c.d.",
            addresses(keys().map(|key| key.remote)),
        ),
        identity(
            "local_port",
            "port",
            "The local transport port, 0 for none.",
            UInt16Array::from_iter_values(keys().map(|key| key.local_port)),
        ),
        identity(
            "remote_port",
            "port",
            "The remote transport port, 0 for none.",
            UInt16Array::from_iter_values(keys().map(|key| key.remote_port)),
        ),
        identity(
            "protocol",
            "protocol",
            "The IP protocol number.",
            UInt8Array::from_iter_values(keys().map(|key| key.protocol)),
        ),
        identity(
            "outer_vlan",
            "vlan",
            "The VLAN id of the outermost tag, 0 for none.",
            UInt16Array::from_iter_values(keys().map(|key| key.outer_vlan)),
        ),
        identity(
            "inner_vlan",
            "vlan",
            "The VLAN id of the second tag, 0 for none.",
            UInt16Array::from_iter_values(keys().map(|key| key.inner_vlan)),
        ),
        identity(
            "ifindex",
            "interface",
            "The interface the flow was seen on.",
            UInt32Array::from_iter_values(keys().map(|key| key.ifindex)),
        ),
    ]
}

fn peer_facts(observed: &[Observed]) -> Vec<Fact> {
    let rows: Vec<(Span, &PeerRecord)> =
        observed.iter().flat_map(|one| one.peers.iter().map(|row| (one.window, row))).collect();
    let facts = || rows.iter().map(|(_, row)| &row.counts.facts);
    let services = || facts().map(|facts| facts.service);
    let columns = [
        identity(
            "remote_address",
            "address",
            "The remote address, 16 bytes, IPv4 as ::ffff:a.b.c.d.",
            addresses(rows.iter().map(|(_, row)| row.key.address)),
        ),
        evidence(
            "packets",
            "packets",
            "Packets from and to it.",
            UInt64Array::from_iter_values(facts().map(|facts| facts.packets)),
        ),
        evidence(
            "bytes",
            "bytes",
            "Bytes from and to it, on the wire.",
            UInt64Array::from_iter_values(facts().map(|facts| facts.bytes)),
        ),
        evidence(
            "standing",
            "name",
            "Whose packets the row's are: proven, of connections that the remote completed; \
             initiated, of flows that the host asked for; unproven, anybody's. A remote has a row \
             for each that it has.",
            StringArray::from_iter_values(rows.iter().map(|(_, row)| row.key.standing.name())),
        ),
        evidence(
            "flows",
            "flows",
            "Drained flows, each once a window.",
            UInt64Array::from_iter_values(facts().map(|facts| facts.flows)),
        ),
        evidence(
            "service_protocol",
            "protocol",
            "The IP protocol of the host's service that most packets of the flows it opened went \
             to; null where it opened none.",
            services().map(|service| Some(service?.protocol)).collect::<UInt8Array>(),
        ),
        evidence(
            "service_port",
            "port",
            "The local port of that service, 0 for none.",
            services().map(|service| Some(service?.port)).collect::<UInt16Array>(),
        ),
        evidence(
            "first_packet_ns",
            "ns",
            "Its first packet of the window, from it or to it, on the clock of window_start; the \
             window's start where its flows were evicted.",
            UInt64Array::from_iter_values(facts().map(|facts| facts.first_packet_ns)),
        ),
    ];
    row_identity(&rows, columns)
}

/// Identity of rows over horizons: the window they came with, the horizon, the time covered, the
/// entity, and whether something of it was lost.
fn row_identity<K, C>(
    rows: &[(Span, &Row<K, C>)],
    key: impl IntoIterator<Item = Fact>,
) -> Vec<Fact> {
    let [start, end] = window_identity(rows.iter().map(|(window, _)| *window));
    let horizons = rows.iter().map(|(_, row)| row.horizon.ms());
    let mut facts = vec![
        start,
        end,
        identity(
            "horizon",
            "ms",
            "The time that the row is meant to cover.",
            UInt32Array::from_iter_values(horizons),
        ),
        identity(
            "covers_start",
            "ns",
            "The first nanosecond that the row covers, on the clock of window_start.",
            UInt64Array::from_iter_values(rows.iter().map(|(_, row)| row.span.start_ns)),
        ),
        identity(
            "covers_end",
            "ns",
            "The first nanosecond after that.",
            UInt64Array::from_iter_values(rows.iter().map(|(_, row)| row.span.end_ns)),
        ),
    ];
    facts.extend(key);
    facts.push(evidence(
        "lossy",
        "1",
        "Whether a window that it covers lost something.",
        rows.iter().map(|(_, row)| Some(row.is_lossy)).collect::<BooleanArray>(),
    ));
    facts
}

fn window_identity(spans: impl Iterator<Item = Span> + Clone) -> [Fact; 2] {
    [
        identity(
            "window_start",
            "ns",
            "The window's first nanosecond, of the boot clock live and of the capture in replay.",
            UInt64Array::from_iter_values(spans.clone().map(|span| span.start_ns)),
        ),
        identity(
            "window_end",
            "ns",
            "The first nanosecond after the window.",
            UInt64Array::from_iter_values(spans.map(|span| span.end_ns)),
        ),
    ]
}

fn identity(
    name: &'static str,
    unit: &'static str,
    doc: &'static str,
    values: impl Array + 'static,
) -> Fact {
    Fact { name, role: ROLE_IDENTITY, unit, doc, values: Arc::new(values) }
}

fn evidence(
    name: &'static str,
    unit: &'static str,
    doc: &'static str,
    values: impl Array + 'static,
) -> Fact {
    Fact { role: ROLE_EVIDENCE, ..identity(name, unit, doc, values) }
}

fn addresses(addresses: impl Iterator<Item = [u8; 16]>) -> FixedSizeBinaryArray {
    let bytes: Vec<u8> = addresses.flatten().collect();
    FixedSizeBinaryArray::try_new(16, bytes.into(), None).expect("16 bytes each")
}

fn schema<F: Feature>(kind: Kind, facts: &[Fact]) -> SchemaRef {
    let described = |field: Field, role: &str, unit: &str, doc: &str| {
        let pairs = [(ROLE_KEY, role), (UNIT_KEY, unit), (DOC_KEY, doc)];
        field.with_metadata(pairs.map(|(key, text)| (key.to_owned(), text.to_owned())).into())
    };
    let facts = facts.iter().map(|column| {
        let kind = column.values.data_type().clone();
        let field = Field::new(column.name, kind, SERVICE.contains(&column.name));
        described(field, column.role, column.unit, column.doc)
    });
    let features = F::ALL.iter().map(|feature| {
        let field = Field::new(feature.name(), DataType::Float32, false);
        let role = if feature.is_scored() { ROLE_FEATURE } else { ROLE_STUDY };
        let mut field = described(field, role, feature.unit(), feature.doc());
        let natural = feature.natural_unit().to_owned();
        field.metadata_mut().insert(NATURAL_UNIT_KEY.to_owned(), natural);
        field
    });
    let id = schema_id(kind);
    let version = id.name.rsplit(".v").next().unwrap_or_default();
    let metadata =
        [(SCHEMA_KEY, id.name.as_str()), (VERSION_KEY, version), (HASH_KEY, id.hash.as_str())]
            .map(|(key, text)| (key.to_owned(), text.to_owned()))
            .into();
    Arc::new(Schema::new_with_metadata(facts.chain(features).collect::<Vec<_>>(), metadata))
}

fn columns_of<'a, F: Feature>(
    facts: Vec<Fact>,
    records: impl Iterator<Item = &'a F::Record>,
) -> Vec<ArrayRef>
where
    F::Record: 'a,
{
    let rows = facts.first().map_or(0, |column| column.values.len());
    let mut columns = vec![Vec::with_capacity(rows); F::ALL.len()];
    let mut row = vec![0.0; F::ALL.len()];
    for record in records {
        F::fill(record, &mut row);
        for (column, &value) in columns.iter_mut().zip(&row) {
            column.push(value);
        }
    }
    let features = columns
        .into_iter()
        .map(|column| Arc::new(Float32Array::new(column.into(), None)) as ArrayRef);
    facts.into_iter().map(|column| column.values).chain(features).collect()
}

fn window_metadata(window: &Window) -> HashMap<String, String> {
    let mut metadata: HashMap<String, String> = [
        ("start_ns", window.start_ns.to_string()),
        ("end_ns", window.end_ns.to_string()),
        ("evicted_flows", window.evicted_flows.to_string()),
        ("evicted_packets", window.evicted_packets.to_string()),
        ("imbalance", window.imbalance().to_string()),
        ("lossy", window.is_lossy().to_string()),
    ]
    .map(|(key, text)| (format!("weir.window.{key}"), text))
    .into();
    let counts = ledger_counts(&window.packet_counters);
    metadata.extend(counts.map(|(key, count)| (format!("weir.ledger.{key}"), count.to_string())));
    metadata
}
