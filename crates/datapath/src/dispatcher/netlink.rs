//! An XDP program set on an interface by rtnetlink(7): unlike that of a link, others may replace it.

use std::{
    io,
    os::fd::{AsRawFd as _, BorrowedFd},
};

use aya::programs::XdpMode;

use crate::netns::route_socket;

const RTM_SETLINK: u16 = 19;
/// `NLM_F_REQUEST | NLM_F_ACK`.
const REQUEST_ACK: u16 = 0x5;
const NLMSG_ERROR: u16 = 2;
/// Bytes of `struct nlmsghdr`, and with `struct ifinfomsg`.
const HEADER: usize = 16;
const HEADERS: usize = 32;
/// `IFLA_XDP`, with `NLA_F_NESTED`.
const XDP: u16 = IFLA_XDP | 1 << 15;
const IFLA_XDP: u16 = 43;
const XDP_FD: u16 = 1;
const XDP_FLAGS: u16 = 3;
const XDP_EXPECTED_FD: u16 = 8;
const IF_NOEXIST: u32 = 1;
const SKB_MODE: u32 = 2;
const DRV_MODE: u32 = 4;
const REPLACE: u32 = 16;

/// Sets the program of an interface, or none, in the place of the expected one, or of none.
///
/// # Errors
/// `EEXIST` where another one is there; `EBUSY` where a link holds the hook.
pub(super) fn set_xdp(
    ifindex: u32,
    program: Option<BorrowedFd<'_>>,
    expected: Option<BorrowedFd<'_>>,
    mode: XdpMode,
) -> io::Result<()> {
    let number =
        |program: Option<BorrowedFd<'_>>| program.map_or(-1, |program| program.as_raw_fd());
    let mode = if mode == XdpMode::Skb { SKB_MODE } else { DRV_MODE };
    let how = if expected.is_some() { REPLACE } else { IF_NOEXIST };
    let mut words = vec![(XDP_FD, number(program).cast_unsigned()), (XDP_FLAGS, mode | how)];
    if expected.is_some() {
        words.push((XDP_EXPECTED_FD, number(expected).cast_unsigned()));
    }
    let nested: Vec<u8> = words
        .iter()
        .flat_map(|(kind, word)| [attribute(4, *kind), word.to_ne_bytes()].concat())
        .collect();
    let mut request = vec![0_u8; HEADERS];
    request.extend(attribute(nested.len(), XDP));
    request.extend(nested);
    let length = u32::try_from(request.len()).unwrap_or(u32::MAX);
    request[..4].copy_from_slice(&length.to_ne_bytes());
    request[4..6].copy_from_slice(&RTM_SETLINK.to_ne_bytes());
    request[6..8].copy_from_slice(&REQUEST_ACK.to_ne_bytes());
    request[HEADER + 4..HEADER + 8].copy_from_slice(&ifindex.to_ne_bytes());
    answered(&exchange(&request)?)
}

/// The header of an attribute with so many bytes.
fn attribute(bytes: usize, kind: u16) -> [u8; 4] {
    let [low, high] = u16::try_from(4 + bytes).unwrap_or(u16::MAX).to_ne_bytes();
    let [first, second] = kind.to_ne_bytes();
    [low, high, first, second]
}

fn exchange(request: &[u8]) -> io::Result<Vec<u8>> {
    let socket = route_socket()?;
    // SAFETY: the request is ours and as long as said.
    let sent = unsafe { libc::send(socket.as_raw_fd(), request.as_ptr().cast(), request.len(), 0) };
    if sent < 0 {
        return Err(io::Error::last_os_error());
    }
    let mut answer = vec![0_u8; 4 << 10];
    // SAFETY: the buffer is ours and as long as said.
    let read =
        unsafe { libc::recv(socket.as_raw_fd(), answer.as_mut_ptr().cast(), answer.len(), 0) };
    let read = usize::try_from(read).map_err(|_| io::Error::last_os_error())?;
    answer.truncate(read);
    Ok(answer)
}

/// The kernel's answer: an error, or that there is none.
fn answered(answer: &[u8]) -> io::Result<()> {
    let is_answer = answer.get(4..6).is_some_and(|kind| kind == NLMSG_ERROR.to_ne_bytes());
    let code = answer.get(HEADER..HEADER + 4).filter(|_| is_answer);
    match code.and_then(|code| code.try_into().ok()).map(i32::from_ne_bytes) {
        Some(0) => Ok(()),
        Some(code) => Err(io::Error::from_raw_os_error(-code)),
        None => Err(io::Error::from(io::ErrorKind::InvalidData)),
    }
}
