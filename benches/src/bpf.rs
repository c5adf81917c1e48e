//! Calls of bpf(2) for the kernel sections, beside the collector's own loader: a program that
//! does nothing, maps of other kinds than shipped, and what maps and privileges there are.

use std::{
    collections::BTreeMap,
    ffi::CString,
    fs, io,
    os::{
        fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd},
        unix::ffi::OsStrExt as _,
    },
    path::Path,
};

/// `BPF_MAP_CREATE` of `enum bpf_cmd`.
const MAP_CREATE: libc::c_long = 0;
/// `BPF_MAP_UPDATE_ELEM` of `enum bpf_cmd`.
const MAP_UPDATE_ELEM: libc::c_long = 2;
/// `BPF_OBJ_PIN` of `enum bpf_cmd`.
const OBJ_PIN: libc::c_long = 6;
/// `BPF_PROG_LOAD` of `enum bpf_cmd`.
const PROG_LOAD: libc::c_long = 5;
/// `BPF_LINK_CREATE` of `enum bpf_cmd`.
const LINK_CREATE: libc::c_long = 28;
/// `BPF_XDP` of `enum bpf_attach_type`.
const XDP: u32 = 37;
/// `XDP_FLAGS_DRV_MODE`: in the driver.
const NATIVE: u32 = 1 << 2;
/// `BPF_PROG_TEST_RUN` of `enum bpf_cmd`.
const PROG_TEST_RUN: libc::c_long = 10;

/// The capabilities it takes to load weir's programs, with their numbers in
/// `linux/capability.h`.
const CAPABILITIES: [(&str, u32); 2] = [("CAP_NET_ADMIN", 12), ("CAP_BPF", 39)];

/// Missing rights to load programs; `None` where none is missing.
#[must_use]
pub fn missing_privileges() -> Option<String> {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let missing = missing_in(&status);
    (!missing.is_empty()).then(|| format!("needs {}: run it as root", missing.join(" and ")))
}

fn missing_in(status: &str) -> Vec<&'static str> {
    let effective = status
        .lines()
        .find_map(|line| u64::from_str_radix(line.strip_prefix("CapEff:")?.trim(), 16).ok())
        .unwrap_or(0);
    CAPABILITIES
        .iter()
        .filter(|(_, number)| effective & (1 << number) == 0)
        .map(|(name, _)| *name)
        .collect()
}

/// Kind of program that [`Nothing`] is: the harness treats each in its own way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hook {
    /// `BPF_PROG_TYPE_SCHED_CLS`.
    Tc,
    /// `BPF_PROG_TYPE_XDP`.
    Xdp,
}

/// A program that returns at once: what its test run takes is the harness's own time.
#[derive(Debug)]
pub struct Nothing(OwnedFd);

#[repr(C)]
#[derive(Default)]
struct LoadRequest {
    prog_type: u32,
    insn_cnt: u32,
    insns: u64,
    license: u64,
    rest: [u64; 12],
}

#[repr(C)]
#[derive(Default)]
struct TestRequest {
    prog_fd: u32,
    retval: u32,
    data_size_in: u32,
    data_size_out: u32,
    data_in: u64,
    data_out: u64,
    repeat: u32,
    duration: u32,
    rest: [u64; 10],
}

#[repr(C)]
#[derive(Default)]
struct LinkRequest {
    prog_fd: u32,
    target_ifindex: u32,
    attach_type: u32,
    flags: u32,
    rest: [u64; 6],
}

impl Nothing {
    /// Loads it.
    ///
    /// # Errors
    /// The kernel refuses, most often for want of `CAP_BPF`.
    pub fn load(hook: Hook) -> io::Result<Self> {
        // `r0 = 2; exit`: 2 passes at XDP and is of no account at TC. Opcode, registers, offset,
        // immediate.
        let program: [u64; 2] = [0xb7 | (2 << 32), 0x95];
        let license = c"GPL";
        let mut request = LoadRequest {
            prog_type: match hook {
                Hook::Tc => 3,
                Hook::Xdp => 6,
            },
            insn_cnt: 2,
            insns: program.as_ptr() as u64,
            license: license.as_ptr() as u64,
            ..LoadRequest::default()
        };
        // SAFETY: the pointers lead to what is alive until the call returns.
        let fd = unsafe { bpf(PROG_LOAD, &mut request)? };
        // SAFETY: the kernel just gave us this descriptor.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// Attaches one of [`Hook::Xdp`] to an interface, in the driver, until the link is dropped.
    ///
    /// # Errors
    /// The driver takes none, or another has the interface.
    pub fn attach(&self, ifindex: u32) -> io::Result<OwnedFd> {
        let mut request = LinkRequest {
            prog_fd: self.0.as_raw_fd().unsigned_abs(),
            target_ifindex: ifindex,
            attach_type: XDP,
            flags: NATIVE,
            ..LinkRequest::default()
        };
        // SAFETY: the request has no pointers.
        let fd = unsafe { bpf(LINK_CREATE, &mut request)? };
        // SAFETY: the kernel just gave us this descriptor.
        Ok(unsafe { OwnedFd::from_raw_fd(fd) })
    }

    /// Runs it on a frame, `repeat` times; mean ns of one run.
    ///
    /// # Errors
    /// The kernel refuses the frame.
    pub fn run(&self, frame: &[u8], repeat: u32) -> io::Result<f64> {
        let mut request = TestRequest {
            prog_fd: self.0.as_raw_fd().unsigned_abs(),
            data_size_in: u32::try_from(frame.len()).map_err(io::Error::other)?,
            data_in: frame.as_ptr() as u64,
            repeat,
            ..TestRequest::default()
        };
        // SAFETY: the frame is as long as said and is only read.
        unsafe { bpf(PROG_TEST_RUN, &mut request)? };
        Ok(f64::from(request.duration))
    }
}

/// Calls bpf(2) with a request that the kernel may also answer in.
///
/// # Safety
/// The request is the one of the command, and its pointers are good for what the command does.
unsafe fn bpf<T>(command: libc::c_long, request: &mut T) -> io::Result<i32> {
    // SAFETY: the request is as long as said; the rest is the caller's promise.
    let result = unsafe {
        libc::syscall(libc::SYS_bpf, command, std::ptr::from_mut(request), size_of::<T>())
    };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    i32::try_from(result).map_err(io::Error::other)
}

/// Shape of a map.
#[derive(Clone, Copy, Debug)]
pub struct MapShape<'a> {
    /// `BPF_MAP_TYPE_*`.
    pub map_type: u32,
    /// Bytes of a key.
    pub key_size: u32,
    /// Bytes of a value.
    pub value_size: u32,
    /// Most entries.
    pub max_entries: u32,
    /// For a map of maps: one like those it is to hold.
    pub inner: Option<BorrowedFd<'a>>,
}

#[repr(C)]
#[derive(Default)]
struct CreateRequest {
    map_type: u32,
    key_size: u32,
    value_size: u32,
    max_entries: u32,
    map_flags: u32,
    inner_map_fd: u32,
    rest: [u64; 8],
}

#[repr(C)]
#[derive(Default)]
struct ElementRequest {
    map_fd: u32,
    padding: u32,
    key: u64,
    value: u64,
    flags: u64,
}

#[repr(C)]
#[derive(Default)]
struct PinRequest {
    pathname: u64,
    bpf_fd: u32,
    file_flags: u32,
}

/// Makes a map.
///
/// # Errors
/// The kernel refuses, for want of memory or `CAP_BPF`.
pub fn create_map(shape: &MapShape<'_>) -> io::Result<OwnedFd> {
    let mut request = CreateRequest {
        map_type: shape.map_type,
        key_size: shape.key_size,
        value_size: shape.value_size,
        max_entries: shape.max_entries,
        inner_map_fd: shape.inner.map_or(0, number),
        ..CreateRequest::default()
    };
    // SAFETY: the request has no pointers.
    let fd = unsafe { bpf(MAP_CREATE, &mut request)? };
    // SAFETY: the kernel just gave us this descriptor.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Puts a map at an index of an array of maps.
///
/// # Errors
/// It is not like those the array was made for, or the index is beyond it.
pub fn put_map(outer: BorrowedFd<'_>, index: u32, map: BorrowedFd<'_>) -> io::Result<()> {
    let value = number(map);
    let mut request = ElementRequest {
        map_fd: number(outer),
        key: std::ptr::from_ref(&index) as u64,
        value: std::ptr::from_ref(&value) as u64,
        ..ElementRequest::default()
    };
    // SAFETY: key and value are alive, and four bytes each as in any array of maps.
    unsafe { bpf(MAP_UPDATE_ELEM, &mut request) }.map(drop)
}

/// Pins a map on a BPF filesystem.
///
/// # Errors
/// There is none at that path, or something is there already.
pub fn pin(map: BorrowedFd<'_>, path: &Path) -> io::Result<()> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    let mut request =
        PinRequest { pathname: path.as_ptr() as u64, bpf_fd: number(map), ..PinRequest::default() };
    // SAFETY: the path is alive and ends in a zero byte.
    unsafe { bpf(OBJ_PIN, &mut request) }.map(drop)
}

fn number(fd: BorrowedFd<'_>) -> u32 {
    fd.as_raw_fd().unsigned_abs()
}

/// Kernel memory of one map, in bytes, as the kernel states it.
///
/// # Errors
/// /proc cannot be read, or the descriptor is no map's.
pub fn map_bytes(map: BorrowedFd<'_>) -> io::Result<u64> {
    let text = fs::read_to_string(format!("/proc/self/fdinfo/{}", map.as_raw_fd()))?;
    let info = MapInfo::read(&text).ok_or_else(|| io::Error::other("no map's descriptor"))?;
    Ok(info.bytes)
}

/// Kernel memory of this process's maps, in bytes, by map type.
///
/// As the kernel states it (`memlock` in `/proc/self/fdinfo`); a map with several descriptors
/// counts once, and one that no descriptor of this process leads to does not count.
///
/// # Errors
/// /proc cannot be read.
pub fn map_memory() -> io::Result<BTreeMap<u32, u64>> {
    let mut maps = BTreeMap::new();
    for entry in fs::read_dir("/proc/self/fdinfo")? {
        // A descriptor may be closed meanwhile: the folder's own is.
        let Ok(text) = fs::read_to_string(entry?.path()) else { continue };
        if let Some(map) = MapInfo::read(&text) {
            maps.insert(map.id, map);
        }
    }
    let mut by_type = BTreeMap::new();
    for map in maps.into_values() {
        *by_type.entry(map.map_type).or_insert(0) += map.bytes;
    }
    Ok(by_type)
}

struct MapInfo {
    id: u32,
    map_type: u32,
    bytes: u64,
}

impl MapInfo {
    /// Reads a descriptor's facts; `None` where it is no map's.
    fn read(text: &str) -> Option<Self> {
        let field = |name: &str| -> Option<u64> {
            text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
        };
        Some(Self {
            id: u32::try_from(field("map_id:")?).ok()?,
            map_type: u32::try_from(field("map_type:")?).ok()?,
            bytes: field("memlock:")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named() {
        assert_eq!(missing_in("CapEff:\t000001ffffffffff\n"), Vec::<&str>::new());
        assert_eq!(missing_in("CapEff:\t0000000000001000\n"), ["CAP_BPF"]);
        assert_eq!(missing_in(""), ["CAP_NET_ADMIN", "CAP_BPF"]);
    }

    #[test]
    fn a_map_is_told_from_other_descriptors() {
        let text = "pos:\t0\nmap_type:\t9\nkey_size:\t48\nmemlock:\t4096\nmap_id:\t17\n";
        let map = MapInfo::read(text).unwrap();
        assert_eq!((map.id, map.map_type, map.bytes), (17, 9, 4096));
        assert!(MapInfo::read("pos:\t0\nflags:\t02\n").is_none());
    }
}
