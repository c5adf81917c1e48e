//! A host of the home side that does harm itself: an alarm, and nobody blocked.

use std::net::IpAddr;

use events::{Change, Site};

use crate::{
    traffic::SECOND,
    trust::{Crafted, Ends, HOST, SYN, decided},
};

/// Ten seconds of twenty SYNs a second to port 445 of ever other hosts, which are silent.
fn worm() -> Vec<Crafted> {
    (0..200_u8)
        .map(|number| {
            let to_us = Ends::to_host([198, 51, 100, number], [445, 40_000 + u16::from(number)]);
            let sequence = u32::from(number) * 1_013;
            (u64::from(number) * SECOND / 20, to_us.back().tcp(SYN, sequence, 0))
        })
        .collect()
}

#[test]
fn a_host_that_scans_others_is_one_alarm_with_its_reason_and_nobody_is_blocked() {
    let quiet = decided(Vec::new());
    assert_eq!(quiet.sites, [], "benign traffic");
    let told = decided(worm());
    let host = Site::Host(IpAddr::from(HOST));
    let of_host: Vec<_> = told.sites.iter().filter(|event| event.site == host).collect();
    let opened = of_host.iter().filter(|event| {
        event.incident.is_some_and(|incident| incident.change == Some(Change::Opened))
    });
    assert_eq!(opened.count(), 1, "{:?}", told.sites);
    let first = of_host[0];
    assert!(first.reasons.iter().any(|one| one.feature.contains("remotes")), "{first:?}");
    assert!(told.sites.iter().all(|event| event.site == host), "{:?}", told.sites);
    assert_eq!(told.blocked(), quiet.blocked());
    let lines = of_host.iter().filter(|event| event.is_news()).count();
    assert!(lines <= 2, "{lines} lines of {} windows", of_host.len());
}
