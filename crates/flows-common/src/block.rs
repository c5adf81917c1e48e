//! The blocklist: what the guard looks up, decides and counts.

use crate::Standing;

/// No reason recorded.
pub const REASON_NONE: u32 = 0;

/// Action on a packet of a blocked source.
///
/// Crosses the boundary as [`Action::code`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "kebab-case"))]
pub enum Action {
    /// Count what would be dropped, pass everything.
    Shadow,
    /// Drop what exceeds a rate.
    RateLimit,
    /// Drop everything.
    Drop,
}

impl Action {
    /// All of them, each doing more than the one before.
    pub const ALL: [Self; 3] = [Self::Shadow, Self::RateLimit, Self::Drop];

    /// Its name wherever it is written: command line, lists, API, events, ledger.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Shadow => "shadow",
            Self::RateLimit => "rate-limit",
            Self::Drop => "drop",
        }
    }

    /// The action of this name, in letters of either case.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|action| action.name().eq_ignore_ascii_case(name))
    }

    /// The code in [`BlockEntry::action`].
    #[inline(always)]
    #[must_use]
    pub const fn code(self) -> u32 {
        match self {
            Self::Shadow => 1,
            Self::RateLimit => 2,
            Self::Drop => 3,
        }
    }

    /// Reads a code back; `None` for one that is no action.
    #[inline(always)]
    #[must_use]
    pub const fn from_code(code: u32) -> Option<Self> {
        match code {
            1 => Some(Self::Shadow),
            2 => Some(Self::RateLimit),
            3 => Some(Self::Drop),
            _ => None,
        }
    }
}

/// The part of a blocked source's packets that an entry acts on.
///
/// Where it is not all of them, the kernel is asked for its socket of exactly the packet's tuple:
/// what this host holds open is told by its own state, and by nothing in the packet. Packets towards
/// the source, where they are held against the blocklist as well, are ruled alike.
///
/// Crosses the boundary as [`Scope::code`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "kebab-case"))]
pub enum Scope {
    /// All but those of connections that this host holds open.
    Unproven,
    /// All but those of connections that this host opened and holds.
    Inbound,
    /// All of them.
    #[default]
    All,
}

impl Scope {
    /// All of them, each wider than the one before.
    pub const ALL: [Self; 3] = [Self::Unproven, Self::Inbound, Self::All];

    /// Its name wherever it is written.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unproven => "unproven",
            Self::Inbound => "inbound",
            Self::All => "all",
        }
    }

    /// The code in [`BlockEntry::scope`].
    #[inline(always)]
    #[must_use]
    pub const fn code(self) -> u32 {
        match self {
            Self::All => 0,
            Self::Inbound => 1,
            Self::Unproven => 2,
        }
    }

    /// Reads a code back; one that this build does not know is the narrowest.
    #[inline(always)]
    #[must_use]
    pub const fn from_code(code: u32) -> Self {
        match code {
            0 => Self::All,
            1 => Self::Inbound,
            _ => Self::Unproven,
        }
    }

    /// True where the scope acts on packets of this standing.
    #[must_use]
    pub const fn covers(self, standing: Standing) -> bool {
        match self {
            Self::All => true,
            Self::Inbound => !matches!(standing, Standing::Initiated),
            Self::Unproven => matches!(standing, Standing::Unproven),
        }
    }

    /// True where the scope spares the packets of a connection that this host holds.
    #[inline(always)]
    #[must_use]
    pub const fn spares(self, held: Held) -> bool {
        match self {
            Self::All => false,
            Self::Inbound => matches!(held, Held::Opened),
            Self::Unproven => !matches!(held, Held::Nothing),
        }
    }
}

/// This host's hold on the connection of exactly one tuple, as its sockets tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Held {
    /// It has no socket of it, or one amid its handshake.
    Nothing,
    /// It accepted it: another socket listens on the same local port.
    Accepted,
    /// It opened it: none does.
    Opened,
}

/// A blocked address or prefix.
///
/// The kernel honours it until `expires_ns` and ignores it afterwards, whether or not anybody
/// removes it: a dead collector blocks nobody past the lease.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BlockEntry {
    /// When the entry stops counting, in ns of `CLOCK_BOOTTIME`.
    pub expires_ns: u64,
    /// When it was made, in ns of `CLOCK_BOOTTIME`.
    pub created_ns: u64,
    /// [`Action::RateLimit`]: ns that one packet costs (10⁹ / packets per second).
    pub packet_cost_ns: u64,
    /// [`Action::RateLimit`]: how far ahead of the clock a burst may run, in ns.
    pub burst_ns: u64,
    /// [`Action::RateLimit`]: the theoretical arrival time of the next packet (GCRA, ITU-T
    /// I.371), kept by the kernel.
    pub arrival_ns: u64,
    /// [`Action::code`].
    pub action: u32,
    /// Which decision made it; opaque to the kernel.
    pub reason: u32,
    /// Its element of the statistics array; slot 0 is shared by those that have none.
    pub slot: u32,
    /// [`Scope::code`].
    pub scope: u32,
}

impl BlockEntry {
    /// What the kernel does by it: an action that this build does not know harms nobody, and counts
    /// as a shadow.
    #[must_use]
    pub const fn effect(&self) -> Action {
        match Action::from_code(self.action) {
            Some(action) => action,
            None => Action::Shadow,
        }
    }

    /// Packets a second that a rate limit lets pass.
    #[must_use]
    pub const fn packets_per_second(&self) -> Option<u64> {
        match self.effect() {
            Action::RateLimit => 1_000_000_000_u64.checked_div(self.packet_cost_ns),
            Action::Shadow | Action::Drop => None,
        }
    }
}

const _: () = assert!(size_of::<BlockEntry>() == 56 && align_of::<BlockEntry>() == 8);
const _: () = assert!(core::mem::offset_of!(BlockEntry, arrival_ns) == 32);

/// The key of a prefix table: a length in bits of the 16-byte form, then the address.
///
/// An IPv4 prefix `/n` has the length `96 + n`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct PrefixKey {
    /// Bits of `address` that count.
    pub length: u32,
    /// The address, IPv4 as `::ffff:a.b.c.d`.
    pub address: [u8; 16],
}

const _: () = assert!(size_of::<PrefixKey>() == 20 && align_of::<PrefixKey>() == 4);

/// Counters of a statistics slot, on one CPU.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BlockStats {
    /// Packets dropped.
    pub dropped_packets: u64,
    /// Bytes dropped.
    pub dropped_bytes: u64,
    /// Packets passed: below the rate, or in shadow.
    pub passed_packets: u64,
    /// Packets that shadow would have dropped.
    pub shadow_packets: u64,
    /// Bytes that shadow would have dropped.
    pub shadow_bytes: u64,
    /// Time of the first drop (or would-be drop), in ns of the boot clock.
    pub first_ns: u64,
    /// Time of the last one, to [`crate::guard::RECENT_NS`].
    pub last_ns: u64,
}

const _: () = assert!(size_of::<BlockStats>() == 56);

/// Decisions of the guard on one CPU, since it was loaded.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GuardCounters {
    /// Frames the guard was called for.
    pub frames: u64,
    /// Frames passed because no entry matched (or none could: not IP, truncated).
    pub passed: u64,
    /// Packets dropped, by an address, by a prefix or by the limit of a service: of a super-packet all
    /// segments, as the interface counts them.
    pub dropped: u64,
    /// Bytes dropped.
    pub dropped_bytes: u64,
    /// Frames dropped for exceeding a rate, a part of `dropped`.
    pub limited: u64,
    /// Frames that shadow would have dropped.
    pub shadowed: u64,
    /// Frames that matched an entry past its lease, and none within.
    pub expired: u64,
    /// Frames that matched an entry and an allowed prefix: allow wins.
    pub allowed: u64,
    /// Frames that matched a rate limit and were within it.
    pub below_rate: u64,
    /// Frames dropped for exceeding the limit of their service, a part of `dropped`.
    pub service_limited: u64,
    /// Frames of strangers to a limited service, within its rate.
    pub service_below_rate: u64,
    /// Frames that the limit of their service would have dropped, were it not in shadow.
    pub service_shadowed: u64,
    /// Frames of known remotes to a limited service.
    pub service_known: u64,
    /// Frames that matched an entry whose scope leaves them alone.
    pub spared: u64,
}

const _: () = assert!(size_of::<GuardCounters>() == 112);

/// The guard's action on a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Let it through.
    Pass,
    /// Drop it.
    Drop,
}
