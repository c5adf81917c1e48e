//! Sums over a peer's flows in a window.

use flows_common::{Direction, DirectionCounters, FlowCounters, PeerCounters, Standing, TcpFlag};

use crate::context::flow::FlowNews;
use crate::damped::Damped;
use crate::record::{FlowRecord, Handshake, ICMP, ICMP_V6, PeerDirection, PeerRecord, TCP, UDP};

const IN: usize = Direction::Ingress.index();
const OUT: usize = Direction::Egress.index();

/// The sums over one peer's flows in one window, filled flow by flow.
///
/// It is reused from peer to peer, so that a window of many small peers does not allocate.
#[derive(Default)]
pub(crate) struct PeerSums {
    /// The record's sums, as far as the flows know them.
    pub(crate) record: PeerRecord,
    /// Gains of the damped sums.
    pub(crate) news: Damped,
    /// When flows started, in ns, unordered.
    pub(crate) starts_ns: Vec<u64>,
    /// Since when SYNs had counted as unanswered that are answered now, and in which standing.
    pub(crate) answered_after: Vec<(u64, Standing)>,
    /// Change of the number of open TCP flows.
    pub(crate) open_change: i32,
    flows_with_ingress: u64,
    syn_flows: [u64; 2],
    hosts: Vec<[u8; 16]>,
    ports: Vec<u16>,
    local_opened_ports: u64,
    local_opened_hosts: u64,
}

impl PeerSums {
    /// Starts the next peer.
    pub(crate) fn clear(&mut self) {
        self.record = PeerRecord::default();
        self.news = Damped::default();
        self.starts_ns.clear();
        self.answered_after.clear();
        self.open_change = 0;
        self.flows_with_ingress = 0;
        self.syn_flows = [0; 2];
        self.hosts.clear();
        self.ports.clear();
        self.local_opened_ports = 0;
        self.local_opened_hosts = 0;
    }

    /// Adds a flow.
    pub(crate) fn add(&mut self, flow: &FlowRecord, news: &FlowNews) {
        let opener = flow.initiator.index();
        let protocol = flow.key.protocol;
        for (sums, one) in self.record.directions.iter_mut().zip(&flow.counters.directions) {
            add_direction(sums, one, protocol);
        }
        let attempts = u64::from(news.openings).max(u64::from(flow.is_new));
        self.record.active_flows += attempts.max(1);
        self.record.tcp_flows += if protocol == TCP { attempts.max(1) } else { 0 };
        self.record.opened[opener] += attempts;
        self.record.flow_age_sum_s += flow.age_s();
        self.flows_with_ingress += u64::from(flow.ingress().packets > 0);
        if protocol == TCP {
            self.add_tcp(flow, news);
        }
        self.news.opened[opener] += attempts as f64;
        self.starts_ns.extend(news.start_ns);
        self.answered_after
            .extend(news.answered_after.filter(|_| flow.initiator == Direction::Ingress));
        self.add_target(flow);
    }

    fn add_tcp(&mut self, flow: &FlowRecord, news: &FlowNews) {
        let opener = flow.initiator.index();
        let resets = sides_that_reset(&flow.counters);
        for (sum, one) in self.record.reset_flows.iter_mut().zip(resets) {
            *sum += u64::from(one);
        }
        self.syn_flows[opener] += u64::from(news.openings);
        if flow.handshake != Handshake::Pending {
            self.record.syns[opener] += u64::from(news.openings);
            self.record.unanswered[opener] += u64::from(news.unanswered);
        }
        self.open_change += i32::from(news.open_change);
        self.news.resets += f64::from(u8::from(resets != [false; 2] && news.newly_closed));
        self.news.tcp_payload_in += flow.ingress().payload_bytes as f64;
        if flow.initiator == Direction::Ingress {
            self.record.half_open_flows += u64::from(news.half_open);
            self.news.syns += f64::from(news.openings);
            self.news.unanswered += f64::from(news.unanswered);
            self.news.short_flows += f64::from(u8::from(news.short));
        }
    }

    fn add_target(&mut self, flow: &FlowRecord) {
        match flow.initiator {
            Direction::Ingress => {
                self.hosts.push(flow.key.local);
                if flow.key.local_port != 0 {
                    self.ports.push(flow.key.local_port);
                }
            }
            Direction::Egress => {
                self.local_opened_ports += u64::from(flow.ingress().packets > 0);
                self.local_opened_hosts = 1;
            }
        }
    }

    /// Counts the distinct ports and hosts, once all flows are in.
    pub(crate) fn count_distinct(&mut self) {
        self.hosts.sort_unstable();
        self.hosts.dedup();
        self.record.distinct_local_hosts = self.hosts.len() as u64;
        self.ports.sort_unstable();
        let flows = self.ports.len() as f64;
        let (mut distinct, mut weighted) = (0_u64, 0.0);
        for run in self.ports.chunk_by(|one, next| one == next) {
            distinct += 1;
            weighted += run.len() as f64 * (run.len() as f64).log2();
        }
        self.record.distinct_local_ports = distinct;
        if flows > 1.0 {
            // H = log2 n - (sum of c log2 c) / n, over log2 n.
            let entropy = 1.0 - weighted / (flows * flows.log2());
            self.record.local_port_entropy = entropy.clamp(0.0, 1.0);
        }
    }

    /// Where the window lost flows, which then count as nobody's in particular: takes the larger of what the flows say and what the peer's
    /// own counters say.
    ///
    /// A flow evicted and made again counts twice in `flow_inserts`, so that `opened` is then an
    /// upper bound. Only inserts by ingress packets are compared: egress packets of one flow may
    /// come from several CPUs, each of which makes an entry.
    pub(crate) fn take_larger(&mut self, noted: &PeerCounters) {
        let record = &mut self.record;
        let lost_flows = noted.flow_inserts[IN].saturating_sub(self.flows_with_ingress);
        record.active_flows = record.active_flows.saturating_add(lost_flows);
        record.opened[IN] = record.opened[IN].saturating_add(lost_flows);
        let lost_syns = noted.syns[OUT].saturating_sub(self.syn_flows[OUT]);
        record.active_flows = record.active_flows.saturating_add(lost_syns);
        record.opened[OUT] = record.opened[OUT].saturating_add(lost_syns);
        let unanswered_in_flows = record.unanswered[IN];
        for (side, other) in [(IN, OUT), (OUT, IN)] {
            let unanswered = noted.syns[side].saturating_sub(noted.syn_acks[other]);
            record.syns[side] = record.syns[side].max(noted.syns[side]);
            record.unanswered[side] = record.unanswered[side].max(unanswered);
            record.reset_flows[side] = record.reset_flows[side].max(noted.resets[side]);
        }
        record.half_open_flows = record.half_open_flows.max(record.unanswered[IN]);
        let (ports_before, hosts_before) =
            (record.distinct_local_ports, record.distinct_local_hosts);
        let ports = linear_count(&noted.local_ports).saturating_sub(self.local_opened_ports);
        let hosts = linear_count(&[noted.local_hosts]).saturating_sub(self.local_opened_hosts);
        record.distinct_local_ports = ports_before.max(ports);
        record.distinct_local_hosts = hosts_before.max(hosts);

        self.news.opened[IN] += lost_flows as f64;
        self.news.opened[OUT] += lost_syns as f64;
        self.news.syns += noted.syns[IN].saturating_sub(self.syn_flows[IN]) as f64;
        self.news.unanswered += (record.unanswered[IN] - unanswered_in_flows) as f64;
        self.news.new_targets += (record.distinct_local_ports - ports_before) as f64;
    }
}

/// Counters of a peer without what the flows of its that somebody vouches for brought them: what is
/// left are its unproven flows and those that were lost.
pub(crate) fn without_vouched(noted: &PeerCounters, flows: &[FlowRecord]) -> PeerCounters {
    let mut rest = *noted;
    let take = |count: &mut u64, part: u64| *count = count.saturating_sub(part);
    for flow in flows.iter().filter(|flow| flow.standing != Standing::Unproven) {
        let counters = &flow.counters;
        for (way, reset) in sides_that_reset(counters).into_iter().enumerate() {
            take(&mut rest.flow_inserts[way], u64::from(counters.directions[way].packets > 0));
            take(&mut rest.syns[way], u64::from(counters.openings[way]));
            take(&mut rest.syn_acks[way], u64::from(counters.syn_acks[way]));
            take(&mut rest.resets[way], u64::from(reset));
        }
    }
    rest
}

fn add_direction(sums: &mut PeerDirection, one: &DirectionCounters, protocol: u8) {
    let add = |sum: &mut u64, part: u64| *sum = sum.saturating_add(part);
    add(&mut sums.packets, one.packets);
    add(&mut sums.bytes, one.bytes);
    add(&mut sums.payload_bytes, one.payload_bytes);
    match protocol {
        TCP => add(&mut sums.tcp_packets, one.packets),
        UDP => add(&mut sums.udp_packets, one.packets),
        ICMP | ICMP_V6 => add(&mut sums.icmp_packets, one.packets),
        _ => {}
    }
    add(&mut sums.icmp_errors, u64::from(one.icmp_errors));
    add(&mut sums.retransmissions, u64::from(one.retransmissions));
    add(&mut sums.zero_windows, u64::from(one.zero_windows));
    add(&mut sums.fragments, u64::from(one.fragments));
    for (sum, &part) in sums.length_histogram.iter_mut().zip(&one.length_histogram) {
        add(sum, u64::from(part));
    }
}

fn sides_that_reset(counters: &FlowCounters) -> [bool; 2] {
    [IN, OUT].map(|side| counters.directions[side].flags[TcpFlag::Rst.index()] > 0)
}

/// Number of distinct values that a bitmap has seen: `-m ln(zero bits / m)` (Whang et al. 1990),
/// rounded; for a full one, as if half a bit were zero.
fn linear_count(words: &[u64]) -> u64 {
    let bits = words.len() as f64 * 64.0;
    let zeros: u32 = words.iter().map(|word| word.count_zeros()).sum();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "between 0 and 256 ln 512, about 1597"
    )]
    let count = (bits * (bits / f64::from(zeros).max(0.5)).ln()).round() as u64;
    count
}
