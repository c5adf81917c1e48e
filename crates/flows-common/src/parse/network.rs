//! Ethernet with up to two VLAN tags or no link layer, IPv4 with options, IPv6 with extension headers.

use super::{Bytes, HEADERS_LIMIT, LinkLayer, Rejected, part};
use crate::{Direction, Loss};

const ETHERNET_HEADER: usize = 14;
const ETHER_TYPE_OFFSET: usize = 12;
const VLAN_TAG: usize = 4;
const VLAN_ID: u16 = 0x0fff;

const IPV4: u16 = 0x0800;
const IPV6: u16 = 0x86dd;
/// EtherType that no protocol has (reserved by RFC 1701).
const NO_ETHER_TYPE: u16 = 0xffff;
const IPV4_HEADER: usize = 20;
const IPV6_HEADER: usize = 40;

/// The hop-by-hop header with the one option of a jumbogram, in bytes.
const JUMBO_HEADER: u32 = 8;

/// IPv6 extension headers followed at most; a chain RFC 8200 recommends has six.
const EXTENSIONS_LIMIT: usize = 8;

/// Where the network layer starts and what it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    /// The EtherType behind any VLAN tags.
    pub ether_type: u16,
    /// VLAN id of the outermost tag, 0 for none.
    pub outer_vlan: u16,
    /// VLAN id of the second tag, 0 for none.
    pub inner_vlan: u16,
    /// Offset of the network header.
    pub offset: usize,
}

/// An address in the 16-byte form, IPv4 as `::ffff:a.b.c.d`.
///
/// Two words in the order of memory: as an array of bytes, the BPF target would move it byte by
/// byte.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Address {
    words: [u64; 2],
}

/// Prefix of an IPv4 address in the second word, and its place.
const V4_PREFIX: u64 = u64::from_ne_bytes([0, 0, 0xff, 0xff, 0, 0, 0, 0]);
const V4_PREFIX_MASK: u64 = u64::from_ne_bytes([0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0]);
/// Bit offset of the second half of a word from its low end.
const SECOND_HALF: u32 = if cfg!(target_endian = "little") { 32 } else { 0 };

impl Address {
    /// An IPv4 address.
    #[inline(always)]
    #[must_use]
    pub const fn of_v4(v4: [u8; 4]) -> Self {
        Self { words: [0, V4_PREFIX | (u32::from_ne_bytes(v4) as u64) << SECOND_HALF] }
    }

    /// An IPv6 address; one that holds an IPv4 address is that address.
    #[inline(always)]
    #[must_use]
    pub fn of_v6(v6: [u8; 16]) -> Self {
        Self::of_halves(part(&v6, 0), part(&v6, 8))
    }

    #[inline(always)]
    const fn of_halves(first: [u8; 8], second: [u8; 8]) -> Self {
        Self { words: [u64::from_ne_bytes(first), u64::from_ne_bytes(second)] }
    }

    /// The four bytes of an IPv4 address; `None` for an IPv6 one.
    #[inline(always)]
    #[must_use]
    pub const fn v4(&self) -> Option<[u8; 4]> {
        let [first, second] = self.words;
        if first == 0 && second & V4_PREFIX_MASK == V4_PREFIX {
            Some(((second >> SECOND_HALF) as u32).to_ne_bytes())
        } else {
            None
        }
    }

    /// The 16-byte form.
    #[inline(always)]
    #[must_use]
    pub const fn to_16(self) -> [u8; 16] {
        let [first, second] = self.words;
        if cfg!(target_endian = "little") {
            (first as u128 | (second as u128) << 64).to_ne_bytes()
        } else {
            ((first as u128) << 64 | second as u128).to_ne_bytes()
        }
    }
}

/// Facts of a packet from the internet layer.
pub(super) struct Internet {
    pub(super) source: Address,
    pub(super) destination: Address,
    pub(super) protocol: u8,
    pub(super) ttl: u8,
    pub(super) fragment: bool,
    pub(super) later_fragment: bool,
    pub(super) payload_offset: usize,
    /// Bytes above the IP header and its extensions, as the header declares; as many as there are
    /// where it declares none, as a super-packet above 64 KiB does (BIG TCP).
    pub(super) payload_length: u32,
    /// Bytes of headers that the segments of a super-packet do not have: the hop-by-hop header of
    /// a jumbogram (RFC 2675), which the stack takes off when it cuts it up.
    pub(super) unsegmented: u32,
}

/// Reads the link layer's header, if there is one, and up to two VLAN tags, one of which may be in
/// `tag`.
///
/// # Errors
/// A frame that ends before its EtherType or IP version, or one with more than two tags.
#[inline(always)]
pub fn network<B: Bytes + ?Sized>(
    bytes: &B,
    link: LinkLayer,
    tag: Option<u16>,
) -> Result<Network, Rejected> {
    let (ether_type, offset) = match link {
        LinkLayer::Ethernet => match bytes.load(ETHER_TYPE_OFFSET) {
            Some(ether_type) => (u16::from_be_bytes(ether_type), ETHERNET_HEADER),
            None => return Err(Rejected { loss: Loss::TruncatedEthernet, ether_type: 0 }),
        },
        LinkLayer::Bare => match bytes.load(0) {
            Some([version]) => (ether_type_of_version(version >> 4), 0),
            None => return Err(Rejected { loss: Loss::TruncatedIpv4, ether_type: IPV4 }),
        },
    };
    let mut network = Network { ether_type, outer_vlan: 0, inner_vlan: 0, offset };
    let mut tags = 0;
    if let Some(control) = tag {
        network.outer_vlan = control & VLAN_ID;
        tags = 1;
    }
    while is_vlan(network.ether_type) {
        let reject = |loss| Rejected { loss, ether_type: network.ether_type };
        if tags == 2 {
            return Err(reject(Loss::TooManyVlans));
        }
        let Some([c0, c1, e0, e1]) = bytes.load(network.offset) else {
            return Err(reject(Loss::TruncatedVlan));
        };
        let id = u16::from_be_bytes([c0, c1]) & VLAN_ID;
        if tags == 0 {
            network.outer_vlan = id;
        } else {
            network.inner_vlan = id;
        }
        network.ether_type = u16::from_be_bytes([e0, e1]);
        network.offset += VLAN_TAG;
        tags += 1;
    }
    Ok(network)
}

#[inline(always)]
const fn ether_type_of_version(version: u8) -> u16 {
    match version {
        4 => IPV4,
        6 => IPV6,
        _ => NO_ETHER_TYPE,
    }
}

/// The address at the remote end of a frame: its source on ingress, its destination on egress.
///
/// # Errors
/// As [`network`], and a frame that is not IP or ends within its IP header.
#[inline(always)]
pub fn remote_address<B: Bytes + ?Sized>(
    bytes: &B,
    link: LinkLayer,
    tag: Option<u16>,
    direction: Direction,
) -> Result<Address, Rejected> {
    let network = network(bytes, link, tag)?;
    let reject = |loss| Rejected { loss, ether_type: network.ether_type };
    match network.ether_type {
        IPV4 => {
            let field = match direction {
                Direction::Ingress => 12,
                Direction::Egress => 16,
            };
            let address = bytes.load(network.offset + field);
            address.map(Address::of_v4).ok_or(reject(Loss::TruncatedIpv4))
        }
        IPV6 => {
            let field = match direction {
                Direction::Ingress => 8,
                Direction::Egress => 24,
            };
            let address = bytes.load(network.offset + field);
            address.map(Address::of_v6).ok_or(reject(Loss::TruncatedIpv6))
        }
        _ => Err(reject(Loss::NotIp)),
    }
}

/// Reads the internet header that [`network`] found.
#[inline(always)]
pub(super) fn internet<B: Bytes + ?Sized>(bytes: &B, at: &Network) -> Result<Internet, Loss> {
    match at.ether_type {
        IPV4 => ipv4(bytes, at.offset),
        IPV6 => ipv6(bytes, at.offset),
        _ => Err(Loss::NotIp),
    }
}

#[inline(always)]
fn ipv4<B: Bytes + ?Sized>(bytes: &B, offset: usize) -> Result<Internet, Loss> {
    // The whole header at once: one comparison with the packet's end.
    let Some(fixed) = bytes.load::<IPV4_HEADER>(offset) else {
        return Err(Loss::TruncatedIpv4);
    };
    let [version_length] = part(&fixed, 0);
    let [ttl, protocol] = part(&fixed, 8);
    let header = (version_length & 0x0f) as usize * 4;
    if version_length >> 4 != 4 || header < IPV4_HEADER {
        return Err(Loss::MalformedIpv4);
    }
    let fragment = u16::from_be_bytes(part(&fixed, 6));
    let fragment_offset = fragment & 0x1fff;
    let more_fragments = fragment & 0x2000 != 0;
    let total_length = u32::from(u16::from_be_bytes(part(&fixed, 2)));
    Ok(Internet {
        source: Address::of_v4(part(&fixed, 12)),
        destination: Address::of_v4(part(&fixed, 16)),
        protocol,
        ttl,
        fragment: fragment_offset != 0 || more_fragments,
        later_fragment: fragment_offset != 0,
        payload_offset: offset + header,
        payload_length: if total_length == 0 {
            u32::MAX
        } else {
            total_length.saturating_sub(header as u32)
        },
        unsegmented: 0,
    })
}

#[inline(always)]
fn ipv6<B: Bytes + ?Sized>(bytes: &B, offset: usize) -> Result<Internet, Loss> {
    let Some(fixed) = bytes.load::<IPV6_HEADER>(offset) else {
        return Err(Loss::TruncatedIpv6);
    };
    let [version] = part(&fixed, 0);
    let [next_header, ttl] = part(&fixed, 6);
    if version >> 4 != 6 {
        return Err(Loss::MalformedIpv6);
    }
    let chain = extensions(bytes, next_header, offset + IPV6_HEADER)?;
    let extension_bytes = (chain.end - (offset + IPV6_HEADER)) as u32;
    let payload_length = match u32::from(u16::from_be_bytes(part(&fixed, 4))) {
        0 if next_header != NO_NEXT_HEADER => u32::MAX,
        length => length.saturating_sub(extension_bytes),
    };
    let is_jumbo = payload_length == u32::MAX && next_header == HOP_BY_HOP;
    Ok(Internet {
        source: Address::of_halves(part(&fixed, 8), part(&fixed, 16)),
        destination: Address::of_halves(part(&fixed, 24), part(&fixed, 32)),
        protocol: chain.protocol,
        ttl,
        fragment: chain.fragment,
        later_fragment: chain.later_fragment,
        payload_offset: chain.end,
        payload_length,
        unsegmented: if is_jumbo { JUMBO_HEADER } else { 0 },
    })
}

struct Extensions {
    protocol: u8,
    end: usize,
    fragment: bool,
    later_fragment: bool,
}

/// Follows IPv6 extension headers to the transport header, or to a later fragment's payload.
#[inline(always)]
fn extensions<B: Bytes + ?Sized>(bytes: &B, first: u8, start: usize) -> Result<Extensions, Loss> {
    let mut chain =
        Extensions { protocol: first, end: start, fragment: false, later_fragment: false };
    for _ in 0..EXTENSIONS_LIMIT {
        // Behind a later fragment's header come bytes from the middle of the datagram.
        if chain.later_fragment || !is_extension(chain.protocol) {
            return Ok(chain);
        }
        if chain.end > HEADERS_LIMIT {
            return Err(Loss::TooManyExtensions);
        }
        let Some([next_header, length, f0, f1]) = bytes.load(chain.end) else {
            return Err(Loss::TruncatedExtension);
        };
        chain.end += match chain.protocol {
            FRAGMENT => {
                let fragment = u16::from_be_bytes([f0, f1]);
                let fragment_offset = fragment >> 3;
                chain.later_fragment = fragment_offset != 0;
                // An atomic fragment (RFC 6946) is a whole datagram.
                chain.fragment |= fragment_offset != 0 || fragment & 1 != 0;
                8
            }
            AUTHENTICATION => (length as usize + 2) * 4,
            _ => (length as usize + 1) * 8,
        };
        chain.protocol = next_header;
    }
    if chain.later_fragment || !is_extension(chain.protocol) {
        Ok(chain)
    } else {
        Err(Loss::TooManyExtensions)
    }
}

const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const AUTHENTICATION: u8 = 51;
const NO_NEXT_HEADER: u8 = 59;
const DESTINATION_OPTIONS: u8 = 60;
const MOBILITY: u8 = 135;
const HOST_IDENTITY: u8 = 139;
const SHIM6: u8 = 140;

#[inline(always)]
const fn is_extension(next_header: u8) -> bool {
    matches!(
        next_header,
        HOP_BY_HOP
            | ROUTING
            | FRAGMENT
            | AUTHENTICATION
            | DESTINATION_OPTIONS
            | MOBILITY
            | HOST_IDENTITY
            | SHIM6
    )
}

/// 802.1Q, 802.1ad, and the EtherType that stacked tags had before 802.1ad.
#[inline(always)]
const fn is_vlan(ether_type: u16) -> bool {
    matches!(ether_type, 0x8100 | 0x88a8 | 0x9100)
}
