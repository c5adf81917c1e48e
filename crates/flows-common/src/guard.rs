//! The guard's decision: what the blocklist says about one packet.
//!
//! The implementation for the XDP program, the TC programs and the host's tests; what differs is
//! where the entries live, behind [`Tables`].

use crate::{
    Action, BlockEntry, BlockStats, GuardControl, GuardCounters, Scope, Verdict, host,
    parse::Address,
};

/// Attempts of a CPU that loses the race for a rate-limited entry.
///
/// Each loss means that another CPU took a turn in the meantime; one that loses as often finds
/// the source far above any sensible rate and counts the packet as above it.
const TURN_ATTEMPTS: u32 = 4;

/// Greatest age of [`Clock::recent_ns`], in ns: two ticks of the slowest kernel (100 Hz).
pub const RECENT_NS: u64 = 20_000_000;

/// The part of a [`BlockEntry`] that every packet of a blocked source is held against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    /// [`BlockEntry::expires_ns`].
    pub expires_ns: u64,
    /// [`BlockEntry::action`].
    pub action: u32,
    /// [`BlockEntry::slot`].
    pub slot: u32,
    /// [`BlockEntry::scope`].
    pub scope: u32,
}

/// The part of a [`BlockEntry`] that makes a rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// [`BlockEntry::packet_cost_ns`].
    pub packet_cost_ns: u64,
    /// [`BlockEntry::burst_ns`].
    pub burst_ns: u64,
}

impl Lease {
    /// The lease of an entry.
    #[inline(always)]
    #[must_use]
    pub const fn of(entry: &BlockEntry) -> Self {
        Self {
            expires_ns: entry.expires_ns,
            action: entry.action,
            slot: entry.slot,
            scope: entry.scope,
        }
    }
}

/// Time of the packet.
pub trait Clock {
    /// A time that is not after now and at most [`RECENT_NS`] before it, in ns of
    /// `CLOCK_BOOTTIME`: cheaper than [`Self::now_ns`]. Asked only where there is an entry.
    fn recent_ns(&self) -> u64;

    /// Time now, in ns of `CLOCK_BOOTTIME`. Asked where a recent time does not decide.
    fn now_ns(&self) -> u64;
}

/// Where the guard finds its entries.
pub trait Tables: Clock {
    /// A handle on an entry, so that nothing is copied that is not looked at.
    type Entry: Copy;

    /// The entry of exactly this address.
    fn exact(&self, remote: &Address) -> Option<Self::Entry>;

    /// Tables to look up beside exact addresses.
    fn control(&self) -> GuardControl;

    /// The entry of the network of IPv6 of this name ([`host::name`]). Asked only where one of its
    /// length is blocked.
    fn host(&self, name: [u8; 16]) -> Option<Self::Entry>;

    /// The entry of the longest other prefix that holds the address. Asked only where one is
    /// blocked.
    fn prefix(&self, remote: &Address) -> Option<Self::Entry>;

    /// The address lies in an allowed prefix. Asked only where an entry would act.
    fn allowed(&self, remote: &Address) -> bool;

    /// The packet is of a connection that this scope spares. Asked only where an entry of a scope
    /// below [`Scope::All`] would act.
    fn spares(&self, scope: Scope) -> bool;

    /// Reads an entry's lease.
    fn lease(&self, entry: Self::Entry) -> Lease;

    /// Reads an entry's rate.
    fn rate(&self, entry: Self::Entry) -> Rate;

    /// Reads [`BlockEntry::arrival_ns`].
    fn arrival_ns(&self, entry: Self::Entry) -> u64;

    /// Sets [`BlockEntry::arrival_ns`] if it still is `expected_ns`; tells whether it was.
    fn advance(&self, entry: Self::Entry, expected_ns: u64, arrival_ns: u64) -> bool;
}

/// Why a packet passes or is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// No entry, or not an IP packet.
    NoEntry,
    /// An entry past its lease.
    Expired,
    /// An entry, and an allowed prefix: allow wins.
    Allowed,
    /// An entry whose scope leaves the packet alone.
    Spared,
    /// An entry that drops.
    Blocked,
    /// An entry that limits the rate, and the packet is above it.
    AboveRate,
    /// An entry that limits the rate, and the packet is not above it.
    BelowRate,
    /// An entry that would drop, were it not in shadow.
    Shadow,
    /// A limited service, and a remote that is known.
    Known,
    /// A limited service, a stranger, and the packet is above the rate.
    ServiceAboveRate,
    /// A limited service, a stranger, and the packet is not above the rate.
    ServiceBelowRate,
    /// A service whose limit would drop, were it not in shadow.
    ServiceShadow,
}

/// The guard's decision on a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ruling {
    /// Why.
    pub cause: Cause,
    /// The statistics slot of the entry that decided, 0 without one.
    pub slot: u32,
    /// Time of the decision, in ns of the boot clock, at most [`RECENT_NS`] behind; 0 where no
    /// entry was found.
    pub now_ns: u64,
}

impl Ruling {
    /// The ruling on a packet that no entry speaks of.
    pub const NO_ENTRY: Self = Self { cause: Cause::NoEntry, slot: 0, now_ns: 0 };

    /// The action on the packet.
    #[inline(always)]
    #[must_use]
    pub const fn verdict(&self) -> Verdict {
        match self.cause {
            Cause::Blocked | Cause::AboveRate | Cause::ServiceAboveRate => Verdict::Drop,
            _ => Verdict::Pass,
        }
    }

    /// True where an entry acted on the packet, which then counts in the entry's statistics.
    #[inline(always)]
    #[must_use]
    pub const fn acted(&self) -> bool {
        !matches!(
            self.cause,
            Cause::NoEntry | Cause::Expired | Cause::Allowed | Cause::Spared | Cause::Known
        )
    }
}

/// Result of looking up a remote address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sources {
    /// An entry decides, or none does and no service is limited.
    Decided(Ruling),
    /// None of them decides, and some service is limited: an incoming packet is held against the
    /// limit of its own ([`crate::service::rule_service`]); where that has none, this stands.
    Open(Ruling),
}

/// Decides what happens to a packet from (or to) a remote address.
///
/// The entry of the exact address goes before that of a network that is one host, and that before any
/// other prefix's; one past its lease counts for
/// nothing, whether or not anybody removed it; an allowed prefix goes before both. Where neither
/// decides, the limit of the attacked service does, if there is one.
#[inline(always)]
pub fn rule<T: Tables>(tables: &T, remote: &Address) -> Sources {
    let mut ruling = Ruling::NO_ENTRY;
    if let Some(entry) = tables.exact(remote) {
        ruling = hold(tables, entry, remote);
        if !matches!(ruling.cause, Cause::Expired) {
            return Sources::Decided(ruling);
        }
    }
    let control = tables.control();
    if let Some(entry) = network(tables, control, remote) {
        ruling = hold(tables, entry, remote);
        if !matches!(ruling.cause, Cause::Expired) {
            return Sources::Decided(ruling);
        }
    }
    if control.limited_services == 0 { Sources::Decided(ruling) } else { Sources::Open(ruling) }
}

/// The entry of a network that holds the address: of one that is one host, by hash, else of the
/// longest prefix, by trie.
#[inline(always)]
fn network<T: Tables>(tables: &T, control: GuardControl, remote: &Address) -> Option<T::Entry> {
    if control.blocked_hosts != 0 && remote.v4().is_none() {
        let address = remote.to_16();
        for (place, length) in host::LENGTHS.into_iter().enumerate() {
            if control.blocked_hosts & 1 << place != 0
                && let Some(entry) = tables.host(host::name(address, length))
            {
                return Some(entry);
            }
        }
    }
    if control.blocked_prefixes == 0 { None } else { tables.prefix(remote) }
}

/// Holds a packet against an entry that speaks of it.
#[inline(always)]
fn hold<T: Tables>(tables: &T, entry: T::Entry, remote: &Address) -> Ruling {
    let lease = tables.lease(entry);
    let (alive, now_ns) = is_alive(tables, lease.expires_ns);
    let mut ruling = Ruling { cause: Cause::Expired, slot: lease.slot, now_ns };
    if !alive {
        return ruling;
    }
    if tables.allowed(remote) {
        ruling.cause = Cause::Allowed;
        return ruling;
    }
    let scope = Scope::from_code(lease.scope);
    if !matches!(scope, Scope::All) && tables.spares(scope) {
        ruling.cause = Cause::Spared;
        return ruling;
    }
    match Action::from_code(lease.action) {
        Some(Action::Drop) => ruling.cause = Cause::Blocked,
        Some(Action::RateLimit) => {
            ruling.now_ns = tables.now_ns();
            let within = take_turn(
                &tables.rate(entry),
                ruling.now_ns,
                || tables.arrival_ns(entry),
                |expected_ns, next_ns| tables.advance(entry, expected_ns, next_ns),
            );
            ruling.cause = if within { Cause::BelowRate } else { Cause::AboveRate };
        }
        // An action this build does not know harms nobody, and is still counted.
        Some(Action::Shadow) | None => ruling.cause = Cause::Shadow,
    }
    ruling
}

/// True if a lease is running, and the time that this was read at. Exact: near its end, the clock
/// is read.
#[inline(always)]
pub(crate) fn is_alive<T: Clock>(clock: &T, expires_ns: u64) -> (bool, u64) {
    let recent_ns = clock.recent_ns();
    if expires_ns.saturating_sub(recent_ns) > RECENT_NS {
        return (true, recent_ns);
    }
    let now_ns = clock.now_ns();
    (expires_ns > now_ns, now_ns)
}

/// Asks a rate for one packet; tells whether it is within. `arrival_ns` reads when the next
/// packet is due, `advance` sets it if it still is what was read.
#[inline(always)]
pub(crate) fn take_turn(
    rate: &Rate,
    now_ns: u64,
    arrival_ns: impl Fn() -> u64,
    advance: impl Fn(u64, u64) -> bool,
) -> bool {
    for _ in 0..TURN_ATTEMPTS {
        let expected_ns = arrival_ns();
        let Some(next_ns) = conform(rate, expected_ns, now_ns) else {
            return false;
        };
        if advance(expected_ns, next_ns) {
            return true;
        }
    }
    false
}

/// The generic cell rate algorithm (ITU-T I.371, virtual scheduling): the arrival time that the
/// next packet is due at, or `None` where this packet is above the rate.
#[inline(always)]
#[must_use]
pub const fn conform(rate: &Rate, arrival_ns: u64, now_ns: u64) -> Option<u64> {
    let due_ns = if arrival_ns > now_ns { arrival_ns } else { now_ns };
    if due_ns - now_ns > rate.burst_ns {
        return None;
    }
    Some(due_ns.saturating_add(rate.packet_cost_ns))
}

/// Size of a frame on the wire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Size {
    /// Packets: the segments of a super-packet.
    pub packets: u64,
    /// Bytes.
    pub bytes: u64,
}

impl GuardCounters {
    /// Counts one frame and what became of it; `size` matters where an entry acted
    /// ([`Ruling::acted`]).
    #[inline(always)]
    pub fn count(&mut self, ruling: &Ruling, size: Size) {
        self.frames += 1;
        match ruling.cause {
            Cause::NoEntry => self.passed += 1,
            Cause::Expired => self.expired += 1,
            Cause::Allowed => self.allowed += 1,
            Cause::Spared => self.spared += 1,
            Cause::Shadow => self.shadowed += 1,
            Cause::BelowRate => self.below_rate += 1,
            Cause::Known => self.service_known += 1,
            Cause::ServiceBelowRate => self.service_below_rate += 1,
            Cause::ServiceShadow => self.service_shadowed += 1,
            Cause::Blocked | Cause::AboveRate | Cause::ServiceAboveRate => {
                self.dropped += size.packets;
                self.dropped_bytes += size.bytes;
                self.limited += u64::from(matches!(ruling.cause, Cause::AboveRate));
                self.service_limited += u64::from(matches!(ruling.cause, Cause::ServiceAboveRate));
            }
        }
    }
}

impl GuardCounters {
    /// Adds another CPU's ledger to this one.
    pub fn add(&mut self, other: &Self) {
        let pairs = [
            (&mut self.frames, other.frames),
            (&mut self.passed, other.passed),
            (&mut self.dropped, other.dropped),
            (&mut self.dropped_bytes, other.dropped_bytes),
            (&mut self.limited, other.limited),
            (&mut self.shadowed, other.shadowed),
            (&mut self.expired, other.expired),
            (&mut self.allowed, other.allowed),
            (&mut self.below_rate, other.below_rate),
            (&mut self.service_limited, other.service_limited),
            (&mut self.service_below_rate, other.service_below_rate),
            (&mut self.service_shadowed, other.service_shadowed),
            (&mut self.service_known, other.service_known),
            (&mut self.spared, other.spared),
        ];
        for (sum, one) in pairs {
            *sum = sum.saturating_add(one);
        }
    }
}

impl BlockStats {
    /// Adds another CPU's statistics to these.
    pub fn add(&mut self, other: &Self) {
        let pairs = [
            (&mut self.dropped_packets, other.dropped_packets),
            (&mut self.dropped_bytes, other.dropped_bytes),
            (&mut self.passed_packets, other.passed_packets),
            (&mut self.shadow_packets, other.shadow_packets),
            (&mut self.shadow_bytes, other.shadow_bytes),
        ];
        for (sum, one) in pairs {
            *sum = sum.saturating_add(one);
        }
        self.first_ns = match (self.first_ns, other.first_ns) {
            (0, time) | (time, 0) => time,
            (one, other) => one.min(other),
        };
        self.last_ns = self.last_ns.max(other.last_ns);
    }

    /// Counts one frame that an entry acted on ([`Ruling::acted`]).
    #[inline(always)]
    pub fn count(&mut self, ruling: &Ruling, size: Size) {
        match ruling.cause {
            Cause::Blocked | Cause::AboveRate | Cause::ServiceAboveRate => {
                self.dropped_packets += size.packets;
                self.dropped_bytes += size.bytes;
                self.note_time(ruling.now_ns);
            }
            Cause::Shadow | Cause::ServiceShadow => {
                self.passed_packets += size.packets;
                self.shadow_packets += size.packets;
                self.shadow_bytes += size.bytes;
                self.note_time(ruling.now_ns);
            }
            Cause::BelowRate | Cause::ServiceBelowRate => self.passed_packets += size.packets,
            Cause::NoEntry | Cause::Expired | Cause::Allowed | Cause::Spared | Cause::Known => {}
        }
    }

    #[inline(always)]
    fn note_time(&mut self, now_ns: u64) {
        if self.first_ns == 0 {
            self.first_ns = now_ns;
        }
        if now_ns > self.last_ns {
            self.last_ns = now_ns;
        }
    }
}

#[cfg(test)]
mod tests {
    use core::cell::Cell;

    use super::*;
    use crate::{Held, parse::Address};

    const NOW: u64 = 1_000_000_000_000;
    const REMOTE: Address = Address::of_v4([198, 51, 100, 7]);

    /// Two entries at most, and other CPUs that win the race for a rate a few times.
    #[derive(Default)]
    struct Fake {
        exact: Option<BlockEntry>,
        prefix: Option<BlockEntry>,
        /// A blocked network by its name, and the lengths that are looked for.
        host: Option<([u8; 16], BlockEntry)>,
        hosts: u16,
        allowed: bool,
        held: Option<Held>,
        limited_services: u32,
        arrival_ns: Cell<u64>,
        races_lost: Cell<u32>,
        clock_reads: Cell<u32>,
    }

    impl Clock for Fake {
        fn recent_ns(&self) -> u64 {
            NOW - RECENT_NS
        }

        fn now_ns(&self) -> u64 {
            self.clock_reads.set(self.clock_reads.get() + 1);
            NOW
        }
    }

    impl Tables for Fake {
        type Entry = BlockEntry;

        fn control(&self) -> GuardControl {
            GuardControl {
                blocked_prefixes: self.prefix.is_some().into(),
                blocked_hosts: self.hosts,
                limited_services: self.limited_services,
            }
        }

        fn exact(&self, _remote: &Address) -> Option<BlockEntry> {
            self.exact
        }

        fn host(&self, name: [u8; 16]) -> Option<BlockEntry> {
            self.host.filter(|(of, _)| *of == name).map(|(_, entry)| entry)
        }

        fn prefix(&self, _remote: &Address) -> Option<BlockEntry> {
            self.prefix
        }

        fn allowed(&self, _remote: &Address) -> bool {
            self.allowed
        }

        fn spares(&self, scope: Scope) -> bool {
            scope.spares(self.held.unwrap_or(Held::Nothing))
        }

        fn lease(&self, entry: BlockEntry) -> Lease {
            Lease::of(&entry)
        }

        fn rate(&self, entry: BlockEntry) -> Rate {
            Rate { packet_cost_ns: entry.packet_cost_ns, burst_ns: entry.burst_ns }
        }

        fn arrival_ns(&self, _entry: BlockEntry) -> u64 {
            self.arrival_ns.get()
        }

        fn advance(&self, _entry: BlockEntry, _expected_ns: u64, arrival_ns: u64) -> bool {
            if self.races_lost.get() > 0 {
                self.races_lost.set(self.races_lost.get() - 1);
                return false;
            }
            self.arrival_ns.set(arrival_ns);
            true
        }
    }

    #[expect(clippy::unnecessary_wraps, reason = "as a table holds it")]
    fn entry(action: Action, expires_ns: u64) -> Option<BlockEntry> {
        Some(BlockEntry { action: action.code(), expires_ns, slot: 3, ..BlockEntry::default() })
    }

    fn ruled(tables: &Fake) -> Ruling {
        let (Sources::Decided(ruling) | Sources::Open(ruling)) = rule(tables, &REMOTE);
        ruling
    }

    fn cause(tables: &Fake) -> Cause {
        ruled(tables).cause
    }

    #[test]
    fn who_is_on_no_list_passes_and_costs_no_clock() {
        let tables = Fake::default();
        assert_eq!(rule(&tables, &REMOTE), Sources::Decided(Ruling::NO_ENTRY));
        assert_eq!(tables.clock_reads.get(), 0);
    }

    #[test]
    fn a_lease_is_exact_to_the_nanosecond_and_reads_the_clock_only_near_its_end() {
        for (expires_ns, wanted, reads) in [
            (NOW - 1, Cause::Expired, 1),
            (NOW, Cause::Expired, 1),
            (NOW + 1, Cause::Blocked, 0),
            (NOW + 60_000_000_000, Cause::Blocked, 0),
        ] {
            let tables = Fake { exact: entry(Action::Drop, expires_ns), ..Fake::default() };
            assert_eq!((cause(&tables), tables.clock_reads.get()), (wanted, reads), "{expires_ns}");
        }
    }

    #[test]
    fn the_address_goes_before_the_prefix_unless_its_lease_is_over() {
        let later = NOW + 60_000_000_000;
        let prefix = entry(Action::Drop, later);
        let tables = Fake { exact: entry(Action::Shadow, later), prefix, ..Fake::default() };
        assert_eq!(cause(&tables), Cause::Shadow);
        let tables = Fake { exact: entry(Action::Shadow, NOW), prefix, ..Fake::default() };
        assert_eq!(cause(&tables), Cause::Blocked);
    }

    #[test]
    fn a_network_that_is_one_host_is_found_by_the_lengths_that_are_blocked_and_ipv4_never_looks() {
        let later = NOW + 60_000_000_000;
        let remote = Address::of_v6([0x20, 1, 0xd, 0xb8, 0, 7, 0x12, 0x34, 1, 2, 3, 4, 5, 6, 7, 8]);
        let limited = entry(Action::Drop, later).expect("an entry");
        let cause = |length: u8, hosts: u16, remote: &Address| {
            let host = Some((host::name(remote.to_16(), length), limited));
            let tables = Fake { host, hosts, prefix: None, ..Fake::default() };
            let (Sources::Decided(ruling) | Sources::Open(ruling)) = rule(&tables, remote);
            ruling.cause
        };
        for (place, length) in host::LENGTHS.into_iter().enumerate() {
            assert_eq!(cause(length, 1 << place, &remote), Cause::Blocked, "/{length}");
            assert_eq!(cause(length, 0b111, &remote), Cause::Blocked, "/{length}");
            assert_eq!(cause(length, 0b111 & !(1 << place), &remote), Cause::NoEntry, "/{length}");
            assert_eq!(cause(length, 0b111, &REMOTE), Cause::NoEntry);
        }
    }

    #[test]
    fn the_service_is_asked_only_where_no_source_entry_decides() {
        let later = NOW + 60_000_000_000;
        for (exact, prefix, open) in [
            (None, None, Some(Cause::NoEntry)),
            (entry(Action::Drop, NOW), None, Some(Cause::Expired)),
            (None, entry(Action::Drop, NOW), Some(Cause::Expired)),
            (entry(Action::Shadow, later), None, None),
            (None, entry(Action::Drop, later), None),
        ] {
            let tables = Fake { exact, prefix, limited_services: 1, ..Fake::default() };
            let asked = match rule(&tables, &REMOTE) {
                Sources::Open(ruling) => Some(ruling.cause),
                Sources::Decided(_) => None,
            };
            assert_eq!(asked, open, "{exact:?} {prefix:?}");
        }
    }

    #[test]
    fn allow_goes_before_everything_that_is_alive() {
        let exact = entry(Action::Drop, NOW + 60_000_000_000);
        assert_eq!(cause(&Fake { exact, allowed: true, ..Fake::default() }), Cause::Allowed);
        let exact = entry(Action::Drop, NOW);
        assert_eq!(cause(&Fake { exact, allowed: true, ..Fake::default() }), Cause::Expired);
    }

    #[test]
    fn a_scope_spares_what_this_host_holds_and_nothing_else() {
        let later = NOW + 60_000_000_000;
        for (scope, held, wanted) in [
            (Scope::All, Held::Opened, Cause::Blocked),
            (Scope::Inbound, Held::Opened, Cause::Spared),
            (Scope::Inbound, Held::Accepted, Cause::Blocked),
            (Scope::Inbound, Held::Nothing, Cause::Blocked),
            (Scope::Unproven, Held::Opened, Cause::Spared),
            (Scope::Unproven, Held::Accepted, Cause::Spared),
            (Scope::Unproven, Held::Nothing, Cause::Blocked),
        ] {
            let exact =
                entry(Action::Drop, later).map(|entry| BlockEntry { scope: scope.code(), ..entry });
            let tables = Fake { exact, held: Some(held), ..Fake::default() };
            assert_eq!(cause(&tables), wanted, "{scope:?} {held:?}");
        }
    }

    #[test]
    fn every_scope_survives_its_code_and_an_unknown_code_acts_on_least() {
        for scope in Scope::ALL {
            assert_eq!(Scope::from_code(scope.code()), scope);
        }
        assert_eq!(Scope::from_code(9), Scope::Unproven);
        assert_eq!(BlockEntry::default().scope, Scope::All.code());
    }

    #[test]
    fn an_unknown_action_passes_and_is_counted() {
        let exact = entry(Action::Drop, NOW + 60_000_000_000)
            .map(|entry| BlockEntry { action: 99, ..entry });
        let ruling = ruled(&Fake { exact, ..Fake::default() });
        assert_eq!((ruling.cause, ruling.verdict()), (Cause::Shadow, Verdict::Pass));
    }

    #[test]
    fn a_rate_lets_its_burst_pass_and_then_one_packet_per_cost() {
        let rate = Rate { packet_cost_ns: 100, burst_ns: 300 };
        let mut arrival_ns = 0;
        let mut passed = |now_ns| match conform(&rate, arrival_ns, now_ns) {
            Some(next_ns) => {
                arrival_ns = next_ns;
                true
            }
            None => false,
        };
        assert_eq!((0..10).filter(|_| passed(1_000)).count(), 4);
        assert!(!passed(1_099));
        assert!(passed(1_100));
        assert!(!passed(1_100));
    }

    #[test]
    fn a_cpu_that_keeps_losing_the_race_finds_the_source_above_its_rate() {
        let exact = entry(Action::RateLimit, NOW + 60_000_000_000);
        let tables = Fake { exact, races_lost: Cell::new(2), ..Fake::default() };
        assert_eq!(cause(&tables), Cause::BelowRate);
        let tables = Fake { exact, races_lost: Cell::new(9), ..Fake::default() };
        assert_eq!(cause(&tables), Cause::AboveRate);
    }

    #[test]
    fn every_frame_is_counted_under_one_cause() {
        let mut ledger = GuardCounters::default();
        for cause in [
            Cause::NoEntry,
            Cause::Expired,
            Cause::Allowed,
            Cause::Spared,
            Cause::Blocked,
            Cause::AboveRate,
            Cause::BelowRate,
            Cause::Shadow,
            Cause::Known,
            Cause::ServiceAboveRate,
            Cause::ServiceBelowRate,
            Cause::ServiceShadow,
        ] {
            let size = Size { packets: 1, bytes: 60 };
            ledger.count(&Ruling { cause, slot: 0, now_ns: NOW }, size);
        }
        let causes = ledger.passed
            + ledger.expired
            + ledger.allowed
            + ledger.spared
            + ledger.dropped
            + ledger.below_rate
            + ledger.shadowed
            + ledger.service_known
            + ledger.service_below_rate
            + ledger.service_shadowed;
        assert_eq!((ledger.frames, causes), (12, 12));
        assert_eq!((ledger.dropped, ledger.limited, ledger.service_limited), (3, 1, 1));
        assert_eq!(ledger.dropped_bytes, 180);
    }
}
