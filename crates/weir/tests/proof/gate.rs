//! The guard's own code over tables on the host: limits of services, and who is exempt.

use std::{
    cell::{Cell, RefCell},
    collections::{HashMap, HashSet},
};

use datapath::ServiceLimit;
use flows_common::{
    Direction, FlowCounters, FlowKey, Held, Knocks, ServiceEntry, ServiceKey, TcpFlag,
    account::{self, News},
    guard::{Clock, Lease, Rate, Ruling},
    parse::{Address, Packet},
    service::{Bucket, Contact, Services, VERIFIED_NS, rule_service},
};

/// The remote, its port, the local port.
type Connection = (Address, u16, u16);

/// State of the kernel's tables and the host's sockets.
#[derive(Default)]
pub(crate) struct Gate {
    now_ns: Cell<u64>,
    limits: RefCell<HashMap<ServiceKey, ServiceEntry>>,
    known: RefCell<HashMap<Address, u64>>,
    connected: HashSet<Connection>,
    flows: HashMap<FlowKey, FlowCounters>,
}

impl Gate {
    /// Ruling of the guard on an incoming packet.
    pub(crate) fn hold(&self, packet: &Packet, now_ns: u64) -> Option<Ruling> {
        self.now_ns.set(now_ns);
        rule_service(self, &Contact::of(packet))
    }

    /// Accounts a packet that passed, or one that goes out, as the program at TC does.
    pub(crate) fn see(&mut self, packet: &Packet, direction: Direction, now_ns: u64) {
        let key = FlowKey::of(packet, direction, 1);
        let flow = self.flows.entry(key).or_default();
        if account::update(flow, packet, direction, now_ns).has(News::PROVEN) {
            self.now_ns.set(now_ns);
            let remote = match direction {
                Direction::Ingress => &packet.source,
                Direction::Egress => &packet.destination,
            };
            self.exempt(remote, now_ns + VERIFIED_NS);
        }
    }

    /// Makes or renews a limit, as the blocklist does.
    pub(crate) fn limit(&self, key: ServiceKey, limit: &ServiceLimit, now_ns: u64) {
        let mut limits = self.limits.borrow_mut();
        let entry = limit.entry(now_ns, 1, limits.get(&key));
        limits.insert(key, entry);
    }

    /// A connection that was open before.
    pub(crate) fn connect(&mut self, connection: Connection) {
        self.connected.insert(connection);
    }

    /// True where the remote proved its address.
    pub(crate) fn is_known(&self, remote: &Address) -> bool {
        self.verified_until_ns(remote) > self.now_ns.get()
    }
}

impl Clock for Gate {
    fn recent_ns(&self) -> u64 {
        self.now_ns.get()
    }

    fn now_ns(&self) -> u64 {
        self.now_ns.get()
    }
}

impl Services for Gate {
    type Limit = ServiceKey;

    fn limit(&self, service: &ServiceKey) -> Option<ServiceKey> {
        self.limits.borrow().contains_key(service).then_some(*service)
    }

    fn limit_lease(&self, entry: ServiceKey) -> Lease {
        Lease::of_service(&self.limits.borrow()[&entry])
    }

    fn limit_rate(&self, entry: ServiceKey) -> Rate {
        let entry = self.limits.borrow()[&entry];
        Rate { packet_cost_ns: entry.packet_cost_ns, burst_ns: entry.burst_ns }
    }

    fn arrival_ns(&self, entry: ServiceKey, bucket: Bucket) -> u64 {
        self.limits.borrow()[&entry].arrival_ns[bucket.index()]
    }

    fn advance(&self, entry: ServiceKey, bucket: Bucket, expected_ns: u64, next_ns: u64) -> bool {
        let mut limits = self.limits.borrow_mut();
        let Some(limit) = limits.get_mut(&entry) else { return false };
        let arrival_ns = &mut limit.arrival_ns[bucket.index()];
        let unchanged = *arrival_ns == expected_ns;
        if unchanged {
            *arrival_ns = next_ns;
        }
        unchanged
    }

    fn verified_until_ns(&self, remote: &Address) -> u64 {
        self.known.borrow().get(remote).copied().unwrap_or(0)
    }

    fn exempt(&self, remote: &Address, until_ns: u64) {
        self.known.borrow_mut().insert(*remote, until_ns);
    }

    fn is_allowed(&self, _remote: &Address) -> bool {
        false
    }

    fn held(&self, contact: &Contact) -> Held {
        let tuple = (contact.remote, contact.remote_port, contact.local_port);
        if self.connected.contains(&tuple) { Held::Accepted } else { Held::Nothing }
    }

    /// A capture tells of no listener.
    fn is_open(&self, _contact: &Contact, _now_ns: u64) -> bool {
        true
    }

    fn knocks(&self, _remote: &Address) -> Knocks {
        Knocks::default()
    }

    fn set_knocks(&self, _remote: &Address, _knocks: Knocks) {}
}

/// True where a packet asks for a connection.
pub(crate) const fn is_syn(packet: &Packet) -> bool {
    let flags = TcpFlag::Syn.bit() | TcpFlag::Ack.bit();
    packet.tcp && packet.tcp_flags & flags == TcpFlag::Syn.bit()
}
