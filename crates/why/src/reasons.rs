//! What the kernel's reasons to drop a packet usually mean, and what to look at. Their names are the
//! kernel's own (`enum skb_drop_reason`); one that is not here is told by its name alone.

/// A reason: its name without `SKB_DROP_REASON_`, what it means, where to look.
const TOLD: &[(&str, &str, &str)] = &[
    (
        "NOT_SPECIFIED",
        "the kernel's code names no reason; it may be no loss at all",
        "what else is said here; `nstat -az | grep -i drop`",
    ),
    (
        "NO_SOCKET",
        "nothing listens at that port and address",
        "`ss -lntu`: does the service run, and does it listen on this address?",
    ),
    (
        "SOCKET_RCVBUFF",
        "the socket's receive buffer is full: the program reads too slowly",
        "`ss -lnump` (Recv-Q); `sysctl net.core.rmem_max`; the program's own load",
    ),
    (
        "SOCKET_FILTER",
        "a filter on the socket (SO_ATTACH_FILTER, BPF) refused it",
        "`ss -0nbp`, the program's own filter",
    ),
    (
        "SOCKET_BACKLOG",
        "the socket was busy and its backlog is full",
        "`nstat -az TcpExtTCPBacklogDrop`; the program's load, `sysctl net.core.rmem_max`",
    ),
    (
        "SOCKET_RCV_QUEUE_FULL",
        "the socket's queue is full",
        "`ss -ntp` (Recv-Q); the program's own load",
    ),
    ("NETFILTER_DROP", "a firewall rule dropped it", "`nft list ruleset`, `iptables-save -c`"),
    ("NF_DROP", "a firewall rule dropped it", "`nft list ruleset`, `iptables-save -c`"),
    (
        "TCP_CSUM",
        "its TCP checksum is wrong: damaged on the way, or by a NIC's offload",
        "`ethtool -K IFACE rx off` to try; cables, tunnels, the sender",
    ),
    (
        "UDP_CSUM",
        "its UDP checksum is wrong: damaged on the way, or by a NIC's offload",
        "`ethtool -K IFACE rx off` to try; cables, tunnels, the sender",
    ),
    ("IP_CSUM", "the checksum of its IP header is wrong", "cables, tunnels, the sender"),
    ("IP_INHDR", "its IP header makes no sense", "the sender, a tunnel's MTU"),
    (
        "IP_RPFILTER",
        "its source is not reached by the interface that it came in at",
        "`sysctl net.ipv4.conf.all.rp_filter`, `ip route get SOURCE`",
    ),
    (
        "IP_INADDRERRORS",
        "its destination is none of this host's, and it is not passed on",
        "`ip -brief address`, `sysctl net.ipv4.ip_forward`",
    ),
    ("IP_INNOROUTES", "there is no route to its destination", "`ip route get DESTINATION`"),
    ("IP_OUTNOROUTES", "there is no route to its destination", "`ip route get DESTINATION`"),
    (
        "IP_INVALID_SOURCE",
        "its source address is none that a packet may come from",
        "the sender; `sysctl net.ipv4.conf.all.accept_local`",
    ),
    (
        "IP_LOCAL_SOURCE",
        "its source is an address of this host's own, and it came from outside",
        "a loop, or a second host with this address; `sysctl net.ipv4.conf.all.accept_local`",
    ),
    (
        "IP_LOCALNET",
        "an address of the loopback came from outside",
        "`sysctl net.ipv4.conf.all.route_localnet`",
    ),
    ("UNHANDLED_PROTO", "nothing here takes this protocol", "the sender; missing modules"),
    (
        "OTHERHOST",
        "it was for another host's MAC address",
        "a switch that floods; a promiscuous NIC",
    ),
    (
        "PKT_TOO_BIG",
        "it is larger than the next link takes",
        "`ip link` (mtu), `tracepath DESTINATION`",
    ),
    ("PKT_TOO_SMALL", "it is shorter than its headers say", "the sender"),
    ("XDP", "an XDP program dropped it", "`bpftool net`; weir's own drops are told apart"),
    (
        "TC_INGRESS",
        "a program or filter at TC ingress dropped it",
        "`bpftool net`, `tc filter show dev IFACE ingress`",
    ),
    (
        "TC_EGRESS",
        "a program or filter at TC egress dropped it",
        "`bpftool net`, `tc filter show dev IFACE egress`",
    ),
    ("QDISC_DROP", "a queueing discipline dropped it", "`tc -s qdisc`"),
    ("QDISC_OVERLIMIT", "the queue of the interface is full", "`tc -s qdisc`"),
    (
        "CPU_BACKLOG",
        "a CPU's queue of packets to take in is full",
        "`/proc/net/softnet_stat` (second column), `sysctl net.core.netdev_max_backlog`",
    ),
    (
        "FULL_RING",
        "a ring between two programs or interfaces is full",
        "`ethtool -g IFACE`, the reader",
    ),
    ("NOMEM", "the kernel had no memory for it", "`free`, `dmesg`"),
    (
        "PROTO_MEM",
        "the protocol's memory is used up",
        "`sysctl net.ipv4.tcp_mem net.ipv4.udp_mem`, `/proc/net/sockstat`",
    ),
    ("NEIGH_FAILED", "the next hop does not answer (ARP, neighbour discovery)", "`ip neigh`"),
    ("NEIGH_QUEUEFULL", "too many packets wait for the next hop's address", "`ip neigh`"),
    (
        "NEIGH_CREATEFAIL",
        "the table of neighbours is full",
        "`sysctl net.ipv4.neigh.default.gc_thresh3`",
    ),
    ("TCP_FLAGS", "its TCP flags make no sense for that connection", "the sender"),
    (
        "TCP_ZEROWINDOW",
        "the receiver takes nothing more: its window is zero",
        "`ss -nti`; the program reads too slowly",
    ),
    (
        "TCP_OLD_DATA",
        "it holds what had come already: sent again",
        "loss on the way back; `nstat -az TcpExtTCPDSACKRecv`",
    ),
    ("TCP_OVERWINDOW", "it is beyond what the receiver takes", "the sender; a middlebox"),
    ("TCP_OFO_DROP", "out of order, and no room to keep it", "`nstat -az TcpExtTCPOFODrop`"),
    (
        "TCP_OFO_QUEUE_PRUNE",
        "out of order, and its place was needed",
        "`nstat -az TcpExtOfoPruned`",
    ),
    (
        "TCP_RFC7323_PAWS",
        "its timestamp is older than the last one's",
        "NAT that mixes hosts; the sender's clock",
    ),
    (
        "TCP_INVALID_SEQUENCE",
        "its number is outside of the window",
        "a connection that this host no longer knows",
    ),
    ("TCP_INVALID_SYN", "a SYN within a connection", "a client that reuses its port"),
    ("TCP_RESET", "the connection was reset", "who sent the RST: `ss -nti`, the application's log"),
    ("TCP_CLOSE", "its connection is closed", "the application's log"),
    ("TCP_MINTTL", "its TTL is below what the socket takes", "IP_MINTTL of the program (BGP)"),
    ("TCP_AUTH_HDR", "its TCP-MD5 or TCP-AO does not fit", "keys on both sides"),
    ("TCP_MD5FAILURE", "its TCP-MD5 is wrong", "keys on both sides"),
    (
        "TCP_LISTEN_OVERFLOW",
        "the queue of connections to accept is full",
        "`ss -lnt` (Recv-Q, Send-Q); the program accepts too slowly",
    ),
    (
        "TCP_REQQFULLDROP",
        "the queue of half-open connections is full",
        "`sysctl net.ipv4.tcp_max_syn_backlog net.ipv4.tcp_syncookies`",
    ),
    ("XFRM_POLICY", "an IPsec policy wants it encrypted, or refuses it", "`ip xfrm policy`"),
    ("BPF_CGROUP_EGRESS", "a program of its cgroup dropped it", "`bpftool cgroup tree`"),
    ("IPV6DISABLED", "IPv6 is switched off here", "`sysctl net.ipv6.conf.all.disable_ipv6`"),
    ("IFF_DOWN", "the interface is down", "`ip link`"),
    ("DEV_READY", "the interface is not ready", "`ip link`"),
    (
        "FRAG_REASM_TIMEOUT",
        "not all of its fragments came in time",
        "loss on the way; `nstat -az IpReasmTimeout`",
    ),
    ("DUP_FRAG", "the fragment had come already", "the sender"),
];

/// What a reason means, and what to look at.
pub(crate) fn told(name: &str) -> Option<(&'static str, &'static str)> {
    TOLD.iter().find(|(reason, ..)| *reason == name).map(|&(_, means, look)| (means, look))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_reason_is_told_once() {
        let names: BTreeSet<&str> = TOLD.iter().map(|(name, ..)| *name).collect();
        assert_eq!(names.len(), TOLD.len());
        assert!(told("NO_SOCKET").is_some_and(|(_, look)| look.contains("ss -lntu")));
        assert_eq!(told("7:3"), None);
    }
}
