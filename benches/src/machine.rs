//! Machine of a run: a number means nothing without it.

use std::{fs, thread};

use serde::Serialize;

/// The machine, as far as it explains a number.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Machine {
    /// The processor's name.
    pub cpu: String,
    /// CPUs this process may use.
    pub cpus: usize,
    /// The kernel's release.
    pub kernel: String,
    /// The load average over one minute when the run began: what else was running.
    pub load: Option<f64>,
}

impl Machine {
    /// Reads it from /proc; what cannot be read is `unknown`.
    #[must_use]
    pub fn here() -> Self {
        let unknown = || "unknown".to_owned();
        let read = |path: &str| fs::read_to_string(path).ok();
        Self {
            cpu: read("/proc/cpuinfo").as_deref().and_then(cpu_name).unwrap_or_else(unknown),
            cpus: thread::available_parallelism().map_or(1, Into::into),
            kernel: read("/proc/sys/kernel/osrelease")
                .map_or_else(unknown, |release| release.trim().to_owned()),
            load: read("/proc/loadavg")
                .and_then(|text| text.split_whitespace().next()?.parse().ok()),
        }
    }

    /// Description in a line, with a warning where others were running.
    #[must_use]
    pub fn describe(&self) -> String {
        let load = self.load.map_or_else(String::new, |load| {
            let noisy = if load > 1.0 { ": numbers are noisy" } else { "" };
            format!(", load {load:.2} at the start{noisy}")
        });
        format!("{} × {}, kernel {}{load}", self.cpu, self.cpus, self.kernel)
    }
}

fn cpu_name(cpuinfo: &str) -> Option<String> {
    let line = cpuinfo.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_processor_is_named_as_the_kernel_names_it() {
        let text = "processor\t: 0\nmodel name\t: Some CPU 3 GHz\nmodel name\t: other\n";
        assert_eq!(cpu_name(text).as_deref(), Some("Some CPU 3 GHz"));
        assert_eq!(cpu_name("processor : 0\n"), None);
    }

    #[test]
    fn a_busy_machine_is_said_to_be_noisy() {
        let machine = |load| Machine {
            cpu: "a CPU".to_owned(),
            cpus: 2,
            kernel: "6.12".to_owned(),
            load: Some(load),
        };
        assert!(machine(3.0).describe().ends_with("numbers are noisy"));
        assert!(!machine(0.2).describe().contains("noisy"));
    }
}
