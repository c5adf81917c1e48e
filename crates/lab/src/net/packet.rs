//! Packet sockets: what nix does not wrap of them.

use std::io;
use std::mem::{size_of, zeroed};
use std::os::fd::{AsRawFd, OwnedFd};

use nix::net::if_::if_nametoindex;

/// `linux/if_ether.h`: frames of every protocol, in both directions.
pub(crate) const EVERY_PROTOCOL: u16 = 0x0003;
/// `AF_PACKET` as it stands in an address.
const FAMILY: u16 = 17;
const _: () = assert!(libc::AF_PACKET == FAMILY as i32);
const _: () = assert!(libc::ETH_P_ALL == EVERY_PROTOCOL as i32);

/// Binds a packet socket to an interface of the calling thread's namespace and to a protocol,
/// in host order; 0 receives nothing.
pub(crate) fn bind(socket: &OwnedFd, interface: &str, protocol: u16) -> io::Result<()> {
    let index = if_nametoindex(interface)?;
    // SAFETY: `sockaddr_ll` is plain old data, for which all zeroes is a valid value.
    let mut address: libc::sockaddr_ll = unsafe { zeroed() };
    address.sll_family = FAMILY;
    address.sll_protocol = protocol.to_be();
    address.sll_ifindex = index.cast_signed();
    // SAFETY: `address` is a `sockaddr_ll` of the length that is passed, alive during the call.
    let result = unsafe {
        libc::bind(
            socket.as_raw_fd(),
            (&raw const address).cast(),
            length_of::<libc::sockaddr_ll>(),
        )
    };
    checked(result)
}

/// Asks for `PACKET_AUXDATA` beside each frame, which holds the tag the kernel took out of it.
pub(crate) fn ask_for_aside(socket: &OwnedFd) -> io::Result<()> {
    let on: libc::c_int = 1;
    // SAFETY: the option's value is an int of the length that is passed, alive in the call.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_PACKET,
            libc::PACKET_AUXDATA,
            (&raw const on).cast(),
            length_of::<libc::c_int>(),
        )
    };
    checked(result)
}

/// Frames the socket had no room for since this was last asked.
pub(crate) fn drops(socket: &OwnedFd) -> io::Result<u64> {
    // SAFETY: `tpacket_stats` is two integers, for which zeroes are valid.
    let mut stats: libc::tpacket_stats = unsafe { zeroed() };
    let mut length = length_of::<libc::tpacket_stats>();
    // SAFETY: the pointers are to a `tpacket_stats` and to its length, alive in the call.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_PACKET,
            libc::PACKET_STATISTICS,
            (&raw mut stats).cast(),
            &raw mut length,
        )
    };
    checked(result).map(|()| stats.tp_drops.into())
}

const fn length_of<T>() -> libc::socklen_t {
    assert!(size_of::<T>() < 1 << 16);
    #[expect(clippy::cast_possible_truncation, reason = "just checked to be small")]
    let length = size_of::<T>() as libc::socklen_t;
    length
}

fn checked(result: libc::c_int) -> io::Result<()> {
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
