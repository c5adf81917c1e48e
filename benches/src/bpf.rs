//! Calls of bpf(2) for the kernel sections, beside the collector's own loader: a program that
//! does nothing, and what maps and privileges there are.

use std::{
    collections::BTreeMap,
    fs, io,
    os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd},
};

use datapath::{missing_capabilities, syscall};

/// `BPF_PROG_LOAD` of `enum bpf_cmd`.
const PROG_LOAD: libc::c_long = 5;
/// `BPF_LINK_CREATE` of `enum bpf_cmd`.
const LINK_CREATE: libc::c_long = 28;
/// `BPF_XDP` of `enum bpf_attach_type`.
const XDP: u32 = 37;
/// `XDP_FLAGS_DRV_MODE`: in the driver.
const NATIVE: u32 = 1 << 2;

/// Missing rights to load programs; `None` where none is missing.
#[must_use]
pub fn missing_privileges() -> Option<String> {
    let missing = missing_capabilities().unwrap_or_default();
    (!missing.is_empty()).then(|| format!("needs {}: run it as root", missing.join(" and ")))
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
#[derive(Clone, Copy)]
struct LoadRequest {
    prog_type: u32,
    insn_cnt: u32,
    insns: u64,
    license: u64,
}

#[repr(C)]
#[derive(Clone, Copy)]
struct LinkRequest {
    prog_fd: u32,
    target_ifindex: u32,
    attach_type: u32,
    flags: u32,
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
        let request = LoadRequest {
            prog_type: match hook {
                Hook::Tc => 3,
                Hook::Xdp => 6,
            },
            insn_cnt: 2,
            insns: program.as_ptr() as u64,
            license: license.as_ptr() as u64,
        };
        // SAFETY: the command's own request; its pointers lead to what is alive until it returns.
        unsafe { syscall::descriptor(PROG_LOAD, &request) }.map(Self)
    }

    /// Attaches one of [`Hook::Xdp`] to an interface, in the driver, until the link is dropped.
    ///
    /// # Errors
    /// The driver takes none, or another has the interface.
    pub fn attach(&self, ifindex: u32) -> io::Result<OwnedFd> {
        let request = LinkRequest {
            prog_fd: self.0.as_raw_fd().unsigned_abs(),
            target_ifindex: ifindex,
            attach_type: XDP,
            flags: NATIVE,
        };
        // SAFETY: the command's own request, without pointers.
        unsafe { syscall::descriptor(LINK_CREATE, &request) }
    }

    /// Runs it on a frame, `repeat` times; mean ns of one run.
    ///
    /// # Errors
    /// The kernel refuses the frame.
    pub fn run(&self, frame: &[u8], repeat: u32) -> io::Result<f64> {
        let run = syscall::test_run(self.0.as_fd(), frame, None, repeat)?;
        Ok(f64::from(run.duration_ns))
    }
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
    fn a_map_is_told_from_other_descriptors() {
        let text = "pos:\t0\nmap_type:\t9\nkey_size:\t48\nmemlock:\t4096\nmap_id:\t17\n";
        let map = MapInfo::read(text).unwrap();
        assert_eq!((map.id, map.map_type, map.bytes), (17, 9, 4096));
        assert!(MapInfo::read("pos:\t0\nflags:\t02\n").is_none());
    }
}
