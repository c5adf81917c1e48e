//! Counts of a capture by tshark, per directed 5-tuple.

use std::{collections::BTreeMap, fmt, net::IpAddr, path::Path, process::Command};

/// Fields asked for; [`Row`] knows them by their place.
const FIELDS: [&str; 22] = [
    "frame.protocols",
    "frame.len",
    "ieee8021ad.id",
    "vlan.id",
    "ip.src",
    "ip.dst",
    "ip.proto",
    "ipv6.src",
    "ipv6.dst",
    "ipv6.nxt",
    "ipv6.hopopts.nxt",
    "ipv6.routing.nxt",
    "ipv6.fraghdr.nxt",
    "ipv6.dstopts.nxt",
    "tcp.srcport",
    "tcp.dstport",
    "tcp.flags",
    "udp.srcport",
    "udp.dstport",
    "ah.next_header",
    "icmpv6.type",
    "ipv6.hlim",
];

/// Single direction of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Tuple {
    pub(crate) source: IpAddr,
    pub(crate) destination: IpAddr,
    pub(crate) protocol: u8,
    pub(crate) ports: (u16, u16),
    pub(crate) vlans: [u16; 2],
}

impl fmt::Display for Tuple {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { source, destination, protocol, ports, vlans } = self;
        write!(f, "{source}:{} > {destination}:{} protocol {protocol}", ports.0, ports.1)?;
        if *vlans != [0; 2] {
            write!(f, " vlans {vlans:?}")?;
        }
        Ok(())
    }
}

/// Counts of one direction; flags in the order of their bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) packets: u64,
    pub(crate) bytes: u64,
    pub(crate) flags: [u64; 8],
}

/// Counts a capture with tshark. Nothing is reassembled, and only what the outermost IP header
/// carries counts: what is inside a tunnel, or quoted by an ICMP error, is payload.
pub(crate) fn count(tshark: &Path, capture: &Path) -> BTreeMap<Tuple, Counts> {
    let mut command = Command::new(tshark);
    command.args(["-n", "-r"]).arg(capture).args(["-T", "fields"]);
    command.args(["-E", "separator=/t", "-E", "occurrence=a", "-E", "aggregator=|"]);
    for preference in ["ip.defragment:FALSE", "ipv6.defragment:FALSE"] {
        command.args(["-o", preference]);
    }
    for field in FIELDS {
        command.args(["-e", field]);
    }
    let output = command.output().expect("tshark starts");
    assert!(output.status.success(), "tshark: {}", String::from_utf8_lossy(&output.stderr));
    let mut counts: BTreeMap<Tuple, Counts> = BTreeMap::new();
    for line in String::from_utf8(output.stdout).expect("fields are text").lines() {
        let row = Row::of(line);
        if let Some(tuple) = row.tuple() {
            let count = counts.entry(tuple).or_default();
            count.packets += 1;
            count.bytes += row.length_on_ethernet();
            if tuple.protocol == 6 {
                let flags = row.number(16).unwrap_or(0);
                for (bit, flag) in count.flags.iter_mut().enumerate() {
                    *flag += u64::from(flags >> bit & 1);
                }
            }
        }
    }
    counts
}

/// Writes a capture anew with timestamps in nanoseconds.
pub(crate) fn to_nanoseconds(tshark: &Path, capture: &Path, target: &Path) {
    let mut command = Command::new(tshark);
    command.arg("-r").arg(capture).args(["-F", "nsecpcap", "-w"]).arg(target);
    let output = command.output().expect("tshark starts");
    assert!(output.status.success(), "tshark: {}", String::from_utf8_lossy(&output.stderr));
}

struct Row<'a>(Vec<&'a str>);

impl<'a> Row<'a> {
    fn of(line: &'a str) -> Self {
        Self(line.split('\t').collect())
    }

    /// The first, outermost occurrence of a field.
    fn first(&self, field: usize) -> Option<&'a str> {
        self.0[field].split('|').next().filter(|text| !text.is_empty())
    }

    fn number(&self, field: usize) -> Option<u32> {
        let text = self.first(field)?;
        let number = match text.strip_prefix("0x") {
            Some(hex) => u32::from_str_radix(hex, 16),
            None => text.parse(),
        };
        Some(number.unwrap_or_else(|error| panic!("{text}: {error}")))
    }

    fn port(&self, field: usize) -> u16 {
        self.number(field).map_or(0, |port| u16::try_from(port).expect("a port has 16 bits"))
    }

    /// The frame's length with an Ethernet header in the place of its link's own.
    ///
    /// It is what weir counts, so that a flow has the same features whatever it was captured on,
    /// and it is where the two would differ in each capture that is not of Ethernet.
    fn length_on_ethernet(&self) -> u64 {
        let length = u64::from(self.number(1).expect("each frame has a length"));
        let header = match self.0[0].split(':').next() {
            Some("raw") => 0,
            Some("null") => 4,
            Some("sll") => 16,
            _ => 14,
        };
        length + 14 - header
    }

    /// `None` for a frame that is not IP right above the link and its tags.
    fn tuple(&self) -> Option<Tuple> {
        let mut vlans = Vec::new();
        let mut tags = [2, 3].map(|field| self.0[field].split('|').filter(|id| !id.is_empty()));
        for layer in self.0[0].split(':') {
            let (addresses, protocol) = match layer {
                "ieee8021ad" | "vlan" => {
                    let id = tags[usize::from(layer == "vlan")].next()?;
                    vlans.push(id.parse().expect("a VLAN id"));
                    continue;
                }
                "eth" | "ethertype" | "sll" | "null" | "raw" => continue,
                "ip" => ([4, 5], self.number(6)?),
                "ipv6" => ([7, 8], self.last_next_header()?),
                _ => return None,
            };
            let [source, destination] = addresses
                .map(|field| Some(self.first(field)?.parse::<IpAddr>().ok()?.to_canonical()));
            if layer == "ipv6" && protocol == 58 && self.is_link_control() {
                return None;
            }
            let protocol = u8::try_from(protocol).expect("a protocol has 8 bits");
            vlans.resize(2, 0);
            return Some(Tuple {
                source: source?,
                destination: destination?,
                protocol,
                ports: match protocol {
                    6 => (self.port(14), self.port(15)),
                    17 => (self.port(17), self.port(18)),
                    _ => (0, 0),
                },
                vlans: [vlans[0], vlans[1]],
            });
        }
        None
    }

    /// The kinds of ICMPv6 that weir counts as `link_control`, which is no flow. In the outermost
    /// header alone: inside a tunnel they are payload like any other.
    fn is_link_control(&self) -> bool {
        matches!(
            (self.number(20), self.number(21)),
            (Some(133..=137), Some(255)) | (Some(130..=132 | 143), Some(1))
        )
    }

    /// Next header after the chain of IPv6 extension headers, each of which may repeat.
    fn last_next_header(&self) -> Option<u32> {
        let mut next = self.number(9)?;
        let mut chain = [10, 11, 12, 13, 19].map(|field| self.0[field].split('|'));
        loop {
            let place = match next {
                0 => 0,
                43 => 1,
                44 => 2,
                60 => 3,
                51 => 4,
                _ => return Some(next),
            };
            // A later fragment says what follows the chain, and nothing of the chain follows it.
            match chain[place].next().filter(|text| !text.is_empty()) {
                Some(text) => next = text.parse().expect("a protocol number"),
                None => return Some(next),
            }
        }
    }
}
