//! The one reader of protected hosts: own addresses, gateways, name servers, administrators, and
//! files of allowed prefixes.
//!
//! The first three are read in the calling thread's network namespace; administrators are those who
//! are logged in from elsewhere, by the system's own records. One that cannot be read is
//! logged and left out: weir then protects less, and says so.

use std::{
    collections::BTreeSet,
    fs, io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    path::{Path, PathBuf},
};

use address_list::{Format, LineError, Options, ReadError, Reader};
use anyhow::Context as _;
use futures_util::TryStreamExt as _;
use ipnet::IpNet;
use policy::ProtectedHosts;
use rtnetlink::{
    RouteMessageBuilder,
    packet_route::route::{RouteAddress, RouteAttribute, RouteMessage, RouteVia},
};

/// Where name servers stand: glibc's, and those behind systemd-resolved's stub.
const RESOLVER_FILES: [&str; 2] = ["/etc/resolv.conf", "/run/systemd/resolve/resolv.conf"];

use crate::sessions::remote_log_ins;

/// Why a file of allowed prefixes cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum AllowFileError {
    /// It cannot be opened.
    #[error("allow file `{path}`: {source}; mend it or take it out of `policy.allow_files`")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// It cannot be read to its end.
    #[error("allow file `{path}`, {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Where, and what the system said.
        source: ReadError,
    },
    /// A line is neither a prefix nor empty.
    #[error("allow file `{path}`, line {line}: {source}")]
    Line {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: u64,
        /// The fault.
        source: LineError,
    },
}

/// Reads the hosts that must not be blocked as they are now; the allowlist is empty.
#[must_use]
pub fn read_hosts() -> ProtectedHosts {
    ProtectedHosts {
        own: told("own addresses", own_addresses()).into_iter().collect(),
        gateways: told("gateways", gateways()),
        resolvers: told("name servers", resolvers(RESOLVER_FILES.map(Path::new))),
        administrators: told("administrators", remote_log_ins().map_err(Into::into)),
        ..ProtectedHosts::default()
    }
}

/// Reads files of allowed prefixes: one address or prefix a line, `#` or `;` begins a remark. All
/// of them hold or none does: half an allowlist protects half of what it should.
///
/// # Errors
/// The first file that cannot be read, or the first line that is no prefix.
pub fn read_allow_files(files: &[PathBuf]) -> Result<Vec<IpNet>, AllowFileError> {
    let mut prefixes = Vec::new();
    for path in files {
        let path = path.clone();
        let file = match fs::File::open(&path) {
            Ok(file) => file,
            Err(source) => return Err(AllowFileError::Unreadable { path, source }),
        };
        let options = Options { format: Format::Text, column: None };
        let mut reader = Reader::new(io::BufReader::new(file), options);
        loop {
            match reader.next_line() {
                Ok(None) => break,
                Ok(Some(line)) => match line.entry {
                    Ok(entry) => prefixes.push(entry.net),
                    Err(source) => {
                        return Err(AllowFileError::Line { path, line: line.number, source });
                    }
                },
                Err(source) => return Err(AllowFileError::Read { path, source }),
            }
        }
    }
    Ok(prefixes)
}

/// The addresses of the calling thread's network namespace.
///
/// # Errors
/// The system does not tell them.
pub fn own_addresses() -> anyhow::Result<Vec<IpAddr>> {
    let addresses = nix::ifaddrs::getifaddrs()
        .map_err(|error| anyhow::anyhow!("cannot list this host's own addresses: {error}"))?;
    Ok(addresses
        .filter_map(|interface| {
            let address = interface.address?;
            let v4 = address.as_sockaddr_in().map(|address| IpAddr::V4(address.ip()));
            let v6 = || address.as_sockaddr_in6().map(|address| IpAddr::V6(address.ip()));
            v4.or_else(v6).map(|address| address.to_canonical())
        })
        .collect())
}

/// The hosts found; on an error none, and a warning is logged.
fn told<T: Default>(what: &str, found: anyhow::Result<T>) -> T {
    found.unwrap_or_else(|error| {
        tracing::warn!("{what} of this host are not known and not protected: {error:#}");
        T::default()
    })
}

/// The next hops of all routes.
fn gateways() -> anyhow::Result<BTreeSet<IpAddr>> {
    Ok(routes()?.iter().flat_map(next_hops).collect())
}

/// An interface that a default route goes through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Uplink {
    /// Its name.
    pub interface: String,
    /// The next hop; none on a link without one.
    pub gateway: Option<IpAddr>,
}

/// The interfaces of the default routes in the calling thread's network namespace, those of IPv4
/// first, the least metric first.
///
/// # Errors
/// The system does not tell its routes.
pub fn uplinks() -> anyhow::Result<Vec<Uplink>> {
    let mut found: Vec<(u32, Uplink)> = Vec::new();
    for route in routes()?.iter().filter(|route| route.header.destination_prefix_length == 0) {
        let attribute =
            |of: fn(&RouteAttribute) -> Option<u32>| route.attributes.iter().find_map(of);
        let index =
            attribute(|one| if let RouteAttribute::Oif(index) = one { Some(*index) } else { None });
        let Some(name) = index.and_then(|index| nix::net::if_::if_indextoname(index).ok()) else {
            continue;
        };
        let metric = attribute(|one| {
            if let RouteAttribute::Priority(metric) = one { Some(*metric) } else { None }
        });
        let interface = name.to_string_lossy().into_owned();
        if !found.iter().any(|(_, one)| one.interface == interface) {
            let gateway = next_hops(route).first().copied();
            found.push((metric.unwrap_or(0), Uplink { interface, gateway }));
        }
    }
    found.sort_by_key(|(metric, one)| (one.gateway.is_some_and(|hop| hop.is_ipv6()), *metric));
    Ok(found.into_iter().map(|(_, one)| one).collect())
}

/// All routes, over rtnetlink.
fn routes() -> anyhow::Result<Vec<RouteMessage>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let (connection, netlink, _) =
            rtnetlink::new_connection().context("cannot open a netlink socket")?;
        // The connection ends with the runtime.
        tokio::spawn(connection);
        let mut found = Vec::new();
        let (v4, v6) = (
            RouteMessageBuilder::<Ipv4Addr>::new().build(),
            RouteMessageBuilder::<Ipv6Addr>::new().build(),
        );
        for family in [v4, v6] {
            let mut routes = netlink.route().get(family).execute();
            while let Some(route) = routes.try_next().await.context("cannot list the routes")? {
                found.push(route);
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
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_allow_file_has_a_prefix_a_line_and_remarks() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), "# ours\n192.0.2.1\n\n2001:db8::/32 # the lab\n").unwrap();
        let expect: Vec<IpNet> =
            vec!["192.0.2.1/32".parse().unwrap(), "2001:db8::/32".parse().unwrap()];
        assert_eq!(read_allow_files(&[file.path().to_owned()]).unwrap(), expect);
    }

    #[test]
    fn a_line_that_is_no_prefix_is_named_and_nothing_of_the_allow_file_holds() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let error = |text: &str| {
            fs::write(file.path(), text).unwrap();
            read_allow_files(&[file.path().to_owned()]).unwrap_err().to_string()
        };
        let said = error("192.0.2.1\n192.0.2.300\n");
        assert!(said.contains("line 2: `192.0.2.300`"), "{said}");
        let said = error("192.0.2.1/24\n");
        assert!(said.contains("line 1") && said.contains("host bits"), "{said}");
        let said = read_allow_files(&["/nowhere/allow".into()]).unwrap_err().to_string();
        assert!(said.contains("`/nowhere/allow`") && said.contains("allow_files"), "{said}");
    }

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
}
