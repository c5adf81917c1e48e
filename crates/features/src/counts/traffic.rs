//! Sums over the packets of an entity.

use flows_common::{Direction, DirectionCounters, FlowKey, TcpFlag};

use crate::flow_record::{FlowRecord, ICMP, ICMP_V6, TCP, UDP};
use crate::kept::kept;

/// The port of DNS.
const DNS_PORT: u16 = 53;

const IN: usize = Direction::Ingress.index();
const OUT: usize = Direction::Egress.index();

/// Sums over the packets of an entity. Pairs are by [`Direction::index`]: from the remotes, and to
/// them. Every sum saturates.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Traffic {
    /// Packets.
    pub packets: [u64; 2],
    /// Bytes on the wire.
    pub bytes: [u64; 2],
    /// Bytes above the transport header.
    pub payload_bytes: [u64; 2],
    /// Packets with RST.
    pub resets: [u32; 2],
    /// Packets with SYN and without ACK: openings, their retransmissions not counted.
    pub openings: [u32; 2],
    /// ICMP and `ICMPv6` packets.
    pub icmp: [u32; 2],
    /// UDP packets, both ways.
    pub udp: u32,
    /// Packets of other protocols than TCP, UDP, ICMP and `ICMPv6`, both ways.
    pub other: u32,
    /// TCP packets without any flag, both ways: of a direction its packets less its flags, which
    /// is exact for a direction of such packets alone and else too small.
    pub null: u32,
    /// TCP packets with FIN, PSH and URG, both ways: of a direction the rarest of the three flags,
    /// which is never too small.
    pub xmas: u32,
    /// Queries of this side to port 53 over UDP and their answers.
    pub dns: Dns,
}

/// Queries to port 53 over UDP and their answers.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Dns {
    /// Packets to it.
    pub queries: u32,
    /// Their payload, in bytes.
    pub query_bytes: u64,
    /// Packets from it.
    pub responses: u32,
    /// Their payload, in bytes.
    pub response_bytes: u64,
}

kept!(Traffic {
    packets,
    bytes,
    payload_bytes,
    resets,
    openings,
    icmp,
    udp,
    other,
    null,
    xmas,
    dns
});
kept!(Dns { queries, query_bytes, responses, response_bytes });

impl Traffic {
    /// Adds a flow's packets of a window.
    pub(crate) fn add_flow(&mut self, flow: &FlowRecord) {
        let FlowKey { protocol, remote_port, .. } = flow.key;
        for (way, one) in flow.counters.directions.iter().enumerate() {
            add_wide(&mut self.packets[way], one.packets);
            add_wide(&mut self.bytes[way], one.bytes);
            add_wide(&mut self.payload_bytes[way], one.payload_bytes);
            match protocol {
                TCP => self.add_flags(way, one),
                UDP => add(&mut self.udp, narrow(one.packets)),
                ICMP | ICMP_V6 => add(&mut self.icmp[way], narrow(one.packets)),
                _ => add(&mut self.other, narrow(one.packets)),
            }
        }
        if protocol == TCP {
            for (sum, openings) in self.openings.iter_mut().zip(flow.counters.openings) {
                add(sum, openings);
            }
        }
        if protocol == UDP && remote_port == DNS_PORT && flow.initiator == Direction::Egress {
            let [answers, queries] = &flow.counters.directions;
            self.dns.merge(&Dns {
                queries: narrow(queries.packets),
                query_bytes: queries.payload_bytes,
                responses: narrow(answers.packets),
                response_bytes: answers.payload_bytes,
            });
        }
    }

    fn add_flags(&mut self, way: usize, one: &DirectionCounters) {
        let of = |flag: TcpFlag| one.flags[flag.index()];
        add(&mut self.resets[way], of(TcpFlag::Rst));
        let flags = one.flags.iter().fold(0_u64, |sum, &flag| sum + u64::from(flag));
        add(&mut self.null, narrow(one.packets.saturating_sub(flags)));
        let xmas = of(TcpFlag::Fin).min(of(TcpFlag::Psh)).min(of(TcpFlag::Urg));
        add(&mut self.xmas, xmas);
    }

    /// Adds other sums.
    pub(crate) fn merge(&mut self, other: &Self) {
        for way in [IN, OUT] {
            add_wide(&mut self.packets[way], other.packets[way]);
            add_wide(&mut self.bytes[way], other.bytes[way]);
            add_wide(&mut self.payload_bytes[way], other.payload_bytes[way]);
            add(&mut self.resets[way], other.resets[way]);
            add(&mut self.openings[way], other.openings[way]);
            add(&mut self.icmp[way], other.icmp[way]);
        }
        add(&mut self.udp, other.udp);
        add(&mut self.other, other.other);
        add(&mut self.null, other.null);
        add(&mut self.xmas, other.xmas);
        self.dns.merge(&other.dns);
    }

    /// Packets both ways.
    #[must_use]
    pub fn all_packets(&self) -> u64 {
        self.packets[IN].saturating_add(self.packets[OUT])
    }
}

impl Dns {
    /// Mean payload of a query, in bytes; 0 for none.
    #[must_use]
    pub fn query_mean(&self) -> f64 {
        self.query_bytes as f64 / f64::from(self.queries.max(1))
    }

    /// Mean payload of an answer, in bytes; 0 for none.
    #[must_use]
    pub fn response_mean(&self) -> f64 {
        self.response_bytes as f64 / f64::from(self.responses.max(1))
    }

    fn merge(&mut self, other: &Self) {
        add(&mut self.queries, other.queries);
        add_wide(&mut self.query_bytes, other.query_bytes);
        add(&mut self.responses, other.responses);
        add_wide(&mut self.response_bytes, other.response_bytes);
    }
}

/// A count as far as 32 bits hold it.
pub(crate) fn narrow(count: u64) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// Adds, up to what 32 bits hold.
pub(crate) fn add(sum: &mut u32, part: u32) {
    *sum = sum.saturating_add(part);
}

fn add_wide(sum: &mut u64, part: u64) {
    *sum = sum.saturating_add(part);
}
