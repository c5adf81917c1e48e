//! Link types, each read as the interface's frames that it stands for.

use flows_common::{Direction, parse::LinkLayer};

/// Link types that [`Link::of`] knows, for messages.
pub(super) const SUPPORTED: &str = "Ethernet, Linux cooked v1 and v2, raw IP and BSD loopback";

/// Bytes of an Ethernet header, of which the last two are the `EtherType`.
const ETHERNET_HEADER: u8 = 14;

/// Linux' packet type of a frame that the host itself sent (`PACKET_OUTGOING`).
const OUTGOING: u8 = 4;

/// A link type that can be read; numbers as in the registry of the Tcpdump Group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Link {
    Ethernet,
    CookedV1,
    CookedV2,
    RawIp,
    Loopback,
}

/// A frame as its interface counted it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Carried<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) wire_length: u32,
    pub(super) link: LinkLayer,
    pub(super) direction: Option<Direction>,
    /// The interface, where each frame tells its own (Linux cooked v2).
    pub(super) interface: Option<u32>,
}

impl Link {
    /// The link type of a number found in a capture.
    pub(super) const fn of(number: i32) -> Option<Self> {
        match number {
            1 => Some(Self::Ethernet),
            113 => Some(Self::CookedV1),
            276 => Some(Self::CookedV2),
            // 12 and 14 are what some systems write for 101; 228 and 229 tell the version too.
            12 | 14 | 101 | 228 | 229 => Some(Self::RawIp),
            0 | 108 => Some(Self::Loopback),
            _ => None,
        }
    }

    /// Bytes of the link's own header that must be there; an Ethernet frame is handed on as it
    /// is, however short.
    pub(super) const fn header(self) -> u8 {
        match self {
            Self::Ethernet | Self::RawIp => 0,
            Self::CookedV1 => 16,
            Self::CookedV2 => 20,
            Self::Loopback => 4,
        }
    }

    /// The frame as its interface carried it: bare where that has no link-layer header, else as
    /// Ethernet, with zeros for the addresses that a cooked frame does not tell. `bytes` are at least
    /// [`Link::header`] long.
    pub(super) fn carried<'a>(
        self,
        bytes: &'a [u8],
        wire_length: u32,
        scratch: &'a mut Vec<u8>,
    ) -> Carried<'a> {
        let (header, above) = bytes.split_at(usize::from(self.header()));
        let above_length = wire_length.saturating_sub(u32::from(self.header()));
        let direction = self.sent_or_received(header);
        let interface = self.interface(header);
        let bare = Carried {
            bytes: above,
            wire_length: above_length,
            link: LinkLayer::Bare,
            direction,
            interface,
        };
        let (ether_type, hardware) = match self {
            Self::Ethernet => return Carried { link: LinkLayer::Ethernet, ..bare },
            Self::RawIp | Self::Loopback => return bare,
            Self::CookedV1 => ([header[14], header[15]], [header[2], header[3]]),
            Self::CookedV2 => ([header[0], header[1]], [header[8], header[9]]),
        };
        if LinkLayer::of_hardware(u16::from_be_bytes(hardware)) == Some(LinkLayer::Bare) {
            return bare;
        }
        scratch.clear();
        scratch.extend_from_slice(&[0; ETHERNET_HEADER as usize - 2]);
        scratch.extend_from_slice(&ether_type);
        scratch.extend_from_slice(above);
        let wire_length = above_length.saturating_add(u32::from(ETHERNET_HEADER));
        Carried { bytes: scratch, wire_length, link: LinkLayer::Ethernet, ..bare }
    }

    /// The index of the interface, where the link's header tells.
    fn interface(self, header: &[u8]) -> Option<u32> {
        match self {
            Self::CookedV2 => header.get(4..)?.first_chunk().copied().map(u32::from_be_bytes),
            Self::Ethernet | Self::CookedV1 | Self::RawIp | Self::Loopback => None,
        }
    }

    /// The way the frame went, where the link's header tells.
    fn sent_or_received(self, bytes: &[u8]) -> Option<Direction> {
        let packet_type = match self {
            Self::CookedV1 => u16::from_be_bytes([bytes[0], bytes[1]]),
            Self::CookedV2 => u16::from(bytes[10]),
            Self::Ethernet | Self::RawIp | Self::Loopback => return None,
        };
        if packet_type == u16::from(OUTGOING) {
            Some(Direction::Egress)
        } else {
            Some(Direction::Ingress)
        }
    }
}

/// The name of a link type that cannot be read.
pub(super) const fn name(number: i32) -> &'static str {
    match number {
        6 => "token ring",
        9 | 50 => "PPP",
        51 => "PPPoE",
        104 => "Cisco HDLC",
        105 => "802.11",
        119 | 127 => "802.11 with a radio header",
        143 => "DOCSIS",
        147..=162 => "private use",
        187 | 201 => "Bluetooth HCI",
        189 | 220 => "USB",
        192 => "PPI",
        195 | 230 => "802.15.4",
        197 => "ERF",
        227 => "CAN",
        242 => "InfiniBand",
        271 => "Linux vsock",
        253 => "Netlink",
        _ => "unknown",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IP: [u8; 4] = [0x45, 0, 0, 20];
    /// `ARPHRD_NONE`: a tun.
    const NONE: [u8; 2] = [0xff, 0xfe];

    fn carried(link: Link, bytes: &[u8]) -> (Vec<u8>, u32, LinkLayer, Option<Direction>) {
        let mut scratch = Vec::new();
        let length = u32::try_from(bytes.len()).expect("a test's frame is short");
        let frame = link.carried(bytes, length, &mut scratch);
        (frame.bytes.to_vec(), frame.wire_length, frame.link, frame.direction)
    }

    /// Headers of a cooked frame with IPv4, on an interface of this hardware type.
    fn cooked(hardware: [u8; 2]) -> [(Link, Vec<u8>); 2] {
        let (mut v1, mut v2) = (vec![0; 16], vec![0; 20]);
        v1[2..4].copy_from_slice(&hardware);
        v1[14..].copy_from_slice(&[0x08, 0x00]);
        v2[..2].copy_from_slice(&[0x08, 0x00]);
        v2[8..10].copy_from_slice(&hardware);
        [(Link::CookedV1, v1), (Link::CookedV2, v2)]
    }

    #[test]
    fn a_cooked_frame_of_an_ethernet_interface_is_an_ethernet_frame() {
        for (link, mut bytes) in cooked([0, 1]) {
            bytes.extend_from_slice(&IP);
            let (frame, length, carrier, _) = carried(link, &bytes);
            assert_eq!(frame[12..], [0x08, 0x00, 0x45, 0, 0, 20], "{link:?}");
            assert_eq!((length, carrier), (18, LinkLayer::Ethernet), "{link:?}");
        }
    }

    #[test]
    fn a_frame_of_a_link_without_a_header_is_its_ip_packet() {
        let [v1, v2] = cooked(NONE);
        for (link, mut bytes) in [v1, v2, (Link::RawIp, vec![]), (Link::Loopback, vec![2, 0, 0, 0])]
        {
            bytes.extend_from_slice(&IP);
            let (frame, length, carrier, _) = carried(link, &bytes);
            assert_eq!((&frame[..], length, carrier), (&IP[..], 4, LinkLayer::Bare), "{link:?}");
        }
    }

    #[test]
    fn a_cooked_frame_tells_which_way_it_went() {
        let mut sent = [0; 16];
        sent[1] = OUTGOING;
        assert_eq!(carried(Link::CookedV1, &sent).3, Some(Direction::Egress));
        assert_eq!(carried(Link::CookedV1, &[0; 16]).3, Some(Direction::Ingress));
    }

    #[test]
    fn a_frame_of_cooked_v2_tells_its_interface() {
        let mut header = [0; 20];
        header[4..8].copy_from_slice(&7_u32.to_be_bytes());
        let mut scratch = Vec::new();
        assert_eq!(Link::CookedV2.carried(&header, 20, &mut scratch).interface, Some(7));
        assert_eq!(Link::CookedV1.carried(&header, 20, &mut scratch).interface, None);
    }

    #[test]
    fn an_ethernet_frame_is_handed_on_as_it_is() {
        assert_eq!(carried(Link::Ethernet, &[7; 3]), (vec![7; 3], 3, LinkLayer::Ethernet, None));
    }
}
