//! What a block is about: an address or a prefix.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use thiserror::Error;

/// An address, or a prefix with no bits set beyond its length.
///
/// Written as `203.0.113.7` or `203.0.113.0/24`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Target {
    address: IpAddr,
    bits: u8,
}

impl Target {
    /// One address. An IPv4 address in IPv6's clothes is taken as IPv4.
    #[must_use]
    pub fn address(address: IpAddr) -> Self {
        let address = address.to_canonical();
        Self { address, bits: width(address) }
    }

    /// A prefix of `bits` bits; bits of `first` beyond them are cleared.
    ///
    /// # Errors
    /// More bits than an address has.
    pub fn prefix(first: IpAddr, bits: u8) -> Result<Self, TargetError> {
        let width = width(first);
        if bits > width {
            return Err(TargetError::Bits { bits, width });
        }
        let address = match first {
            IpAddr::V4(v4) => {
                let mask = u32::MAX.checked_shl(u32::from(width - bits)).unwrap_or(0);
                IpAddr::V4(Ipv4Addr::from_bits(v4.to_bits() & mask))
            }
            IpAddr::V6(v6) => {
                let mask = u128::MAX.checked_shl(u32::from(width - bits)).unwrap_or(0);
                IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & mask))
            }
        };
        Ok(Self { address, bits })
    }

    /// The first address.
    #[must_use]
    pub const fn first(self) -> IpAddr {
        self.address
    }

    /// Bits that all its addresses share: 32 or 128 for one address.
    #[must_use]
    pub const fn bits(self) -> u8 {
        self.bits
    }
}

const fn width(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(_) => 32,
        IpAddr::V6(_) => 128,
    }
}

impl From<IpAddr> for Target {
    fn from(address: IpAddr) -> Self {
        Self::address(address)
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.bits == width(self.address) {
            write!(f, "{}", self.address)
        } else {
            write!(f, "{}/{}", self.address, self.bits)
        }
    }
}

/// A text that is no target.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TargetError {
    /// Neither address nor prefix.
    #[error("`{0}` is neither an address nor a prefix like 203.0.113.0/24")]
    Text(String),
    /// More bits than the address has.
    #[error("a prefix of this address has at most {width} bits, got {bits}")]
    Bits {
        /// What was asked for.
        bits: u8,
        /// What there are.
        width: u8,
    },
}

impl FromStr for Target {
    type Err = TargetError;

    fn from_str(text: &str) -> Result<Self, TargetError> {
        let unclear = || TargetError::Text(text.to_owned());
        match text.split_once('/') {
            None => text.parse().map(Self::address).map_err(|_| unclear()),
            Some((first, bits)) => Self::prefix(
                first.parse().map_err(|_| unclear())?,
                bits.parse().map_err(|_| unclear())?,
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_reads_as_it_was_written() {
        for (text, expected) in [
            ("203.0.113.7", "203.0.113.7"),
            ("203.0.113.7/32", "203.0.113.7"),
            ("203.0.113.7/24", "203.0.113.0/24"),
            ("198.51.100.1/0", "0.0.0.0/0"),
            ("2001:db8::1", "2001:db8::1"),
            ("2001:db8:1::1/33", "2001:db8::/33"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
        ] {
            let target: Target = text.parse().expect(text);
            assert_eq!(target.to_string(), expected);
            assert_eq!(target.to_string().parse(), Ok(target));
        }
        for text in ["", "203.0.113", "203.0.113.0/33", "2001:db8::/129", "203.0.113.0/", "a/8"] {
            assert!(text.parse::<Target>().is_err(), "{text}");
        }
    }
}
