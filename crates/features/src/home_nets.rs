//! The home side that rows of captures were made for.

use std::fmt;
use std::str::FromStr;

use ipnet::IpNet;

/// Word for private addresses, which are home where nobody says which are.
const PRIVATE: &str = "private";

/// Prefixes whose addresses were local where rows were made of captures: as text `private`, or the
/// prefixes with commas between them.
///
/// What a remote is depends on them, and so does every row. Two networks have home sides of their own,
/// which have nothing in common. Two of one network that differ [contradict](Self::contradiction) each
/// other: who is local by one is a remote by the other.
///
/// ```
/// use weir_features::HomeNets;
///
/// let host: HomeNets = "192.0.2.1/32".parse()?;
/// let net: HomeNets = "192.0.2.0/24,2001:db8::/32".parse()?;
/// assert!(host.contradiction(&net).is_some() && host.contradiction(&host).is_none());
/// assert!(host.contradiction(&"198.51.100.1/32".parse()?).is_none());
/// # Ok::<(), ipnet::AddrParseError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct HomeNets {
    /// None of private addresses.
    nets: Vec<IpNet>,
}

impl HomeNets {
    /// Of these prefixes; without any, of private addresses.
    #[must_use]
    pub fn new(nets: impl IntoIterator<Item = IpNet>) -> Self {
        let mut nets: Vec<IpNet> = nets.into_iter().map(|net| net.trunc()).collect();
        nets.sort_unstable();
        nets.dedup();
        Self { nets }
    }

    /// A prefix of each that share addresses and are not the same, of one network therefore. Private
    /// ones never are: ever other networks use the same.
    #[must_use]
    pub fn contradiction(&self, other: &Self) -> Option<(IpNet, IpNet)> {
        let pairs = self.nets.iter().flat_map(|one| other.nets.iter().map(move |two| (*one, *two)));
        let differ = |&(one, two): &(IpNet, IpNet)| {
            one != two && (one.contains(&two) || two.contains(&one)) && !is_private(one)
        };
        let only_one = |net: &IpNet, of: &Self| !of.nets.contains(net);
        pairs.filter(differ).find(|(one, two)| only_one(one, other) || only_one(two, self))
    }
}

impl fmt::Display for HomeNets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.nets.is_empty() {
            return f.write_str(PRIVATE);
        }
        let nets: Vec<String> = self.nets.iter().map(ToString::to_string).collect();
        f.write_str(&nets.join(","))
    }
}

impl FromStr for HomeNets {
    type Err = ipnet::AddrParseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == PRIVATE {
            return Ok(Self::default());
        }
        Ok(Self::new(text.split(',').map(str::parse).collect::<Result<Vec<IpNet>, _>>()?))
    }
}

fn is_private(net: IpNet) -> bool {
    match net {
        IpNet::V4(net) => {
            let address = net.addr();
            address.is_private()
                || address.is_link_local()
                || address.is_loopback()
                || address.octets()[0] == 100 && address.octets()[1] & 0xc0 == 64
        }
        IpNet::V6(net) => {
            let address = net.addr();
            address.is_unique_local() || address.is_unicast_link_local() || address.is_loopback()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nets(text: &str) -> HomeNets {
        text.parse().expect("a home side")
    }

    #[test]
    fn only_two_sides_of_one_network_contradict_each_other() {
        let contradict = |one: &str, other: &str| nets(one).contradiction(&nets(other)).is_some();
        for (one, other) in [
            ("192.0.2.0/24", "192.0.2.7/32"),
            ("2001:db8::/32", "198.51.100.0/24,2001:db8:1::/48"),
            ("192.0.2.7/32,198.51.100.1/32", "192.0.2.0/24,198.51.100.1/32"),
        ] {
            assert!(contradict(one, other) && contradict(other, one), "{one} {other}");
        }
        for (one, other) in [
            ("192.0.2.0/24", "192.0.2.0/24"),
            ("192.0.2.1/32", "192.0.2.2/32"),
            ("private", "192.168.1.0/24"),
            ("10.0.0.0/8", "10.1.0.0/16"),
            ("fd00::/8", "fd00:1::/32"),
            ("0.0.0.0/0", "::/0"),
        ] {
            assert!(!contradict(one, other) && !contradict(other, one), "{one} {other}");
        }
    }

    #[test]
    fn they_read_back_as_they_are_written() {
        for text in ["private", "192.0.2.0/24", "192.0.2.0/24,2001:db8::/32"] {
            assert_eq!(nets(text).to_string(), text);
        }
        assert_eq!(nets("2001:db8::1/32,192.0.2.0/24").to_string(), "192.0.2.0/24,2001:db8::/32");
        assert!("home".parse::<HomeNets>().is_err());
    }
}
