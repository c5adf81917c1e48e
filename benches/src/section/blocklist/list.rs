//! Entries of the lists, and senders.

use std::{fmt::Write as _, net::Ipv4Addr};

use ipnet::{IpNet, Ipv4Net};

use crate::wire::frame;

/// Sources that are on each list, and as many that are on none: more than one, so that a look-up
/// is not the same one over and over.
const SENDERS: u8 = 200;
/// Bits of a listed prefix.
const PREFIX: u8 = 28;

/// A source that is on no list.
fn stranger(number: u8) -> Ipv4Addr {
    Ipv4Addr::new(198, 51, 100, 1 + number)
}

/// A source that is on each list.
fn listed(number: u8) -> Ipv4Addr {
    Ipv4Addr::new(203, 0, 113, 1 + number)
}

/// The frames of those that pass, and of those that are dropped.
pub(super) fn frames() -> [Vec<Vec<u8>>; 2] {
    [stranger, listed].map(|source| (0..SENDERS).map(|number| frame(source(number))).collect())
}

/// So many addresses: those of the senders, all over the list, and reserved ones (RFC 1112 §4),
/// which are nobody's, in no order.
pub(super) fn addresses(entries: u32) -> Vec<IpNet> {
    let others = (0..entries.saturating_sub(SENDERS.into())).map(|number| {
        Ipv4Addr::from(0xf000_0000 | (number.wrapping_mul(0x9e37_79b1) & 0x0fff_ffff))
    });
    let others: Vec<IpNet> = others.map(IpNet::from_address).collect();
    let senders = if entries == 0 { 0 } else { usize::from(SENDERS) };
    let apart = others.len().div_ceil(senders.max(1)).max(1);
    let mut senders = (0..SENDERS).take(senders).map(|number| IpNet::from_address(listed(number)));
    let mut list = Vec::with_capacity(entries as usize);
    for some in others.chunks(apart) {
        list.extend_from_slice(&some[..some.len() / 2]);
        list.extend(senders.next());
        list.extend_from_slice(&some[some.len() / 2..]);
    }
    list.extend(senders);
    list
}

/// So many prefixes, the one of the senders among them.
pub(super) fn prefixes(entries: u32) -> Vec<IpNet> {
    let mut list: Vec<IpNet> = (1..entries)
        .map(|number| 0xf000_0000 | ((number.wrapping_mul(0x9e37_79b1) & 0x00ff_ffff) << 4))
        .filter_map(|bits| Ipv4Net::new(bits.into(), PREFIX).ok().map(IpNet::V4))
        .collect();
    let senders = Ipv4Net::new_assert(Ipv4Addr::new(203, 0, 113, 0), 24);
    list.insert(list.len() / 2, senders.into());
    list
}

/// Address that is on no list yet.
pub(super) fn one_more(number: u8) -> IpNet {
    IpNet::from_address(Ipv4Addr::new(192, 0, 2, 100 + number))
}

/// The list as text, one a line.
pub(super) fn text(list: &[IpNet]) -> String {
    let mut text = String::with_capacity(list.len() * 16);
    for net in list {
        let _ = writeln!(text, "{}", short(*net));
    }
    text
}

/// An address without the length of its prefix.
pub(super) fn short(net: IpNet) -> String {
    if net.prefix_len() == net.max_prefix_len() { net.addr().to_string() } else { net.to_string() }
}

trait FromAddress {
    fn from_address(address: Ipv4Addr) -> Self;
}

impl FromAddress for IpNet {
    fn from_address(address: Ipv4Addr) -> Self {
        Self::from(std::net::IpAddr::from(address))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn a_list_is_as_long_as_asked_for_and_has_the_senders_all_over_it() {
        for entries in [0, 1_000, 10_000] {
            let list = addresses(entries);
            assert_eq!(list.len(), entries as usize);
            assert_eq!(list.iter().collect::<HashSet<_>>().len(), list.len());
            let senders: Vec<usize> = (0..list.len())
                .filter(|&place| list[place].to_string().starts_with("203."))
                .collect();
            assert_eq!(senders.len(), if entries == 0 { 0 } else { usize::from(SENDERS) });
            if let Some(first) = senders.first() {
                let middle = senders[senders.len() / 2];
                assert!(
                    *first < list.len() / 50 && middle.abs_diff(list.len() / 2) < list.len() / 10
                );
            }
        }
        assert_eq!(prefixes(1_000).len(), 1_000);
        assert_eq!(prefixes(10_000).iter().collect::<HashSet<_>>().len(), 10_000);
    }
}
