//! Endpoints of a flow, seen from the interface.

/// The way a packet goes, seen from the host that runs weir.
///
/// It never crosses the kernel boundary as an enum; [`Direction::index`] does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Direction {
    /// Into the host: the source is the remote side.
    Ingress,
    /// Out of the host: the destination is the remote side.
    Egress,
}

impl Direction {
    /// Both directions, in the order of [`Direction::index`].
    pub const ALL: [Self; 2] = [Self::Ingress, Self::Egress];

    /// The place of this direction in a pair: 0 for ingress, 1 for egress.
    #[inline(always)]
    #[must_use]
    pub const fn index(self) -> usize {
        match self {
            Self::Ingress => 0,
            Self::Egress => 1,
        }
    }

    /// The other direction.
    #[inline(always)]
    #[must_use]
    pub const fn opposite(self) -> Self {
        match self {
            Self::Ingress => Self::Egress,
            Self::Egress => Self::Ingress,
        }
    }
}

/// The key of a flow: the 5-tuple as local and remote side, the VLAN and the interface.
///
/// Ingress and egress packets of one flow make the same key without comparing addresses: what
/// is local is told by the hook. Addresses are 16 bytes, IPv4 as `::ffff:a.b.c.d`. Ports are in
/// host order, and 0 where the packet has none (ICMP, SCTP, other protocols, later fragments).
///
/// Aligned to words, for the BPF target copies by words only what is aligned.
#[repr(C, align(8))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FlowKey {
    /// The address on the host's side of the interface.
    pub local: [u8; 16],
    /// The address on the network's side: the one that can be blocked.
    pub remote: [u8; 16],
    /// The interface the packet was seen on.
    pub ifindex: u32,
    /// The local transport port.
    pub local_port: u16,
    /// The remote transport port.
    pub remote_port: u16,
    /// The VLAN id of the outermost tag, 0 for none.
    pub outer_vlan: u16,
    /// The VLAN id of the second tag (802.1ad), 0 for none.
    pub inner_vlan: u16,
    /// The IP protocol number, after any IPv6 extension headers.
    pub protocol: u8,
    /// Always zero: the kernel compares keys byte by byte.
    pub reserved: [u8; 3],
}

const _: () = assert!(size_of::<FlowKey>() == 48 && align_of::<FlowKey>() == 8);

/// The key of a peer: its address, 16 bytes, IPv4 as `::ffff:a.b.c.d`.
#[repr(C, align(8))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PeerKey {
    /// The remote address.
    pub address: [u8; 16],
}

const _: () = assert!(size_of::<PeerKey>() == 16);

/// The upper 96 bits of an IPv4 address in the 16-byte form, `::ffff:0:0/96`.
const V4_MAPPED: u128 = 0xffff << 32;

/// Writes an IPv4 address in the 16-byte form, `::ffff:a.b.c.d`.
#[inline(always)]
#[must_use]
pub const fn map_v4(v4: [u8; 4]) -> [u8; 16] {
    // Made of words: put together byte by byte, it is handled byte by byte on the BPF target.
    (V4_MAPPED | u32::from_be_bytes(v4) as u128).to_be_bytes()
}

/// Reads back the IPv4 address of a 16-byte one, if it holds one.
#[inline(always)]
#[must_use]
pub const fn unmap_v4(address: &[u8; 16]) -> Option<[u8; 4]> {
    let value = u128::from_be_bytes(*address);
    if value >> 32 == V4_MAPPED >> 32 { Some((value as u32).to_be_bytes()) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_v4_address_survives_its_16_byte_form() {
        assert_eq!(unmap_v4(&map_v4([192, 0, 2, 7])), Some([192, 0, 2, 7]));
        assert_eq!(unmap_v4(&[0x20; 16]), None);
    }
}
