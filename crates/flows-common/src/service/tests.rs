use core::cell::Cell;

use super::*;
use crate::{
    guard::RECENT_NS,
    parse::{Frame, UDP, parse},
};

const NOW: u64 = 1_000_000_000_000;
const SECOND: u64 = 1_000_000_000;
const STRANGER: Address = Address::of_v4([198, 51, 100, 7]);
const HOST: Address = Address::of_v4([192, 0, 2, 1]);
const HTTPS: ServiceKey = ServiceKey { port: 443, protocol: TCP, reserved: 0 };

/// A limit and a remote.
#[derive(Default)]
struct Fake {
    limit: Option<(ServiceKey, ServiceEntry)>,
    verified_until_ns: Cell<u64>,
    allowed: bool,
    connected: bool,
    open: Option<u16>,
    knocks: Cell<Knocks>,
    arrival_ns: [Cell<u64>; 2],
}

impl Clock for Fake {
    fn recent_ns(&self) -> u64 {
        NOW - RECENT_NS
    }

    fn now_ns(&self) -> u64 {
        NOW
    }
}

impl Services for Fake {
    type Limit = ServiceEntry;

    fn limit(&self, service: &ServiceKey) -> Option<ServiceEntry> {
        self.limit.and_then(|(key, entry)| (key == *service).then_some(entry))
    }

    fn limit_lease(&self, entry: ServiceEntry) -> Lease {
        Lease::of_service(&entry)
    }

    fn limit_rate(&self, entry: ServiceEntry) -> Rate {
        Rate { packet_cost_ns: entry.packet_cost_ns, burst_ns: entry.burst_ns }
    }

    fn arrival_ns(&self, _entry: ServiceEntry, bucket: Bucket) -> u64 {
        self.arrival_ns[bucket.index()].get()
    }

    fn advance(&self, _entry: ServiceEntry, bucket: Bucket, _expected: u64, next: u64) -> bool {
        self.arrival_ns[bucket.index()].set(next);
        true
    }

    fn verified_until_ns(&self, _remote: &Address) -> u64 {
        self.verified_until_ns.get()
    }

    fn exempt(&self, _remote: &Address, until_ns: u64) {
        self.verified_until_ns.set(until_ns);
    }

    fn is_allowed(&self, _remote: &Address) -> bool {
        self.allowed
    }

    fn held(&self, _contact: &Contact) -> Held {
        if self.connected { Held::Accepted } else { Held::Nothing }
    }

    fn is_open(&self, contact: &Contact, _now_ns: u64) -> bool {
        self.open == Some(contact.local_port)
    }

    fn knocks(&self, _remote: &Address) -> Knocks {
        self.knocks.get()
    }

    fn set_knocks(&self, _remote: &Address, knocks: Knocks) {
        self.knocks.set(knocks);
    }
}

/// A limit of four packets at once, and one a second.
fn limited(action: Action, expires_ns: u64) -> Fake {
    let entry = ServiceEntry {
        expires_ns,
        packet_cost_ns: SECOND,
        burst_ns: 3 * SECOND,
        action: action.code(),
        slot: 5,
        ..ServiceEntry::default()
    };
    Fake { limit: Some((HTTPS, entry)), ..Fake::default() }
}

fn in_force() -> Fake {
    limited(Action::RateLimit, NOW + 60 * SECOND)
}

fn contact(flags: u8) -> Contact {
    Contact {
        remote: STRANGER,
        local: HOST,
        remote_port: 50_000,
        local_port: 443,
        protocol: TCP,
        further: u8::from(flags & TcpFlag::Ack.bit() != 0),
        reserved: [0; 2],
    }
}

fn syn() -> Contact {
    contact(TcpFlag::Syn.bit())
}

fn cause(tables: &Fake, contact: &Contact) -> Option<Cause> {
    rule_service(tables, contact).map(|ruling| ruling.cause)
}

#[test]
fn strangers_share_the_burst_and_then_the_rate() {
    let tables = in_force();
    let rulings: [Option<Cause>; 6] = core::array::from_fn(|_| cause(&tables, &syn()));
    assert_eq!(rulings[..4], [Some(Cause::ServiceBelowRate); 4]);
    assert_eq!(rulings[4..], [Some(Cause::ServiceAboveRate); 2]);
}

#[test]
fn a_flood_of_syns_leaves_other_segments_their_own_bucket() {
    let tables = in_force();
    for _ in 0..9 {
        let _ = cause(&tables, &syn());
    }
    let ack = contact(TcpFlag::Ack.bit());
    for _ in 0..4 {
        assert_eq!(cause(&tables, &ack), Some(Cause::ServiceBelowRate));
    }
    assert_eq!(cause(&tables, &ack), Some(Cause::ServiceAboveRate));
}

#[test]
fn who_is_known_passes_and_takes_nothing_from_the_others() {
    let tables = in_force();
    tables.verified_until_ns.set(NOW + 1);
    for _ in 0..9 {
        assert_eq!(cause(&tables, &syn()), Some(Cause::Known));
    }
    assert_eq!(tables.arrival_ns[0].get(), 0);
    tables.verified_until_ns.set(NOW - RECENT_NS);
    assert_eq!(cause(&tables, &syn()), Some(Cause::ServiceBelowRate));
}

#[test]
fn an_open_connection_passes_and_makes_its_remote_known() {
    let tables = Fake { connected: true, ..in_force() };
    assert_eq!(cause(&tables, &contact(TcpFlag::Ack.bit())), Some(Cause::Known));
    assert_eq!(tables.verified_until_ns.get(), NOW - RECENT_NS + VERIFIED_NS);
    // A SYN is not asked for: whoever forges one may guess the ports of a connection.
    let tables = Fake { connected: true, ..in_force() };
    assert_eq!(cause(&tables, &syn()), Some(Cause::ServiceBelowRate));
    assert_eq!(tables.verified_until_ns.get(), 0);
}

#[test]
fn an_allowed_stranger_passes() {
    assert_eq!(cause(&Fake { allowed: true, ..in_force() }, &syn()), Some(Cause::Allowed));
}

#[test]
fn a_limit_past_its_lease_and_another_service_decide_nothing() {
    let tables = limited(Action::RateLimit, NOW);
    assert_eq!(cause(&tables, &syn()), Some(Cause::Expired));
    let other = Contact { local_port: 80, ..syn() };
    assert_eq!(cause(&in_force(), &other), None);
    assert_eq!(cause(&in_force(), &Contact { protocol: UDP, ..syn() }), None);
}

#[test]
fn in_shadow_what_exceeds_the_rate_is_counted_and_passes() {
    let tables = limited(Action::Shadow, NOW + 60 * SECOND);
    for _ in 0..4 {
        assert_eq!(cause(&tables, &syn()), Some(Cause::ServiceBelowRate));
    }
    let ruling = rule_service(&tables, &syn()).unwrap();
    assert_eq!((ruling.cause, ruling.verdict()), (Cause::ServiceShadow, crate::Verdict::Pass));
    assert!(ruling.acted());
}

/// Closed ports limited to four packets at once, and an open port.
fn closed_ports() -> Fake {
    let (_, entry) = in_force().limit.unwrap();
    Fake { limit: Some((ServiceKey::CLOSED_PORTS, entry)), open: Some(443), ..Fake::default() }
}

#[test]
fn the_limit_of_closed_ports_holds_those_and_who_knocked_at_several() {
    let tables = closed_ports();
    let at = |local_port| cause(&tables, &Contact { local_port, ..syn() });
    assert_eq!(at(443), None, "an open port has no limit");
    assert_eq!([80, 80, 80].map(at), [Some(Cause::ServiceBelowRate); 3]);
    assert_eq!(at(443), None, "one port, again and again, is a service that is down");
    assert_eq!([81, 82].map(at), [Some(Cause::ServiceBelowRate), Some(Cause::ServiceAboveRate)]);
    assert_eq!(at(443), None);
    assert_eq!(at(83), Some(Cause::ServiceAboveRate));
    assert_eq!(at(443), Some(Cause::ServiceAboveRate), "a scan does not tell open from closed");
    let ack = Contact { local_port: 443, ..contact(TcpFlag::Ack.bit()) };
    assert_eq!(cause(&tables, &ack), None, "segments of what is open pass");
    let knocks = tables.knocks.get();
    assert!(knocks.are_several(knocks.last_ns + KNOCKS_NS));
    assert!(!knocks.are_several(knocks.last_ns + KNOCKS_NS + 1));
    assert_eq!(knocks.and(84, knocks.last_ns + KNOCKS_NS + 1).ports, 1);
}

#[test]
fn closed_ports_are_nothing_to_who_is_known_or_allowed_to_datagrams_and_to_fragments() {
    let tables = Fake { allowed: true, ..closed_ports() };
    let knock = Contact { local_port: 80, ..syn() };
    assert_eq!(cause(&tables, &knock), None);
    let tables = closed_ports();
    tables.verified_until_ns.set(NOW + SECOND);
    assert_eq!(cause(&tables, &knock), None);
    let tables = closed_ports();
    assert_eq!(cause(&tables, &Contact { protocol: UDP, ..knock }), None);
    let fragment = contact_of(TCP, 5, &[0, 53, 1, 187, 0, 20, 0, 0]);
    assert_eq!((cause(&tables, &fragment), tables.knocks.get()), (None, Knocks::default()));
    let zero = Contact { local_port: 0, ..syn() };
    assert_eq!(cause(&tables, &zero), Some(Cause::ServiceBelowRate), "port 0 is closed");
}

#[test]
fn knocks_are_counted_by_address_and_in_ipv6_by_the_64() {
    let v6 = |low: u8| {
        let mut address = [0x20; 16];
        address[15] = low;
        Address::of_v6(address)
    };
    assert_eq!(knocker(v6(1)), knocker(v6(2)));
    assert_eq!(knocker(STRANGER), STRANGER.to_16());
    assert_ne!(knocker(STRANGER), knocker(HOST));
}

/// An IPv4 frame with these bytes behind a header whose fragment field is given.
fn frame_v4(protocol: u8, fragment: u16, transport: &[u8]) -> ([u8; 80], Frame) {
    let mut bytes = [0; 80];
    bytes[12..14].copy_from_slice(&[0x08, 0x00]);
    bytes[14] = 0x45;
    bytes[16..18].copy_from_slice(&60_u16.to_be_bytes());
    bytes[20..22].copy_from_slice(&fragment.to_be_bytes());
    bytes[22..24].copy_from_slice(&[64, protocol]);
    bytes[26..30].copy_from_slice(&[198, 51, 100, 7]);
    bytes[30..34].copy_from_slice(&[192, 0, 2, 1]);
    bytes[34..34 + transport.len()].copy_from_slice(transport);
    (bytes, Frame::of_length(80))
}

fn contact_of(protocol: u8, fragment: u16, transport: &[u8]) -> Contact {
    let (bytes, frame) = frame_v4(protocol, fragment, transport);
    Contact::of(&parse(&bytes[..], &frame).unwrap())
}

#[test]
fn a_contact_knows_what_opens() {
    for (flags, bucket) in [
        (TcpFlag::Syn.bit(), Bucket::Opening),
        (TcpFlag::Syn.bit() | TcpFlag::Ece.bit() | TcpFlag::Cwr.bit(), Bucket::Opening),
        (TcpFlag::Syn.bit() | TcpFlag::Ack.bit(), Bucket::Further),
        (TcpFlag::Ack.bit(), Bucket::Further),
        (TcpFlag::Rst.bit(), Bucket::Further),
        (0, Bucket::Further),
    ] {
        let tcp = [195, 80, 1, 187, 0, 0, 0, 1, 0, 0, 0, 0, 0x50, flags, 1, 0, 0, 0, 0, 0];
        let contact = contact_of(TCP, 0, &tcp);
        assert_eq!((contact.bucket(), contact.service()), (bucket, HTTPS), "{flags:#x}");
        assert_eq!((contact.remote, contact.local), (STRANGER, HOST));
        assert_eq!(contact.remote_port, 50_000);
    }
    let datagram = contact_of(UDP, 0, &[0, 53, 1, 187, 0, 20, 0, 0]);
    assert_eq!((datagram.bucket(), datagram.service().port), (Bucket::Opening, 443));
}

#[test]
fn a_later_fragment_comes_to_port_0() {
    let contact = contact_of(UDP, 5, &[0, 53, 1, 187, 0, 20, 0, 0]);
    assert_eq!(contact.service(), ServiceKey { port: 0, protocol: UDP, reserved: 0 });
}
