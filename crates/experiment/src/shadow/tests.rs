use std::path::Path;

use events::{
    Claim, Evidence, PValues, Prefix, ProcedureChoice, Share, Stamp, Standing, WindowEvent,
};
use jiff::Timestamp;

use super::*;

fn window(number: u64, [start_ns, end_ns]: [u64; 2], peers: usize, evicted: [u64; 2]) -> Event {
    Event::Window(WindowEvent {
        number,
        start_ns,
        end_ns,
        flows: peers,
        peers,
        packets: [9, 9],
        frames: [9, 9],
        packets_in_flows: 18,
        losses: Vec::new(),
        not_ip: Vec::new(),
        evicted,
        evicted_peers: 0,
        untold: 0,
        unseen: 0,
        imbalance: 0,
        decided_after_us: 0,
        late: 0,
    })
}

fn anomaly(window: u64, at_ns: u64, peer: &str, surprise: f64, refusal: Option<Refusal>) -> Event {
    let evidence = Evidence {
        address: peer.parse().expect("an address"),
        p_value: 0.001,
        conditional_p_value: 0.001,
        peer_score: 0.7,
        horizon_ms: 1_000,
        tail_score: 12.5,
        surprise,
        packets: 120,
        bytes: 7_200,
        standing: Standing::Proven,
        new_or_large: false,
        failed_log_ins: 0,
        log_ins_alike: 0,
        row_packets: 0,
        flows: 3,
        service: None,
    };
    let claim = Claim {
        contradicted: None,
        rate: Share::TENTH,
        procedure: ProcedureChoice::PerWindow,
        p_values: PValues::Conditional,
        p_value: 0.001,
        level: 0.01,
        held_out: None,
        needed: 0,
        supported: true,
    };
    let (outcome, taken) = if let Some(refusal) = refusal {
        (events::Outcome::Refused(refusal), ActionTaken::Refused)
    } else {
        let (action, ttl) = (Action::Shadow, std::time::Duration::from_secs(3));
        let expires_ns = at_ns + 3_000_000_000;
        let block = events::Outcome::Block {
            action,
            scope: events::Scope::Inbound,
            ttl,
            expires_ns,
            offence: 1,
            early: false,
        };
        (block, ActionTaken::Shadowed)
    };
    let stamp = Stamp { id: 1, window, at_ns, time: Timestamp::default() };
    let decision = events::Decision { evidence, claim, outcome };
    Event::Anomaly(DecisionRecord::of(stamp, decision, taken, Vec::new()))
}

/// Lines as a node writes them, with a line of another version in between.
fn lines() -> String {
    let ended: Prefix = "198.51.100.7".parse().expect("an address");
    let ended = ExpiredEvent {
        at_ns: 9_000_000_000,
        passed_packets: 120,
        would_drop_packets: 120,
        would_drop_bytes: 7_200,
        first_drop_ns: 2_010_000_100,
        ..ExpiredEvent::nothing(ended.net())
    };
    let first = [
        window(1, [1_000_000_000, 2_000_000_000], 3, [0, 0]),
        anomaly(1, 2_010_000_000, "198.51.100.7", 8.0, None),
        anomaly(1, 2_010_000_000, "192.0.2.9", 4.0, Some(Refusal::BelowMargin)),
    ];
    let second = [
        window(2, [2_000_000_000, 9_000_000_000], 2, [1, 5]),
        Event::Expired(ended),
        anomaly(2, 9_010_000_000, "192.0.2.10", 8.0, None),
    ];
    let text = |events: &[Event]| -> String {
        events.iter().map(|one| serde_json::to_string(one).expect("JSON") + "\n").collect()
    };
    text(&first) + "{\"event\":\"something_new\",\"at_ns\":1}\n\n" + &text(&second)
}

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
    Record::read(lines().as_bytes()).expect("a record")
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
    assert_eq!(attack.shares.stopped_packet_share, None, "nobody counted what was sent");
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
