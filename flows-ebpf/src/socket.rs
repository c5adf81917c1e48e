//! The host's own sockets: what it holds is told by its state, and by nothing in a packet.

use core::{ffi::c_void, ptr};

use aya_ebpf::{
    bindings::{BPF_F_CURRENT_NETNS, bpf_sock},
    helpers::{bpf_sk_lookup_tcp, bpf_sk_lookup_udp, bpf_sk_release},
};
use flows_common::{
    Direction, Held,
    parse::{Frame, UDP, parse},
    service::Contact,
};

use crate::{guard::Hook, maps::CONTACT, packet::reread};

/// States of a TCP socket that is past its handshake (`enum` in the kernel's `tcp_states.h`, part
/// of its user-space interface): established, both FIN-WAITs, CLOSE-WAIT, LAST-ACK, closing. What
/// listens or is half-open is not among them. A UDP socket is "established" where it is connected.
const CONNECTED: u32 = 1 << 1 | 1 << 4 | 1 << 5 | 1 << 8 | 1 << 9 | 1 << 11;

/// Return values of the functions here: scalars, for a structure would lie in its caller's memory.
mod answer {
    pub(super) const NO: u32 = 0;
    pub(super) const YES: u32 = 1;
    pub(super) const OPENED: u32 = 2;
}

/// Parses a packet that goes this way; its contact is then this CPU's element of `CONTACT`.
#[inline(always)]
pub(crate) fn contact<H: Hook>(
    context: *mut c_void,
    direction: Direction,
) -> Option<&'static Contact> {
    if note_contact::<H>(context, direction.index() as u32) == answer::NO {
        return None;
    }
    let place = CONTACT.get_ptr_mut(0)?;
    // SAFETY: this CPU's own element, and programs are not preempted by one another; just written.
    Some(unsafe { &*reread(place) })
}

/// A function of its own, so that a program holds the parser once.
#[cold]
#[inline(never)]
#[unsafe(link_section = ".text")]
fn note_contact<H: Hook>(context: *mut c_void, direction: u32) -> u32 {
    let hook = H::of(context);
    let Some(place) = CONTACT.get_ptr_mut(0) else { return answer::NO };
    let frame = Frame { tag: hook.tag(), link: H::LINK, ..Frame::of_length(0) };
    let Ok(packet) = parse(&hook.bytes(), &frame) else { return answer::NO };
    // SAFETY: as in `contact`.
    unsafe {
        place.write(if direction == Direction::Ingress.index() as u32 {
            Contact::of(&packet)
        } else {
            Contact::of_way(&packet, Direction::Egress)
        });
    };
    answer::YES
}

/// This host's hold on the connection of `contact`.
///
/// The contact is copied to where the look-up reads it, unless it is there already.
#[inline(always)]
pub(crate) fn held(context: *mut c_void, contact: &Contact) -> Held {
    if !contact.may_be_held() {
        return Held::Nothing;
    }
    let Some(place) = CONTACT.get_ptr_mut(0) else { return Held::Nothing };
    if !ptr::eq(place, contact) {
        // SAFETY: this CPU's own element, and programs are not preempted by one another.
        unsafe { place.write(*contact) };
    }
    match look_up(context) {
        answer::NO => Held::Nothing,
        answer::OPENED => Held::Opened,
        _ => Held::Accepted,
    }
}

/// Looks the tuple of this CPU's contact up, in the packet's own network namespace (5.2). A
/// function of its own: written out at each place that asks, it is verified at each.
#[cold]
#[inline(never)]
#[unsafe(link_section = ".text")]
fn look_up(context: *mut c_void) -> u32 {
    let Some(place) = CONTACT.get_ptr_mut(0) else { return answer::NO };
    // SAFETY: this CPU's own element, written by whoever asks.
    let contact = unsafe { &*reread(place) };
    let ports = [contact.remote_port.to_be(), contact.local_port.to_be()];
    let udp = contact.protocol == UDP;
    if let (Some(remote), Some(local)) = (contact.remote.v4(), contact.local.v4()) {
        return hold(context, udp, Tuple { remote, local, ports });
    }
    let (remote, local) = (contact.remote.to_16(), contact.local.to_16());
    hold(context, udp, Tuple { remote, local, ports })
}

/// True where the host has a socket that takes the TCP packet of this CPU's contact, be it one that
/// listens. In a function of its own, as [`look_up`].
#[cold]
#[inline(never)]
#[unsafe(link_section = ".text")]
fn take(context: *mut c_void) -> u32 {
    let Some(place) = CONTACT.get_ptr_mut(0) else { return answer::NO };
    // SAFETY: as in `look_up`.
    let contact = unsafe { &*reread(place) };
    let ports = [contact.remote_port.to_be(), contact.local_port.to_be()];
    if let (Some(remote), Some(local)) = (contact.remote.v4(), contact.local.v4()) {
        return taken(context, Tuple { remote, local, ports });
    }
    let (remote, local) = (contact.remote.to_16(), contact.local.to_16());
    taken(context, Tuple { remote, local, ports })
}

/// [`take`] of the contact that was just parsed.
#[inline(always)]
pub(crate) fn is_taken(context: *mut c_void) -> bool {
    take(context) == answer::YES
}

#[inline(always)]
fn taken<const BYTES: usize>(context: *mut c_void, mut tuple: Tuple<BYTES>) -> u32 {
    if state(context, false, &mut tuple).is_none() {
        // A connection in TIME-WAIT is no socket, and hides the one that listens.
        tuple.ports[0] = 0;
        if state(context, false, &mut tuple).is_none() {
            return answer::NO;
        }
    }
    answer::YES
}

/// A connection as the kernel wants to be asked for it: `struct bpf_sock_tuple`, whose size tells
/// the family. All in network order.
#[repr(C, align(4))]
struct Tuple<const BYTES: usize> {
    remote: [u8; BYTES],
    local: [u8; BYTES],
    ports: [u16; 2],
}

const _: () = assert!(size_of::<Tuple<4>>() == 12 && size_of::<Tuple<16>>() == 36);

/// The answer for one family: a socket of the tuple, and then whether another one is asked where
/// nobody in particular calls at its port.
#[inline(always)]
fn hold<const BYTES: usize>(context: *mut c_void, udp: bool, mut tuple: Tuple<BYTES>) -> u32 {
    let connected = |state: u32| CONNECTED >> (state & 31) & 1 != 0;
    if !state(context, udp, &mut tuple).is_some_and(connected) {
        return answer::NO;
    }
    tuple.ports[0] = 0;
    match state(context, udp, &mut tuple) {
        Some(_) => answer::YES,
        None => answer::OPENED,
    }
}

/// The state of the socket that the kernel would give a packet of this tuple to.
#[inline(always)]
fn state<const BYTES: usize>(
    context: *mut c_void,
    udp: bool,
    tuple: &mut Tuple<BYTES>,
) -> Option<u32> {
    let netns = i64::from(BPF_F_CURRENT_NETNS).cast_unsigned();
    let size = size_of::<Tuple<BYTES>>() as u32;
    // SAFETY: the context is the one the kernel called the program with, and the tuple is as
    // long as said. The socket is released on the one way that has one.
    unsafe {
        let tuple = ptr::from_mut(tuple).cast();
        let socket: *mut bpf_sock = if udp {
            bpf_sk_lookup_udp(context, tuple, size, netns, 0)
        } else {
            bpf_sk_lookup_tcp(context, tuple, size, netns, 0)
        };
        if socket.is_null() {
            return None;
        }
        let state = ptr::read_volatile(&raw const (*socket).state);
        bpf_sk_release(socket.cast());
        Some(state)
    }
}
