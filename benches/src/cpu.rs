//! Staying on one CPU, and the time spent there.

use std::{io, thread};

use anyhow::Context as _;
use nix::{
    sched::{CpuSet, sched_getaffinity, sched_setaffinity},
    time::{ClockId, clock_gettime},
    unistd::Pid,
};

/// The CPUs this process may use, ascending.
///
/// # Errors
/// The kernel does not tell.
pub fn usable() -> io::Result<Vec<usize>> {
    let set = sched_getaffinity(Pid::from_raw(0))?;
    Ok((0..CpuSet::count()).filter(|&cpu| set.is_set(cpu).unwrap_or(false)).collect())
}

/// Does the work on a thread that stays on the last usable CPU: the first tends to have the
/// interrupts.
///
/// # Errors
/// The thread cannot be kept there, or the work's own.
///
/// # Panics
/// If the work does.
pub fn on_one<T: Send>(work: impl FnOnce() -> anyhow::Result<T> + Send) -> anyhow::Result<T> {
    let cpus = usable().context("cannot read the CPUs this process may use")?;
    let cpu = *cpus.last().context("no usable CPU")?;
    thread::scope(|scope| {
        let worker = scope.spawn(move || {
            stay_on(cpu).with_context(|| format!("cannot stay on CPU {cpu}"))?;
            work()
        });
        worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// Keeps the calling thread on one CPU from here on.
///
/// # Errors
/// There is no such CPU, or the process may not use it.
pub fn stay_on(cpu: usize) -> io::Result<()> {
    let mut set = CpuSet::new();
    set.set(cpu)?;
    Ok(sched_setaffinity(Pid::from_raw(0), &set)?)
}

/// Seconds that the calling thread has spent on a CPU, its time in the kernel included.
///
/// # Errors
/// The clock cannot be read.
pub fn thread_seconds() -> io::Result<f64> {
    seconds(ClockId::CLOCK_THREAD_CPUTIME_ID)
}

/// As [`thread_seconds`], of all threads of the process together.
///
/// # Errors
/// The clock cannot be read.
pub fn process_seconds() -> io::Result<f64> {
    seconds(ClockId::CLOCK_PROCESS_CPUTIME_ID)
}

fn seconds(clock: ClockId) -> io::Result<f64> {
    let time = clock_gettime(clock)?;
    Ok(time.tv_sec() as f64 + time.tv_nsec() as f64 / 1e9)
}

/// Seconds of the calling thread's CPU time that `work` takes, and what it returned. Unlike time
/// on the wall, it leaves out what other processes take of the CPU.
///
/// # Panics
/// If the kernel has no such clock (before Linux 2.6.12).
pub fn timed<T>(work: impl FnOnce() -> T) -> (f64, T) {
    let now = || thread_seconds().expect("every kernel that runs this has the clock");
    let start = now();
    let result = work();
    (now() - start, result)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_on_one_cpu_sees_that_one_only() {
        let cpus = on_one(|| Ok(usable()?)).unwrap();
        assert_eq!(cpus.len(), 1);
    }

    #[test]
    fn the_time_of_a_thread_goes_on_while_it_works() {
        let before = thread_seconds().unwrap();
        std::hint::black_box((0..100_000_u64).map(std::hint::black_box).sum::<u64>());
        assert!(thread_seconds().unwrap() > before);
    }
}
