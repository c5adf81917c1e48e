//! The columns of stored tables.
//!
//! A table of features is `features::schema`'s, with these differences: the first column is
//! `time`, addresses are text (`192.0.2.1`, `2001:db8::1`; an IPv4 address is never written as mapped),
//! a table made of captures has a column more at its end, and a labelled one two more. The features, their order, their
//! metadata and the hash over them are the same, so that a model's check of the schema holds here
//! too.
//!
//! | column | type | |
//! |---|---|---|
//! | `time` | timestamp (ns, UTC) | start of the window that the row came with |
//! | `window_start`, `window_end` | u64 | that window on the capturing clock, in ns; the end is exclusive |
//! | `horizon` | u32, not flows | the time that the row is meant to cover, in ms |
//! | `covers_start`, `covers_end` | u64, not flows | the time that it covers, on the same clock |
//! | `lossy` | bool, not flows | whether a window that it covers lost something |
//! | … | | who: addresses as text, ports, protocol, … |
//! | `packets`, `bytes` | u64, peers | from and to it |
//! | `standing` | text, peers | whose packets these are: `proven`, `initiated` or `unproven`; a remote has a row for each |
//! | `flows` | u64, peers | drained flows, each once a window |
//! | `service_protocol`, `service_port` | u8, u16, peers | the service that most packets of its own flows went to; null where it opened none |
//! | `first_packet_ns` | u64, peers | its first packet, on the clock of `window_start` |
//! | … | f32 | the features |
//! | `source` | text, optional | the captures that the row came from, where it came from captures |
//! | `label` | text, optional | `benign`, or the class of an attack; null where nothing is known |
//! | `attack` | text, optional | the attack's own name; null where there is none |
//!
//! The columns from `packets` to `first_packet_ns` are [`PeerFacts`](features::PeerFacts): what a
//! decision asks for beside the scores, so that one on stored tables is the one on live windows.
//!
//! The window table has `time`, `window_start`, `window_end`, `window_index` (the window's place
//! since the writer began, from 0), the counts of rows by table, what was evicted, `imbalance`
//! and `lossy` (see [`Window`]), and each count of the ledger: frames, bytes and packets by
//! direction, losses by cause, frames that are not IP by class.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, LazyLock};

use arrow_array::builder::StringBuilder;
use arrow_array::cast::AsArray;
use arrow_array::{
    ArrayRef, BooleanArray, Int64Array, RecordBatch, StringArray, TimestampNanosecondArray,
    UInt64Array,
};
use arrow_schema::{DataType, Field, Schema, SchemaRef, TimeUnit};
use features::schema::{
    DOC_KEY, HASH_KEY, ROLE_IDENTITY, ROLE_KEY, SCHEMA_KEY, UNIT_KEY, VERSION_KEY, ledger_names,
    ledger_values,
};
use features::{Kind, Observed, SchemaId, Window, schema as tables};
use sha2::{Digest, Sha256};

use crate::TableKind;

/// The name of the window table's schema.
pub const WINDOW_SCHEMA: &str = "weir.window.v2";
/// The column of the window's start in unix time.
pub const TIME: &str = "time";
/// The column of the captures that a row came from.
pub const SOURCE: &str = "source";
/// The column of a row's class.
pub const LABEL: &str = "label";
/// The column of the name of a row's attack.
pub const ATTACK: &str = "attack";
/// The role of the columns that labelling adds, in a field's metadata under
/// [`features::schema::ROLE_KEY`].
pub const ROLE_LABEL: &str = "label";

/// The columns of model's tables that are text here.
const ADDRESSES: [&str; 2] = ["local_address", "remote_address"];

static ROWS: LazyLock<[SchemaRef; 5]> =
    LazyLock::new(|| Kind::ALL.map(|kind| stored(&tables::table_schema(kind))));
static WINDOW: LazyLock<SchemaRef> = LazyLock::new(|| {
    let fields = window_fields();
    let id = window_schema_id(&fields);
    let metadata = [(SCHEMA_KEY, id.name), (VERSION_KEY, "2".to_owned()), (HASH_KEY, id.hash)];
    Arc::new(Schema::new_with_metadata(
        fields,
        metadata.map(|(key, text)| (key.to_owned(), text)).into(),
    ))
});

/// The schema of a stored table, without labels.
#[must_use]
pub fn stored_schema(table: TableKind) -> SchemaRef {
    Arc::clone(ROWS.get(table.index()).unwrap_or(&WINDOW))
}

/// The schema of a stored table with the column [`SOURCE`].
#[must_use]
pub fn sourced_schema(table: TableKind) -> SchemaRef {
    let doc = "The captures that it came from; null where it came from none.";
    let source = Field::new(SOURCE, DataType::Utf8, true);
    extended(&stored_schema(table), [described(source, ROLE_IDENTITY, "name", doc)])
}

/// The schema of a stored table with the columns [`SOURCE`], [`LABEL`] and [`ATTACK`]; the window
/// table has no labels.
#[must_use]
pub fn labelled_schema(table: TableKind) -> SchemaRef {
    let plain = sourced_schema(table);
    if !table.has_labels() {
        return plain;
    }
    let text = |name: &str, doc: &str| {
        described(Field::new(name, DataType::Utf8, true), ROLE_LABEL, "name", doc)
    };
    let label = text(LABEL, "benign, or the attack's class; null where nothing is known.");
    let attack = text(ATTACK, "The attack's own name; null where there is none.");
    extended(&plain, [label, attack])
}

fn extended(schema: &Schema, more: impl IntoIterator<Item = Field>) -> SchemaRef {
    let fields = schema.fields().iter().cloned().chain(more.into_iter().map(Arc::new));
    Arc::new(Schema::new_with_metadata(fields.collect::<Vec<_>>(), schema.metadata().clone()))
}

/// The identity of a stored table's schema; for rows of features it is `features`'s.
#[must_use]
pub fn schema_id(table: TableKind) -> SchemaId {
    match table.kind() {
        Some(kind) => tables::schema_id(kind),
        None => SchemaId {
            name: WINDOW_SCHEMA.to_owned(),
            hash: WINDOW.metadata()[HASH_KEY].clone(),
            features: Vec::new(),
        },
    }
}

/// The stored table of what came with windows that began at these times of unix time.
#[must_use]
pub fn batch(kind: Kind, observed: &[Observed], times_ns: &[i64]) -> RecordBatch {
    let of = |(one, &time_ns): (&Observed, _)| std::iter::repeat_n(time_ns, one.rows(kind));
    let times_ns = observed.iter().zip(times_ns).flat_map(of).collect();
    stored_batch(kind.into(), tables::columns(kind, observed), times_ns)
}

/// A 16-byte address as a person writes it.
#[must_use]
pub fn address(bytes: [u8; 16]) -> IpAddr {
    Ipv6Addr::from(bytes).to_canonical()
}

fn stored(plain: &SchemaRef) -> SchemaRef {
    let time = Field::new(TIME, time_type(), false);
    let time = described(time, ROLE_IDENTITY, "ns", "The window's start, UTC.");
    let rest = plain.fields().iter().map(|field| {
        if !ADDRESSES.contains(&field.name().as_str()) {
            return field.as_ref().clone();
        }
        let doc = field.metadata().get(DOC_KEY).map_or("", String::as_str);
        let doc = doc.split(", 16 bytes").next().unwrap_or_default();
        let text = Field::new(field.name(), DataType::Utf8, false);
        described(text, ROLE_IDENTITY, "address", &format!("{doc}, as text."))
    });
    let fields: Vec<Field> = std::iter::once(time).chain(rest).collect();
    Arc::new(Schema::new_with_metadata(fields, plain.metadata().clone()))
}

fn time_type() -> DataType {
    DataType::Timestamp(TimeUnit::Nanosecond, Some("UTC".into()))
}

fn described(field: Field, role: &str, unit: &str, doc: &str) -> Field {
    let pairs = [(ROLE_KEY, role), (UNIT_KEY, unit), (DOC_KEY, doc)];
    field.with_metadata(pairs.map(|(key, text)| (key.to_owned(), text.to_owned())).into())
}

fn stored_batch(table: TableKind, columns: Vec<ArrayRef>, times_ns: Vec<i64>) -> RecordBatch {
    let time = TimestampNanosecondArray::from(times_ns);
    let time: ArrayRef = Arc::new(time.with_timezone("UTC"));
    let rest = columns.into_iter().map(|column| match column.as_fixed_size_binary_opt() {
        Some(bytes) => Arc::new(address_text(bytes.iter().flatten())) as ArrayRef,
        None => column,
    });
    let arrays = std::iter::once(time).chain(rest).collect();
    RecordBatch::try_new(stored_schema(table), arrays)
        .expect("model's columns, and the address columns as text")
}

/// A peer's flows are neighbours and a host has few addresses: the last text mostly serves again.
fn address_text<'a>(addresses: impl Iterator<Item = &'a [u8]>) -> StringArray {
    let mut texts = StringBuilder::new();
    let mut last: Option<[u8; 16]> = None;
    let mut text = String::new();
    for bytes in addresses {
        let bytes: [u8; 16] = bytes.try_into().expect("an address has 16 bytes");
        if last.replace(bytes) != Some(bytes) {
            text.clear();
            write!(text, "{}", address(bytes)).expect("a string takes what is written");
        }
        texts.append_value(&text);
    }
    texts.finish()
}

/// Rows of the window table, column by column.
#[derive(Debug)]
pub struct WindowRows {
    times_ns: Vec<i64>,
    /// The columns between the time and the imbalance, each of [`WINDOW_COUNTS`].
    counts: [Vec<u64>; WINDOW_COUNTS.len()],
    imbalances: Vec<i64>,
    lossy: Vec<bool>,
    ledger: Vec<Vec<u64>>,
}

/// Counts of the window table: name, unit, doc.
const WINDOW_COUNTS: [[&str; 3]; 10] = [
    [
        "window_start",
        "ns",
        "The window's first nanosecond, of the boot clock live and of the capture in replay.",
    ],
    ["window_end", "ns", "The first nanosecond after the window."],
    ["window_index", "windows", "Windows written before it, since the start."],
    ["flows", "flows", "Rows of the window in the flow table."],
    ["peers", "rows", "Rows that came with the window in the peer table."],
    ["hosts", "rows", "Rows that came with the window in the host table."],
    ["services", "rows", "Rows that came with the window in the service table."],
    ["nets", "rows", "Rows that came with the window in the net table."],
    ["evicted_flows", "flows", "Flows the tables evicted before the drain."],
    ["evicted_packets", "packets", "Packets in evicted flows."],
];

impl Default for WindowRows {
    fn default() -> Self {
        Self {
            times_ns: Vec::new(),
            counts: [const { Vec::new() }; WINDOW_COUNTS.len()],
            imbalances: Vec::new(),
            lossy: Vec::new(),
            ledger: vec![Vec::new(); ledger_names().len()],
        }
    }
}

impl WindowRows {
    pub(crate) const fn len(&self) -> usize {
        self.times_ns.len()
    }

    /// Adds the row of a window that began at `time_ns` of unix time and was the `index`th.
    pub fn add(&mut self, observed: &Observed, window: &Window, time_ns: i64, index: u64) {
        self.times_ns.push(time_ns);
        let counts = [
            window.start_ns,
            window.end_ns,
            index,
            observed.flows.len() as u64,
            observed.peers.len() as u64,
            observed.sites_of(Kind::Host).count() as u64,
            observed.sites_of(Kind::Service).count() as u64,
            observed.sites_of(Kind::Net).count() as u64,
            window.evicted_flows,
            window.evicted_packets,
        ];
        for (column, count) in self.counts.iter_mut().zip(counts) {
            column.push(count);
        }
        self.imbalances.push(crate::sums::clamped(window.imbalance()));
        self.lossy.push(window.is_lossy());
        for (column, count) in self.ledger.iter_mut().zip(ledger_values(&window.packet_counters)) {
            column.push(count);
        }
    }

    /// The rows as a batch, which leaves none.
    #[must_use]
    pub fn take(&mut self) -> RecordBatch {
        let Self { times_ns, counts, imbalances, lossy, ledger } = std::mem::take(self);
        let count = |values: Vec<u64>| Arc::new(UInt64Array::from(values)) as ArrayRef;
        let time = TimestampNanosecondArray::from(times_ns).with_timezone("UTC");
        let mut columns: Vec<ArrayRef> = vec![Arc::new(time)];
        columns.extend(counts.map(count));
        columns.push(Arc::new(Int64Array::from(imbalances)));
        columns.push(Arc::new(BooleanArray::from(lossy)));
        columns.extend(ledger.into_iter().map(count));
        window_batch(columns)
    }
}

fn window_batch(columns: Vec<ArrayRef>) -> RecordBatch {
    RecordBatch::try_new(stored_schema(TableKind::Window), columns)
        .expect("the schema has the same columns in the same order")
}

fn window_fields() -> Vec<Field> {
    let field = |name: &str, kind, unit: &str, doc: &str| {
        described(Field::new(name, kind, false), ROLE_IDENTITY, unit, doc)
    };
    let mut fields = vec![field(TIME, time_type(), "ns", "The window's start, UTC.")];
    fields.extend(WINDOW_COUNTS.map(|[name, unit, doc]| field(name, DataType::UInt64, unit, doc)));
    fields.push(field(
        "imbalance",
        DataType::Int64,
        "packets",
        "Packets seen that are neither in flows, nor lost with a cause, nor evicted: 0.",
    ));
    fields.push(field(
        "lossy",
        DataType::Boolean,
        "1",
        "Whether flows, peers or packets were lost that a decision would have wanted.",
    ));
    fields.extend(ledger_names().iter().map(|name| {
        let (column, unit, doc) = ledger_column(name);
        field(&column, DataType::UInt64, unit, &doc)
    }));
    fields
}

/// The window table's column of a ledger's count: its name, unit and doc.
pub(crate) fn ledger_column(name: &str) -> (String, &'static str, String) {
    match name.split_once('.') {
        Some(("frames", way)) => {
            (format!("frames_{way}"), "frames", format!("Frames the {way} hooks were called for."))
        }
        Some(("frame_bytes", way)) => {
            (format!("bytes_{way}"), "bytes", format!("Bytes of the {way} frames."))
        }
        Some(("segments", way)) => (
            format!("packets_{way}"),
            "packets",
            format!("Packets on the wire, {way}: super-packets counted as their segments."),
        ),
        Some(("lost", cause)) => (
            format!("lost_{cause}"),
            "packets",
            format!("Packets in no flow: {}.", cause.replace('_', " ")),
        ),
        Some(("not_ip", class)) => {
            (format!("not_ip_{class}"), "packets", format!("Of those in lost_not_ip: {class}."))
        }
        _ => (name.replace('.', "_"), "entries", format!("{}.", name.replace('_', " "))),
    }
}

fn window_schema_id(fields: &[Field]) -> SchemaId {
    let mut digest = Sha256::new();
    // Each part ends in a byte that no part contains, so that no two lists read alike.
    let mut part = |text: &str| {
        digest.update(text.as_bytes());
        digest.update([0]);
    };
    part(WINDOW_SCHEMA);
    for field in fields {
        part(field.name());
        part(&field.data_type().to_string());
        part(&field.metadata()[UNIT_KEY]);
        part(&field.metadata()[DOC_KEY]);
    }
    let mut hash = format!("{:x}", digest.finalize());
    hash.truncate(16);
    SchemaId { name: WINDOW_SCHEMA.to_owned(), hash, features: Vec::new() }
}
