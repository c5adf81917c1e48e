//! Addresses that nobody acts from: multicast groups, broadcast, and the unspecified address.
//!
//! Such an address is no peer. A frame to one comes from its sender, whoever is local.

use crate::unmap_v4;

/// True for an address of a multicast group (RFC 5771, RFC 4291), the limited broadcast address
/// (RFC 919) and the unspecified address, in the 16-byte form.
#[must_use]
pub fn is_group(address: &[u8; 16]) -> bool {
    match unmap_v4(address) {
        Some(v4) => v4[0] >> 4 == 0xe || matches!(v4, [0, 0, 0, 0] | [255, 255, 255, 255]),
        None => address[0] == 0xff || *address == [0; 16],
    }
}

/// The broadcast address of an IPv4 network (RFC 919), in the 16-byte form; none of a network of
/// fewer than four addresses (RFC 3021) and of an IPv6 one.
#[must_use]
pub fn broadcast_of(address: &[u8; 16], prefix_length: u8) -> Option<[u8; 16]> {
    unmap_v4(address)?;
    let hosts = u32::MAX.checked_shr(prefix_length.into()).filter(|hosts| *hosts >= 3)?;
    Some((u128::from_be_bytes(*address) | u128::from(hosts)).to_be_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::map_v4;

    #[test]
    fn groups_broadcast_and_nobody_are_told_from_hosts() {
        for v4 in [[224, 0, 0, 251], [239, 1, 2, 3], [255; 4], [0; 4]] {
            assert!(is_group(&map_v4(v4)), "{v4:?}");
        }
        for v4 in [[223, 255, 255, 255], [240, 0, 0, 1], [192, 0, 2, 255], [0, 0, 0, 1]] {
            assert!(!is_group(&map_v4(v4)), "{v4:?}");
        }
        let mut v6 = [0; 16];
        assert!(is_group(&v6), "the unspecified address");
        v6[15] = 1;
        assert!(!is_group(&v6), "loopback");
        v6[0] = 0xff;
        assert!(is_group(&v6), "a group");
    }

    #[test]
    fn a_network_of_four_addresses_or_more_has_a_broadcast_address() {
        let host = map_v4([192, 0, 2, 130]);
        for (length, last) in [(24, Some(255)), (25, Some(255)), (30, Some(131)), (31, None)] {
            let expected = last.map(|last| map_v4([192, 0, 2, last]));
            assert_eq!(broadcast_of(&host, length), expected, "/{length}");
        }
        assert_eq!(broadcast_of(&host, 32), None);
        assert_eq!(broadcast_of(&[0x20; 16], 64), None);
    }
}
