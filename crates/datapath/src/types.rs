//! The running kernel's own types (BTF): where a field lies, what an enumeration's values are called.
//!
//! aya reads BTF to relocate programs by it and shows none of its contents; what is asked here are a
//! few names, looked up once.

use std::{collections::HashMap, fs, io, path::Path};

/// Where the kernel tells its types.
pub(super) const PATH: &str = "/sys/kernel/btf/vmlinux";

/// Kinds of types (`linux/btf.h`).
mod kind {
    pub(super) const INT: u32 = 1;
    pub(super) const POINTER: u32 = 2;
    pub(super) const ARRAY: u32 = 3;
    pub(super) const STRUCT: u32 = 4;
    pub(super) const UNION: u32 = 5;
    pub(super) const ENUM: u32 = 6;
    pub(super) const TYPEDEF: u32 = 8;
    pub(super) const FUNCTION: u32 = 13;
    pub(super) const VARIABLE: u32 = 14;
    pub(super) const SECTION: u32 = 15;
    pub(super) const TAG: u32 = 17;
    pub(super) const ENUM64: u32 = 19;
}

/// Bytes of `struct btf_type`.
const TYPE: usize = 12;

/// Types, by their number from 1 on.
#[derive(Debug)]
pub(super) struct Types {
    bytes: Vec<u8>,
    /// Where each type is.
    places: Vec<usize>,
    /// Structures and enumerations by name.
    named: HashMap<Vec<u8>, usize>,
    strings: usize,
}

impl Types {
    /// Those of the running kernel.
    pub(super) fn of_kernel() -> io::Result<Self> {
        Self::parse(fs::read(Path::new(PATH))?).ok_or_else(|| io::ErrorKind::InvalidData.into())
    }

    fn parse(bytes: Vec<u8>) -> Option<Self> {
        const MAGIC: [u8; 2] = 0xeb9f_u16.to_ne_bytes();
        let number = |at: usize| word(&bytes, at).map(|number| number as usize);
        if bytes.get(..2)? != MAGIC {
            return None;
        }
        let header = number(4)?;
        let (types, length) = (header + number(8)?, number(12)?);
        let strings = header + number(16)?;
        let end = types.checked_add(length).filter(|&end| end <= bytes.len())?;
        let mut all = Self { bytes, places: Vec::new(), named: HashMap::new(), strings };
        let mut at = types;
        while at < end {
            let place = all.places.len();
            all.places.push(at);
            let (of, count) = (all.kind(at)?, all.count(at)?);
            if matches!(of, kind::STRUCT | kind::UNION | kind::ENUM | kind::TYPEDEF | kind::ENUM64)
            {
                let name = all.name(at)?.to_vec();
                // A structure comes before a forward declaration of another unit's.
                all.named.entry(name).or_insert(place);
            }
            at += TYPE
                + match of {
                    kind::INT | kind::VARIABLE | kind::TAG => 4,
                    kind::ARRAY => 12,
                    kind::STRUCT | kind::UNION | kind::SECTION | kind::ENUM64 => 12 * count,
                    kind::ENUM | kind::FUNCTION => 8 * count,
                    _ => 0,
                };
        }
        Some(all)
    }

    /// Where a field lies in a structure, in bytes; `path` leads through structures within it, and
    /// those without a name are looked through.
    pub(super) fn offset(&self, structure: &str, path: &[&str]) -> Option<u32> {
        let mut at = self.place_of(structure)?;
        let mut bits = 0;
        for field in path {
            let (of, offset) = self.field(at, field.as_bytes())?;
            bits += offset;
            at = of;
        }
        (bits % 8 == 0).then_some(bits / 8)
    }

    /// The values of an enumeration, each with its name.
    pub(super) fn values(&self, enumeration: &str) -> Option<Vec<(u32, String)>> {
        let at = self.place_of(enumeration)?;
        if self.kind(at)? != kind::ENUM {
            return None;
        }
        (0..self.count(at)?)
            .map(|number| {
                let value = at + TYPE + 8 * number;
                let name = self.string(word(&self.bytes, value)?)?;
                Some((word(&self.bytes, value + 4)?, String::from_utf8_lossy(name).into_owned()))
            })
            .collect()
    }

    /// How many arguments a function takes that this type is a pointer to.
    pub(super) fn arguments(&self, function: &str) -> Option<usize> {
        let mut at = self.place_of(function)?;
        while matches!(self.kind(at)?, kind::TYPEDEF | kind::POINTER) {
            at = self.place(word(&self.bytes, at + 8)?)?;
        }
        (self.kind(at)? == kind::FUNCTION).then(|| self.count(at)).flatten()
    }

    /// The type of a field and where it lies, in bits.
    fn field(&self, structure: usize, name: &[u8]) -> Option<(usize, u32)> {
        /// Bits of an offset where some fields of the structure are of few bits.
        const OFFSET: u32 = 0xff_ffff;
        let structure = self.resolve(structure)?;
        if !matches!(self.kind(structure)?, kind::STRUCT | kind::UNION) {
            return None;
        }
        let with_widths = word(&self.bytes, structure + 4)? >> 31 != 0;
        for number in 0..self.count(structure)? {
            let member = structure + TYPE + 12 * number;
            let offset = word(&self.bytes, member + 8)?;
            let offset = if with_widths { offset & OFFSET } else { offset };
            let of = self.place(word(&self.bytes, member + 4)?);
            let called = self.string(word(&self.bytes, member)?)?;
            if called == name {
                return Some((of?, offset));
            }
            if called.is_empty()
                && let Some(within) = of.and_then(|of| self.field(of, name))
            {
                return Some((within.0, offset + within.1));
            }
        }
        None
    }

    /// The type behind other names and qualifiers of it.
    fn resolve(&self, mut at: usize) -> Option<usize> {
        /// Typedef, volatile, const, restrict; type tag.
        const SAME: [u32; 5] = [kind::TYPEDEF, 9, 10, 11, 18];
        while SAME.contains(&self.kind(at)?) {
            at = self.place(word(&self.bytes, at + 8)?)?;
        }
        Some(at)
    }

    fn place_of(&self, name: &str) -> Option<usize> {
        self.places.get(*self.named.get(name.as_bytes())?).copied()
    }

    fn place(&self, number: u32) -> Option<usize> {
        self.places.get((number as usize).checked_sub(1)?).copied()
    }

    fn kind(&self, at: usize) -> Option<u32> {
        Some(word(&self.bytes, at + 4)? >> 24 & 0x1f)
    }

    fn count(&self, at: usize) -> Option<usize> {
        Some((word(&self.bytes, at + 4)? & 0xffff) as usize)
    }

    fn name(&self, at: usize) -> Option<&[u8]> {
        self.string(word(&self.bytes, at)?)
    }

    fn string(&self, offset: u32) -> Option<&[u8]> {
        let rest = self.bytes.get(self.strings + offset as usize..)?;
        rest.split(|&byte| byte == 0).next()
    }
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().copied().map(u32::from_ne_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_type_information_is_refused() {
        assert!(Types::parse(Vec::new()).is_none());
        assert!(Types::parse(vec![0xff; 64]).is_none());
    }

    #[test]
    fn fields_of_the_running_kernel_are_found_through_structures_without_a_name() {
        let Ok(types) = Types::of_kernel() else {
            test_support::skip("the kernel tells no types");
            return;
        };
        assert_eq!(types.offset("list_head", &["prev"]), Some(8));
        // `network_header` is in a group without a name, `sk` in a union.
        let [head, network, socket] =
            ["head", "network_header", "sk"].map(|field| types.offset("sk_buff", &[field]));
        assert!(head.is_some() && network.is_some() && socket.is_some());
        assert_eq!(types.offset("sk_buff", &["no_such_field"]), None);
        assert_eq!(
            types.offset("sock", &["__sk_common", "skc_net"]),
            types.offset("sock_common", &["skc_net"])
        );
        assert!(types.arguments("btf_trace_kfree_skb").is_some_and(|count| count >= 3));
    }
}
