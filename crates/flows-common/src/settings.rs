//! Settings of the programs from user space: once at load time, and while they run.

/// Where a packet's time comes from.
///
/// Crosses the boundary as [`ClockSource::code`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClockSource {
    /// The boot clock, the one that is used in earnest.
    Boot,
    /// `skb->tstamp`: a capture's own time, for conformance tests through `bpf_prog_test_run`.
    SkbTimestamp,
}

impl ClockSource {
    /// The code in [`Settings::clock`].
    #[inline(always)]
    #[must_use]
    pub const fn code(self) -> u32 {
        self as u32
    }
}

/// Constants of a loaded program (`.rodata`), so that the verifier drops what is switched off.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// [`ClockSource::code`].
    pub clock: u32,
    /// CPUs the outer flow table was laid out for; a buffer's tables start at `buffer * cpus`.
    pub cpus: u32,
    /// 1: TC egress drops packets towards blocked remotes.
    pub guard_at_tc_egress: u32,
    /// Always zero.
    pub reserved: u32,
}

const _: () = assert!(size_of::<Settings>() == 16);

/// Control word that the flow programs read on each packet; element 0 of the `CONTROL` array.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Control {
    /// The buffer that is written to, 0 or 1.
    pub active: u32,
    /// Always zero.
    pub reserved: u32,
}

const _: () = assert!(size_of::<Control>() == 8);

/// Control word that the guard reads on each packet; element 0 of the `GUARD_CONTROL` array.
///
/// Apart from [`Control`], for it outlives the process where the guard is pinned.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GuardControl {
    /// Above 0 where any other prefix is blocked: only then is the trie consulted.
    pub blocked_prefixes: u16,
    /// Set of the lengths of blocked networks that are one host each, by their place in
    /// [`crate::host::LENGTHS`]: of these alone the table is consulted, and for IPv6 alone.
    pub blocked_hosts: u16,
    /// Above 0 where any service is limited: only then is a packet parsed beyond its addresses.
    pub limited_services: u32,
}

const _: () = assert!(size_of::<GuardControl>() == 8);
