//! The features of the host's side over a horizon: of its addresses, of all of it, of a service.

use flows_common::Direction;

use super::measure::{log_ratio, of_two_more, ratio, share_of_both};
use super::table::feature_table;
use crate::counts::{Outcomes, SiteCounts};
use crate::record::SiteRecord;

const IN: usize = Direction::Ingress.index();
const OUT: usize = Direction::Egress.index();

feature_table! {
    /// The features of a local address, and of all of them together, over a horizon.
    ///
    /// Counts are of the whole horizon. Ingress is what remotes sent, egress what went to them;
    /// `remote_` are flows that remotes opened, `local_` those that the host's side opened. What
    /// failed and what was empty is told by [`Outcomes`]. Ratios are `k / (n + 2)`.
    pub enum HostFeature of SiteRecord {
        RemoteFlows, "remote_flows", Log, Upper, "flows",
            "Flows that remotes opened.",
            |site| flows(site, IN);
        LocalFlows, "local_flows", Log, Upper, "flows",
            "Flows opened to remotes.",
            |site| flows(site, OUT);
        RemoteFailed, "remote_failed", Log, Upper, "flows",
            "Flows that remotes opened and nobody served.",
            |site| f64::from(outcomes(site, IN).failed);
        LocalFailed, "local_failed", Log, Upper, "flows",
            "Flows opened to remotes that these did not serve.",
            |site| f64::from(outcomes(site, OUT).failed);
        RemoteEmpty, "remote_empty", Log, Upper, "flows",
            "TCP flows that remotes opened and that ended without payload of the host's side.",
            |site| f64::from(outcomes(site, IN).empty);
        LocalEmpty, "local_empty", Log, Upper, "flows",
            "TCP flows opened to remotes that ended without payload of theirs.",
            |site| f64::from(outcomes(site, OUT).empty);
        Remotes, "remotes", Log, Upper, "remotes",
            "Distinct remotes that flows were opened to.",
            |site| site.counts.remotes[OUT].count();
        Services, "services", Log, Upper, "services",
            "Distinct services that flows were opened to, whoever offers them.",
            |site| site.counts.services.count();
        RemoteServices, "remote_services", Log, Upper, "pairs",
            "Distinct pairs of a remote and its service that flows were opened to.",
            |site| site.counts.pairs.count();
        Sources, "sources", Log, Upper, "remotes",
            "Distinct remotes that opened flows.",
            |site| site.counts.remotes[IN].count();
        NewRemotes, "new_remotes", Log, Upper, "remotes",
            "Remotes that a local address opened a flow to for the first time in the last hour or two.",
            |site| f64::from(site.counts.new_remotes[OUT]);
        NewRemotesFailed, "new_remotes_failed", Log, Upper, "remotes",
            "Those of the new remotes whose first flow failed.",
            |site| f64::from(site.counts.new_failed[OUT]);
        NewServicesFailed, "new_services_failed", Log, Upper, "pairs",
            "Services of remotes that were tried for the first time in the last hour or two, and failed.",
            |site| f64::from(site.counts.new_services_failed);
        NewServices, "new_services", Log, Upper, "services",
            "Services, whoever offers them, that a local address used for the first time in the last hour or two.",
            |site| f64::from(site.counts.new_services);
        NewSources, "new_sources", Log, Upper, "remotes",
            "Remotes that opened a flow to a local address for the first time in the last hour or two.",
            |site| f64::from(site.counts.new_remotes[IN]);
        NewSourcesFailed, "new_sources_failed", Log, Upper, "remotes",
            "Those of the new sources whose first flow failed.",
            |site| f64::from(site.counts.new_failed[IN]);
        FanOut, "fan_out", Log, Upper, "remotes",
            "Most remotes that one service was asked of, of the three asked most.",
            |site| site.counts.fan_out.iter().map(|(_, one)| one.remotes.count()).fold(0.0, f64::max);
        NewFanOut, "new_fan_out", Log, Upper, "remotes",
            "Most new remotes that one service was asked of, of the three asked most.",
            |site| site.counts.fan_out.iter().map(|(_, one)| f64::from(one.new_remotes)).fold(0.0, f64::max);
        FanIn, "fan_in", Log, Upper, "remotes",
            "Most remotes that opened flows to one local service, of the three opened most.",
            |site| site.counts.sources.iter().map(|(_, one)| one.remotes.count()).fold(0.0, f64::max);
        BusiestService, "busiest_service", Log, Upper, "flows",
            "Most flows that remotes opened to one local service.",
            |site| site.counts.sources.iter().map(|(_, one)| f64::from(one.flows)).fold(0.0, f64::max);
        AbortiveService, "abortive_service", Log, Upper, "flows",
            "Most failed and empty flows to one local service, of the three opened most.",
            |site| site.counts.sources.iter().map(|(_, one)| f64::from(one.abortive)).fold(0.0, f64::max);
        BusiestPair, "busiest_pair", Log, Upper, "flows",
            "Most flows opened to one service of one remote.",
            |site| site.counts.pair.iter().map(|(_, one)| f64::from(one.flows)).fold(0.0, f64::max);
        IngressPackets, "ingress_packets", Log, Upper, "packets",
            "Packets from remotes.",
            |site| site.counts.traffic.packets[IN] as f64;
        EgressPackets, "egress_packets", Log, Upper, "packets",
            "Packets to remotes.",
            |site| site.counts.traffic.packets[OUT] as f64;
        IngressBytes, "ingress_bytes", Log, Upper, "bytes",
            "Bytes on the wire from remotes.",
            |site| site.counts.traffic.bytes[IN] as f64;
        EgressBytes, "egress_bytes", Log, Upper, "bytes",
            "Bytes on the wire to remotes.",
            |site| site.counts.traffic.bytes[OUT] as f64;
        IngressIcmp, "ingress_icmp", Log, Upper, "packets",
            "ICMP and ICMPv6 packets from remotes.",
            |site| f64::from(site.counts.traffic.icmp[IN]);
        EgressIcmp, "egress_icmp", Log, Upper, "packets",
            "ICMP and ICMPv6 packets to remotes.",
            |site| f64::from(site.counts.traffic.icmp[OUT]);
        IngressResets, "ingress_resets", Log, Upper, "packets",
            "Packets with RST from remotes.",
            |site| f64::from(site.counts.traffic.resets[IN]);
        EgressResets, "egress_resets", Log, Upper, "packets",
            "Packets with RST to remotes.",
            |site| f64::from(site.counts.traffic.resets[OUT]);
        IngressSyns, "ingress_syns", Log, Upper, "openings",
            "TCP openings of remotes, retransmissions not counted.",
            |site| f64::from(site.counts.traffic.openings[IN]);
        EgressSyns, "egress_syns", Log, Upper, "openings",
            "TCP openings to remotes, retransmissions not counted.",
            |site| f64::from(site.counts.traffic.openings[OUT]);
        UdpPackets, "udp_packets", Log, Upper, "packets",
            "UDP packets, both directions.",
            |site| f64::from(site.counts.traffic.udp);
        OtherPackets, "other_packets", Log, Upper, "packets",
            "Packets of other protocols than TCP, UDP, ICMP and ICMPv6, both directions.",
            |site| f64::from(site.counts.traffic.other);
        NullPackets, "null_packets", Log, Upper, "packets",
            "TCP packets without any flag, both directions: of a flow's direction in a window its packets less its flags.",
            |site| f64::from(site.counts.traffic.null);
        XmasPackets, "xmas_packets", Log, Upper, "packets",
            "TCP packets with FIN, PSH and URG, both directions: of a flow's direction in a window the rarest of the three flags.",
            |site| f64::from(site.counts.traffic.xmas);
        ActiveFlows, "active_flows", Log, Upper, "flows",
            "Flows with a packet.",
            |site| site.active(&site.counts.active);
        DnsQueries, "dns_queries", Log, Upper, "packets",
            "Packets to port 53 of remotes over UDP.",
            |site| f64::from(site.counts.traffic.dns.queries);
        DnsQueryBytes, "dns_query_bytes", Linear, Upper, "255 bytes",
            "Mean payload of these queries.",
            |site| site.counts.traffic.dns.query_mean() / 255.0;
        DnsResponseBytes, "dns_response_bytes", Linear, Upper, "512 bytes",
            "Mean payload of the answers to them.",
            |site| site.counts.traffic.dns.response_mean() / 512.0;
        RemoteFailedRatio, "remote_failed_ratio", Linear, Upper, "1",
            "Failed flows of remotes over their flows and two.",
            |site| of_two_more(f64::from(outcomes(site, IN).failed), flows(site, IN));
        LocalFailedRatio, "local_failed_ratio", Linear, Upper, "1",
            "Failed flows to remotes over flows to them and two.",
            |site| of_two_more(f64::from(outcomes(site, OUT).failed), flows(site, OUT));
        NewRemotesFailedRatio, "new_remotes_failed_ratio", Linear, Upper, "1",
            "New remotes whose first flow failed over new remotes and two.",
            |site| of_two_more(f64::from(site.counts.new_failed[OUT]), f64::from(site.counts.new_remotes[OUT]));
        NewSourcesFailedRatio, "new_sources_failed_ratio", Linear, Upper, "1",
            "New sources whose first flow failed over new sources and two.",
            |site| of_two_more(f64::from(site.counts.new_failed[IN]), f64::from(site.counts.new_remotes[IN]));
        ByteLogRatio, "byte_log_ratio", Linear, Both, "log2",
            "log2((egress bytes + 64) / (ingress bytes + 64)): above 0 where more leaves than comes.",
            |site| log_ratio(site.counts.traffic.bytes[OUT] as f64, site.counts.traffic.bytes[IN] as f64);
        IngressLength, "ingress_length", Linear, Both, "1500 bytes",
            "Mean length of packets from remotes.",
            |site| length(&site.counts, IN);
        EgressLength, "egress_length", Linear, Both, "1500 bytes",
            "Mean length of packets to remotes.",
            |site| length(&site.counts, OUT);
        IngressShare, "ingress_share", Linear, Both, "1",
            "Packets from remotes over all packets.",
            |site| share_of_both(site.counts.traffic.packets[IN], site.counts.traffic.packets[OUT]);
        PacketsPerFlow, "packets_per_flow", Log, Both, "packets",
            "Packets over active flows.",
            |site| site.counts.traffic.all_packets() as f64 / site.active(&site.counts.active).max(1.0);
    }
}

impl HostFeature {
    /// True where it tells what the host's side does to others, not what is done to it.
    #[must_use]
    pub const fn is_outbound(self) -> bool {
        matches!(
            self,
            Self::LocalFlows
                | Self::LocalFailed
                | Self::LocalEmpty
                | Self::LocalFailedRatio
                | Self::Remotes
                | Self::Services
                | Self::RemoteServices
                | Self::NewRemotes
                | Self::NewRemotesFailed
                | Self::NewRemotesFailedRatio
                | Self::NewServicesFailed
                | Self::NewServices
                | Self::FanOut
                | Self::NewFanOut
                | Self::BusiestPair
                | Self::EgressSyns
                | Self::DnsQueries
        )
    }
}

feature_table! {
    /// The features of a service of the host's side over a horizon: of the flows that remotes opened
    /// to it, once it has answered any.
    ///
    /// Counts are of the whole horizon. Ingress is what remotes sent, egress what went to them.
    /// What failed, was empty, short or served is told by [`Outcomes`]. Ratios are `k / (n + 2)`.
    pub enum ServiceFeature of SiteRecord {
        Flows, "flows", Log, Upper, "flows",
            "Flows opened to it.",
            |site| flows(site, IN);
        Failed, "failed", Log, Upper, "flows",
            "Flows that it did not serve.",
            |site| f64::from(outcomes(site, IN).failed);
        Empty, "empty", Log, Upper, "flows",
            "TCP flows that ended without payload of it.",
            |site| f64::from(outcomes(site, IN).empty);
        Short, "short", Log, Upper, "flows",
            "TCP flows that did not fail and ended within 10 s.",
            |site| f64::from(outcomes(site, IN).short);
        Sources, "sources", Log, Upper, "remotes",
            "Distinct remotes that opened flows to it.",
            |site| site.counts.remotes[IN].count();
        NewSources, "new_sources", Log, Upper, "remotes",
            "Those of them that had not met the local address in the last hour or two.",
            |site| f64::from(site.counts.new_remotes[IN]);
        NewSourcesFailed, "new_sources_failed", Log, Upper, "remotes",
            "Those of the new sources whose first flow failed.",
            |site| f64::from(site.counts.new_failed[IN]);
        IngressPackets, "ingress_packets", Log, Upper, "packets",
            "Packets to it.",
            |site| site.counts.traffic.packets[IN] as f64;
        EgressPackets, "egress_packets", Log, Upper, "packets",
            "Packets from it.",
            |site| site.counts.traffic.packets[OUT] as f64;
        IngressBytes, "ingress_bytes", Log, Upper, "bytes",
            "Bytes on the wire to it.",
            |site| site.counts.traffic.bytes[IN] as f64;
        EgressBytes, "egress_bytes", Log, Upper, "bytes",
            "Bytes on the wire from it.",
            |site| site.counts.traffic.bytes[OUT] as f64;
        IngressResets, "ingress_resets", Log, Upper, "packets",
            "Packets with RST to it.",
            |site| f64::from(site.counts.traffic.resets[IN]);
        EgressResets, "egress_resets", Log, Upper, "packets",
            "Packets with RST from it.",
            |site| f64::from(site.counts.traffic.resets[OUT]);
        Syns, "syns", Log, Upper, "openings",
            "TCP openings, retransmissions not counted.",
            |site| f64::from(site.counts.traffic.openings[IN]);
        ActiveFlows, "active_flows", Log, Upper, "flows",
            "Flows with a packet.",
            |site| site.active(&site.counts.active);
        RequestBytes, "request_bytes", Log, Both, "bytes",
            "Mean payload of the remotes in flows that were served, until their outcome was known.",
            |site| outcomes(site, IN).request_mean();
        ResponseBytes, "response_bytes", Log, Both, "bytes",
            "Mean payload of it in them, until their outcome was known.",
            |site| outcomes(site, IN).response_mean();
        FailedRatio, "failed_ratio", Linear, Upper, "1",
            "Failed flows over flows and two.",
            |site| of_two_more(f64::from(outcomes(site, IN).failed), flows(site, IN));
        EmptyRatio, "empty_ratio", Linear, Upper, "1",
            "Empty flows over flows and two.",
            |site| of_two_more(f64::from(outcomes(site, IN).empty), flows(site, IN));
        NewSourceRatio, "new_source_ratio", Linear, Upper, "1",
            "New sources over flows and two.",
            |site| of_two_more(f64::from(site.counts.new_remotes[IN]), flows(site, IN));
        ByteLogRatio, "byte_log_ratio", Linear, Both, "log2",
            "log2((egress bytes + 64) / (ingress bytes + 64)): above 0 where more leaves than comes.",
            |site| log_ratio(site.counts.traffic.bytes[OUT] as f64, site.counts.traffic.bytes[IN] as f64);
        IngressLength, "ingress_length", Linear, Both, "1500 bytes",
            "Mean length of packets to it.",
            |site| length(&site.counts, IN);
        EgressLength, "egress_length", Linear, Both, "1500 bytes",
            "Mean length of packets from it.",
            |site| length(&site.counts, OUT);
        PacketsPerFlow, "packets_per_flow", Log, Both, "packets",
            "Packets over active flows.",
            |site| site.counts.traffic.all_packets() as f64 / site.active(&site.counts.active).max(1.0);
    }
}

#[inline]
fn flows(site: &SiteRecord, opener: usize) -> f64 {
    f64::from(site.counts.flows[opener])
}

#[inline]
fn outcomes(site: &SiteRecord, opener: usize) -> &Outcomes {
    &site.counts.outcomes[opener]
}

#[inline]
fn length(counts: &SiteCounts, way: usize) -> f64 {
    ratio(counts.traffic.bytes[way] as f64, counts.traffic.packets[way] as f64) / 1500.0
}
