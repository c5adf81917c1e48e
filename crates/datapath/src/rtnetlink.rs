//! What the kernel's routing messages (rtnetlink(7)) tell of an interface of this network namespace.

use std::{
    io,
    os::fd::{AsRawFd as _, OwnedFd},
};

use flows_common::{Direction, parse::LinkLayer};

use super::{
    error::KernelError,
    interfaces::InterfaceName,
    netns::{NLM_F_REQUEST, NLMSG_HEADER, ask_link, attributes, route_socket},
};

/// Header that the frames of an interface begin with.
///
/// # Errors
/// [`KernelError::LinkType`] where it is none that weir reads.
pub(super) fn link_layer(
    interface: &InterfaceName,
    ifindex: u32,
) -> Result<LinkLayer, KernelError> {
    let hardware =
        hardware_type(ifindex).map_err(KernelError::system("ask for the type of an interface"))?;
    LinkLayer::of_hardware(hardware).ok_or_else(|| KernelError::LinkType {
        interface: interface.to_string(),
        hardware,
        name: hardware_name(hardware),
    })
}

/// Kind of an interface's frames (`ARPHRD_*`).
pub(super) fn hardware_type(ifindex: u32) -> io::Result<u16> {
    let answer = ask_link(ifindex)?;
    // `ifi_type` of `struct ifinfomsg`.
    let hardware = answer.get(NLMSG_HEADER + 2..).and_then(|rest| rest.first_chunk().copied());
    Ok(hardware.map_or(0, u16::from_ne_bytes))
}

/// Frames of a hardware type that weir does not read (`ARPHRD_*` of `linux/if_arp.h`).
const fn hardware_name(hardware: u16) -> &'static str {
    match hardware {
        24 => "IEEE 1394",
        27 => "EUI-64",
        32 => "InfiniBand",
        280 => "CAN",
        290 => "MCTP",
        513 => "Cisco HDLC",
        518 => "HDLC",
        770 | 15 => "frame relay",
        774 => "FDDI",
        779 => "multicast routing register",
        784..=787 => "Fibre Channel",
        801..=803 => "802.11 monitor",
        804 | 805 => "802.15.4",
        820 | 821 => "Phonet",
        822 => "CAIF",
        824 => "Netlink monitor",
        825 => "6LoWPAN",
        826 => "vsock monitor",
        _ => "unknown",
    }
}

/// An interface's own counts since it is there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct LinkCounters {
    /// Packets received and sent.
    pub(super) packets: [u64; 2],
    /// Packets received that the stack had no room or no use for.
    pub(super) lost: u64,
}

/// An interface's own counts (`RTM_GETSTATS`, Linux 4.7).
pub(super) fn link_counters(ifindex: u32) -> io::Result<LinkCounters> {
    const RTM_NEWSTATS: u16 = 92;
    const RTM_GETSTATS: u16 = 94;
    /// Bytes of `struct if_stats_msg`.
    const STATS_HEADER: usize = 12;
    const IFLA_STATS_LINK_64: u16 = 1;
    let mut body = [0; STATS_HEADER];
    body[4..8].copy_from_slice(&ifindex.to_ne_bytes());
    body[8..].copy_from_slice(&(1_u32 << (IFLA_STATS_LINK_64 - 1)).to_ne_bytes());
    let answer = receive(&ask(RTM_GETSTATS, 0, &body)?)?;
    if answer.get(4..6).is_none_or(|kind| kind != RTM_NEWSTATS.to_ne_bytes()) {
        return Err(io::Error::from(io::ErrorKind::NotFound));
    }
    let message = answer.get(NLMSG_HEADER + STATS_HEADER..).unwrap_or_default();
    let stats = attributes(message).find(|&(kind, _)| kind == IFLA_STATS_LINK_64);
    let (_, stats) = stats.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))?;
    // Places in `struct rtnl_link_stats64`; older kernels have fewer.
    let at = |place: usize| {
        let bytes = stats.get(place * 8..).and_then(|rest| rest.first_chunk().copied());
        u64::from_ne_bytes(bytes.unwrap_or_default())
    };
    let (rx_dropped, rx_nohandler) = (at(6), at(23));
    Ok(LinkCounters { packets: [at(0), at(1)], lost: rx_dropped.saturating_add(rx_nohandler) })
}

/// A filter of a clsact qdisc.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Filter {
    priority: u32,
    kind: String,
    name: String,
    /// Its program, where it is one of BPF.
    pub(super) program: Option<u32>,
}

impl std::fmt::Display for Filter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { priority, kind, name, program } = self;
        match program {
            Some(program) => write!(f, "{name} (program {program}, priority {priority})"),
            None => write!(f, "{kind} (priority {priority})"),
        }
    }
}

/// Filters at one end of an interface's clsact qdisc, in their order; none where there is no such
/// qdisc.
pub(super) fn filters(ifindex: u32, way: Direction) -> io::Result<Vec<Filter>> {
    const RTM_NEWTFILTER: u16 = 44;
    const RTM_GETTFILTER: u16 = 46;
    const NLM_F_DUMP: u16 = 0x300;
    const NLMSG_ERROR: u16 = 2;
    const NLMSG_DONE: u16 = 3;
    /// Bytes of `struct tcmsg`.
    const TC_HEADER: usize = 20;
    /// `TC_H_CLSACT` with `TC_H_MIN_INGRESS` and `TC_H_MIN_EGRESS`.
    const ENDS: [u32; 2] = [0xffff_fff2, 0xffff_fff3];
    let mut body = [0; TC_HEADER];
    body[4..8].copy_from_slice(&ifindex.to_ne_bytes());
    body[12..16].copy_from_slice(&ENDS[way.index()].to_ne_bytes());
    let socket = ask(RTM_GETTFILTER, NLM_F_DUMP, &body)?;
    let mut filters: Vec<Filter> = Vec::new();
    loop {
        let answer = receive(&socket)?;
        let mut rest = &answer[..];
        while let Some(length) = rest.first_chunk().copied().map(u32::from_ne_bytes) {
            let message = rest.get(..length as usize).unwrap_or_default();
            let kind =
                message.get(4..6).map_or(NLMSG_DONE, |kind| u16::from_ne_bytes([kind[0], kind[1]]));
            match kind {
                RTM_NEWTFILTER => filters.extend(filter(&message[NLMSG_HEADER..])),
                NLMSG_DONE | NLMSG_ERROR => {
                    filters.dedup();
                    return Ok(filters);
                }
                _ => {}
            }
            rest = rest.get((length as usize).next_multiple_of(4)..).unwrap_or_default();
        }
        if answer.is_empty() {
            return Ok(filters);
        }
    }
}

/// The filter in a message, `None` for one that only opens a priority.
fn filter(message: &[u8]) -> Option<Filter> {
    const TC_HEADER: usize = 20;
    const TCA_KIND: u16 = 1;
    const TCA_OPTIONS: u16 = 2;
    const TCA_BPF_NAME: u16 = 7;
    const TCA_BPF_ID: u16 = 11;
    let number = |at: usize| Some(u32::from_ne_bytes(message.get(at..)?.first_chunk().copied()?));
    let (handle, info) = (number(8)?, number(16)?);
    let mut found = Filter { priority: info >> 16, ..Filter::default() };
    for (kind, value) in attributes(message.get(TC_HEADER..)?) {
        match kind {
            TCA_KIND => found.kind = text(value),
            TCA_OPTIONS => {
                for (kind, value) in attributes(value) {
                    match kind {
                        TCA_BPF_NAME => found.name = text(value),
                        TCA_BPF_ID => found.program = value.try_into().ok().map(u32::from_ne_bytes),
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
    (handle != 0).then_some(found)
}

/// Sends a request, and gives the socket that its answer comes to.
fn ask(kind: u16, flags: u16, body: &[u8]) -> io::Result<OwnedFd> {
    let socket = route_socket()?;
    let length = u32::try_from(NLMSG_HEADER + body.len()).unwrap_or(u32::MAX);
    let mut request = length.to_ne_bytes().to_vec();
    request.extend(kind.to_ne_bytes());
    request.extend((NLM_F_REQUEST | flags).to_ne_bytes());
    // Sequence number and sender.
    request.extend([0; 8]);
    request.extend(body);
    // SAFETY: the request is ours and as long as said.
    let sent = unsafe { libc::send(socket.as_raw_fd(), request.as_ptr().cast(), request.len(), 0) };
    if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(socket) }
}

fn receive(socket: &OwnedFd) -> io::Result<Vec<u8>> {
    let mut answer = vec![0_u8; 64 << 10];
    // SAFETY: the buffer is ours and as long as said.
    let read =
        unsafe { libc::recv(socket.as_raw_fd(), answer.as_mut_ptr().cast(), answer.len(), 0) };
    let read = usize::try_from(read).map_err(|_| io::Error::last_os_error())?;
    answer.truncate(read);
    Ok(answer)
}

/// The text of an attribute, which ends in zero.
fn text(value: &[u8]) -> String {
    String::from_utf8_lossy(value).trim_end_matches('\0').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loopback_is_like_ethernet_counts_and_has_no_filter() {
        let lo = InterfaceName::new("lo").expect("a name");
        let Ok(ifindex) = lo.index() else { return };
        assert_eq!(link_layer(&lo, ifindex).ok(), Some(LinkLayer::Ethernet));
        assert!(link_counters(ifindex).is_ok() && link_counters(u32::MAX >> 1).is_err());
        assert!(filters(ifindex, Direction::Ingress).is_ok_and(|found| found.is_empty()));
    }
}
