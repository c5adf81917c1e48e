//! The features of a peer in a window.

use flows_common::Direction;

use super::measure::{AGE_LIMIT_S, flag, log_ratio, ratio, share, share_of_both};
use super::table::feature_table;
use crate::damped::{Damped, HalfLife};
use crate::record::{PeerDirection, PeerRecord};

const IN: usize = Direction::Ingress.index();
const OUT: usize = Direction::Egress.index();

feature_table! {
    /// The features of a peer in a window.
    ///
    /// Ingress is what the remote sent, egress what went to it. `_10s`, `_60s` and `_600s` are
    /// damped with that half-life; as a rate, a damped sum times ln 2 over the half-life, which
    /// tends to the rate of a steady stream.
    pub enum PeerFeature of PeerRecord {
        ActiveFlows, "active_flows", Log, "flows",
            "Flows with a packet in the window.",
            |peer| peer.active_flows as f64;
        RemoteOpenRate, "remote_open_rate", Log, "flows/s",
            "Flows that the remote opened, per second of the window.",
            |peer| per_second(peer, peer.opened[IN]);
        LocalOpenRate, "local_open_rate", Log, "flows/s",
            "Flows opened towards the remote, per second of the window.",
            |peer| per_second(peer, peer.opened[OUT]);
        IngressPacketRate, "ingress_packet_rate", Log, "packets/s",
            "Packets from the remote, per second of the window.",
            |peer| per_second(peer, peer.ingress().packets);
        EgressPacketRate, "egress_packet_rate", Log, "packets/s",
            "Packets to the remote, per second of the window.",
            |peer| per_second(peer, peer.egress().packets);
        IngressByteRate, "ingress_byte_rate", Log, "bytes/s",
            "Bytes on the wire from the remote, per second of the window.",
            |peer| per_second(peer, peer.ingress().bytes);
        EgressByteRate, "egress_byte_rate", Log, "bytes/s",
            "Bytes on the wire to the remote, per second of the window.",
            |peer| per_second(peer, peer.egress().bytes);
        IngressPacketShare, "ingress_packet_share", Linear, "1",
            "Packets from the remote over all its packets: 1 where nothing answers it.",
            |peer| share_of_both(peer.ingress().packets, peer.egress().packets);
        ByteLogRatio, "byte_log_ratio", Linear, "log2",
            "log2((egress bytes + 64) / (ingress bytes + 64)): above 0 where more leaves than comes.",
            |peer| log_ratio(peer.egress().bytes as f64, peer.ingress().bytes as f64);
        IngressLengthMean, "ingress_length_mean", Linear, "bytes",
            "Mean length of packets from the remote.",
            |peer| ratio(peer.ingress().bytes as f64, peer.ingress().packets as f64);
        EgressLengthMean, "egress_length_mean", Linear, "bytes",
            "Mean length of packets to the remote.",
            |peer| ratio(peer.egress().bytes as f64, peer.egress().packets as f64);
        SmallPacketShare, "small_packet_share", Linear, "1",
            "Packets shorter than 128 bytes over all packets, both directions.",
            |peer| per_packet(peer, |direction| direction.length_histogram[0]);
        PacketsPerFlow, "packets_per_flow", Log, "packets",
            "Packets over active flows, both directions.",
            |peer| ratio(packets(peer), peer.active_flows as f64);
        PayloadPerFlow, "payload_per_flow", Log, "bytes",
            "Bytes above the transport header over active flows, both directions.",
            |peer| ratio(
                peer.ingress().payload_bytes as f64 + peer.egress().payload_bytes as f64,
                peer.active_flows as f64,
            );
        DistinctLocalPorts, "distinct_local_ports", Log, "ports",
            "Distinct local ports of the flows that the remote opened.",
            |peer| peer.distinct_local_ports as f64;
        DistinctLocalHosts, "distinct_local_hosts", Log, "hosts",
            "Distinct local addresses of the flows that the remote opened.",
            |peer| peer.distinct_local_hosts as f64;
        DistinctServices, "distinct_services", Log, "services",
            "Distinct services (protocol, opened side's port, side that opened) of its flows.",
            |peer| peer.distinct_services as f64;
        LocalPortEntropy, "local_port_entropy", Linear, "1",
            "Entropy of the local port over the flows that the remote opened, over log2 of their number: 0 for one port, 1 where each flow has its own.",
            |peer| peer.local_port_entropy;
        SameServiceShare, "same_service_share", Linear, "1",
            "Flows of its most used service over its active flows.",
            |peer| share(peer.top_service_flows, peer.active_flows);
        FlowsPerService, "flows_per_service", Log, "flows",
            "Flows opened in the window, by either side, over distinct services.",
            |peer| ratio(
                peer.opened[IN] as f64 + peer.opened[OUT] as f64,
                (peer.distinct_services as f64).max(1.0),
            );
        ServiceRarity, "service_rarity", Linear, "1",
            "Mean over its services of how unusual each was across all peers before this window: ln((1 + all votes) / (1 + its votes)) / ln(1 + all votes), votes damped with a half-life of 600 s.",
            |peer| peer.service_rarity;
        UnansweredRatio, "unanswered_ratio", Linear, "1",
            "SYNs of the remote in this window without SYN-ACK, refused ones included, over its SYNs; one too near the window's end to be answered counts in neither.",
            |peer| share(peer.unanswered[IN], peer.syns[IN]);
        UnansweredRate, "unanswered_rate", Log, "flows/s",
            "SYNs of the remote in this window without SYN-ACK, per second of the window.",
            |peer| per_second(peer, peer.unanswered[IN]);
        LocalUnansweredRatio, "local_unanswered_ratio", Linear, "1",
            "SYNs to the remote in this window without SYN-ACK over SYNs to it.",
            |peer| share(peer.unanswered[OUT], peer.syns[OUT]);
        HalfOpenFlows, "half_open_flows", Log, "flows",
            "TCP flows of the window that the remote opened, has not acknowledged, and nobody closed.",
            |peer| peer.half_open_flows as f64;
        IngressResetRatio, "ingress_reset_ratio", Linear, "1",
            "Flows in which the remote sent an RST over TCP flows of the window.",
            |peer| share(peer.reset_flows[IN], peer.tcp_flows);
        EgressResetRatio, "egress_reset_ratio", Linear, "1",
            "Flows in which the local side sent an RST over TCP flows of the window: closed ports.",
            |peer| share(peer.reset_flows[OUT], peer.tcp_flows);
        IcmpErrorRatio, "icmp_error_ratio", Linear, "1",
            "ICMP and ICMPv6 errors (unreachable, too big, time exceeded, parameter problem) over all packets, both directions.",
            |peer| per_packet(peer, |direction| direction.icmp_errors);
        IcmpShare, "icmp_share", Linear, "1",
            "ICMP and ICMPv6 packets over all packets, both directions.",
            |peer| per_packet(peer, |direction| direction.icmp_packets);
        UdpShare, "udp_share", Linear, "1",
            "UDP packets over all packets, both directions.",
            |peer| per_packet(peer, |direction| direction.udp_packets);
        RetransmissionRatio, "retransmission_ratio", Linear, "1",
            "TCP segments that repeat bytes over TCP packets, both directions.",
            |peer| per_tcp_packet(peer, |direction| direction.retransmissions);
        ZeroWindowRatio, "zero_window_ratio", Linear, "1",
            "TCP packets that announce a receive window of zero over TCP packets, both directions.",
            |peer| per_tcp_packet(peer, |direction| direction.zero_windows);
        FragmentRatio, "fragment_ratio", Linear, "1",
            "Fragments over all packets, both directions.",
            |peer| per_packet(peer, |direction| direction.fragments);
        FlowAgeMean, "flow_age_mean", Log, "s",
            "Mean age of its active flows at the window's end, at most 10 s.",
            |peer| ratio(peer.flow_age_sum_s, peer.active_flows as f64).min(AGE_LIMIT_S);
        Age, "age", Log, "s",
            "From the peer's first packet ever seen to the window's end, at most 10 s: told apart are strangers, not how long anything has run.",
            |peer| peer.age_s().min(AGE_LIMIT_S);
        IsNew, "is_new", Linear, "1",
            "1 in the first window of the peer.",
            |peer| flag(peer.is_new);
        OpenTcpFlows, "open_tcp_flows", Log, "flows",
            "Its TCP flows that were established and neither closed nor forgotten, active in this window or not.",
            |peer| f64::from(peer.past.open_tcp_flows);
        IdleOpenFlows, "idle_open_flows", Log, "flows",
            "Its open TCP flows, less the TCP flows with a packet in the window, at least 0: connections that are held and not used.",
            |peer| (f64::from(peer.past.open_tcp_flows) - peer.tcp_flows as f64).max(0.0);
        TcpPayloadPerOpenFlow, "tcp_payload_per_open_flow", Log, "bytes/s",
            "TCP payload from the remote, as a rate damped with 60 s, over its open TCP flows, at least 1: near 0 where many connections are held open with little said.",
            |peer| ratio(
                rate(peer, HalfLife::Medium, |damped| damped.tcp_payload_in),
                f64::from(peer.past.open_tcp_flows).max(1.0),
            );
        RemoteOpenRate10s, "remote_open_rate_10s", Log, "flows/s",
            "Flows that the remote opened, as a rate damped with 10 s.",
            |peer| rate(peer, HalfLife::Short, |damped| damped.opened[IN]);
        RemoteOpenRate60s, "remote_open_rate_60s", Log, "flows/s",
            "Flows that the remote opened, as a rate damped with 60 s.",
            |peer| rate(peer, HalfLife::Medium, |damped| damped.opened[IN]);
        LocalOpenRate60s, "local_open_rate_60s", Log, "flows/s",
            "Flows opened towards the remote, as a rate damped with 60 s.",
            |peer| rate(peer, HalfLife::Medium, |damped| damped.opened[OUT]);
        Unanswered10s, "unanswered_10s", Log, "flows",
            "SYNs of the remote without SYN-ACK, damped with 10 s; a late answer takes its SYN back.",
            |peer| peer.damped(HalfLife::Short).unanswered;
        Unanswered60s, "unanswered_60s", Log, "flows",
            "SYNs of the remote without SYN-ACK, damped with 60 s; a late answer takes its SYN back.",
            |peer| peer.damped(HalfLife::Medium).unanswered;
        Unanswered600s, "unanswered_600s", Log, "flows",
            "SYNs of the remote without SYN-ACK, damped with 600 s; a late answer takes its SYN back.",
            |peer| peer.damped(HalfLife::Long).unanswered;
        UnansweredRatio600s, "unanswered_ratio_600s", Linear, "1",
            "SYNs of the remote without SYN-ACK over its SYNs, each damped with 600 s.",
            |peer| damped_ratio(peer, HalfLife::Long, |damped| damped.unanswered, |damped| damped.syns);
        NewTargets10s, "new_targets_10s", Log, "targets",
            "Local targets (address, protocol, port) that the remote had not tried in the last hour or two, damped with 10 s.",
            |peer| peer.damped(HalfLife::Short).new_targets;
        NewTargets60s, "new_targets_60s", Log, "targets",
            "Local targets (address, protocol, port) that the remote had not tried in the last hour or two, damped with 60 s.",
            |peer| peer.damped(HalfLife::Medium).new_targets;
        NewTargets600s, "new_targets_600s", Log, "targets",
            "Local targets (address, protocol, port) that the remote had not tried in the last hour or two, damped with 600 s.",
            |peer| peer.damped(HalfLife::Long).new_targets;
        NewTargetRatio600s, "new_target_ratio_600s", Linear, "1",
            "New local targets over flows that the remote opened, each damped with 600 s: 1 for a scan, near 0 for a client.",
            |peer| damped_ratio(peer, HalfLife::Long, |damped| damped.new_targets, |damped| damped.opened[IN]);
        ResetRatio600s, "reset_ratio_600s", Linear, "1",
            "TCP flows ended by an RST over flows opened by either side, each damped with 600 s.",
            |peer| damped_ratio(peer, HalfLife::Long, |damped| damped.resets, |damped| damped.opened[IN] + damped.opened[OUT]);
        ShortFlowRate60s, "short_flow_rate_60s", Log, "flows/s",
            "TCP flows that the remote opened and that closed within 10 s of opening, as a rate damped with 60 s.",
            |peer| rate(peer, HalfLife::Medium, |damped| damped.short_flows);
        EgressByteRate60s, "egress_byte_rate_60s", Log, "bytes/s",
            "Bytes on the wire to the remote, as a rate damped with 60 s.",
            |peer| rate(peer, HalfLife::Medium, |damped| damped.bytes[OUT]);
        ByteLogRatio60s, "byte_log_ratio_60s", Linear, "log2",
            "log2((egress bytes + 64) / (ingress bytes + 64)), each damped with 60 s.",
            |peer| damped_log_ratio(peer.damped(HalfLife::Medium));
        ByteLogRatio600s, "byte_log_ratio_600s", Linear, "log2",
            "log2((egress bytes + 64) / (ingress bytes + 64)), each damped with 600 s.",
            |peer| damped_log_ratio(peer.damped(HalfLife::Long));
        StartRate, "start_rate", Log, "starts/s",
            "One over the mean interval between the starts of its flows (first packets, and first packets after 2 s of silence), the weight of an interval halving with every 8 further ones; 0 until there are two.",
            |peer| ratio(1.0, peer.past.starts.mean_s());
        StartRegularity, "start_regularity", Linear, "1",
            "max(0, 1 - variation) * w / (w + 4), with w the damped number of intervals: towards 1 for a beacon.",
            |peer| peer.past.starts.regularity();
    }
}

#[inline]
fn per_second(peer: &PeerRecord, count: u64) -> f64 {
    ratio(count as f64, peer.window.duration_s())
}

#[inline]
fn packets(peer: &PeerRecord) -> f64 {
    peer.ingress().packets as f64 + peer.egress().packets as f64
}

#[inline]
fn both(peer: &PeerRecord, counter: impl Fn(&PeerDirection) -> u64) -> u64 {
    counter(peer.ingress()).saturating_add(counter(peer.egress()))
}

#[inline]
fn per_packet(peer: &PeerRecord, counter: impl Fn(&PeerDirection) -> u64) -> f64 {
    share(both(peer, counter), both(peer, |direction| direction.packets))
}

#[inline]
fn per_tcp_packet(peer: &PeerRecord, counter: impl Fn(&PeerDirection) -> u64) -> f64 {
    share(both(peer, counter), both(peer, |direction| direction.tcp_packets))
}

#[inline]
fn rate(peer: &PeerRecord, half_life: HalfLife, sum: impl Fn(&Damped) -> f64) -> f64 {
    let elapsed_s = peer.age_s().max(peer.window.duration_s());
    half_life.rate(sum(peer.damped(half_life)), elapsed_s)
}

#[inline]
fn damped_ratio(
    peer: &PeerRecord,
    half_life: HalfLife,
    part: impl Fn(&Damped) -> f64,
    whole: impl Fn(&Damped) -> f64,
) -> f64 {
    let damped = peer.damped(half_life);
    ratio(part(damped), whole(damped)).min(1.0)
}

#[inline]
fn damped_log_ratio(damped: &Damped) -> f64 {
    log_ratio(damped.bytes[OUT], damped.bytes[IN])
}
