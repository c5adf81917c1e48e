//! The dispatcher's configuration: what lies in its read-only data.

/// First byte of a configuration: `X` + `D` + `P`.
const MAGIC: u8 = 236;
/// Programs that a dispatcher has room for.
pub(super) const SLOTS: usize = 10;
/// Versions of the protocol that are spoken here, and the bytes of their configuration. The third
/// adds a flag: bound to a device.
const VERSIONS: [(u8, usize); 2] = [(2, 124), (3, 128)];
/// Bytes of the longest.
pub(super) const MOST_BYTES: usize = 128;
/// Place of the flag that the dispatcher takes frames of several buffers.
const TAKES_FRAGS: usize = 3;
/// Place of the third version's flag.
const BOUND: usize = 124;
/// `XDP_PASS`: what a filter lets pass, the next one looks at.
const PASS: u32 = 1 << 2;
/// Returned by the place of a program that is not there: the next one goes on.
const EMPTY: u32 = 1 << 31;
/// `BPF_F_XDP_HAS_FRAGS`.
const FRAGS: u32 = 1 << 5;

/// The configuration of a dispatcher, as `struct xdp_dispatcher_config` has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Config {
    /// Version of the protocol.
    pub(super) version: u8,
    /// Bound to a device, like all its programs.
    pub(super) bound: bool,
    /// The programs', in the order in which they run.
    pub(super) slots: Vec<Slot>,
}

/// One program's part of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Slot {
    /// Answers, one bit each, after which the next program runs.
    actions: u32,
    /// The lowest runs first.
    pub(super) priority: u32,
    flags: u32,
}

impl Slot {
    /// That of a filter; `frags` of one that takes frames of several buffers.
    pub(super) const fn filter(priority: u32, frags: bool) -> Self {
        Self { actions: PASS | EMPTY, priority, flags: if frags { FRAGS } else { 0 } }
    }
}

/// Version of the dispatcher whose configuration has so many bytes.
pub(super) fn version_of(bytes: usize) -> Option<u8> {
    VERSIONS.iter().find(|&&(_, size)| size == bytes).map(|&(version, _)| version)
}

impl Config {
    /// Reads the read-only data of a dispatcher; `None` where it is none, or of another version.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let (magic, version, count) =
            (*bytes.first()?, *bytes.get(1)?, usize::from(*bytes.get(2)?));
        if magic != MAGIC || Some(version) != version_of(bytes.len()) || count > SLOTS {
            return None;
        }
        let word = |table: usize, slot: usize| {
            let at = 4 + 4 * (SLOTS * table + slot);
            Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
        };
        let slot = |slot| {
            Some(Slot { actions: word(0, slot)?, priority: word(1, slot)?, flags: word(2, slot)? })
        };
        let bound = bytes.get(BOUND).is_some_and(|&bound| bound != 0);
        Some(Self { version, bound, slots: (0..count).map(slot).collect::<Option<_>>()? })
    }

    /// True where all programs take frames of several buffers: their dispatcher may, then.
    pub(super) fn takes_frags(&self) -> bool {
        self.slots.iter().all(|slot| slot.flags & FRAGS != 0)
    }

    /// The read-only data of a dispatcher.
    pub(super) fn bytes(&self) -> Vec<u8> {
        let size = VERSIONS.iter().find(|&&(version, _)| version == self.version);
        let mut bytes = vec![0; size.map_or(MOST_BYTES, |&(_, size)| size)];
        bytes[..2].copy_from_slice(&[MAGIC, self.version]);
        bytes[2] = u8::try_from(self.slots.len()).unwrap_or(u8::MAX);
        bytes[TAKES_FRAGS] = u8::from(self.takes_frags());
        for (at, slot) in self.slots.iter().enumerate() {
            for (table, word) in [slot.actions, slot.priority, slot.flags].into_iter().enumerate() {
                bytes[4 + 4 * (SLOTS * table + at)..][..4].copy_from_slice(&word.to_ne_bytes());
            }
        }
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_reads_back_and_others_are_none() {
        for (version, size) in VERSIONS {
            let theirs = Slot { actions: EMPTY | PASS, priority: 50, flags: 0 };
            let slots = vec![Slot::filter(1, true), theirs];
            let config = Config { version, bound: false, slots };
            let bytes = config.bytes();
            // `struct xdp_dispatcher_config`: head, actions, priorities, flags.
            assert_eq!((bytes.len(), &bytes[..4]), (size, &[236, version, 2, 0][..]));
            assert_eq!(bytes[4..8], 0x8000_0004_u32.to_ne_bytes());
            assert_eq!((bytes[44], bytes[48], bytes[84], bytes[88]), (1, 50, 32, 0));
            assert_eq!(Config::parse(&bytes), Some(config.clone()));
            for change in [(0, 235), (1, 1), (1, 4), (2, 11)] {
                let mut other = bytes.clone();
                other[change.0] = change.1;
                assert_eq!(Config::parse(&other), None, "{change:?}");
            }
            assert_eq!(Config::parse(&bytes[..size - 1]), None);
            let alone = Config { slots: vec![Slot::filter(1, true)], ..config };
            assert_eq!(alone.bytes()[..4], [236, version, 1, 1]);
        }
        assert_eq!(Config::parse(&[]), None);
    }
}
