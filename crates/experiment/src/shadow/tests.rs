use std::path::Path;

use super::*;

const RECORD: &str = r#"
{"event":"window","number":1,"start_ns":1000000000,"end_ns":2000000000,"peers":3,"evicted":[0,0],"imbalance":0}
{"event":"anomaly","window":1,"at_ns":2010000000,"peer":"198.51.100.7","p_value":0.001,"excess":0.8,"verified":true,"deed":"shadowed","ttl_s":3,"offence":1}
{"event":"anomaly","window":1,"at_ns":2010000000,"peer":"192.0.2.9","p_value":0.01,"excess":0.2,"verified":true,"deed":"refused","refusal":"below_margin","ttl_s":0,"offence":0}
{"event":"something_new","at_ns":1}
{"event":"window","number":2,"start_ns":2000000000,"end_ns":9000000000,"peers":2,"evicted":[1,5],"imbalance":0}
{"event":"expired","at_ns":9000000000,"peer":"198.51.100.7","dropped_packets":0,"dropped_bytes":0,"passed_packets":120,"would_drop_packets":120,"would_drop_bytes":7200,"first_drop_ns":2010000100}
{"event":"anomaly","window":2,"at_ns":9010000000,"peer":"192.0.2.10","p_value":0.001,"excess":0.8,"verified":true,"deed":"shadowed","ttl_s":3,"offence":1}
"#;

fn origin(has_truth: bool) -> Origin {
    Origin {
        source: Source::NodeRecord,
        inputs: Vec::new(),
        model_sha256: None,
        seed: None,
        has_truth,
    }
}

fn record() -> Record {
    Record::read(RECORD.as_bytes()).expect("a record")
}

#[test]
fn would_drops_of_the_record_are_what_was_stopped() {
    let truth = "from,to,remote,class,name\n1.5,9,198.51.100.7,syn_scan,noon\n\
                 ,,192.0.2.0/24,benign,\n";
    let truth = Truth::from_csv(Path::new("t.csv"), truth).expect("a truth");
    let report = record().report(origin(true), Some(&truth), 0);
    let [setting] = &report.settings[..] else { panic!("one setting") };
    assert_eq!((setting.blocks, setting.shadows, setting.false_blocks), (2, 2, Some(1)));
    assert_eq!(setting.stopped, Amount { packets: 120, bytes: 7_200 });
    let [attack] = &setting.attacks[..] else { panic!("one attack") };
    assert_eq!((attack.name.as_str(), attack.stopped_packets), ("noon", 120));
    assert_eq!(attack.time_to_block_s, Some(0.51));
    assert_eq!(attack.stopped_packet_share, None, "nobody counted what was sent");
    let benign = setting.benign.as_ref().expect("a truth");
    assert_eq!((benign.blocks, benign.packets_lost), (1, 0));
    let counted: Vec<Option<u64>> =
        setting.block_list.iter().map(|block| block.stopped_packets).collect();
    assert_eq!(counted, [Some(120), None], "the second block stands at the record's end");
    assert_eq!(setting.refusals[0].text, Refusal::BelowMargin.text());
    assert_eq!(setting.refusals[0].benign_peer_windows, Some(1));
    assert_eq!((report.traffic.windows, report.traffic.lossy_windows), (2, 1));
}

#[test]
fn without_a_truth_nothing_is_told_apart_and_the_report_says_so() {
    let report = record().report(origin(false), None, 0);
    let setting = &report.settings[0];
    assert!(setting.attack.is_none() && setting.benign.is_none());
    let absent: Vec<&str> = report.absent.iter().map(|one| one.what).collect();
    assert!(absent.contains(&"attack and benign") && absent.contains(&NOT_COUNTED.0), "{absent:?}");
}

#[test]
fn what_is_no_record_is_refused_by_its_line() {
    for (text, told) in [
        ("", "holds no window"),
        ("{\"event\":\"other\"}\n", "holds no window"),
        ("\n{\"event\":\"window\"}\n", "line 2 of the record"),
        ("no json\n", "line 1 of the record"),
    ] {
        let error = Record::read(text.as_bytes()).expect_err(text).to_string();
        assert!(error.contains(told), "{error}");
    }
}
