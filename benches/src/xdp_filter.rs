//! The program of xdp-filter (xdp-tools), which weir's guard is compared with.

use std::{
    fs,
    net::IpAddr,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail, ensure};
use aya::{
    Ebpf, EbpfLoader,
    maps::{PerCpuHashMap, PerCpuValues},
    programs::{TestRun as _, TestRunOptions, Xdp},
    util::nr_cpus,
};

/// The variant that filters by IP address only, and lets pass ("allow") what no rule names.
const OBJECT: &str = "xdpfilt_alw_ip.o";
/// A rule on the source address (`MAP_FLAG_SRC` of its `common_kern_user.h`).
const SOURCE: u64 = 1;

/// Its program with one address blocked; nothing is attached.
#[derive(Debug)]
pub struct XdpFilter(Ebpf);

impl XdpFilter {
    /// Loads the installed one and has it drop what comes from `blocked`, an IPv4 address.
    ///
    /// # Errors
    /// xdp-tools is not installed, or the kernel refuses its program.
    pub fn load(blocked: IpAddr) -> anyhow::Result<Self> {
        let IpAddr::V4(blocked) = blocked else { bail!("{blocked} is no IPv4 address") };
        let path = find(&["/usr/lib", "/usr/lib64", "/usr/local/lib"])
            .context("xdp-filter's programs are not installed (Debian: xdp-tools)")?;
        let mut object = EbpfLoader::new()
            .load_file(&path)
            .with_context(|| format!("cannot load {}", path.display()))?;
        let map = object.map_mut("filter_ipv4").context("it has no map `filter_ipv4`")?;
        let mut rules: PerCpuHashMap<_, [u8; 4], u64> = map.try_into()?;
        let cpus = nr_cpus().map_err(|(_, error)| error)?;
        rules.insert(blocked.octets(), PerCpuValues::try_from(vec![SOURCE; cpus])?, 0)?;
        for (_, program) in object.programs_mut() {
            let program: &mut Xdp = program.try_into()?;
            program.load()?;
        }
        Ok(Self(object))
    }

    /// Runs it on a frame, `repeat` times; mean ns of one run. The verdict must be the expected
    /// one.
    ///
    /// # Errors
    /// It is not, or the kernel refuses the frame.
    pub fn run(&self, frame: &[u8], repeat: u32, expected: u32) -> anyhow::Result<f64> {
        let (_, program) = self.0.programs().next().context("it has no program")?;
        let program: &Xdp = program.try_into()?;
        let options = TestRunOptions { data_in: Some(frame), repeat, ..TestRunOptions::default() };
        let run = program.test_run(options)?;
        ensure!(
            run.return_value == expected,
            "xdp-filter returned {}, not {expected}",
            run.return_value
        );
        Ok(run.duration.as_secs_f64() * 1e9)
    }
}

/// The object in the `bpf` folder of a library folder, or of one for an architecture below it.
fn find(libraries: &[&str]) -> Option<PathBuf> {
    let in_library = |library: &Path| {
        let object = library.join("bpf").join(OBJECT);
        object.is_file().then_some(object)
    };
    libraries.iter().map(Path::new).find_map(|library| {
        let below = fs::read_dir(library).ok()?.flatten().map(|entry| entry.path());
        in_library(library).or_else(|| below.into_iter().find_map(|folder| in_library(&folder)))
    })
}
