//! bpf(2) where aya 0.14 has no call for it: batches, test runs with a socket buffer's context,
//! map creation and map facts; and membarrier(2).

mod creation;
mod pinning;
mod program;
mod query;

use std::{
    ffi::CString,
    io,
    mem::MaybeUninit,
    os::{
        fd::{AsFd, AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd},
        unix::ffi::OsStrExt as _,
    },
    path::Path,
};

use aya::Pod;

pub use creation::{create_map, plain_types};
pub use pinning::pin;
pub(super) use pinning::{LinkFacts, detach_link, link_facts, links};
pub(super) use program::{ProgramFacts, extend, map_of, program, program_facts};
pub(super) use query::query_tcx;

/// Numbers of `enum bpf_cmd`.
mod command {
    pub(super) const MAP_CREATE: libc::c_long = 0;
    pub(super) const MAP_LOOKUP_ELEM: libc::c_long = 1;
    pub(super) const MAP_UPDATE_ELEM: libc::c_long = 2;
    pub(super) const MAP_DELETE_ELEM: libc::c_long = 3;
    pub(super) const MAP_GET_NEXT_KEY: libc::c_long = 4;
    pub(super) const OBJ_PIN: libc::c_long = 6;
    pub(super) const OBJ_GET: libc::c_long = 7;
    pub(super) const OBJ_GET_INFO_BY_FD: libc::c_long = 15;
    pub(super) const PROG_TEST_RUN: libc::c_long = 10;
    pub(super) const PROG_GET_FD_BY_ID: libc::c_long = 13;
    pub(super) const MAP_GET_FD_BY_ID: libc::c_long = 14;
    pub(super) const PROG_QUERY: libc::c_long = 16;
    pub(super) const BTF_LOAD: libc::c_long = 18;
    pub(super) const MAP_LOOKUP_BATCH: libc::c_long = 24;
    pub(super) const MAP_LOOKUP_AND_DELETE_BATCH: libc::c_long = 25;
    pub(super) const LINK_CREATE: libc::c_long = 28;
    pub(super) const LINK_GET_FD_BY_ID: libc::c_long = 30;
    pub(super) const LINK_GET_NEXT_ID: libc::c_long = 31;
    pub(super) const LINK_DETACH: libc::c_long = 34;
}

/// `BPF_ANY`: make or replace.
pub(super) const ANY: u64 = 0;
/// `BPF_NOEXIST`: make, where there is none.
pub(super) const NEW: u64 = 1;
/// `BPF_EXIST`: replace, where there is one.
pub(super) const EXISTING: u64 = 2;

/// Bytes of `union bpf_attr` given to the kernel; it takes any size up to its own and zeroes.
const ATTRIBUTE_BYTES: usize = 128;

/// Request buffer, `union bpf_attr`: each command's struct lies at its start.
#[repr(C, align(8))]
struct Attribute([u8; ATTRIBUTE_BYTES]);

impl Attribute {
    fn of<T: Copy>(request: &T) -> Self {
        const { assert!(size_of::<T>() <= ATTRIBUTE_BYTES && align_of::<T>() <= 8) };
        let mut attribute = Self([0; ATTRIBUTE_BYTES]);
        // SAFETY: it fits (asserted), the requests are integers without padding.
        unsafe { attribute.0.as_mut_ptr().cast::<T>().write(*request) };
        attribute
    }

    fn read<T: Copy>(&self) -> T {
        const { assert!(size_of::<T>() <= ATTRIBUTE_BYTES && align_of::<T>() <= 8) };
        // SAFETY: it fits (asserted), the requests are integers for which all bits are values.
        unsafe { self.0.as_ptr().cast::<T>().read() }
    }
}

/// Calls bpf(2).
///
/// # Safety
/// The pointers in the attribute must be good for what the command reads and writes.
unsafe fn bpf(command: libc::c_long, attribute: &mut Attribute) -> io::Result<libc::c_long> {
    // SAFETY: the attribute is ours and as long as said; the rest is the caller's promise.
    let result =
        unsafe { libc::syscall(libc::SYS_bpf, command, attribute.0.as_mut_ptr(), ATTRIBUTE_BYTES) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// Calls bpf(2) with a command that gives a descriptor.
///
/// # Safety
/// The request is the one of the command, integers without padding; its pointers are good for what
/// the command reads and writes.
pub unsafe fn descriptor<T: Copy>(command: libc::c_long, request: &T) -> io::Result<OwnedFd> {
    // SAFETY: the caller's promise.
    let fd = unsafe { bpf(command, &mut Attribute::of(request))? };
    let fd = i32::try_from(fd).map_err(io::Error::other)?;
    // SAFETY: the kernel just gave us this descriptor.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

#[repr(C)]
#[derive(Clone, Copy)]
struct ElementRequest {
    map_fd: u32,
    padding: u32,
    key: u64,
    value: u64,
    flags: u64,
}

impl ElementRequest {
    fn new<K>(map: BorrowedFd<'_>, key: &K, value: u64, flags: u64) -> Self {
        Self { map_fd: fd_of(map), padding: 0, key: address_of(key), value, flags }
    }
}

/// Makes or replaces one element.
pub(super) fn update<K: Pod, V: Pod>(
    map: BorrowedFd<'_>,
    key: &K,
    value: &V,
    flags: u64,
) -> io::Result<()> {
    let request = ElementRequest::new(map, key, address_of(value), flags);
    // SAFETY: key and value are alive; the caller's types are those of the map.
    unsafe { bpf(command::MAP_UPDATE_ELEM, &mut Attribute::of(&request)) }.map(drop)
}

/// Puts a map at an index of an array of maps.
///
/// Returns once no program can still see the map that was there.
pub fn put_map(outer: BorrowedFd<'_>, index: u32, map: BorrowedFd<'_>) -> io::Result<()> {
    update(outer, &index, &fd_of(map), ANY)
}

/// Reads one element, `None` where there is none.
pub(super) fn lookup<K: Pod, V: Pod>(map: BorrowedFd<'_>, key: &K) -> io::Result<Option<V>> {
    let mut value = MaybeUninit::<V>::zeroed();
    let request = ElementRequest::new(map, key, value.as_mut_ptr() as u64, 0);
    // SAFETY: key and value are alive; the caller's types are those of the map.
    match unsafe { bpf(command::MAP_LOOKUP_ELEM, &mut Attribute::of(&request)) } {
        // SAFETY: zeroed, then written by the kernel; any bytes are a `Pod`.
        Ok(_) => Ok(Some(unsafe { value.assume_init() })),
        Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Reads one element of a per-CPU map into one value per possible CPU.
///
/// # Panics
/// If `V` is not a multiple of 8 bytes, which the kernel would pad.
pub(super) fn lookup_per_cpu<K: Pod, V: Pod>(
    map: BorrowedFd<'_>,
    key: &K,
    values: &mut [V],
) -> io::Result<()> {
    const { assert!(size_of::<V>().is_multiple_of(8)) };
    let request = ElementRequest::new(map, key, values.as_mut_ptr() as u64, 0);
    // SAFETY: `values` holds one value per possible CPU (the callers make it so).
    unsafe { bpf(command::MAP_LOOKUP_ELEM, &mut Attribute::of(&request)) }.map(drop)
}

/// Replaces one element of a per-CPU map by one value per possible CPU.
pub(super) fn update_per_cpu<K: Pod, V: Pod>(
    map: BorrowedFd<'_>,
    key: &K,
    values: &[V],
) -> io::Result<()> {
    const { assert!(size_of::<V>().is_multiple_of(8)) };
    let request = ElementRequest::new(map, key, values.as_ptr() as u64, ANY);
    // SAFETY: `values` holds one value per possible CPU (the callers make it so).
    unsafe { bpf(command::MAP_UPDATE_ELEM, &mut Attribute::of(&request)) }.map(drop)
}

/// Removes one element; tells whether there was one.
pub(super) fn delete<K: Pod>(map: BorrowedFd<'_>, key: &K) -> io::Result<bool> {
    let request = ElementRequest::new(map, key, 0, 0);
    // SAFETY: the key is alive; the caller's type is that of the map.
    match unsafe { bpf(command::MAP_DELETE_ELEM, &mut Attribute::of(&request)) } {
        Ok(_) => Ok(true),
        Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(false),
        Err(error) => Err(error),
    }
}

/// True where a map has no element.
pub(super) fn is_empty(map: BorrowedFd<'_>) -> io::Result<bool> {
    // No weir map has a longer key.
    let mut next = [0_u8; 64];
    let request = ElementRequest {
        map_fd: fd_of(map),
        padding: 0,
        key: 0,
        value: next.as_mut_ptr() as u64,
        flags: 0,
    };
    // SAFETY: without a key, the kernel writes the first one, for which there is room.
    match unsafe { bpf(command::MAP_GET_NEXT_KEY, &mut Attribute::of(&request)) } {
        Ok(_) => Ok(false),
        Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(true),
        Err(error) => Err(error),
    }
}

#[repr(C)]
#[derive(Clone, Copy)]
struct PathRequest {
    path: u64,
    fd: u32,
    flags: u32,
}

/// Opens what is pinned at a path.
pub(super) fn open_pin(path: &Path) -> io::Result<OwnedFd> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    let request = PathRequest { path: path.as_ptr() as u64, fd: 0, flags: 0 };
    // SAFETY: a string that ends in zero.
    unsafe { descriptor(command::OBJ_GET, &request) }
}

#[repr(C)]
#[derive(Clone, Copy)]
struct InfoRequest {
    fd: u32,
    length: u32,
    info: u64,
}

/// Facts that must match for a pinned map to be used again: the start of `struct bpf_map_info`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MapFacts {
    /// `BPF_MAP_TYPE_*`.
    pub map_type: u32,
    /// Not compared: each map has its own.
    id: u32,
    /// Bytes of a key.
    pub key_size: u32,
    /// Bytes of a value.
    pub value_size: u32,
    /// Most entries.
    pub max_entries: u32,
    /// `BPF_F_*`.
    pub map_flags: u32,
}

impl MapFacts {
    /// The facts of a map.
    #[must_use]
    pub const fn new(
        map_type: u32,
        key_size: u32,
        value_size: u32,
        max_entries: u32,
        map_flags: u32,
    ) -> Self {
        Self { map_type, id: 0, key_size, value_size, max_entries, map_flags }
    }
}

impl std::fmt::Display for MapFacts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} entries of {} + {} bytes (type {}, flags {:#x})",
            self.max_entries, self.key_size, self.value_size, self.map_type, self.map_flags
        )
    }
}

impl MapFacts {
    /// True where entries of the one are entries of the other: only sizes and flags may differ.
    pub(super) const fn holds_the_same(&self, other: &Self) -> bool {
        self.map_type == other.map_type
            && self.key_size == other.key_size
            && self.value_size == other.value_size
    }
}

/// A map's facts.
pub(super) fn map_facts(map: BorrowedFd<'_>) -> io::Result<MapFacts> {
    let mut facts = MapFacts::default();
    let request = InfoRequest {
        fd: fd_of(map),
        length: size_of_u32::<MapFacts>(),
        info: (&raw mut facts) as u64,
    };
    // SAFETY: the kernel writes no more than `length` bytes.
    unsafe { bpf(command::OBJ_GET_INFO_BY_FD, &mut Attribute::of(&request)) }?;
    facts.id = 0;
    Ok(facts)
}

#[repr(C)]
#[derive(Clone, Copy)]
struct BatchRequest {
    in_batch: u64,
    out_batch: u64,
    keys: u64,
    values: u64,
    count: u32,
    map_fd: u32,
    elem_flags: u64,
    flags: u64,
}

/// Treatment of the elements that a batch reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Batch {
    /// Leaves them (`BPF_MAP_LOOKUP_BATCH`).
    Read,
    /// Removes them (`BPF_MAP_LOOKUP_AND_DELETE_BATCH`).
    Take,
}

/// Elements read by one system call; 4,096 flows are 1.7 MB.
pub(super) const BATCH_ELEMENTS: usize = 4_096;

/// Reads a whole hash map, appending to `keys` and `values`.
///
/// Elements that are added or removed meanwhile may or may not be among them. Costs one system
/// call per 4,096 elements. Linux 5.6.
pub(super) fn read_batches<K: Pod, V: Pod>(
    map: BorrowedFd<'_>,
    batch: Batch,
    keys: &mut Vec<K>,
    values: &mut Vec<V>,
) -> io::Result<()> {
    let mut cursor = Cursor::default();
    while cursor.advance(map, batch, keys, values)? {}
    Ok(())
}

/// Reads a whole map in one batch, unless elements that go meanwhile cut it short.
pub(super) fn read_whole<K: Pod, V: Pod>(map: BorrowedFd<'_>) -> io::Result<Vec<(K, V)>> {
    let (mut keys, mut values) = (Vec::new(), Vec::new());
    // One more than there can be: the kernel then tells that it came to the end.
    let room = map_facts(map)?.max_entries as usize + 1;
    let mut cursor = Cursor { room, ..Cursor::default() };
    while cursor.advance(map, Batch::Read, &mut keys, &mut values)? {}
    Ok(keys.into_iter().zip(values).collect())
}

/// As [`read_batches`], but holds one batch at a time.
pub(super) fn visit_batches<K: Pod, V: Pod>(
    map: BorrowedFd<'_>,
    mut visit: impl FnMut(&K, &V),
) -> io::Result<()> {
    let (mut keys, mut values) = (Vec::new(), Vec::new());
    let mut cursor = Cursor::default();
    loop {
        let more = cursor.advance(map, Batch::Read, &mut keys, &mut values)?;
        keys.iter().zip(&values).for_each(|(key, value)| visit(key, value));
        if !more {
            return Ok(());
        }
        keys.clear();
        values.clear();
    }
}

/// Position in a map that is being read.
struct Cursor {
    /// Start of the next batch: four bytes for a hash map, a key for a trie.
    position: [u8; 64],
    room: usize,
    first: bool,
}

impl Default for Cursor {
    fn default() -> Self {
        Self { position: [0; 64], room: BATCH_ELEMENTS, first: true }
    }
}

impl Cursor {
    /// Appends one batch; tells whether there may be more.
    fn advance<K: Pod, V: Pod>(
        &mut self,
        map: BorrowedFd<'_>,
        batch: Batch,
        keys: &mut Vec<K>,
        values: &mut Vec<V>,
    ) -> io::Result<bool> {
        let command = match batch {
            Batch::Read => command::MAP_LOOKUP_BATCH,
            Batch::Take => command::MAP_LOOKUP_AND_DELETE_BATCH,
        };
        loop {
            let room = self.room;
            keys.reserve(room);
            if values.capacity() - values.len() < room {
                values.reserve(room);
                expect_large(values.spare_capacity_mut());
            }
            let request = BatchRequest {
                in_batch: if self.first { 0 } else { self.position.as_ptr() as u64 },
                out_batch: self.position.as_mut_ptr() as u64,
                keys: keys.spare_capacity_mut().as_mut_ptr() as u64,
                values: values.spare_capacity_mut().as_mut_ptr() as u64,
                count: u32::try_from(room).unwrap_or(u32::MAX),
                map_fd: fd_of(map),
                elem_flags: 0,
                flags: 0,
            };
            let mut attribute = Attribute::of(&request);
            // SAFETY: `keys` and `values` have room for `count` elements of the map's types.
            let result = unsafe { bpf(command, &mut attribute) };
            let read = attribute.read::<BatchRequest>().count as usize;
            let end = match result {
                Ok(_) => false,
                Err(error) => match error.raw_os_error() {
                    Some(libc::ENOENT) => true,
                    // A bucket holds more than there was room for.
                    Some(libc::ENOSPC) => {
                        self.room *= 2;
                        continue;
                    }
                    // Elements went while a trie was read (`generic_map_lookup_batch`): those that
                    // were copied lie before the new position.
                    Some(libc::EINTR) if (1..room).contains(&read) => false,
                    Some(libc::EINTR | libc::EAGAIN) => continue,
                    _ => return Err(error),
                },
            };
            debug_assert!(read <= room);
            // SAFETY: the kernel wrote the first `read` elements of the spare room of both.
            unsafe {
                keys.set_len(keys.len() + read);
                values.set_len(values.len() + read);
            }
            self.first = false;
            return Ok(!end);
        }
    }
}

#[repr(C)]
#[derive(Clone, Copy)]
struct TestRequest {
    prog_fd: u32,
    retval: u32,
    data_size_in: u32,
    data_size_out: u32,
    data_in: u64,
    data_out: u64,
    repeat: u32,
    duration: u32,
    ctx_size_in: u32,
    ctx_size_out: u32,
    ctx_in: u64,
    ctx_out: u64,
    flags: u32,
    cpu: u32,
    batch_size: u32,
    padding: u32,
}

/// Result of a test run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TestRun {
    /// The program's return value.
    pub returned: u32,
    /// Mean time of one run, in ns; the harness's own is about 16 ns.
    pub duration_ns: u32,
}

/// Runs a program on a frame, `repeat` times, with `context` for what the kernel would know of
/// the packet.
pub fn test_run(
    program: BorrowedFd<'_>,
    frame: &[u8],
    context: Option<&[u8]>,
    repeat: u32,
) -> io::Result<TestRun> {
    let context = context.unwrap_or_default();
    let request = TestRequest {
        prog_fd: fd_of(program),
        retval: 0,
        data_size_in: length_of(frame)?,
        data_size_out: 0,
        data_in: frame.as_ptr() as u64,
        data_out: 0,
        repeat,
        duration: 0,
        ctx_size_in: length_of(context)?,
        ctx_size_out: 0,
        ctx_in: if context.is_empty() { 0 } else { context.as_ptr() as u64 },
        ctx_out: 0,
        flags: 0,
        cpu: 0,
        batch_size: 0,
        padding: 0,
    };
    let mut attribute = Attribute::of(&request);
    // SAFETY: both slices are as long as said.
    unsafe { bpf(command::PROG_TEST_RUN, &mut attribute) }?;
    let answer = attribute.read::<TestRequest>();
    Ok(TestRun { returned: answer.retval, duration_ns: answer.duration })
}

/// Returns once every program that was running has ended.
///
/// `MEMBARRIER_CMD_GLOBAL` waits for an RCU grace period, and programs run within one. Kernels
/// that run with `nohz_full` refuse it: the caller then needs another way.
pub(super) fn membarrier() -> io::Result<()> {
    const GLOBAL: libc::c_int = 1;
    // SAFETY: no pointers.
    let result = unsafe { libc::syscall(libc::SYS_membarrier, GLOBAL, 0, 0) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Advises the kernel to back memory just reserved, which will be filled from end to end, with
/// large pages: a drained window is tens of MB, and a fault for every 4 kB of it costs more than to
/// fill it.
pub(super) fn expect_large<T>(reserved: &mut [MaybeUninit<T>]) {
    const PAGE: usize = 4_096;
    const WORTHWHILE: usize = 4 << 20;
    let start = (reserved.as_ptr() as usize).next_multiple_of(PAGE);
    let end = reserved.as_ptr_range().end as usize / PAGE * PAGE;
    if end.saturating_sub(start) >= WORTHWHILE {
        // SAFETY: whole pages of memory of ours; advice changes no content. Where it is not
        // taken, nothing is lost.
        unsafe { libc::madvise(start as *mut libc::c_void, end - start, libc::MADV_HUGEPAGE) };
    }
}

fn fd_of<F: AsFd>(fd: F) -> u32 {
    fd.as_fd().as_raw_fd().unsigned_abs()
}

/// The size of a type as the kernel wants it.
#[expect(clippy::cast_possible_truncation, reason = "asserted")]
#[must_use]
pub const fn size_of_u32<T>() -> u32 {
    const { assert!(size_of::<T>() <= u32::MAX as usize) };
    size_of::<T>() as u32
}

fn address_of<T>(value: &T) -> u64 {
    std::ptr::from_ref(value) as u64
}

fn length_of(bytes: &[u8]) -> io::Result<u32> {
    u32::try_from(bytes.len()).map_err(io::Error::other)
}
