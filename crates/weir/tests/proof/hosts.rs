//! A host of IPv6 that takes address after address, in the midst of the lab's benign traffic.

use std::net::IpAddr;

use events::{ActionTaken, Prefix};

use crate::{
    traffic::SECOND,
    trust::{ACK, Crafted, RST, SYN, decided},
};

const HOST: u128 = 0x2001_0db8 << 96 | 1;
const NET: u128 = 0x2001_0db8_0001_0007 << 64;

/// A TCP segment over IPv6.
fn tcp(ends: [(u128, u16); 2], flags: u8, sequence: u32, acknowledged: u32) -> Vec<u8> {
    let [(source, source_port), (destination, destination_port)] = ends;
    let mut frame = vec![2; 12];
    frame.extend([0x86, 0xdd, 0x60, 0, 0, 0, 0, 20, 6, 64]);
    frame.extend(source.to_be_bytes().into_iter().chain(destination.to_be_bytes()));
    frame.extend(source_port.to_be_bytes().into_iter().chain(destination_port.to_be_bytes()));
    frame.extend(sequence.to_be_bytes().into_iter().chain(acknowledged.to_be_bytes()));
    frame.extend([0x50, flags, 0xfa, 0xf0, 0, 0, 0, 0]);
    frame
}

/// 2,000 ports in ten seconds, each from another address of the /64 and refused.
fn scan() -> Vec<Crafted> {
    (1..=2_000_u16)
        .flat_map(|number| {
            let at_ns = u64::from(number) * SECOND / 200;
            let ends = [(NET | u128::from(number) << 16 | 0xb, 40_000), (HOST, 1 + number * 3)];
            let sequence = u32::from(number) * 1_013;
            let refused = tcp([ends[1], ends[0]], RST | ACK, 0, sequence + 1);
            [(at_ns, tcp(ends, SYN, sequence, 0)), (at_ns + 50_000, refused)]
        })
        .collect()
}

#[test]
fn two_thousand_probes_from_two_thousand_addresses_of_one_64_are_acted_on_together() {
    let told = decided(scan());
    let remotes: Vec<Prefix> = told
        .anomalies
        .iter()
        .filter(|one| one.outcome == ActionTaken::WouldBlock)
        .map(|one| Prefix::of_host(one.peer()))
        .collect();
    let net = Prefix::of_host(IpAddr::from(NET.to_be_bytes()));
    assert_eq!(net.to_string(), "2001:db8:1:7::/64");
    assert!(remotes.contains(&net), "{remotes:?}");
    let of_the_net = remotes.iter().filter(|one| net.net().contains(&one.net().network()));
    assert_eq!(of_the_net.count(), 1, "one block for all of them: {remotes:?}");
}
