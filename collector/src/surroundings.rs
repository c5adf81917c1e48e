//! What surrounds the host and must stay reachable: gateways, name servers, whoever administers it.
//!
//! All of it is read in the calling thread's network namespace. What cannot be read is told and
//! left out: weir then protects less, and says so.

use std::{
    collections::BTreeSet,
    fs,
    io::BufReader,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    path::Path,
};

use anyhow::Context as _;
use futures_util::TryStreamExt as _;
use procfs_core::{
    ExplicitSystemInfo, FromBufReadSI as _,
    net::{TcpNetEntries, TcpState},
};
use rtnetlink::{
    RouteMessageBuilder,
    packet_route::route::{RouteAddress, RouteAttribute, RouteMessage, RouteVia},
};

/// Where name servers stand: glibc's, and those behind systemd-resolved's stub.
const RESOLVER_FILES: [&str; 2] = ["/etc/resolv.conf", "/run/systemd/resolve/resolv.conf"];
/// TCP tables of the calling thread's network namespace.
const TCP_TABLES: [&str; 2] = ["/proc/thread-self/net/tcp", "/proc/thread-self/net/tcp6"];
/// Connections looked at in one table: a host with more of them is no place to wait in.
const CONNECTIONS_LIMIT: u64 = 4 << 20;

/// What must stay reachable.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Surroundings {
    /// The host's own addresses.
    pub own: BTreeSet<IpAddr>,
    /// Next hops of its routes.
    pub gateways: BTreeSet<IpAddr>,
    /// Its name servers.
    pub resolvers: BTreeSet<IpAddr>,
    /// Remotes with an established connection to an administration port.
    pub administrators: BTreeSet<IpAddr>,
}

impl Surroundings {
    /// Looks around; `admin_ports` are the local TCP ports that people administer the host by.
    #[must_use]
    pub fn read(admin_ports: &[u16]) -> Self {
        Self {
            own: told("own addresses", crate::live::own_addresses())
                .into_iter()
                .map(|address| address.to_canonical())
                .collect(),
            gateways: told("gateways", gateways()),
            resolvers: told("name servers", resolvers(RESOLVER_FILES.map(Path::new))),
            administrators: told("administrators", administrators(admin_ports)),
        }
    }
}

/// What was found, or nothing and a word about why.
fn told<T: Default>(what: &str, found: anyhow::Result<T>) -> T {
    found.unwrap_or_else(|error| {
        tracing::warn!("{what} of this host are not known and not protected: {error:#}");
        T::default()
    })
}

/// The next hops of all routes, over rtnetlink.
fn gateways() -> anyhow::Result<BTreeSet<IpAddr>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let (connection, netlink, _) =
            rtnetlink::new_connection().context("cannot open a netlink socket")?;
        // The connection ends with the runtime.
        tokio::spawn(connection);
        let mut found = BTreeSet::new();
        let (v4, v6) = (
            RouteMessageBuilder::<Ipv4Addr>::new().build(),
            RouteMessageBuilder::<Ipv6Addr>::new().build(),
        );
        for family in [v4, v6] {
            let mut routes = netlink.route().get(family).execute();
            while let Some(route) = routes.try_next().await.context("cannot list the routes")? {
                found.extend(next_hops(&route));
            }
        }
        Ok(found)
    })
}

fn next_hops(route: &RouteMessage) -> Vec<IpAddr> {
    let mut found = Vec::new();
    for attribute in &route.attributes {
        found.extend(next_hop(attribute));
        if let RouteAttribute::MultiPath(hops) = attribute {
            found.extend(hops.iter().flat_map(|hop| hop.attributes.iter().filter_map(next_hop)));
        }
    }
    found
}

fn next_hop(attribute: &RouteAttribute) -> Option<IpAddr> {
    match attribute {
        RouteAttribute::Gateway(RouteAddress::Inet(v4))
        | RouteAttribute::Via(RouteVia::Inet(v4)) => Some((*v4).into()),
        RouteAttribute::Gateway(RouteAddress::Inet6(v6))
        | RouteAttribute::Via(RouteVia::Inet6(v6)) => Some((*v6).into()),
        _ => None,
    }
}

/// The name servers in these files; one that is not there has none.
fn resolvers<'a>(files: impl IntoIterator<Item = &'a Path>) -> anyhow::Result<BTreeSet<IpAddr>> {
    let mut found = BTreeSet::new();
    for path in files {
        match fs::read_to_string(path) {
            Ok(text) => found.extend(text.lines().filter_map(name_server)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => {
                return Err(error).with_context(|| format!("cannot read `{}`", path.display()));
            }
        }
    }
    Ok(found)
}

/// The address of a `nameserver` line (resolv.conf(5)), its scope left off.
fn name_server(line: &str) -> Option<IpAddr> {
    let mut words = line.split_whitespace();
    (words.next() == Some("nameserver")).then_some(())?;
    words.next()?.split('%').next()?.parse::<IpAddr>().ok().map(|address| address.to_canonical())
}

/// The remotes of established connections to these local ports.
fn administrators(ports: &[u16]) -> anyhow::Result<BTreeSet<IpAddr>> {
    let mut found = BTreeSet::new();
    if ports.is_empty() {
        return Ok(found);
    }
    for path in TCP_TABLES {
        let file = match fs::File::open(path) {
            Ok(file) => file,
            // A kernel without IPv6.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error).with_context(|| format!("cannot read `{path}`")),
        };
        let lines = BufReader::new(std::io::Read::take(file, CONNECTIONS_LIMIT * 150));
        let connections = TcpNetEntries::from_buf_read(lines, &system())
            .with_context(|| format!("cannot read `{path}`"))?;
        found.extend(
            connections
                .0
                .iter()
                .filter(|one| one.state == TcpState::Established)
                .filter(|one| ports.contains(&one.local_address.port()))
                .map(|one| one.remote_address.ip().to_canonical()),
        );
    }
    Ok(found)
}

/// What the TCP tables' form depends on; of it only the order of bytes.
const fn system() -> ExplicitSystemInfo {
    ExplicitSystemInfo {
        boot_time_secs: 0,
        ticks_per_second: 100,
        page_size: 4_096,
        is_little_endian: cfg!(target_endian = "little"),
    }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn a_name_server_is_known_whatever_stands_around_it() {
        for (line, expect) in [
            ("nameserver 192.0.2.53", Some("192.0.2.53")),
            ("nameserver\t2001:db8::53%eth0 # ours", Some("2001:db8::53")),
            ("# nameserver 192.0.2.53", None),
            ("nameserver", None),
            ("options ndots:2", None),
        ] {
            assert_eq!(name_server(line), expect.map(|text| text.parse().unwrap()), "{line}");
        }
    }

    #[test]
    fn a_file_that_is_not_there_names_no_server() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(resolvers([folder.path().join("none").as_path()]).unwrap(), BTreeSet::new());
    }

    #[test]
    fn who_is_connected_to_an_administration_port_administers() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let _client = TcpStream::connect(("127.0.0.1", port)).unwrap();
        let _served = listener.accept().unwrap();
        let local = BTreeSet::from([IpAddr::from([127, 0, 0, 1])]);
        assert_eq!(administrators(&[port]).unwrap(), local);
        assert_eq!(administrators(&[]).unwrap(), BTreeSet::new());
    }
}
