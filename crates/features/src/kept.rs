//! Memory as bytes, to be kept over a restart, and back.
//!
//! Numbers are little-endian and stand in the order of the fields; nothing tells them apart. Whoever
//! reads bytes back has compared the [`layout`] of the build that wrote them, and their checksum.

use flows_common::{Direction, FlowKey, Span, Standing};

use crate::{
    context::{recent::Recent, sizes_of_kept},
    counts::sketch::hash,
};

/// Entries of each table that are kept, those touched last: memory that is full is 20 MB so.
const MOST: usize = 8_192;
/// Changes with the meaning of what is kept.
const VERSION: u64 = 1;

/// What can be kept.
pub(crate) trait Kept: Sized {
    fn put(&self, out: &mut Vec<u8>);
    fn take(bytes: &mut &[u8]) -> Option<Self>;
}

/// Names the layout that bytes are written in: of this version, and of entries of these sizes.
#[must_use]
pub fn layout() -> u64 {
    hash([VERSION].into_iter().chain(sizes_of_kept().map(|size| size as u64)))
}

/// Bytes that one takes.
pub(crate) fn size(one: &impl Kept) -> usize {
    let mut bytes = Vec::new();
    one.put(&mut bytes);
    bytes.len()
}

/// Declares the fields of a type, or the words of an enum in the order of their codes.
macro_rules! kept {
    ($kind:ident $(<const $size:ident>)? { $($field:tt),+ }) => {
        impl $(<const $size: usize>)? crate::kept::Kept for $kind $(<$size>)? {
            fn put(&self, out: &mut Vec<u8>) {
                $(self.$field.put(out);)+
            }

            fn take(bytes: &mut &[u8]) -> Option<Self> {
                Some(Self { $($field: crate::kept::Kept::take(bytes)?),+ })
            }
        }
    };
    ($kind:ident of $words:expr) => {
        impl crate::kept::Kept for $kind {
            fn put(&self, out: &mut Vec<u8>) {
                out.push(*self as u8);
            }

            fn take(bytes: &mut &[u8]) -> Option<Self> {
                $words.get(usize::from(u8::take(bytes)?)).copied()
            }
        }
    };
}
pub(crate) use kept;

macro_rules! numbers {
    ($($kind:ty),+) => {
        $(impl Kept for $kind {
            fn put(&self, out: &mut Vec<u8>) {
                out.extend(self.to_le_bytes());
            }

            fn take(bytes: &mut &[u8]) -> Option<Self> {
                let (first, rest) = bytes.split_first_chunk()?;
                *bytes = rest;
                Some(Self::from_le_bytes(*first))
            }
        })+
    };
}
numbers!(u8, u16, u32, u64, u128, f32, f64);

impl Kept for bool {
    fn put(&self, out: &mut Vec<u8>) {
        out.push(u8::from(*self));
    }

    fn take(bytes: &mut &[u8]) -> Option<Self> {
        Some(u8::take(bytes)? != 0)
    }
}

impl<T: Kept> Kept for Option<T> {
    fn put(&self, out: &mut Vec<u8>) {
        self.is_some().put(out);
        if let Some(one) = self {
            one.put(out);
        }
    }

    fn take(bytes: &mut &[u8]) -> Option<Self> {
        if bool::take(bytes)? { T::take(bytes).map(Some) } else { Some(None) }
    }
}

impl<T: Kept, const N: usize> Kept for [T; N] {
    fn put(&self, out: &mut Vec<u8>) {
        for one in self {
            one.put(out);
        }
    }

    fn take(bytes: &mut &[u8]) -> Option<Self> {
        let all: Option<Vec<T>> = (0..N).map(|_| T::take(bytes)).collect();
        all?.try_into().ok()
    }
}

impl<A: Kept, B: Kept> Kept for (A, B) {
    fn put(&self, out: &mut Vec<u8>) {
        self.0.put(out);
        self.1.put(out);
    }

    fn take(bytes: &mut &[u8]) -> Option<Self> {
        Some((A::take(bytes)?, B::take(bytes)?))
    }
}

impl Kept for () {
    fn put(&self, _: &mut Vec<u8>) {}

    fn take(_: &mut &[u8]) -> Option<Self> {
        Some(())
    }
}

kept!(Span { start_ns, end_ns });
kept!(FlowKey {
    local,
    remote,
    ifindex,
    local_port,
    remote_port,
    outer_vlan,
    inner_vlan,
    protocol,
    reserved
});
kept!(Direction of Direction::ALL);
kept!(Standing of Standing::ALL);

/// Puts the entries of a table that were touched last, in the order in which they were: those that
/// `keep` leaves something of.
pub(crate) fn put_table<K: Kept + Copy + Eq + std::hash::Hash, V: Kept + Copy>(
    table: &Recent<K, V>,
    keep: impl Fn(&V) -> Option<V>,
    out: &mut Vec<u8>,
) {
    let latest = table.latest().filter_map(|(key, value)| Some((*key, keep(value)?)));
    let mut latest: Vec<(K, V)> = latest.take(MOST).collect();
    latest.reverse();
    (latest.len() as u64).put(out);
    for one in &latest {
        one.put(out);
    }
}

/// Takes a table of at most so many entries.
pub(crate) fn take_table<K: Kept + Copy + Eq + std::hash::Hash, V: Kept + Copy>(
    capacity: usize,
    bytes: &mut &[u8],
) -> Option<Recent<K, V>> {
    let mut table = Recent::with_capacity(capacity);
    for _ in 0..u64::take(bytes)? {
        let (key, value) = Kept::take(bytes)?;
        table.touch(key, || value);
    }
    Some(table)
}
