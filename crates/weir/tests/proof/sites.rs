//! A host of the home side that does harm itself: an alarm, and nobody blocked.

use std::net::IpAddr;

use events::{Change, Site};

use crate::{
    traffic::SECOND,
    trust::{ACK, ATTACKER, Crafted, Ends, HOST, SYN, decided, is_acted_on, summary},
};

const FIN: u8 = 0x01;

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

/// Ten seconds of five hundred echo requests a second, each answered.
fn pings() -> Vec<Crafted> {
    (0..5_000_u64)
        .flat_map(|number| {
            let to_us = Ends::to_host(ATTACKER, [0, 0]);
            let at_ns = number * SECOND / 500;
            [(at_ns, to_us.echo(true)), (at_ns + 50_000, to_us.back().echo(false))]
        })
        .collect()
}

#[test]
fn a_flood_that_comes_in_is_no_doing_of_the_host() {
    let told = decided(pings());
    assert!(told.anomalies.iter().any(|one| one.peer() == IpAddr::from(ATTACKER)), "it is told");
    assert_eq!(told.sites, [], "and of nobody else");
}

/// Eighteen seconds of a hundred connections a second to the web server, each closed at once.
fn empty_connections() -> Vec<Crafted> {
    (0..1_800_u16)
        .flat_map(|number| {
            let there = Ends::to_host(ATTACKER, [20_000 + number, 80]);
            let back = there.back();
            let (mine, its) = (u32::from(number) * 7_001, u32::from(number) * 9_001 + 77);
            let at_ns = u64::from(number) * SECOND / 100;
            [
                (at_ns, there.tcp(SYN, mine, 0)),
                (at_ns + 50_000, back.tcp(SYN | ACK, its, mine + 1)),
                (at_ns + 100_000, there.tcp(ACK, mine + 1, its + 1)),
                (at_ns + 150_000, there.tcp(FIN | ACK, mine + 1, its + 1)),
                (at_ns + 200_000, back.tcp(FIN | ACK, its + 1, mine + 2)),
                (at_ns + 250_000, there.tcp(ACK, mine + 2, its + 2)),
            ]
        })
        .collect()
}

#[test]
fn a_service_is_no_alarm_beside_the_block_of_who_wears_it_down() {
    let told = decided(empty_connections());
    // Nothing drops it here: it goes on behind the block for most of the time.
    assert!(is_acted_on(&told, ATTACKER), "{:?}", summary(&told, ATTACKER));
    assert_eq!(told.sites, []);
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
