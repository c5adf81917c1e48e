//! Memory at the default table sizes, in a process that does nothing else.

use std::{collections::BTreeMap, env, fs, path::Path, process::Command};

use anyhow::{Context as _, bail, ensure};
use collector::config::RawConfig;
use datapath::{Kernel, KernelOptions, boot_ns};
use engine::{Arrival, Detector, Engine};
use features::Context as Past;
use model::ModelFile;
use policy::{Policy, ProtectedHosts};
use serde::{Deserialize, Serialize};

use super::Effort;
use crate::{
    bpf::{map_memory, missing_privileges},
    cpu,
    crowd::Crowd,
    measurement::{Measurement, Reach, Unit},
    statistics::Spread,
};

/// The argument by which `weir-bench` calls itself to hold what is then measured.
pub const PROBE: &str = "--memory-probe";

const FLOWS: u32 = 65_536;
const REACH: Reach = Reach::AtMost(150e6);
const RSS: &str = "resident memory of the process, highest";
/// `BPF_MAP_TYPE_LRU_HASH`.
const LRU_HASH: u32 = 9;

/// Memory of a process with full tables.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Held {
    /// The most that was ever resident, in bytes (`VmHWM`).
    resident: u64,
    /// Flows in the largest window.
    flows: usize,
    /// The kernel's maps by type, in bytes.
    maps: BTreeMap<u32, u64>,
}

pub(super) fn measure(_: Effort) -> anyhow::Result<Vec<Measurement>> {
    if let Some(why) = missing_privileges() {
        return Ok(vec![Measurement::skipped(RSS, why).reach(REACH)]);
    }
    // Learning is not what is measured: the process is handed a model file, as `weir run` is.
    let folder = tempfile::tempdir().context("no temporary folder")?;
    let model = folder.path().join("model.weir");
    Crowd { flows: 3_000, peers: 300 }.teach()?.model().save(&model)?;
    let output = Command::new(env::current_exe()?)
        .arg(PROBE)
        .arg(&model)
        .output()
        .context("cannot start the process that is measured")?;
    if !output.status.success() {
        bail!("{}", String::from_utf8_lossy(&output.stderr).trim());
    }
    let held: Held = serde_json::from_slice(&output.stdout).context("the probe's answer")?;
    let once = |bytes: u64| Spread::once(bytes as f64);
    let note = format!(
        "default tables (65,536 flows, 16,384 peers, two buffers); {} flows in the largest window, \
         drained, scored and decided six times in a process that does nothing else",
        held.flows
    );
    let lru = held.maps.get(&LRU_HASH).copied().unwrap_or(0);
    let other = held.maps.values().sum::<u64>() - lru;
    Ok(vec![
        Measurement::of(RSS, Unit::Bytes, once(held.resident)).reach(REACH).note(note.clone()),
        Measurement::of("kernel: flow and peer tables", Unit::Bytes, once(lru)).note(note.clone()),
        Measurement::of("kernel: all other maps, the blocklist empty", Unit::Bytes, once(other))
            .note(note),
    ])
}

/// Work of the probe: the collector's with full tables, over several windows.
///
/// # Errors
/// Privileges are missing, or the model file is not one.
pub fn probe(model: &Path) -> anyhow::Result<Held> {
    let mut kernel = Kernel::load(&KernelOptions::default())?;
    let config = RawConfig::default().check()?;
    let detector = Detector::new(ModelFile::load(model)?, Past::default(), config.window);
    let mut engine = Engine::new(detector, Policy::new(config.policy, ProtectedHosts::default()));
    let crowd = Crowd { flows: FLOWS, peers: 2_000 };
    let cpus = cpu::usable().context("cannot read the CPUs this process may use")?;
    let mut flows = 0;
    for window in 0..6 {
        // Every CPU fills its own share, with flows of its own.
        let share = FLOWS / u32::try_from(cpus.len())?;
        for (at, &cpu) in (0_u32..).zip(&cpus) {
            cpu::stay_on(cpu)?;
            crowd.count_in(&mut kernel, at * share..(at + 1) * share, window)?;
        }
        let window = kernel.drain(boot_ns())?;
        flows = flows.max(window.flows.len());
        drop(engine.step(&window, Arrival::default()));
    }
    let status = fs::read_to_string("/proc/self/status")?;
    let resident = resident_at_most(&status).context("no VmHWM in /proc/self/status")?;
    ensure!(flows > 0, "no flows were drained");
    Ok(Held { resident, flows, maps: map_memory()? })
}

fn resident_at_most(status: &str) -> Option<u64> {
    let kilobytes = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(kilobytes.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1_024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_resident_size_is_read_in_bytes() {
        assert_eq!(resident_at_most("VmRSS:\t 5 kB\nVmHWM:\t   2048 kB\n"), Some(2_097_152));
        assert_eq!(resident_at_most("VmRSS:\t 5 kB\n"), None);
    }
}
