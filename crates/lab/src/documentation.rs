//! The addresses a lab may use.

use std::net::IpAddr;

/// True for an address of a documentation range (RFC 5737, RFC 3849): the only unicast
/// addresses, apart from link-local ones, that a lab's frames carry.
#[must_use]
pub fn is_documentation(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_documentation(),
        IpAddr::V6(v6) => v6.segments()[..2] == [0x2001, 0xdb8],
    }
}
