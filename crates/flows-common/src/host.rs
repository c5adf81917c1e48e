//! Hosts of IPv6: networks that one host takes its addresses of, by an address that no host has.
//!
//! A host may take any address of its /64 (RFC 4291 §2.5.1), and some networks hand out a /56 or a /48 to
//! each. Such a network has the name of an address in it: of a /64 the one whose interface identifier
//! is zero (the subnet-router anycast address, RFC 4291 §2.6.1), of a wider one that of its first /64
//! with a reserved identifier (RFC 2526 §2) that tells the length.

use crate::unmap_v4;

/// Lengths of the networks that have names, from narrow to wide.
pub const LENGTHS: [u8; 3] = [64, 56, 48];

/// The first of the identifiers that are reserved for anycast addresses; the lowest seven bits number
/// them.
const RESERVED: u64 = 0xfdff_ffff_ffff_ff80;

/// The name of the network of such a length that holds an address of IPv6.
#[inline(always)]
#[must_use]
pub const fn name(address: [u8; 16], length: u8) -> [u8; 16] {
    let network =
        u128::from_be_bytes(address) >> 64 >> (64 - length as u32) << (64 - length as u32);
    let mark = if length == 64 { 0 } else { RESERVED | length as u64 };
    (network << 64 | mark as u128).to_be_bytes()
}

/// The length of the network that an address is the name of.
#[must_use]
pub fn length(address: &[u8; 16]) -> Option<u8> {
    let is_name = |length: &u8| name(*address, *length) == *address;
    let is_some = *address != [0; 16] && unmap_v4(address).is_none();
    LENGTHS.into_iter().filter(|_| is_some).find(is_name)
}

/// True of an address of IPv6 that no host has: its identifier is zero or reserved.
#[must_use]
pub const fn is_no_hosts(address: &[u8; 16]) -> bool {
    #[expect(clippy::cast_possible_truncation, reason = "the lower half")]
    let identifier = u128::from_be_bytes(*address) as u64;
    identifier == 0 || identifier >= RESERVED && identifier <= RESERVED | 0x7f
}

#[cfg(test)]
mod tests {
    use core::net::Ipv6Addr;

    use super::*;

    fn of(text: &str) -> [u8; 16] {
        text.parse::<Ipv6Addr>().unwrap().octets()
    }

    #[test]
    fn a_name_tells_its_network_and_is_nobodys_address() {
        let address = of("2001:db8:12:3456:a:b:c:d");
        for (length_of, expect) in [
            (64, "2001:db8:12:3456::"),
            (56, "2001:db8:12:3400:fdff:ffff:ffff:ffb8"),
            (48, "2001:db8:12:0:fdff:ffff:ffff:ffb0"),
        ] {
            let name = name(address, length_of);
            assert_eq!(name, of(expect));
            assert_eq!(length(&name), Some(length_of));
            assert!(is_no_hosts(&name));
        }
        for other in
            ["2001:db8:12:3456:fdff:ffff:ffff:ffb8", "2001:db8::1", "::", "::ffff:192.0.2.0"]
        {
            assert_eq!(length(&of(other)), None, "{other}");
        }
        assert!(!is_no_hosts(&address) && is_no_hosts(&of("2001:db8:12:3456:fdff:ffff:ffff:ffb8")));
    }
}
