//! Network settings of the namespace the calling thread is in.

use std::{fs, io};

use crate::LabError;

/// For interfaces made later: addresses work at once, and nothing is asked of a router.
pub(crate) const QUIET: &[(&str, &str)] = &[
    ("ipv6/conf/default/accept_dad", "0"),
    ("ipv6/conf/default/dad_transmits", "0"),
    ("ipv6/conf/default/accept_ra", "0"),
    ("ipv6/conf/default/router_solicitations", "0"),
    ("ipv6/conf/default/disable_ipv6", "0"),
    ("ipv6/conf/all/disable_ipv6", "0"),
    ("ipv4/conf/all/rp_filter", "0"),
    ("ipv4/conf/default/rp_filter", "0"),
    ("ipv4/ip_forward", "0"),
    ("ipv6/conf/all/forwarding", "0"),
];

/// For the protected host: a half-open connection is given up after 3 s, so that the SYN-ACKs
/// owed to a spoofed flood end with the flood; SYN cookies keep its listeners reachable; and an
/// address is answered for on its own interface only.
pub(crate) const HOST: &[(&str, &str)] = &[
    ("ipv4/tcp_synack_retries", "1"),
    ("ipv4/tcp_syncookies", "1"),
    ("core/somaxconn", "4096"),
    ("ipv4/tcp_max_syn_backlog", "4096"),
    ("ipv4/conf/all/arp_ignore", "1"),
    ("ipv4/conf/all/arp_announce", "2"),
    // Ports chosen by the kernel stay clear of the lab's own servers.
    ("ipv4/ip_local_port_range", "32768 60999"),
];

/// For the switch: it has no business with IP.
pub(crate) const SWITCH: &[(&str, &str)] = &[
    ("ipv6/conf/default/disable_ipv6", "1"),
    ("ipv6/conf/all/disable_ipv6", "1"),
    ("ipv4/ip_forward", "0"),
];

/// Writes settings, paths below `/proc/sys/net`, in the calling thread's namespace.
pub(crate) fn write(settings: &[(&str, &str)]) -> Result<(), LabError> {
    settings.iter().try_for_each(|(path, value)| {
        let path = format!("/proc/sys/net/{path}");
        fs::write(&path, value).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound if path.contains("/ipv6/") => {
                LabError::KernelLacks { what: "IPv6 (CONFIG_IPV6)", module: "ipv6" }
            }
            _ => LabError::system(format!("write {value} to {path}"), error),
        })
    })
}
