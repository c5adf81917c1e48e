//! The Arrow tables of a window, and their way back into model input.

use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::{DataType, Schema};
use flows_common::{FlowCounters, FlowKey, Loss, Standing};
use weir_features::schema::{self, HASH_KEY, ROLE_KEY, SchemaError};
use weir_features::{
    Context, Feature, FlowFeature, LocalService, Observed, PeerFacts, PeerFeature, Window,
};

fn observed() -> (Window, Observed) {
    let flow = |one: u16| {
        let mut counters = FlowCounters::default();
        counters.directions[0].packets = u64::from(one);
        counters.directions[0].bytes = u64::from(one) * 60;
        let key = FlowKey { local_port: one, remote: [7; 16], protocol: 17, ..FlowKey::default() };
        (key, counters)
    };
    let mut window = Window {
        start_ns: 5,
        end_ns: 1_000_000_005,
        flows: (1..=9).map(flow).collect(),
        ..Window::default()
    };
    window.packet_counters.segments = [46, 0];
    window.packet_counters.losses[Loss::NotIp.index()] = 1;
    let observed = Context::default().observe(&window);
    (window, observed)
}

#[test]
fn a_table_gives_back_the_rows_that_its_records_make() {
    let (window, observed) = observed();
    let flows = schema::flow_batch(&observed.flows, &window);
    assert_eq!(schema::feature_rows(&flows), Ok(FlowFeature::rows(&observed.flows)));
    let peers = schema::peer_batch(&observed.peers, &window);
    assert_eq!(schema::feature_rows(&peers), Ok(PeerFeature::rows(&observed.peers)));
}

#[test]
fn a_peer_table_gives_back_the_facts_that_a_decision_asks_for() {
    let (window, mut observed) = observed();
    let mut other = observed.peers[0].clone();
    other.facts = PeerFacts { service: None, standing: Standing::Proven, ..PeerFacts::default() };
    observed.peers.push(other);
    let facts: Vec<PeerFacts> = observed.peers.iter().map(|peer| peer.facts).collect();
    assert_eq!((facts[0].packets, facts[0].bytes, facts[0].first_packet_ns), (45, 2_700, 5));
    assert_eq!(facts[0].service, Some(LocalService { protocol: 17, port: 9 }));
    let peers = schema::peer_batch(&observed.peers, &window);
    assert_eq!(schema::facts_of_peers(&peers), Ok(facts));
    let flows = schema::flow_batch(&observed.flows, &window);
    let error = schema::facts_of_peers(&flows).unwrap_err();
    assert_eq!(error, SchemaError::Evidence { name: "packets" });
}

#[test]
fn an_empty_window_makes_empty_tables_of_the_same_columns() {
    let window = Window::default();
    let flows = schema::flow_batch(&[], &window);
    assert_eq!(flows.num_rows(), 0);
    assert_eq!(flows.schema_ref().fields(), schema::flow_schema().fields());
    assert_eq!(schema::feature_rows(&flows), Ok(vec![]));
}

#[test]
fn the_features_are_the_only_columns_that_a_model_sees() {
    for (schema, id) in [
        (schema::flow_schema(), schema::flow_schema_id()),
        (schema::peer_schema(), schema::peer_schema_id()),
    ] {
        let features =
            schema.fields().iter().filter(|field| field.metadata()[ROLE_KEY] == "feature");
        let names: Vec<_> = features
            .inspect(|field| assert_eq!(field.data_type(), &DataType::Float32))
            .map(|field| field.name().clone())
            .collect();
        assert_eq!(names, id.features);
        let nullable = schema.fields().iter().filter(|field| field.is_nullable());
        assert!(nullable.into_iter().all(|field| field.name().starts_with("service_")));
    }
}

#[test]
fn a_window_carries_its_ledger() {
    let (window, observed) = observed();
    let batch = schema::flow_batch(&observed.flows, &window);
    let metadata = batch.schema_ref().metadata();
    let of = |key: &str| metadata.get(key).map(String::as_str);
    assert_eq!(of("weir.schema"), Some("weir.flow.v1"));
    assert_eq!(of("weir.schema.version"), Some("1"));
    let peers = schema::peer_batch(&observed.peers, &window);
    let version = peers.schema_ref().metadata()["weir.schema.version"].clone();
    assert_eq!(
        (peers.schema_ref().metadata()["weir.schema"].as_str(), &*version),
        ("weir.peer.v3", "3")
    );
    assert_eq!(of("weir.window.end_ns"), Some("1000000005"));
    assert_eq!(of("weir.ledger.segments.ingress"), Some("46"));
    assert_eq!(of("weir.ledger.lost.not_ip"), Some("1"));
    assert_eq!((of("weir.window.imbalance"), of("weir.window.lossy")), (Some("0"), Some("false")));
}

#[test]
fn a_table_of_other_definitions_is_refused_by_name() {
    let (window, observed) = observed();
    let batch = schema::flow_batch(&observed.flows, &window);
    let with = |key: &str, value: &str| {
        let mut metadata = batch.schema_ref().metadata().clone();
        metadata.insert(key.to_owned(), value.to_owned());
        let schema = Schema::new_with_metadata(batch.schema_ref().fields().clone(), metadata);
        RecordBatch::try_new(Arc::new(schema), batch.columns().to_vec()).expect("same columns")
    };
    let error = schema::feature_rows(&with(HASH_KEY, "0011223344556677")).unwrap_err();
    assert!(matches!(error, SchemaError::Hash { .. }), "{error}");
    assert!(error.to_string().contains("0011223344556677"), "{error}");
    let error = schema::feature_rows(&with("weir.schema", "weir.flow.v9")).unwrap_err();
    assert_eq!(error, SchemaError::Name { name: "weir.flow.v9".to_owned() });
}

#[test]
fn a_schemas_hash_is_short_and_its_own() {
    let (flow, peer) = (schema::flow_schema_id(), schema::peer_schema_id());
    assert_ne!(flow.hash, peer.hash);
    assert!(flow.hash.len() == 16 && flow.hash.chars().all(|digit| digit.is_ascii_hexdigit()));
    assert_eq!(flow, schema::flow_schema_id());
}
