//! Whom this host cannot do without: its gateways and its resolvers.

use std::{
    fs,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

/// `RTF_GATEWAY` of `linux/route.h`.
const GATEWAY: u32 = 2;

/// The gateways of the routes in the calling thread's network namespace.
pub(super) fn gateways() -> Vec<IpAddr> {
    // A kernel without one of the families has no such file, and no gateway.
    let read = |name| fs::read_to_string(format!("/proc/thread-self/net/{name}"));
    let v4 = read("route").unwrap_or_default();
    let v6 = read("ipv6_route").unwrap_or_default();
    v4.lines().filter_map(gateway_v4).chain(v6.lines().filter_map(gateway_v6)).collect()
}

/// The resolvers of `/etc/resolv.conf`.
pub(super) fn resolvers() -> Vec<IpAddr> {
    // Without the file the resolver is on this host itself.
    resolvers_in(&fs::read_to_string("/etc/resolv.conf").unwrap_or_default())
}

/// A line of `/proc/net/route`: interface, destination, gateway, flags, the addresses as the CPU
/// has them in memory.
fn gateway_v4(line: &str) -> Option<IpAddr> {
    let mut words = line.split_whitespace().skip(2);
    let gateway = u32::from_str_radix(words.next()?, 16).ok()?;
    let flags = u32::from_str_radix(words.next()?, 16).ok()?;
    (flags & GATEWAY != 0).then(|| Ipv4Addr::from(gateway.to_ne_bytes()).into())
}

/// A line of `/proc/net/ipv6_route`: destination, source (each with its length), next hop, metric,
/// two counts, flags, interface.
fn gateway_v6(line: &str) -> Option<IpAddr> {
    let mut words = line.split_whitespace().skip(4);
    let hop = u128::from_str_radix(words.next()?, 16).ok()?;
    let flags = u32::from_str_radix(words.nth(3)?, 16).ok()?;
    (flags & GATEWAY != 0).then(|| Ipv6Addr::from(hop).into())
}

fn resolvers_in(text: &str) -> Vec<IpAddr> {
    text.lines()
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            (words.next() == Some("nameserver")).then_some(())?;
            // A link-local one may name its interface.
            words.next()?.split('%').next()?.parse().ok()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gateways_are_read_as_the_kernel_lists_them() {
        let bytes = u32::from_ne_bytes([192, 0, 2, 126]);
        let of = |flags| gateway_v4(&format!("eth0\t00000000\t{bytes:08X}\t{flags}\t0\t0\t0\t0"));
        assert_eq!(of("0003"), Some(IpAddr::from([192, 0, 2, 126])));
        assert_eq!(of("0001"), None);
        assert_eq!(gateway_v4("Iface\tDestination\tGateway \tFlags"), None);
        let zero = "0".repeat(32);
        let hop = "20010db8000000000000000000000001";
        let of = |flags| {
            gateway_v6(&format!(
                "{zero} 00 {zero} 00 {hop} 00000400 00000001 00000000 {flags} eth0"
            ))
        };
        assert_eq!(of("00000003"), "2001:db8::1".parse().ok());
        assert_eq!(of("00000001"), None);
    }

    #[test]
    fn resolvers_are_read_without_their_interface() {
        let text = "# nameserver 192.0.2.9\nsearch example.org\nnameserver 192.0.2.1\nnameserver fe80::1%eth0\n";
        assert_eq!(resolvers_in(text), [IpAddr::from([192, 0, 2, 1]), "fe80::1".parse().unwrap()]);
    }
}
