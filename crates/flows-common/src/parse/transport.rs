//! TCP, UDP, ICMP and ICMPv6; any other protocol has no header that is read.

use super::{Bytes, ICMP, ICMPV6, TCP, UDP, part};
use crate::Loss;

const TCP_HEADER: usize = 20;
/// As far as the fields that are read go: checksum and urgent pointer are not.
const TCP_FIELDS: usize = 16;
const UDP_HEADER: usize = 8;
const ICMP_HEADER: usize = 8;
const ICMPV6_HEADER: usize = 4;

/// Facts from the transport header; all zero where there is none.
#[derive(Default)]
pub(super) struct Transport {
    pub(super) source_port: u16,
    pub(super) destination_port: u16,
    pub(super) tcp: bool,
    pub(super) flags: u8,
    pub(super) sequence: u32,
    pub(super) acknowledged: u32,
    pub(super) window: u16,
    pub(super) icmp_type: u8,
    pub(super) icmp_code: u8,
    pub(super) icmp_error: bool,
    /// Bytes of the header.
    pub(super) header: usize,
}

#[inline(always)]
pub(super) fn transport<B: Bytes + ?Sized>(
    bytes: &B,
    protocol: u8,
    offset: usize,
) -> Result<Transport, Loss> {
    match protocol {
        TCP => tcp(bytes, offset),
        UDP => udp(bytes, offset),
        ICMP => icmp(bytes, offset, ICMP_HEADER, is_icmp_error),
        ICMPV6 => icmp(bytes, offset, ICMPV6_HEADER, is_icmpv6_error),
        _ => Ok(Transport::default()),
    }
}

#[inline(always)]
fn tcp<B: Bytes + ?Sized>(bytes: &B, offset: usize) -> Result<Transport, Loss> {
    let Some(fixed) = bytes.load::<TCP_FIELDS>(offset) else {
        return Err(Loss::TruncatedTransport);
    };
    let [data_offset, flags] = part(&fixed, 12);
    let header = (data_offset >> 4) as usize * 4;
    if header < TCP_HEADER {
        return Err(Loss::MalformedTcp);
    }
    Ok(Transport {
        source_port: u16::from_be_bytes(part(&fixed, 0)),
        destination_port: u16::from_be_bytes(part(&fixed, 2)),
        tcp: true,
        flags,
        sequence: u32::from_be_bytes(part(&fixed, 4)),
        acknowledged: u32::from_be_bytes(part(&fixed, 8)),
        window: u16::from_be_bytes(part(&fixed, 14)),
        header,
        ..Transport::default()
    })
}

#[inline(always)]
fn udp<B: Bytes + ?Sized>(bytes: &B, offset: usize) -> Result<Transport, Loss> {
    let Some([s0, s1, d0, d1]) = bytes.load(offset) else {
        return Err(Loss::TruncatedTransport);
    };
    Ok(Transport {
        source_port: u16::from_be_bytes([s0, s1]),
        destination_port: u16::from_be_bytes([d0, d1]),
        header: UDP_HEADER,
        ..Transport::default()
    })
}

#[inline(always)]
fn icmp<B: Bytes + ?Sized>(
    bytes: &B,
    offset: usize,
    header: usize,
    is_error: fn(u8) -> bool,
) -> Result<Transport, Loss> {
    let Some([icmp_type, icmp_code]) = bytes.load(offset) else {
        return Err(Loss::TruncatedTransport);
    };
    Ok(Transport {
        icmp_type,
        icmp_code,
        icmp_error: is_error(icmp_type),
        header,
        ..Transport::default()
    })
}

/// True if an ICMPv6 message is of the link itself; see [`Loss::LinkControl`].
#[inline(always)]
pub(super) fn is_link_control(protocol: u8, icmp_type: u8, hop_limit: u8) -> bool {
    protocol == ICMPV6
        && match icmp_type {
            133..=137 => hop_limit == 255,
            130..=132 | 143 => hop_limit == 1,
            _ => false,
        }
}

/// Destination unreachable, time exceeded, parameter problem (RFC 792).
#[inline(always)]
fn is_icmp_error(icmp_type: u8) -> bool {
    matches!(icmp_type, 3 | 11 | 12)
}

/// Destination unreachable, packet too big, time exceeded, parameter problem (RFC 4443).
#[inline(always)]
fn is_icmpv6_error(icmp_type: u8) -> bool {
    matches!(icmp_type, 1..=4)
}
