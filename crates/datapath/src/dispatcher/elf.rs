//! Another name for a section of programs in an object (ELF of 64 bits, of this machine's order).

/// Bytes of a section's header, and places in it.
const HEADER: usize = 64;
const OFFSET: usize = 24;
const SIZE: usize = 32;

/// The object with `to` for the name of its section `from`, in its table of sections as in its types
/// (BTF), which tell by that name what its functions are. `None` where it has no such section.
///
/// What names a section also says whether its programs take frames of several buffers, and the loader
/// knows no other way to be told so.
pub(super) fn renamed(object: &[u8], from: &str, to: &str) -> Option<Vec<u8>> {
    let table = usize::try_from(word64(object, 0x28)?).ok()?;
    let header = |at: u16| table + HEADER * usize::from(at);
    let (count, names) = (word16(object, 0x3c)?, header(word16(object, 0x3e)?));
    let strings = content(object, names)?;
    let section = |name: &str| {
        (0..count).map(header).find(|&one| {
            word(object, one).is_some_and(|at| string(strings, at) == Some(name.as_bytes()))
        })
    };
    let (section_from, types, infos) = (section(from)?, section(".BTF")?, section(".BTF.ext")?);

    let mut bytes = object.to_vec();
    put(&mut bytes, section_from, u32::try_from(strings.len()).ok()?);
    append(&mut bytes, names, &[strings, to.as_bytes(), &[0]].concat());

    // `struct btf_header`: its length, then offset and length of the strings, which come last.
    let types_of = content(object, types)?;
    let begin = word(types_of, 4)?.checked_add(word(types_of, 16)?)? as usize;
    let length = word(types_of, 20)?;
    let type_strings = types_of.get(begin..)?.get(..length as usize)?;
    let mut types_now = types_of.get(..begin + length as usize)?.to_vec();
    types_now.extend([to.as_bytes(), &[0]].concat());
    put(&mut types_now, 20, length + u32::try_from(to.len()).ok()? + 1);
    append(&mut bytes, types, &types_now);

    // `struct btf_ext_header`: its length, then offset and length of what is told of functions and of
    // lines: the length of a record, then for each section its name, a count, and so many records.
    let (at, told) =
        (usize::try_from(word64(object, infos + OFFSET)?).ok()?, content(object, infos)?);
    for part in [8, 16] {
        let begin = word(told, 4)?.checked_add(word(told, part)?)? as usize;
        let end = begin.checked_add(word(told, part + 4)? as usize)?;
        let record = word(told, begin)? as usize;
        let mut next = begin + 4;
        while next < end {
            if string(type_strings, word(told, next)?) == Some(from.as_bytes()) {
                put(&mut bytes, at + next, length);
            }
            next = (word(told, next + 4)? as usize).checked_mul(record)?.checked_add(next + 8)?;
        }
    }
    Some(bytes)
}

fn word16(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn word64(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// The text in a table of strings.
fn string(strings: &[u8], at: u32) -> Option<&[u8]> {
    strings.get(at as usize..)?.split(|&byte| byte == 0).next()
}

/// A section's bytes.
fn content(object: &[u8], header: usize) -> Option<&[u8]> {
    let [offset, size] = [OFFSET, SIZE].map(|place| word64(object, header + place));
    object.get(usize::try_from(offset?).ok()?..)?.get(..usize::try_from(size?).ok()?)
}

/// Overwrites a word that was read there.
fn put(bytes: &mut [u8], at: usize, word: u32) {
    bytes[at..at + 4].copy_from_slice(&word.to_ne_bytes());
}

/// Gives a section other bytes, behind all others.
fn append(bytes: &mut Vec<u8>, header: usize, content: &[u8]) {
    bytes.resize(bytes.len().next_multiple_of(8), 0);
    for (place, word) in [(OFFSET, bytes.len()), (SIZE, content.len())] {
        bytes[header + place..][..8].copy_from_slice(&(word as u64).to_ne_bytes());
    }
    bytes.extend_from_slice(content);
}

#[cfg(test)]
mod tests {
    use super::*;
    use aya_obj::{Object, ProgramSection};

    #[test]
    fn a_program_in_a_section_of_another_name_takes_frames_of_several_buffers() {
        let facts = |object: &[u8]| {
            let parsed = Object::parse(object).expect("an object");
            let program = &parsed.programs["xdp_guard_skb"];
            let frags = matches!(program.section, ProgramSection::Xdp { frags: true, .. });
            let function = &parsed.functions[&program.function_key()];
            let counts = [function.func_info.func_info.len(), function.line_info.line_info.len()];
            assert!(!counts.contains(&0));
            (frags, counts)
        };
        let own = crate::OBJECT;
        let other = renamed(own, "xdp", "xdp.frags").expect("it has such a section");
        let (before, after) = (facts(own), facts(&other));
        assert_eq!((before.0, after), (false, (true, before.1)));
        assert!(renamed(own, "none", "x").is_none());
        assert!(renamed(&own[..70], "xdp", "x").is_none());
    }
}
