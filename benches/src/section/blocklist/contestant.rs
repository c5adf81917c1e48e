//! Three ways to hold a packet against a list, each on and off the one interface.

use std::{
    collections::BTreeMap,
    ffi::OsStr,
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use address_list::{Options, Reader};
use anyhow::{Context as _, bail, ensure};
use aya::{
    Ebpf, EbpfLoader,
    programs::{Xdp, XdpMode, xdp::XdpLinkId},
    util::nr_cpus,
};
use datapath::{
    Block, BlockAction, Blocklist, Kernel, KernelOptions, OBJECT, Target, boot_ns, leftovers,
    mount_bpffs,
};
use flows_common::{ClockSource, Scope, Settings};
use ipnet::IpNet;

use super::list::short;
use crate::{
    bpf::map_memory,
    statistics::timed,
    wire::{NEAR, run},
};

/// The longest that a list may take to load.
pub(super) const LOAD_BOUND: Duration = Duration::from_mins(1);
/// Elements in one command of a file for nft.
const ELEMENTS: usize = 4_096;

/// Way to hold packets against a list.
pub(super) trait Contestant {
    fn name(&self) -> &str;
    /// Takes a list, which is in the file too; returns the seconds. The hook is off.
    fn load(&mut self, list: &[IpNet], file: &Path) -> anyhow::Result<f64>;
    /// Puts the hook on the interface.
    fn hook(&mut self) -> anyhow::Result<()>;
    /// Takes it off.
    fn unhook(&mut self) -> anyhow::Result<()>;
    /// Adds one entry to the list; returns the seconds.
    fn add(&mut self, net: IpNet) -> anyhow::Result<f64>;
    /// Bytes of kernel memory that the list takes.
    fn bytes(&self) -> anyhow::Result<u64>;
}

/// weir's guard alone, in XDP: its pinned maps, and the shipped program over them.
pub(super) struct Weir {
    object: Ebpf,
    link: Option<XdpLinkId>,
    /// No other process changes the blocklist by hand while it is there.
    blocklist: Option<Blocklist>,
    empty: BTreeMap<u32, u64>,
    /// Holds the pins of the maps; gone with it.
    bpffs: BpfFs,
}

/// A BPF filesystem of its own.
struct BpfFs {
    mounted: PathBuf,
    _folder: tempfile::TempDir,
}

impl Drop for BpfFs {
    fn drop(&mut self) {
        let _ = nix::mount::umount2(&self.mounted, nix::mount::MntFlags::MNT_DETACH);
    }
}

impl Weir {
    pub(super) fn new() -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let mounted = folder.path().join("bpf");
        fs::create_dir(&mounted)?;
        mount_bpffs(&mounted)?;
        let bpffs = BpfFs { mounted, _folder: folder };
        // Makes the maps and pins them; what counts flows goes again.
        let mut options =
            KernelOptions { pin: Some(bpffs.mounted.clone()), ..KernelOptions::default() };
        (options.flow_capacity, options.peer_capacity) = (64, 64);
        // Room for a million and a few more.
        options.block_capacity = 1 << 20;
        drop(Kernel::load(&options)?);
        let cpus = u32::try_from(nr_cpus().map_err(|(_, error)| error)?)?;
        let settings =
            Settings { clock: ClockSource::Boot.code(), cpus, guard_at_tc_egress: 0, reserved: 0 };
        let pins = leftovers(&bpffs.mounted)?.pins;
        let mut loader = EbpfLoader::new();
        loader.override_global("SETTINGS", &settings, true);
        for map in ["BLOCK_V4", "BLOCK_V6"] {
            loader.map_max_entries(map, options.block_capacity);
        }
        loader.map_max_entries("BLOCK_STATS", options.stats_slots);
        loader.map_max_entries("FLOWS", 2 * cpus).map_max_entries("PEERS", 2 * cpus);
        for pin in &pins {
            let name = pin.file_name().and_then(OsStr::to_str).context("a pin has a name")?;
            loader.map_pin_path(name, pin.as_path());
        }
        let mut object = loader.load(OBJECT)?;
        program(&mut object)?.load()?;
        let blocklist = Some(Blocklist::pinned(&bpffs.mounted)?);
        Ok(Self { object, link: None, blocklist, empty: map_memory()?, bpffs })
    }

    fn blocklist(&self) -> anyhow::Result<&Blocklist> {
        self.blocklist.as_ref().context("the blocklist is closed")
    }

    /// Adds one entry as a running weir does, reading back included; returns the seconds.
    pub(super) fn add_running(&self, net: IpNet) -> anyhow::Result<f64> {
        let (blocklist, block, now_ns) = (self.blocklist()?, Self::block(), boot_ns());
        let (seconds, added) = timed(|| blocklist.insert(net.into(), &block, now_ns));
        added?;
        Ok(seconds)
    }

    fn block() -> Block {
        const DAY_NS: u64 = 86_400_000_000_000;
        Block {
            action: BlockAction::Drop,
            scope: Scope::All,
            expires_ns: boot_ns() + DAY_NS,
            reason: 0,
        }
    }
}

fn program(object: &mut Ebpf) -> anyhow::Result<&mut Xdp> {
    let program = object.program_mut("xdp_guard").context("the object has no guard")?;
    Ok(program.try_into()?)
}

impl Contestant for Weir {
    fn name(&self) -> &'static str {
        "weir"
    }

    /// As the node does with a list, reading back included; the way over the socket is not in it.
    fn load(&mut self, list: &[IpNet], file: &Path) -> anyhow::Result<f64> {
        let bytes = fs::read(file)?;
        let block = Self::block();
        let (seconds, loaded) = timed(|| -> anyhow::Result<u64> {
            let mut bulk = self.blocklist()?.bulk(boot_ns(), 0);
            let mut reader = Reader::new(&bytes[..], Options::default());
            while let Some(line) = reader.next_line()? {
                bulk.put(&Target::from(line.entry?.net), &block)?;
            }
            bulk.verify()?;
            Ok(bulk.written())
        });
        ensure!(loaded? == list.len() as u64, "not every entry is blocked");
        Ok(seconds)
    }

    fn hook(&mut self) -> anyhow::Result<()> {
        let index = nix::net::if_::if_nametoindex(NEAR)?;
        self.link = Some(program(&mut self.object)?.attach_to_if_index(index, XdpMode::Driver)?);
        Ok(())
    }

    fn unhook(&mut self) -> anyhow::Result<()> {
        if let Some(link) = self.link.take() {
            program(&mut self.object)?.detach(link)?;
        }
        Ok(())
    }

    /// With a handle of its own: what stands is read first.
    fn add(&mut self, net: IpNet) -> anyhow::Result<f64> {
        self.blocklist = None;
        let (block, now_ns) = (Self::block(), boot_ns());
        let (seconds, added) = timed(|| {
            let blocklist = Blocklist::pinned(&self.bpffs.mounted)?;
            blocklist.insert(net.into(), &block, now_ns)?;
            Ok::<_, datapath::KernelError>(blocklist)
        });
        self.blocklist = Some(added?);
        Ok(seconds)
    }

    fn bytes(&self) -> anyhow::Result<u64> {
        let all = |maps: &BTreeMap<u32, u64>| maps.values().sum::<u64>();
        Ok(all(&map_memory()?).saturating_sub(all(&self.empty)))
    }
}

/// A set of nftables, looked up at the netdev family's ingress hook: the earliest there is.
pub(super) struct Nftables {
    /// True where the set holds prefixes.
    interval: bool,
    before: u64,
}

impl Nftables {
    pub(super) fn new(interval: bool) -> Self {
        Self { interval, before: 0 }
    }
}

const TABLE: &str = "netdev weir_bench";

impl Contestant for Nftables {
    fn name(&self) -> &'static str {
        "nftables"
    }

    fn load(&mut self, list: &[IpNet], _: &Path) -> anyhow::Result<f64> {
        let _ = run("nft", &["delete", "table", "netdev", "weir_bench"]);
        self.before = kernel_memory()?;
        let flags = if self.interval { "flags interval; " } else { "" };
        let mut file = tempfile::NamedTempFile::new()?;
        writeln!(file, "add table {TABLE}\nadd set {TABLE} blocked {{ type ipv4_addr; {flags}}}")?;
        for some in list.chunks(ELEMENTS) {
            let some: Vec<String> = some.iter().copied().map(short).collect();
            writeln!(file, "add element {TABLE} blocked {{ {} }}", some.join(", "))?;
        }
        bounded(Command::new("nft").arg("-f").arg(file.path()).spawn()?)
    }

    fn hook(&mut self) -> anyhow::Result<()> {
        let chain = format!(
            "add chain {TABLE} c {{ type filter hook ingress device {NEAR} priority 0; }}; \
             add rule {TABLE} c ip saddr @blocked drop"
        );
        run("nft", &[&chain]).map(drop)
    }

    fn unhook(&mut self) -> anyhow::Result<()> {
        run("nft", &[&format!("delete chain {TABLE} c")]).map(drop)
    }

    fn add(&mut self, net: IpNet) -> anyhow::Result<f64> {
        let element = format!("add element {TABLE} blocked {{ {} }}", short(net));
        let (seconds, added) = timed(|| run("nft", &[&element]));
        added?;
        Ok(seconds)
    }

    fn bytes(&self) -> anyhow::Result<u64> {
        Ok(kernel_memory()?.saturating_sub(self.before))
    }
}

/// A rule for each address, in the raw table: the first that a packet meets.
pub(super) struct Iptables {
    program: &'static str,
    before: u64,
}

impl Iptables {
    /// The one that the kernel's own `x_tables` stand behind, where it is installed: the one over
    /// nftables is slower.
    pub(super) fn find() -> Option<Self> {
        ["iptables-legacy", "iptables"]
            .into_iter()
            .find(|program| is_installed(program))
            .map(|program| Self { program, before: 0 })
    }

    fn raw(&self, arguments: &[&str]) -> anyhow::Result<()> {
        run(self.program, &[&["-w", "-t", "raw"], arguments].concat()).map(drop)
    }
}

impl Contestant for Iptables {
    fn name(&self) -> &'static str {
        self.program
    }

    fn load(&mut self, list: &[IpNet], _: &Path) -> anyhow::Result<f64> {
        let _ = self.raw(&["-F"]);
        let _ = self.raw(&["-X"]);
        self.before = kernel_memory()?;
        let mut file = tempfile::NamedTempFile::new()?;
        let mut rules = String::from("*raw\n:WEIR - [0:0]\n");
        for net in list {
            // Writing to a string does not fail.
            let _ =
                std::fmt::Write::write_fmt(&mut rules, format_args!("-A WEIR -s {net} -j DROP\n"));
        }
        rules.push_str("COMMIT\n");
        file.write_all(rules.as_bytes())?;
        let restore = format!("{}-restore", self.program);
        bounded(Command::new(restore).stdin(file.reopen()?).stderr(Stdio::null()).spawn()?)
    }

    fn hook(&mut self) -> anyhow::Result<()> {
        self.raw(&["-I", "PREROUTING", "-j", "WEIR"])
    }

    fn unhook(&mut self) -> anyhow::Result<()> {
        self.raw(&["-D", "PREROUTING", "-j", "WEIR"])
    }

    fn add(&mut self, net: IpNet) -> anyhow::Result<f64> {
        let net = short(net);
        let (seconds, added) = timed(|| self.raw(&["-A", "WEIR", "-s", &net, "-j", "DROP"]));
        added?;
        Ok(seconds)
    }

    fn bytes(&self) -> anyhow::Result<u64> {
        Ok(kernel_memory()?.saturating_sub(self.before))
    }
}

/// True where a program is installed.
pub(super) fn is_installed(name: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/sbin"].map(PathBuf::from))
        .any(|folder| folder.join(name).is_file())
}

/// Seconds that a loader takes; it is ended beyond the bound.
fn bounded(mut child: Child) -> anyhow::Result<f64> {
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            ensure!(status.success(), "the list is not loaded: {status}");
            return Ok(start.elapsed().as_secs_f64());
        }
        if start.elapsed() > LOAD_BOUND {
            child.kill()?;
            child.wait()?;
            bail!("not loaded within {} s", LOAD_BOUND.as_secs());
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Kernel memory in slabs that it cannot give back, in large ranges and per CPU. Others'
/// doings are in it: a difference of a few MB says nothing.
fn kernel_memory() -> anyhow::Result<u64> {
    let text = fs::read_to_string("/proc/meminfo")?;
    let field = |name: &str| -> u64 {
        text.lines()
            .find_map(|line| line.strip_prefix(name)?.split_whitespace().next()?.parse().ok())
            .unwrap_or(0)
    };
    Ok(1_024 * (field("SUnreclaim:") + field("VmallocUsed:") + field("Percpu:")))
}
