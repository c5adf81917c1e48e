//! Readiness, metrics, losses.

use super::*;

#[test]
fn a_node_is_ready_while_it_decides_watches_and_records() {
    let folder = tempfile::tempdir().unwrap();
    let (mut node, _) = node(folder.path());
    assert!(node.ready().unwrap_err().text.contains("no window"));
    node.decide(window(1, Vec::new()));
    node.ready().unwrap();
    for (patterns, why) in
        [(&["eth0"][..], "`eth0` is not watched"), (&["eth*"], "no interface matches `eth*`")]
    {
        let names = patterns.iter().map(ToString::to_string).collect();
        node.inner().config.as_mut().unwrap().interfaces = names;
        assert!(node.ready().unwrap_err().text.contains(why), "{patterns:?}");
    }
    node.interfaces = Box::new(|| {
        let interface = datapath::InterfaceName::new("eth0").unwrap();
        let (tc, guard) = (datapath::TcHook::Tcx, datapath::GuardHook::Off);
        let (unseen, neighbours, sharing) = ([0, 7], Vec::new(), datapath::Sharing::NoXdp);
        let attached =
            vec![Attached { interface, ifindex: 2, tc, guard, unseen, neighbours, sharing }];
        Watched { attached, ..Watched::default() }
    });
    node.ready().unwrap();
    assert_eq!(node.status().unwrap().interfaces[0].unseen_packets, 7);

    // One that came and could not be watched; of one that no weir reads the status tells alone.
    for (by_type, is_ready) in [(true, true), (false, false)] {
        let watched = (node.interfaces)();
        let refused = datapath::Refused { why: "no room".to_owned(), by_type };
        let name = datapath::InterfaceName::new("eth1").unwrap();
        let refused = [(name, refused)].into();
        let watched = Watched { refused, gone_namespaces: 2, ..watched };
        node.interfaces = Box::new(move || watched.clone());
        assert_eq!(node.ready().is_ok(), is_ready);
        let status = node.status().unwrap();
        assert_eq!((status.not_watched["eth1"].as_str(), status.gone_namespaces), ("no room", 2));
    }
}

#[test]
fn the_status_tells_whether_the_rate_is_supported_by_the_count_of_peers_of_late() {
    let folder = tempfile::tempdir().unwrap();
    let (node, _) = node(folder.path());
    assert_eq!(node.status().unwrap().claim, None, "nothing was learnt");
    {
        let mut inner = node.inner();
        let basis = policy::Basis {
            held_out: policy::statistics::HeldOut::each(400),
            peers_per_window: Some(4.0),
            most_rows: 1 << 20,
            ..policy::Basis::default()
        };
        let config = inner.policy.config().clone();
        inner.policy = Policy::new(config, ProtectedHosts::default()).calibrated(&basis);
    }
    let claim = || node.status().unwrap().claim.unwrap();
    assert_eq!((claim().trained_at, claim().supported), (Some(4.0), true));
    let calm =
        |last| Evidence { surprise: 0.2, p_value: 0.5, conditional_p_value: 0.5, ..attacker(last) };
    let begin_ns = boot_ns();
    for number in 1..=600 {
        let mut next = window(number, (1..=13).map(calm).collect());
        next.assessed.facts.end_ns = begin_ns + number * SECOND;
        next.assessed.facts.start_ns = next.assessed.facts.end_ns - SECOND;
        node.decide(next);
    }
    let late = claim();
    assert!(!late.supported && late.peers_per_window > 11.0, "{late:?}");
    assert!(late.advice.contains("learn for"), "{}", late.advice);
}

#[test]
fn a_scrape_tells_the_named_metrics_and_no_address() {
    let folder = tempfile::tempdir().unwrap();
    let (node, _) = node(folder.path());
    node.decide(window(1, vec![attacker(1), attacker(200)]));
    let text = scrape(&node);
    assert!(text.contains("weir_refusals_total{reason=\"own_address\"} 1\n"), "{text}");
    assert!(text.contains("weir_mode{mode=\"enforce\"} 1\n"), "{text}");
    assert!(text.contains("weir_stage_busy_seconds_total{stage=\"decide\"}"), "{text}");
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        assert!(line.starts_with("weir_") && !line.contains("198.51.100"), "{line}");
    }
}

#[test]
fn every_loss_of_a_window_is_in_the_status_and_the_metrics_by_its_cause() {
    let folder = tempfile::tempdir().unwrap();
    let (node, _) = node(folder.path());
    for number in 1..=2 {
        let mut lossy = window(number, Vec::new());
        let of = |counts: &[(&'static str, u64)]| {
            counts.iter().map(|&(cause, packets)| (cause.into(), packets)).collect()
        };
        lossy.summary.losses = of(&[("not_ip", 3), ("truncated_ipv4", 2)]);
        lossy.summary.not_ip = of(&[("arp", 2), ("other", 1)]);
        lossy.summary.evicted = [4, 9];
        lossy.summary.evicted_peers = 5;
        lossy.summary.imbalance = -1;
        node.decide(lossy);
    }
    let status = node.status().unwrap();
    let losses: Vec<(&str, u64)> =
        status.losses.iter().map(|(cause, &lost)| (cause.as_str(), lost)).collect();
    let expected = [
        ("evicted", 18),
        ("not_ip_arp", 4),
        ("not_ip_other", 2),
        ("truncated_ipv4", 4),
        ("unaccounted", 2),
    ];
    assert_eq!((losses.as_slice(), status.evicted_peers), (&expected[..], 10));
    let metrics = scrape(&node);
    assert!(metrics.contains("weir_lost_packets_total{cause=\"not_ip_other\"} 2\n"), "{metrics}");
    assert!(metrics.contains("weir_evicted_peers_total 10\n"), "{metrics}");
}
