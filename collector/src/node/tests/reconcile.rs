//! A start: what the kernel has, what the ledger has, and whom neither may hold.

use events::Origin;
use ledger::{Moment, PreviousEnd};

use super::*;
use crate::node::{Before, reconcile::InKernel};

/// A block of the ledger that has a minute to go.
fn of_ledger(id: u64, target: &str, origin: Origin) -> ledger::Block {
    let made = journal::moment();
    let boot_ns = made.boot_ns + 60 * SECOND;
    let expires = Moment { wall_ns: made.wall_ns_at(boot_ns), boot_ns };
    let target = target.parse::<IpNet>().unwrap().into();
    let action = Action::Drop;
    let (run, decision, who, reason) = (1, None, None, None);
    ledger::Block { id, run, target, action, made, expires, origin, decision, who, reason }
}

#[test]
fn a_reboot_makes_no_block_again_of_whom_must_not_be_blocked() {
    let folder = tempfile::tempdir().unwrap();
    let (node, noted) = node(folder.path());
    let office: IpNet = "203.0.113.0/24".parse().unwrap();
    let request = AllowRequest { prefix: office.into(), for_s: None, note: None };
    node.allow(&somebody(), &request).unwrap();

    let stands = [
        ("192.0.2.66/32", Origin::Model),
        ("192.0.2.67/32", Origin::Import),
        ("2001:db8:6::/64", Origin::Model),
    ];
    let protected = [
        ("198.51.100.200/32", Origin::Model),
        ("198.51.100.0/24", Origin::Import),
        ("203.0.113.9/32", Origin::Model),
        ("203.0.113.10/32", Origin::Import),
        ("169.254.7.9/32", Origin::Import),
        ("0.1.2.3/32", Origin::Import),
        ("224.0.0.251/32", Origin::Model),
        ("255.255.255.255/32", Origin::Model),
        ("fe80::1/128", Origin::Model),
    ];
    let blocks = stands.into_iter().chain(protected);
    let active = (1..).zip(blocks).map(|(id, (net, origin))| of_ledger(id, net, origin)).collect();
    let before = Before { active, ended: Some(PreviousEnd::Rebooted), ..Before::default() };
    let reconciled = node.settle(&before, InKernel::default()).unwrap();
    assert_eq!((reconciled.remade, reconciled.vanished), (stands.len(), protected.len()));
    let target = |net: &str| Target::from(net.parse::<IpNet>().unwrap());
    let mut blocked = noted.notes().blocked.clone();
    blocked.sort();
    assert_eq!(blocked, stands.map(|(net, _)| target(net)));
    // Each that was not made is told with whom it would have hit.
    let events = node.decide(window(1, Vec::new()));
    let told = |event: &Event| match event {
        Event::Difference(event) if event.done == "recorded as vanished" => {
            Some((event.target?.net(), event.detail.clone()))
        }
        _ => None,
    };
    let told: BTreeMap<IpNet, String> = events.iter().filter_map(told).collect();
    assert_eq!(told.len(), protected.len());
    for (net, _) in protected {
        let net = net.parse().unwrap();
        let protection = node.inner().policy.protected().protection(net).unwrap();
        assert_eq!(told[&net], protection.to_string());
    }
}
