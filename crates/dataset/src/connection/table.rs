//! The columns of whole flows.

use std::sync::{Arc, LazyLock};

use arrow_array::{
    ArrayRef, Float64Array, RecordBatch, StringArray, TimestampNanosecondArray, UInt8Array,
    UInt16Array, UInt32Array, UInt64Array,
};
use arrow_schema::{DataType, Field, Schema, SchemaRef, TimeUnit};
use features::schema::{DOC_KEY, SCHEMA_KEY, UNIT_KEY, VERSION_KEY};
use flows_common::Direction;

use super::Connection;
use crate::schema::{SOURCE, address};

/// The name of the schema of whole flows.
pub const CONNECTION_SCHEMA: &str = "weir.connection.v1";

/// Columns: name, type, unit, doc.
const COLUMNS: [(&str, DataType, &str, &str); 20] = [
    ("community_id", DataType::Utf8, "name", "Community ID, version 1, seed 0."),
    ("local_address", DataType::Utf8, "address", "The address on the host's side, as text."),
    ("local_port", DataType::UInt16, "port", "The local transport port, 0 for none."),
    ("remote_address", DataType::Utf8, "address", "The address on the network's side, as text."),
    ("remote_port", DataType::UInt16, "port", "The remote transport port, 0 for none."),
    ("protocol", DataType::UInt8, "protocol", "The IP protocol number."),
    ("outer_vlan", DataType::UInt16, "vlan", "The VLAN id of the outermost tag, 0 for none."),
    ("ifindex", DataType::UInt32, "interface", "The interface the flow was seen on."),
    ("first_packet", DataType::UInt64, "ns", "Its first packet, of the capture's clock."),
    ("last_packet", DataType::UInt64, "ns", "Its last packet, of the capture's clock."),
    ("duration", DataType::Float64, "s", "From its first packet to its last."),
    ("ingress_packets", DataType::UInt64, "packets", "Packets from the remote."),
    ("egress_packets", DataType::UInt64, "packets", "Packets to the remote."),
    ("ingress_bytes", DataType::UInt64, "bytes", "Bytes from the remote, on the wire."),
    ("egress_bytes", DataType::UInt64, "bytes", "Bytes to the remote, on the wire."),
    ("ingress_payload", DataType::UInt64, "bytes", "Bytes from it above the transport header."),
    ("egress_payload", DataType::UInt64, "bytes", "Bytes to it above the transport header."),
    ("initiator", DataType::Utf8, "side", "Who opened it: remote or local."),
    (
        "state",
        DataType::Utf8,
        "state",
        "attempt, refused, open, closed, reset or midstream of TCP, else answered or unanswered.",
    ),
    (SOURCE, DataType::Utf8, "name", "The captures that it came from."),
];

static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
    let zone = DataType::Timestamp(TimeUnit::Nanosecond, Some("UTC".into()));
    let time = ("time", zone, "ns", "Its first packet, UTC.");
    let fields = [time].into_iter().chain(COLUMNS).map(|(name, kind, unit, doc)| {
        let pairs = [(UNIT_KEY, unit), (DOC_KEY, doc)];
        let pairs = pairs.map(|(key, text)| (key.to_owned(), text.to_owned()));
        Field::new(name, kind, false).with_metadata(pairs.into())
    });
    let metadata = [(SCHEMA_KEY, CONNECTION_SCHEMA), (VERSION_KEY, "1")];
    let metadata = metadata.map(|(key, text)| (key.to_owned(), text.to_owned()));
    Arc::new(Schema::new_with_metadata(fields.collect::<Vec<_>>(), metadata.into()))
});

/// The schema of whole flows: `time`, then who, when, how much each way, who opened it, its state
/// and the captures it came from. No column is null.
#[must_use]
pub fn connection_schema() -> SchemaRef {
    Arc::clone(&SCHEMA)
}

/// Rows of whole flows that came from a source.
pub(crate) fn batch(flows: &[Connection], source: &str) -> RecordBatch {
    let text = |value: &dyn Fn(&Connection) -> String| -> ArrayRef {
        Arc::new(StringArray::from_iter_values(flows.iter().map(value)))
    };
    let count = |value: &dyn Fn(&Connection) -> u64| -> ArrayRef {
        Arc::new(UInt64Array::from_iter_values(flows.iter().map(value)))
    };
    let port = |value: &dyn Fn(&Connection) -> u16| -> ArrayRef {
        Arc::new(UInt16Array::from_iter_values(flows.iter().map(value)))
    };
    let [ingress, egress] = Direction::ALL.map(Direction::index);
    let time = flows.iter().map(|flow| i64::try_from(flow.first_ns).unwrap_or(i64::MAX));
    let time = TimestampNanosecondArray::from_iter_values(time).with_timezone("UTC");
    let duration = |flow: &Connection| flow.last_ns.saturating_sub(flow.first_ns) as f64 / 1e9;
    let initiator = |flow: &Connection| match flow.initiator {
        Direction::Ingress => "remote".to_owned(),
        Direction::Egress => "local".to_owned(),
    };
    let columns: Vec<ArrayRef> = vec![
        Arc::new(time),
        text(&Connection::community_id),
        text(&|flow| address(flow.key.local).to_string()),
        port(&|flow| flow.key.local_port),
        text(&|flow| address(flow.key.remote).to_string()),
        port(&|flow| flow.key.remote_port),
        Arc::new(UInt8Array::from_iter_values(flows.iter().map(|flow| flow.key.protocol))),
        port(&|flow| flow.key.outer_vlan),
        Arc::new(UInt32Array::from_iter_values(flows.iter().map(|flow| flow.key.ifindex))),
        count(&|flow| flow.first_ns),
        count(&|flow| flow.last_ns),
        Arc::new(Float64Array::from_iter_values(flows.iter().map(duration))),
        count(&|flow| flow.packets[ingress]),
        count(&|flow| flow.packets[egress]),
        count(&|flow| flow.bytes[ingress]),
        count(&|flow| flow.bytes[egress]),
        count(&|flow| flow.payload_bytes[ingress]),
        count(&|flow| flow.payload_bytes[egress]),
        text(&initiator),
        text(&|flow| flow.state().name().to_owned()),
        text(&|_| source.to_owned()),
    ];
    RecordBatch::try_new(connection_schema(), columns)
        .expect("the schema has the same columns in the same order")
}
