//! The Arrow tables of a window, and their way back into model input.

use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::{DataType, Schema};
use flows_common::{FlowCounters, FlowKey, Loss, Standing};
use weir_features::schema::{self, HASH_KEY, ROLE_KEY, SchemaError};
use weir_features::{
    Context, Feature, HostFeature, Kind, LocalService, Observed, PeerFacts, PeerFeature,
    ServiceFeature, SiteRecord, Window,
};

fn observed() -> (Window, Observed) {
    let flow = |one: u16| {
        let mut counters = FlowCounters::default();
        counters.directions[0].packets = u64::from(one);
        counters.directions[0].bytes = u64::from(one) * 60;
        let key = FlowKey {
            local: [8; 16],
            local_port: one,
            remote: [7; 16],
            protocol: 17,
            ..FlowKey::default()
        };
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
    let rows = |kind| schema::feature_rows(&schema::batch(kind, &observed, &window));
    let sites = |kind| observed.sites_of(kind).collect::<Vec<&SiteRecord>>();
    assert_eq!(rows(Kind::Peer), Ok(PeerFeature::rows(&observed.peers)));
    assert_eq!(rows(Kind::Host), Ok(HostFeature::rows(sites(Kind::Host))));
    assert_eq!(rows(Kind::Net), Ok(HostFeature::rows(sites(Kind::Net))));
    assert_eq!(rows(Kind::Service), Ok(ServiceFeature::rows(sites(Kind::Service))));
    assert_eq!(rows(Kind::Flow), Ok(vec![]), "no column of flows is scored");
    assert_eq!(schema::batch(Kind::Flow, &observed, &window).num_rows(), 9);
}

#[test]
fn a_peer_table_gives_back_the_facts_that_a_decision_asks_for() {
    let (window, mut observed) = observed();
    let mut other = observed.peers[0].clone();
    let standing = Standing::Proven;
    other.key.standing = standing;
    other.counts.facts = PeerFacts { service: None, standing, flows: 3, ..PeerFacts::default() };
    observed.peers.push(other);
    let facts: Vec<PeerFacts> = observed.peers.iter().map(|peer| peer.counts.facts).collect();
    assert_eq!((facts[0].packets, facts[0].bytes, facts[0].first_packet_ns), (45, 2_700, 5));
    assert_eq!(facts[0].service, Some(LocalService { protocol: 17, port: 9 }));
    let peers = schema::batch(Kind::Peer, &observed, &window);
    assert_eq!(schema::facts_of_peers(&peers), Ok(facts));
    let flows = schema::batch(Kind::Flow, &observed, &window);
    let error = schema::facts_of_peers(&flows).unwrap_err();
    assert_eq!(error, SchemaError::Evidence { name: "packets" });
}

#[test]
fn an_empty_window_makes_empty_tables_of_the_same_columns() {
    let window = Window::default();
    let flows = schema::batch(Kind::Flow, &Observed::default(), &window);
    assert_eq!(flows.num_rows(), 0);
    assert_eq!(flows.schema_ref().fields(), schema::table_schema(Kind::Flow).fields());
    assert_eq!(schema::feature_rows(&flows), Ok(vec![]));
}

#[test]
fn the_features_are_the_only_columns_that_a_model_sees() {
    for kind in Kind::ALL {
        let (schema, id) = (schema::table_schema(kind), schema::schema_id(kind));
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
    let batch = schema::batch(Kind::Flow, &observed, &window);
    let metadata = batch.schema_ref().metadata();
    let of = |key: &str| metadata.get(key).map(String::as_str);
    assert_eq!(of("weir.schema"), Some("weir.flow.v2"));
    assert_eq!(of("weir.schema.version"), Some("2"));
    let peers = schema::batch(Kind::Peer, &observed, &window);
    let version = peers.schema_ref().metadata()["weir.schema.version"].clone();
    assert_eq!(
        (peers.schema_ref().metadata()["weir.schema"].as_str(), &*version),
        ("weir.peer.v4", "4")
    );
    assert_eq!(of("weir.window.end_ns"), Some("1000000005"));
    assert_eq!(of("weir.ledger.segments.ingress"), Some("46"));
    assert_eq!(of("weir.ledger.lost.not_ip"), Some("1"));
    assert_eq!((of("weir.window.imbalance"), of("weir.window.lossy")), (Some("0"), Some("false")));
}

#[test]
fn a_table_of_other_definitions_is_refused_by_name() {
    let (window, observed) = observed();
    let batch = schema::batch(Kind::Flow, &observed, &window);
    let with = |key: &str, value: &str| {
        let mut metadata = batch.schema_ref().metadata().clone();
        metadata.insert(key.to_owned(), value.to_owned());
        let schema = Schema::new_with_metadata(batch.schema_ref().fields().clone(), metadata);
        RecordBatch::try_new(Arc::new(schema), batch.columns().to_vec()).expect("same columns")
    };
    let error = schema::feature_rows(&with(HASH_KEY, "0011223344556677")).unwrap_err();
    assert!(matches!(error, SchemaError::Hash { .. }), "{error}");
    assert!(error.to_string().contains("0011223344556677"), "{error}");
    let error = schema::feature_rows(&with("weir.schema", "weir.flow.v1")).unwrap_err();
    assert_eq!(error, SchemaError::Name { name: "weir.flow.v1".to_owned() });
    assert!(error.to_string().contains("`weir replay --out`"), "{error}");
}

#[test]
fn a_schemas_hash_is_short_and_its_own() {
    let ids = Kind::ALL.map(schema::schema_id);
    for (at, id) in ids.iter().enumerate() {
        assert!(ids[..at].iter().all(|other| other.hash != id.hash));
        assert!(id.hash.len() == 16 && id.hash.chars().all(|digit| digit.is_ascii_hexdigit()));
        assert_eq!(schema::kind_of(&id.name), Some(Kind::ALL[at]));
    }
    assert_eq!(schema::kind_of("weir.peer.v2"), None);
}
