//! The features of a flow in a window.

use flows_common::{Direction, TcpFlag};

use super::measure::{
    AGE_LIMIT_S, DirectionMeasures, FlowMeasures, flag, log_ratio, ratio, share, share_of_both,
};
use super::table::feature_table;
use crate::flow_record::{FlowRecord, ICMP, ICMP_V6, TCP, UDP};

feature_table! {
    /// The features of a flow in a window: columns for study, none of which enters a score.
    ///
    /// Ingress is what the remote sent, egress what went to it. A direction with no packet has
    /// 0 everywhere, and times between packets are 0 until there are two.
    pub enum FlowFeature of FlowRecord {
        IngressPacketRate, "ingress_packet_rate", Log, Column, "packets/s",
            "Packets from the remote, per second of the window.",
            |flow| flow.per_second(flow.ingress().packets);
        EgressPacketRate, "egress_packet_rate", Log, Column, "packets/s",
            "Packets to the remote, per second of the window.",
            |flow| flow.per_second(flow.egress().packets);
        IngressByteRate, "ingress_byte_rate", Log, Column, "bytes/s",
            "Bytes on the wire from the remote, per second of the window.",
            |flow| flow.per_second(flow.ingress().bytes);
        EgressByteRate, "egress_byte_rate", Log, Column, "bytes/s",
            "Bytes on the wire to the remote, per second of the window.",
            |flow| flow.per_second(flow.egress().bytes);
        IngressPacketShare, "ingress_packet_share", Linear, Column, "1",
            "Packets from the remote over all packets of the flow.",
            |flow| share_of_both(flow.ingress().packets, flow.egress().packets);
        IngressByteShare, "ingress_byte_share", Linear, Column, "1",
            "Bytes from the remote over all bytes of the flow.",
            |flow| share_of_both(flow.ingress().bytes, flow.egress().bytes);
        ByteLogRatio, "byte_log_ratio", Linear, Column, "log2",
            "log2((egress bytes + 64) / (ingress bytes + 64)): above 0 where more leaves than comes.",
            |flow| log_ratio(flow.egress().bytes as f64, flow.ingress().bytes as f64);
        IngressPayloadRatio, "ingress_payload_ratio", Linear, Column, "1",
            "Bytes above the transport header over bytes on the wire, from the remote.",
            |flow| share(flow.ingress().payload_bytes, flow.ingress().bytes);
        EgressPayloadRatio, "egress_payload_ratio", Linear, Column, "1",
            "Bytes above the transport header over bytes on the wire, to the remote.",
            |flow| share(flow.egress().payload_bytes, flow.egress().bytes);
        IngressLengthMean, "ingress_length_mean", Linear, Column, "bytes",
            "Mean length of packets from the remote.",
            |flow| flow.ingress().length_mean();
        IngressLengthStd, "ingress_length_std", Linear, Column, "bytes",
            "Standard deviation of lengths of packets from the remote: sqrt(mean of squares - square of mean).",
            |flow| flow.ingress().length_deviation();
        IngressLengthMin, "ingress_length_min", Linear, Column, "bytes",
            "Shortest packet from the remote.",
            |flow| flow.ingress().length_shortest();
        IngressLengthMax, "ingress_length_max", Linear, Column, "bytes",
            "Longest packet from the remote.",
            |flow| f64::from(flow.ingress().length_max);
        EgressLengthMean, "egress_length_mean", Linear, Column, "bytes",
            "Mean length of packets to the remote.",
            |flow| flow.egress().length_mean();
        EgressLengthStd, "egress_length_std", Linear, Column, "bytes",
            "Standard deviation of lengths of packets to the remote: sqrt(mean of squares - square of mean).",
            |flow| flow.egress().length_deviation();
        EgressLengthMin, "egress_length_min", Linear, Column, "bytes",
            "Shortest packet to the remote.",
            |flow| flow.egress().length_shortest();
        EgressLengthMax, "egress_length_max", Linear, Column, "bytes",
            "Longest packet to the remote.",
            |flow| f64::from(flow.egress().length_max);
        SmallPacketShare, "small_packet_share", Linear, Column, "1",
            "Packets shorter than 128 bytes over all packets, both directions.",
            |flow| flow.per_packet(|direction| direction.length_histogram[0]);
        IngressIatMean, "ingress_iat_mean", Log, Column, "us",
            "Mean time between packets from the remote: (last - first) / (packets - 1).",
            |flow| flow.ingress().iat_mean_us();
        IngressIatStd, "ingress_iat_std", Log, Column, "us",
            "Standard deviation of the times between packets from the remote.",
            |flow| flow.ingress().iat_deviation_us();
        IngressIatMin, "ingress_iat_min", Log, Column, "us",
            "Shortest time between packets from the remote.",
            |flow| flow.ingress().iat_shortest_us();
        IngressIatMax, "ingress_iat_max", Log, Column, "us",
            "Longest time between packets from the remote.",
            |flow| f64::from(flow.ingress().iat_max_us);
        EgressIatMean, "egress_iat_mean", Log, Column, "us",
            "Mean time between packets to the remote: (last - first) / (packets - 1).",
            |flow| flow.egress().iat_mean_us();
        EgressIatStd, "egress_iat_std", Log, Column, "us",
            "Standard deviation of the times between packets to the remote.",
            |flow| flow.egress().iat_deviation_us();
        EgressIatMin, "egress_iat_min", Log, Column, "us",
            "Shortest time between packets to the remote.",
            |flow| flow.egress().iat_shortest_us();
        EgressIatMax, "egress_iat_max", Log, Column, "us",
            "Longest time between packets to the remote.",
            |flow| f64::from(flow.egress().iat_max_us);
        ActiveTime, "active_time", Log, Column, "ms",
            "From the flow's first packet to its last, within the window.",
            |flow| flow.active_s() * 1e3;
        SynRatio, "syn_ratio", Linear, Column, "1",
            "Packets with SYN over all packets, both directions.",
            |flow| flow.flag_ratio(TcpFlag::Syn);
        FinRatio, "fin_ratio", Linear, Column, "1",
            "Packets with FIN over all packets, both directions.",
            |flow| flow.flag_ratio(TcpFlag::Fin);
        RstRatio, "rst_ratio", Linear, Column, "1",
            "Packets with RST over all packets, both directions.",
            |flow| flow.flag_ratio(TcpFlag::Rst);
        PshRatio, "psh_ratio", Linear, Column, "1",
            "Packets with PSH over all packets, both directions.",
            |flow| flow.flag_ratio(TcpFlag::Psh);
        AckRatio, "ack_ratio", Linear, Column, "1",
            "Packets with ACK over all packets, both directions.",
            |flow| flow.flag_ratio(TcpFlag::Ack);
        UrgRatio, "urg_ratio", Linear, Column, "1",
            "Packets with URG over all packets, both directions.",
            |flow| flow.flag_ratio(TcpFlag::Urg);
        HandshakeOutcome, "handshake_outcome", Linear, Column, "1",
            "How far the TCP opening got, this window and before: 0 unseen, 1 answered, 2 pending, 3 refused, 4 unanswered.",
            |flow| f64::from(flow.handshake.code());
        HandshakeTime, "handshake_time", Log, Column, "us",
            "From the first SYN to the first SYN-ACK, in whichever windows they were; 0 until both were seen.",
            |flow| flow.handshake_ns.unwrap_or(0) as f64 / 1e3;
        RetransmissionRatio, "retransmission_ratio", Linear, Column, "1",
            "TCP segments that repeat bytes over all packets, both directions.",
            |flow| flow.per_packet(|direction| direction.retransmissions);
        OutOfOrderRatio, "out_of_order_ratio", Linear, Column, "1",
            "TCP segments that leave a gap over all packets, both directions.",
            |flow| flow.per_packet(|direction| direction.out_of_order);
        ZeroWindowRatio, "zero_window_ratio", Linear, Column, "1",
            "TCP packets that announce a receive window of zero over all packets, both directions.",
            |flow| flow.per_packet(|direction| direction.zero_windows);
        IngressWindowFirst, "ingress_window_first", Log, Column, "bytes",
            "First TCP receive window that the remote announced in the window, unscaled.",
            |flow| f64::from(flow.ingress().window_first);
        IngressWindowMin, "ingress_window_min", Log, Column, "bytes",
            "Smallest TCP receive window that the remote announced in the window, unscaled.",
            |flow| f64::from(flow.ingress().window_min);
        IngressTtlMin, "ingress_ttl_min", Linear, Column, "hops",
            "Smallest TTL or hop limit of packets from the remote.",
            |flow| f64::from(flow.ingress().ttl_min);
        IngressTtlSpread, "ingress_ttl_spread", Linear, Column, "hops",
            "Largest less smallest TTL or hop limit of packets from the remote: several senders, or paths, behind one address.",
            |flow| f64::from(flow.ingress().ttl_max.saturating_sub(flow.ingress().ttl_min));
        FragmentRatio, "fragment_ratio", Linear, Column, "1",
            "Fragments over all packets, both directions.",
            |flow| flow.per_packet(|direction| direction.fragments);
        IcmpErrorRatio, "icmp_error_ratio", Linear, Column, "1",
            "ICMP and ICMPv6 errors over all packets, both directions.",
            |flow| flow.per_packet(|direction| direction.icmp_errors);
        IsTcp, "is_tcp", Linear, Column, "1",
            "1 for TCP.",
            |flow| flag(flow.key.protocol == TCP);
        IsUdp, "is_udp", Linear, Column, "1",
            "1 for UDP.",
            |flow| flag(flow.key.protocol == UDP);
        IsIcmp, "is_icmp", Linear, Column, "1",
            "1 for ICMP and ICMPv6.",
            |flow| flag(matches!(flow.key.protocol, ICMP | ICMP_V6));
        RemoteInitiated, "remote_initiated", Linear, Column, "1",
            "1 where the remote opened the flow: its SYN came first, or nobody's was seen and neither did this host ask first nor has the remote alone a system service's port, in whichever window that was.",
            |flow| flag(flow.initiator == Direction::Ingress);
        IsNew, "is_new", Linear, Column, "1",
            "1 in the first window of the flow.",
            |flow| flag(flow.is_new);
        Age, "age", Log, Column, "s",
            "From the flow's first packet ever seen to the window's end, at most 10 s.",
            |flow| flow.age_s().min(AGE_LIMIT_S);
        LifetimeByteRate, "lifetime_byte_rate", Log, Column, "bytes/s",
            "Bytes of this window and all before it, both directions, over the flow's age, at least the window's length: low for a connection that is held open.",
            |flow| ratio(
                flow.past.bytes as f64 + flow.counters.bytes() as f64,
                flow.age_s().max(flow.window.duration_s()),
            );
    }
}
