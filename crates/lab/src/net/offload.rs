//! Switching an interface's offloads off, so that it carries frames as a wire would.

use std::io;
use std::os::fd::AsRawFd;

use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};

use crate::LabError;

/// `linux/ethtool.h`: `ETHTOOL_SRXCSUM`, `STXCSUM`, `SSG`, `STSO`, `SGSO`, `SGRO`, in the order
/// in which segmentation may still need its checksums.
const SWITCHES: [(&str, u32); 6] = [
    ("tcp segmentation offload", 0x1f),
    ("generic segmentation offload", 0x24),
    ("generic receive offload", 0x2c),
    ("scatter-gather", 0x19),
    ("transmit checksumming", 0x17),
    ("receive checksumming", 0x15),
];
/// `ETHTOOL_GFLAGS` and `ETHTOOL_SFLAGS`.
const GET_FLAGS: u32 = 0x25;
const SET_FLAGS: u32 = 0x26;
/// `ETH_FLAG_TXVLAN | ETH_FLAG_RXVLAN | ETH_FLAG_LRO`.
const TAGGING_FLAGS: u32 = 1 << 7 | 1 << 8 | 1 << 15;

/// `struct ethtool_value`.
#[repr(C)]
struct Value {
    command: u32,
    data: u32,
}

/// Switches checksum, segmentation, GRO and VLAN offloads of an interface off, in the calling
/// thread's namespace. With these off the kernel sends and receives frames of at most the MTU,
/// with their checksums, and with their 802.1Q tags in them; what stays on of rarer features
/// (tunnels, SCTP, 802.1ad tags) finds nothing to work on in a lab.
pub(crate) fn switch_off(interface: &str) -> Result<(), LabError> {
    let socket = socket(AddressFamily::Inet, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None)
        .map_err(|errno| LabError::system("open a socket for ethtool", errno))?;
    let failed =
        |what: &str, error| LabError::system(format!("switch {what} of {interface} off"), error);
    for (what, command) in SWITCHES {
        ethtool(&socket, interface, Value { command, data: 0 })
            .map_err(|error| failed(what, error))?;
    }
    let flags = ethtool(&socket, interface, Value { command: GET_FLAGS, data: 0 })
        .map_err(|error| failed("VLAN offload", error))?;
    ethtool(&socket, interface, Value { command: SET_FLAGS, data: flags & !TAGGING_FLAGS })
        .map_err(|error| failed("VLAN offload", error))?;
    Ok(())
}

fn ethtool(socket: &impl AsRawFd, interface: &str, mut value: Value) -> io::Result<u32> {
    // SAFETY: an `ifreq` is plain old data, for which all zeroes is a valid value.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    if interface.len() >= request.ifr_name.len() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    for (place, byte) in request.ifr_name.iter_mut().zip(interface.bytes()) {
        *place = byte.cast_signed();
    }
    request.ifr_ifru.ifru_data = (&raw mut value).cast();
    // SAFETY: the request names the interface with its terminating zero, and its data points to
    // a `struct ethtool_value` that outlives the call; the commands used read and write no more.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCETHTOOL, &raw mut request) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(value.data) }
}
