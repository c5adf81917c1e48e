//! Addresses and prefixes as people write them.

use std::net::{IpAddr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use crate::{LineError, error::shown};

/// Bits that stand before an IPv4 address in its IPv6 clothes, `::ffff:0:0/96`.
pub const MAPPED_V4: u8 = 96;
/// All of IPv4 in its IPv6 clothes.
const ALL_OF_V4: Ipv6Net =
    Ipv6Net::new_assert(Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, 0, 0), MAPPED_V4);
/// The shortest IPv4 prefix that may be blocked: beyond it lie whole registries.
const WIDEST_V4: u8 = 8;
/// The shortest IPv6 prefix that may be blocked: the largest allocation to one network.
const WIDEST_V6: u8 = 19;

/// A prefix that is too wide to be blocked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WidthError {
    /// All of IPv4 lies in it.
    #[error("`{0}` is too wide to block: all of IPv4 lies in it; block parts of it")]
    AllOfV4(IpNet),
    /// Its length is below the family's bound.
    #[error("`{net}` is too wide to block: /{widest} at the most; block parts of it")]
    Registry {
        /// The prefix.
        net: IpNet,
        /// The shortest length that may be blocked.
        widest: u8,
    },
}

/// Checks that a prefix is narrow enough to be blocked.
///
/// # Errors
/// A prefix shorter than /8 of IPv4 or /19 of IPv6, or one that holds all of IPv4.
pub fn check_width(net: IpNet) -> Result<(), WidthError> {
    let net = unmapped(net);
    if let IpNet::V6(v6) = net
        && v6.contains(&ALL_OF_V4)
    {
        return Err(WidthError::AllOfV4(net));
    }
    let widest = match net {
        IpNet::V4(_) => WIDEST_V4,
        IpNet::V6(_) => WIDEST_V6,
    };
    if net.prefix_len() < widest { Err(WidthError::Registry { net, widest }) } else { Ok(()) }
}

/// Reads an address, which becomes the prefix of that one address, or a prefix.
///
/// An IPv4 address or prefix in IPv6 clothes (`::ffff:192.0.2.1`) is the IPv4 one.
pub fn parse_net(text: &str) -> Result<IpNet, LineError> {
    let Some((address, length)) = text.split_once('/') else {
        return match text.parse::<IpAddr>() {
            Ok(address) => Ok(IpNet::from(address.to_canonical())),
            Err(_) => Err(no_address(text)),
        };
    };
    let address: IpAddr = address.parse().map_err(|_| no_address(text))?;
    let max = if address.is_ipv4() { 32 } else { 128 };
    if length.parse::<IpAddr>().is_ok() {
        return Err(LineError::Mask(shown(text)));
    }
    if length.is_empty() || !length.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(LineError::NotAnAddress(shown(text)));
    }
    // Digits that do not fit are above it as well.
    let net = length.parse().ok().and_then(|length| IpNet::new(address, length).ok());
    let net = net.ok_or_else(|| LineError::Length { text: shown(text), max })?;
    if net.trunc() != net {
        let (address, prefix) = (address.to_canonical(), unmapped(net.trunc()));
        return Err(LineError::HostBits { text: shown(text), address, prefix });
    }
    Ok(unmapped(net))
}

/// A prefix of IPv4 in IPv6 clothes as the IPv4 prefix that it is; any other as it is.
#[must_use]
pub fn unmapped(net: IpNet) -> IpNet {
    let IpNet::V6(v6) = net else { return net };
    match (v6.addr().to_ipv4_mapped(), v6.prefix_len().checked_sub(MAPPED_V4)) {
        (Some(v4), Some(length)) => Ipv4Net::new(v4, length).map_or(net, IpNet::V4),
        _ => net,
    }
}

fn no_address(text: &str) -> LineError {
    let is_address = |end: &str| end.trim().parse::<IpAddr>().is_ok();
    match text.split_once('-') {
        Some((first, last)) if is_address(first) && is_address(last) => {
            LineError::Range(shown(text))
        }
        _ => LineError::NotAnAddress(shown(text)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> String {
        match parse_net(text) {
            Ok(net) => net.to_string(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn an_address_is_the_prefix_of_that_one_address() {
        assert_eq!(read("192.0.2.1"), "192.0.2.1/32");
        assert_eq!(read("192.0.2.1/32"), "192.0.2.1/32");
        assert_eq!(read("2001:db8::1/128"), "2001:db8::1/128");
        assert_eq!(read("192.0.2.0/24"), "192.0.2.0/24");
    }

    #[test]
    fn a_prefix_with_host_bits_is_an_error_with_both_readings() {
        assert_eq!(
            read("192.0.2.1/24"),
            "`192.0.2.1/24` has host bits set: write 192.0.2.1 for the address or 192.0.2.0/24 \
             for the prefix"
        );
        assert!(
            read("2001:db8::1/32")
                .ends_with("2001:db8::1 for the address or 2001:db8::/32 for the prefix")
        );
        assert!(read("::ffff:192.0.2.1/120").contains("192.0.2.1 for the address or 192.0.2.0/24"));
    }

    #[test]
    fn ipv4_in_ipv6_clothes_is_ipv4() {
        assert_eq!(read("::ffff:192.0.2.1"), "192.0.2.1/32");
        assert_eq!(read("::ffff:192.0.2.0/120"), "192.0.2.0/24");
        assert_eq!(read("::ffff:0:0/96"), "0.0.0.0/0");
        assert_eq!(read("::/80"), "::/80");
    }

    #[test]
    fn a_prefix_as_wide_as_a_registry_is_refused() {
        let check = |text| check_width(parse_net(text).unwrap());
        for text in ["192.0.0.0/7", "0.0.0.0/0", "2001::/18", "::/0"] {
            let error = check(text).unwrap_err().to_string();
            assert!(error.contains("too wide") && error.contains(text), "{error}");
        }
        // All of IPv4, however it is written.
        assert!(check("::ffff:0:0/96").is_err());
        for text in ["::/64", "::fffe:0:0/95"] {
            let error = check(text).unwrap_err().to_string();
            assert!(error.contains("all of IPv4"), "{error}");
        }
        for text in ["192.0.0.0/8", "2001:2000::/19", "192.0.2.1"] {
            assert_eq!(check(text), Ok(()), "{text}");
        }
    }

    #[test]
    fn what_is_no_prefix_says_what_it_looks_like() {
        for (text, word) in [
            ("192.0.2.1-192.0.2.9", "is a range"),
            ("192.0.2.0/255.255.255.0", "has a mask"),
            ("192.0.2.0/33", "above 32"),
            ("2001:db8::/129", "above 128"),
            ("192.0.2.0/99999999999", "above 32"),
            ("192.0.2.0/+24", "neither an address"),
            ("192.0.2.0/", "neither an address"),
            ("192.0.2.01", "neither an address"),
            ("192.0.2", "neither an address"),
            ("fe80::1%eth0", "neither an address"),
            ("example.org", "neither an address"),
            ("", "neither an address"),
        ] {
            assert!(read(text).contains(word), "{text}: {}", read(text));
        }
    }
}
