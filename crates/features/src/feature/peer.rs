//! The features of a peer over a horizon.

use flows_common::Direction;

use super::measure::{log_ratio, of_two_more, ratio, share, share_of_both};
use super::table::feature_table;
use crate::counts::{Outcomes, PeerCounts, ServiceUse};
use crate::record::PeerRecord;

const IN: usize = Direction::Ingress.index();
const OUT: usize = Direction::Egress.index();

feature_table! {
    /// The features of a peer over a horizon.
    ///
    /// Counts are of the whole horizon. Ingress is what the remote sent, egress what went to it;
    /// `remote_` are flows that the remote opened, `local_` those that the host's side opened to
    /// it. What failed, was empty, short or served is told by [`Outcomes`]. Ratios are
    /// `k / (n + 2)`, so that one of one is not yet all.
    pub enum PeerFeature of PeerRecord {
        RemoteFlows, "remote_flows", Log, Rate, "flows",
            "Flows that the remote opened.",
            |peer| flows(peer, IN);
        LocalFlows, "local_flows", Log, Upper, "flows",
            "Flows opened to the remote.",
            |peer| flows(peer, OUT);
        RemoteFailed, "remote_failed", Log, Act, "flows",
            "Flows that the remote opened and nobody served.",
            |peer| f64::from(outcomes(peer, IN).failed);
        LocalFailed, "local_failed", Log, Upper, "flows",
            "Flows opened to the remote that it did not serve.",
            |peer| f64::from(outcomes(peer, OUT).failed);
        RemoteEmpty, "remote_empty", Log, Act, "flows",
            "TCP flows that the remote opened and that ended without payload of the host's side.",
            |peer| f64::from(outcomes(peer, IN).empty);
        LocalEmpty, "local_empty", Log, Upper, "flows",
            "TCP flows opened to the remote that ended without payload of its.",
            |peer| f64::from(outcomes(peer, OUT).empty);
        RemoteShort, "remote_short", Log, Upper, "flows",
            "TCP flows that the remote opened, that did not fail and ended within 10 s.",
            |peer| f64::from(outcomes(peer, IN).short);
        LocalShort, "local_short", Log, Upper, "flows",
            "TCP flows opened to the remote that did not fail and ended within 10 s.",
            |peer| f64::from(outcomes(peer, OUT).short);
        Targets, "targets", Log, Upper, "targets",
            "Distinct local targets (address, protocol, port) of the flows that the remote opened.",
            |peer| peer.counts.target_count();
        TargetHosts, "target_hosts", Log, Upper, "hosts",
            "Distinct local addresses of the flows that the remote opened.",
            |peer| peer.counts.hosts.count();
        LocalServices, "local_services", Log, Upper, "services",
            "Distinct services of the remote that flows were opened to.",
            |peer| peer.counts.services.count();
        NewTargets, "new_targets", Log, Act, "targets",
            "Local targets that the remote had not tried in the last hour or two.",
            |peer| f64::from(peer.counts.new_targets[IN]);
        NewTargetsFailed, "new_targets_failed", Log, Act, "targets",
            "Those of the new targets whose flow failed.",
            |peer| f64::from(peer.counts.new_failed[IN]);
        NewServicesFailed, "new_services_failed", Log, Upper, "services",
            "Services of the remote that a local address had not tried in the last hour or two, and whose flow failed.",
            |peer| f64::from(peer.counts.new_failed[OUT]);
        RemoteBusiest, "remote_busiest", Log, Rate, "flows",
            "Most flows that the remote opened to one service.",
            |peer| f64::from(peer.counts.busiest_flows(Direction::Ingress));
        LocalBusiest, "local_busiest", Log, Upper, "flows",
            "Most flows opened to one service of the remote.",
            |peer| f64::from(peer.counts.busiest_flows(Direction::Egress));
        IngressPackets, "ingress_packets", Log, Upper, "packets",
            "Packets from the remote.",
            |peer| peer.counts.traffic.packets[IN] as f64;
        EgressPackets, "egress_packets", Log, Upper, "packets",
            "Packets to the remote.",
            |peer| peer.counts.traffic.packets[OUT] as f64;
        IngressBytes, "ingress_bytes", Log, Upper, "bytes",
            "Bytes on the wire from the remote.",
            |peer| peer.counts.traffic.bytes[IN] as f64;
        EgressBytes, "egress_bytes", Log, Upper, "bytes",
            "Bytes on the wire to the remote.",
            |peer| peer.counts.traffic.bytes[OUT] as f64;
        IngressIcmp, "ingress_icmp", Log, Upper, "packets",
            "ICMP and ICMPv6 packets from the remote.",
            |peer| f64::from(peer.counts.traffic.icmp[IN]);
        EgressIcmp, "egress_icmp", Log, Upper, "packets",
            "ICMP and ICMPv6 packets to the remote.",
            |peer| f64::from(peer.counts.traffic.icmp[OUT]);
        IngressResets, "ingress_resets", Log, Upper, "packets",
            "Packets with RST from the remote.",
            |peer| f64::from(peer.counts.traffic.resets[IN]);
        EgressResets, "egress_resets", Log, Upper, "packets",
            "Packets with RST to the remote.",
            |peer| f64::from(peer.counts.traffic.resets[OUT]);
        IngressSyns, "ingress_syns", Log, Rate, "openings",
            "TCP openings of the remote, retransmissions not counted.",
            |peer| f64::from(peer.counts.traffic.openings[IN]);
        EgressSyns, "egress_syns", Log, Upper, "openings",
            "TCP openings to the remote, retransmissions not counted.",
            |peer| f64::from(peer.counts.traffic.openings[OUT]);
        UdpPackets, "udp_packets", Log, Upper, "packets",
            "UDP packets, both directions.",
            |peer| f64::from(peer.counts.traffic.udp);
        OtherPackets, "other_packets", Log, Upper, "packets",
            "Packets of other protocols than TCP, UDP, ICMP and ICMPv6, both directions.",
            |peer| f64::from(peer.counts.traffic.other);
        NullPackets, "null_packets", Log, Upper, "packets",
            "TCP packets without any flag, both directions: of a flow's direction in a window its packets less its flags.",
            |peer| f64::from(peer.counts.traffic.null);
        XmasPackets, "xmas_packets", Log, Upper, "packets",
            "TCP packets with FIN, PSH and URG, both directions: of a flow's direction in a window the rarest of the three flags.",
            |peer| f64::from(peer.counts.traffic.xmas);
        ActiveFlows, "active_flows", Log, Upper, "flows",
            "Flows with a packet.",
            |peer| peer.active(&peer.counts.active);
        IdleOpenFlows, "idle_open_flows", Log, Rate, "flows",
            "Most of its open TCP flows that had no packet in a window in which it had others: connections that are held and not used.",
            |peer| f64::from(peer.counts.idle_open_flows);
        DnsQueries, "dns_queries", Log, Upper, "packets",
            "Packets to the remote's port 53 over UDP.",
            |peer| f64::from(peer.counts.traffic.dns.queries);
        DnsQueryBytes, "dns_query_bytes", Linear, Upper, "255 bytes",
            "Mean payload of these queries.",
            |peer| peer.counts.traffic.dns.query_mean() / 255.0;
        DnsResponseBytes, "dns_response_bytes", Linear, Upper, "512 bytes",
            "Mean payload of the answers to them.",
            |peer| peer.counts.traffic.dns.response_mean() / 512.0;
        RequestBytes, "request_bytes", Log, Both, "bytes",
            "Mean payload of the remote in the flows that it opened and that were served, until their outcome was known.",
            |peer| outcomes(peer, IN).request_mean();
        ResponseBytes, "response_bytes", Log, Both, "bytes",
            "Mean payload of the host's side in them, until their outcome was known.",
            |peer| outcomes(peer, IN).response_mean();
        RemoteFailedRatio, "remote_failed_ratio", Linear, Act, "1",
            "Failed flows of the remote over its flows and two.",
            |peer| of_two_more(f64::from(outcomes(peer, IN).failed), flows(peer, IN));
        LocalFailedRatio, "local_failed_ratio", Linear, Upper, "1",
            "Failed flows to the remote over flows to it and two.",
            |peer| of_two_more(f64::from(outcomes(peer, OUT).failed), flows(peer, OUT));
        RemoteEmptyRatio, "remote_empty_ratio", Linear, Act, "1",
            "Empty flows of the remote over its flows and two.",
            |peer| of_two_more(f64::from(outcomes(peer, IN).empty), flows(peer, IN));
        RemoteShortRatio, "remote_short_ratio", Linear, Upper, "1",
            "Short flows of the remote over its flows and two.",
            |peer| of_two_more(f64::from(outcomes(peer, IN).short), flows(peer, IN));
        NewTargetRatio, "new_target_ratio", Linear, Rate, "1",
            "New local targets of the remote over its flows and two.",
            |peer| of_two_more(f64::from(peer.counts.new_targets[IN]), flows(peer, IN));
        ByteLogRatio, "byte_log_ratio", Linear, Both, "log2",
            "log2((egress bytes + 64) / (ingress bytes + 64)): above 0 where more leaves than comes.",
            |peer| log_ratio(peer.counts.traffic.bytes[OUT] as f64, peer.counts.traffic.bytes[IN] as f64);
        IngressLength, "ingress_length", Linear, Both, "1500 bytes",
            "Mean length of packets from the remote.",
            |peer| length(peer, IN);
        EgressLength, "egress_length", Linear, Both, "1500 bytes",
            "Mean length of packets to the remote.",
            |peer| length(peer, OUT);
        IngressShare, "ingress_share", Linear, Both, "1",
            "Packets from the remote over all its packets: 1 where nothing answers it.",
            |peer| share_of_both(peer.counts.traffic.packets[IN], peer.counts.traffic.packets[OUT]);
        PacketsPerFlow, "packets_per_flow", Log, Both, "packets",
            "Packets over active flows.",
            |peer| per_flow(peer, peer.counts.traffic.packets);
        PayloadPerFlow, "payload_per_flow", Log, Both, "bytes",
            "Bytes above the transport header over active flows.",
            |peer| per_flow(peer, peer.counts.traffic.payload_bytes);
        Repetition, "repetition", Log, Act, "flows",
            "How often the same was asked of one service: the greatest n / (1 + 5 d) of its three busiest services, of n flows, with d the relative deviations of request and of response bytes together.",
            |peer| greatest(&peer.counts, ServiceUse::repetition);
        Regularity, "regularity", Log, Upper, "starts",
            "How often one service was used at equal intervals: the greatest n / (1 + 5 v) of its three busiest services, of n starts (openings, and packets after 2 s of silence), with v the coefficient of variation of the times between them.",
            |peer| greatest(&peer.counts, ServiceUse::regularity);
        TtlMin, "ttl_min", Linear, Column, "hops",
            "Smallest TTL or hop limit of packets from the remote.",
            |peer| f64::from(peer.counts.unscored.ttl.0);
        TtlSpread, "ttl_spread", Linear, Column, "hops",
            "Largest less smallest TTL or hop limit of packets from the remote.",
            |peer| f64::from(peer.counts.unscored.ttl.1.saturating_sub(peer.counts.unscored.ttl.0));
        HandshakeTime, "handshake_time", Log, Column, "us",
            "Mean time from SYN to SYN-ACK, of handshakes whose both are known.",
            |peer| ratio(
                peer.counts.unscored.handshake_us as f64,
                f64::from(peer.counts.unscored.handshakes),
            );
        RetransmissionRatio, "retransmission_ratio", Linear, Column, "1",
            "TCP segments that repeat bytes over TCP packets, both directions.",
            |peer| share(
                u64::from(peer.counts.unscored.retransmissions),
                peer.counts.unscored.tcp_packets,
            );
        ZeroWindowRatio, "zero_window_ratio", Linear, Column, "1",
            "TCP packets that announce a receive window of zero over TCP packets, both directions.",
            |peer| share(
                u64::from(peer.counts.unscored.zero_windows),
                peer.counts.unscored.tcp_packets,
            );
        FragmentRatio, "fragment_ratio", Linear, Column, "1",
            "Fragments over all packets, both directions.",
            |peer| share(
                u64::from(peer.counts.unscored.fragments),
                peer.counts.traffic.all_packets(),
            );
        IcmpErrorRatio, "icmp_error_ratio", Linear, Column, "1",
            "ICMP and ICMPv6 errors (unreachable, too big, time exceeded, parameter problem) over all packets, both directions.",
            |peer| share(
                u64::from(peer.counts.unscored.icmp_errors),
                peer.counts.traffic.all_packets(),
            );
    }
}

#[inline]
fn flows(peer: &PeerRecord, opener: usize) -> f64 {
    f64::from(peer.counts.flows[opener])
}

#[inline]
fn outcomes(peer: &PeerRecord, opener: usize) -> &Outcomes {
    &peer.counts.outcomes[opener]
}

#[inline]
fn length(peer: &PeerRecord, way: usize) -> f64 {
    let traffic = &peer.counts.traffic;
    ratio(traffic.bytes[way] as f64, traffic.packets[way] as f64) / 1500.0
}

#[inline]
fn per_flow(peer: &PeerRecord, counts: [u64; 2]) -> f64 {
    (counts[IN] as f64 + counts[OUT] as f64) / peer.active(&peer.counts.active).max(1.0)
}

fn greatest(counts: &PeerCounts, of: fn(&ServiceUse) -> f64) -> f64 {
    counts.uses(None).map(of).fold(0.0, f64::max)
}
