//! A shipped program over other designs of the flow table.

use std::{
    fs, io,
    os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd},
    path::{Path, PathBuf},
    process,
};

use anyhow::Context as _;
use aya::{
    Ebpf, EbpfLoader,
    maps::Map,
    programs::{SchedClassifier, TestRun as _, TestRunOptions},
    util::nr_cpus,
};
use datapath::{
    OBJECT,
    syscall::{self, MapFacts},
};
use flows_common::{ClockSource, FlowCounters, FlowKey, PeerCounters, PeerKey, Settings};

use crate::bpf;

const PROGRAM: &str = "tc_ingress";
const FLOWS: &str = "FLOWS";
const PEERS: &str = "PEERS";
/// Path at which a table waits for the loader, for an instant.
const BPFFS: &str = "/sys/fs/bpf";
const PEER_CAPACITY: u32 = 16_384;
const BUFFERS: u32 = 2;

/// `BPF_MAP_TYPE_*`.
const LRU_HASH: u32 = 9;
const LRU_PERCPU_HASH: u32 = 10;
const ARRAY_OF_MAPS: u32 = 12;

/// Layout of flows over CPUs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Design {
    /// As shipped: an `LRU_HASH` for each CPU, which share the capacity.
    Sharded,
    /// Single `LRU_HASH` for all.
    Shared,
    /// Single `LRU_PERCPU_HASH`: each flow has a value for each CPU.
    PerCpuValues,
}

impl Design {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Sharded, Self::Shared, Self::PerCpuValues];

    /// As the table names it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sharded => "LRU_HASH per CPU",
            Self::Shared => "one LRU_HASH",
            Self::PerCpuValues => "one LRU_PERCPU_HASH",
        }
    }
}

/// The shipped program over one design; nothing is attached.
#[derive(Debug)]
pub struct Loaded {
    object: Ebpf,
    design: Design,
    capacity: u32,
    cpus: u32,
    outer: OwnedFd,
    /// The tables in use, in each buffer's order.
    tables: Vec<OwnedFd>,
}

impl Loaded {
    /// Loads the program with tables for this many flows.
    ///
    /// # Errors
    /// No BPF filesystem, too little memory, or the kernel refuses the program.
    pub fn load(design: Design, flows: u32) -> anyhow::Result<Self> {
        let cpus = u32::try_from(nr_cpus().map_err(|(_, error)| error)?)?;
        let capacity = match design {
            Design::Sharded => flows.div_ceil(cpus),
            Design::Shared | Design::PerCpuValues => flows,
        };
        let template = create(design, capacity)?;
        let facts = MapFacts::new(ARRAY_OF_MAPS, 4, 4, BUFFERS * cpus, 0);
        let outer = syscall::create_map(FLOWS, &facts, Some(template.as_fd()), None)
            .context("cannot make the outer table")?;

        let settings =
            Settings { clock: ClockSource::Boot.code(), cpus, guard_at_tc_egress: 0, reserved: 0 };
        let pin = Pin::of(outer.as_fd())?;
        let mut object = EbpfLoader::new()
            .override_global("SETTINGS", &settings, true)
            // The loader takes what is pinned there for its own.
            .map_pin_path(FLOWS, pin.0.clone())
            .map_max_entries(PEERS, BUFFERS * cpus)
            .load(OBJECT)?;
        drop(pin);
        put_peers(&object, cpus)?;
        let program: &mut SchedClassifier =
            object.program_mut(PROGRAM).context("the object has no such program")?.try_into()?;
        program.load()?;
        let mut loaded = Self { object, design, capacity, cpus, outer, tables: Vec::new() };
        loaded.clear()?;
        Ok(loaded)
    }

    /// Runs it on a frame, `repeat` times; mean ns of one run.
    ///
    /// # Errors
    /// The kernel refuses the frame.
    pub fn run(&self, frame: &[u8], repeat: u32) -> anyhow::Result<f64> {
        let program: &SchedClassifier =
            self.object.program(PROGRAM).context("the object has no such program")?.try_into()?;
        let options = TestRunOptions { data_in: Some(frame), repeat, ..TestRunOptions::default() };
        Ok(program.test_run(options)?.duration.as_secs_f64() * 1e9)
    }

    /// Kernel memory of the flow tables, in bytes.
    ///
    /// # Errors
    /// /proc cannot be read.
    pub fn bytes(&self) -> io::Result<u64> {
        self.tables.iter().map(|table| bpf::map_bytes(table.as_fd())).sum()
    }

    /// Replaces the tables by empty ones.
    ///
    /// # Errors
    /// Too little memory.
    pub fn clear(&mut self) -> anyhow::Result<()> {
        self.tables.clear();
        for buffer in 0..BUFFERS {
            let mut shared = None;
            for cpu in 0..self.cpus {
                if self.design == Design::Sharded || shared.is_none() {
                    let table = create(self.design, self.capacity)?;
                    shared = Some(table.as_raw_fd());
                    self.tables.push(table);
                }
                let table = self.tables.last().context("a table was just made")?;
                put(self.outer.as_fd(), buffer * self.cpus + cpu, table.as_fd())?;
            }
        }
        Ok(())
    }
}

fn create(design: Design, capacity: u32) -> anyhow::Result<OwnedFd> {
    let map_type = match design {
        Design::Sharded | Design::Shared => LRU_HASH,
        Design::PerCpuValues => LRU_PERCPU_HASH,
    };
    table::<FlowKey, FlowCounters>(map_type, capacity)
}

fn table<K, V>(map_type: u32, max_entries: u32) -> anyhow::Result<OwnedFd> {
    let (key_size, value_size) = (syscall::size_of_u32::<K>(), syscall::size_of_u32::<V>());
    let facts = MapFacts::new(map_type, key_size, value_size, max_entries, 0);
    syscall::create_map("weir_bench", &facts, None, None).context("cannot make a table")
}

/// Gives the program its peer tables, the shipped design.
fn put_peers(object: &Ebpf, cpus: u32) -> anyhow::Result<()> {
    let Some(Map::ArrayOfMaps(outer)) = object.map(PEERS) else {
        anyhow::bail!("the object has no map of maps `{PEERS}`");
    };
    for index in 0..BUFFERS * cpus {
        // The outer table holds it from then on.
        let peers = table::<PeerKey, PeerCounters>(LRU_HASH, PEER_CAPACITY.div_ceil(cpus))?;
        put(outer.fd().as_fd(), index, peers.as_fd())?;
    }
    Ok(())
}

fn put(outer: BorrowedFd<'_>, index: u32, table: BorrowedFd<'_>) -> anyhow::Result<()> {
    syscall::put_map(outer, index, table).context("cannot put a table into its place")
}

/// A pinned map; dropping it takes the pin away.
struct Pin(PathBuf);

impl Pin {
    fn of(map: BorrowedFd<'_>) -> anyhow::Result<Self> {
        let path = Path::new(BPFFS).join(format!("weir-bench-{}", process::id()));
        syscall::pin(map, &path)
            .with_context(|| format!("cannot pin a map at {}", path.display()))?;
        Ok(Self(path))
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}
