//! Maps made, and the types (BTF) that one may need.

use std::{
    io,
    os::fd::{BorrowedFd, OwnedFd},
};

use super::{MapFacts, command, descriptor, fd_of, length_of};

#[repr(C)]
#[derive(Clone, Copy)]
struct CreateRequest {
    map_type: u32,
    key_size: u32,
    value_size: u32,
    max_entries: u32,
    map_flags: u32,
    inner_map_fd: u32,
    numa_node: u32,
    map_name: [u8; 16],
    map_ifindex: u32,
    btf_fd: u32,
    btf_key_type_id: u32,
    btf_value_type_id: u32,
}

/// Makes a map of given facts, for a map of maps with one like those it is to hold; with the types
/// of its key and value where `types` has them ([`plain_types`]).
pub fn create_map(
    name: &str,
    facts: &MapFacts,
    inner: Option<BorrowedFd<'_>>,
    types: Option<BorrowedFd<'_>>,
) -> io::Result<OwnedFd> {
    let [key_type, value_type] = if types.is_some() { [KEY_TYPE, VALUE_TYPE] } else { [0, 0] };
    let request = CreateRequest {
        map_type: facts.map_type,
        key_size: facts.key_size,
        value_size: facts.value_size,
        max_entries: facts.max_entries,
        map_flags: facts.map_flags,
        inner_map_fd: inner.map_or(0, fd_of),
        numa_node: 0,
        map_name: map_name(name),
        map_ifindex: 0,
        btf_fd: types.map_or(0, fd_of),
        btf_key_type_id: key_type,
        btf_value_type_id: value_type,
    };
    // SAFETY: the request has no pointers.
    unsafe { descriptor(command::MAP_CREATE, &request) }
}

/// A name as the kernel keeps it: cut to 15 bytes.
fn map_name(name: &str) -> [u8; 16] {
    let mut map_name = [0; 16];
    let length = name.len().min(map_name.len() - 1);
    map_name[..length].copy_from_slice(&name.as_bytes()[..length]);
    map_name
}

/// Numbers of the types in [`plain_types`].
const BYTE_TYPE: u32 = 1;
const KEY_TYPE: u32 = 3;
const VALUE_TYPE: u32 = 5;

/// Gives the kernel the types of a map whose key and value are structures of so many bytes, for
/// [`create_map`].
///
/// Before Linux 6.2, a map of maps whose template has types takes no map without: the kernel
/// compares where a timer lies in the value, and "nowhere" is not "unknown".
pub fn plain_types(key_size: u32, value_size: u32) -> io::Result<OwnedFd> {
    let blob = blob(key_size, value_size);
    let request = BtfRequest {
        btf: blob.as_ptr() as u64,
        log: 0,
        size: length_of(&blob)?,
        log_size: 0,
        log_level: 0,
        padding: 0,
    };
    // SAFETY: the blob is as long as said; no log is asked for.
    unsafe { descriptor(command::BTF_LOAD, &request) }
}

#[repr(C)]
#[derive(Clone, Copy)]
struct BtfRequest {
    btf: u64,
    log: u64,
    size: u32,
    log_size: u32,
    log_level: u32,
    padding: u32,
}

/// The types in the kernel's format (Documentation/bpf/btf.rst).
fn blob(key_size: u32, value_size: u32) -> Vec<u8> {
    const HEADER_BYTES: u32 = 24;
    const STRINGS: &[u8] = b"\0u8\0";
    const INT: u32 = 1 << 24;
    const ARRAY: u32 = 3 << 24;
    const STRUCT_OF_ONE: u32 = 4 << 24 | 1;
    let bytes = |count| [0, ARRAY, 0, BYTE_TYPE, BYTE_TYPE, count];
    let structure = |size, member| [0, STRUCT_OF_ONE, size, 0, member, 0];
    let types: Vec<u32> = [
        // Its name lies at 1 among the strings; a byte has 8 bits.
        &[1, INT, 1, 8][..],
        &bytes(key_size),
        &structure(key_size, KEY_TYPE - 1),
        &bytes(value_size),
        &structure(value_size, VALUE_TYPE - 1),
    ]
    .concat();
    let length = u32::try_from(types.len() * 4).unwrap_or(u32::MAX);
    let strings = u32::try_from(STRINGS.len()).unwrap_or(u32::MAX);
    // The magic number, version 1 and no flags.
    let mut blob = 0xeb9f_u16.to_ne_bytes().to_vec();
    blob.extend([1, 0]);
    for word in [HEADER_BYTES, 0, length, length, strings].into_iter().chain(types) {
        blob.extend(word.to_ne_bytes());
    }
    blob.extend(STRINGS);
    blob
}
