//! What is learnt from, as bytes that outlive a process.
//!
//! Numbers are little-endian. Whoever reads bytes back has compared the schemas and the window's
//! length of the build that wrote them, and their checksum.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv6Addr};

use model::{Channel, Horizon, Kind};

use super::{ODD_ROWS, OTHER_ROWS, Ongoing, REMOTES, WINDOW_ROWS, rows_of};
use crate::fading::{FadingRows, Kept};

/// Rows of each channel, and remotes with a time each.
type Rows = BTreeMap<Channel, FadingRows>;
type Remotes = HashMap<IpAddr, u64>;

impl Ongoing {
    /// What it is, as bytes for [`Self::take_up`]: 20 MB at most.
    #[must_use]
    pub fn keep(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for number in [self.windows, self.rows, self.crowded_until_ns, self.own_side_from_ns] {
            put(&mut out, number);
        }
        for remotes in [&self.reported, &self.vouched] {
            let mut each: Vec<(IpAddr, u64)> = remotes.iter().map(|(a, b)| (*a, *b)).collect();
            each.sort_unstable();
            put(&mut out, each.len() as u64);
            for (remote, until_ns) in each {
                put_address(&mut out, Some(remote));
                put(&mut out, until_ns);
            }
        }
        for rows in [&self.usual, &self.odd] {
            put(&mut out, rows.len() as u64);
            for (channel, rows) in rows {
                let kind = Kind::ALL.iter().position(|kind| *kind == channel.kind).unwrap_or(0);
                put(&mut out, kind as u64);
                put(&mut out, channel.horizon.ms().into());
                put_rows(&mut out, rows);
            }
        }
        out
    }

    /// Goes on from what another kept, whose clock of windows is so much behind this one's. False where
    /// the bytes are none; then nothing is changed.
    pub fn take_up(&mut self, mut bytes: &[u8], behind_ns: i64) -> bool {
        let mut copy = Self { due_ns: 0, ..self.clone() };
        let taken = copy.take_all(&mut bytes, behind_ns).is_some() && bytes.is_empty();
        if taken {
            *self = copy;
        }
        taken
    }

    fn take_all(&mut self, bytes: &mut &[u8], behind_ns: i64) -> Option<()> {
        self.windows = take(bytes)?;
        self.rows = take(bytes)?;
        self.crowded_until_ns = take(bytes)?.saturating_add_signed(behind_ns);
        self.own_side_from_ns = take(bytes)?.saturating_add_signed(behind_ns);
        self.reported = take_remotes(bytes, behind_ns)?;
        self.vouched = take_remotes(bytes, behind_ns)?;
        self.usual =
            self.take_rows(
                bytes,
                behind_ns,
                |is_base| {
                    if is_base { WINDOW_ROWS } else { OTHER_ROWS }
                },
            )?;
        self.odd = self.take_rows(bytes, behind_ns, |_| ODD_ROWS)?;
        Some(())
    }

    fn take_rows(
        &self,
        bytes: &mut &[u8],
        behind_ns: i64,
        capacity: impl Fn(bool) -> usize,
    ) -> Option<Rows> {
        let mut rows = Rows::new();
        for _ in 0..take(bytes)? {
            let kind = *Kind::ALL.get(usize::try_from(take(bytes)?).ok()?)?;
            let channel = Channel::new(kind, Horizon::from_ms(u32::try_from(take(bytes)?).ok()?));
            let capacity = capacity(channel == self.peers());
            let into = rows_of(&mut rows, channel, capacity, self.pace, self.params.seed());
            let count =
                usize::try_from(take(bytes)?).ok().filter(|count| *count <= 2 * capacity)?;
            let width = usize::try_from(take(bytes)?).ok()?;
            for _ in 0..count {
                let owner = owner(take_address(bytes)?);
                let at_ns = take(bytes)?.saturating_add_signed(behind_ns);
                let until_ns = take(bytes)?.saturating_add_signed(behind_ns);
                let (values, rest) = bytes.split_at_checked(width.checked_mul(4)?)?;
                *bytes = rest;
                let values = values.as_chunks().0.iter().map(|one| f32::from_le_bytes(*one));
                into.put_back(Kept { owner, at_ns, until_ns }, values)?;
            }
        }
        Some(rows)
    }
}

fn put_rows(out: &mut Vec<u8>, rows: &FadingRows) {
    put(out, rows.len() as u64);
    put(out, rows.rows().next().map_or(0, |(_, row)| row.len() as u64));
    for (kept, row) in rows.rows() {
        put_address(out, kept.owner);
        put(out, kept.at_ns);
        put(out, kept.until_ns);
        out.extend(row.iter().flat_map(|value| value.to_le_bytes()));
    }
}

fn take_remotes(bytes: &mut &[u8], behind_ns: i64) -> Option<Remotes> {
    let count = usize::try_from(take(bytes)?).ok().filter(|count| *count <= REMOTES)?;
    let each = (0..count).map(|_| {
        let remote = owner(take_address(bytes)?)?;
        Some((remote, take(bytes)?.saturating_add_signed(behind_ns)))
    });
    each.collect()
}

fn put(out: &mut Vec<u8>, number: u64) {
    out.extend(number.to_le_bytes());
}

fn take(bytes: &mut &[u8]) -> Option<u64> {
    let (first, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(u64::from_le_bytes(*first))
}

/// Nobody is written as the unspecified address, which is never a remote.
fn put_address(out: &mut Vec<u8>, address: Option<IpAddr>) {
    let bits = match address {
        None => Ipv6Addr::UNSPECIFIED,
        Some(IpAddr::V4(v4)) => v4.to_ipv6_mapped(),
        Some(IpAddr::V6(v6)) => v6,
    };
    out.extend(bits.octets());
}

fn take_address(bytes: &mut &[u8]) -> Option<Ipv6Addr> {
    let (first, rest) = bytes.split_first_chunk::<16>()?;
    *bytes = rest;
    Some(Ipv6Addr::from(*first))
}

fn owner(address: Ipv6Addr) -> Option<IpAddr> {
    (!address.is_unspecified()).then(|| address.to_canonical())
}
