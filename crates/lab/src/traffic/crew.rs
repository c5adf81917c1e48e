//! Threads that each run tasks inside one namespace, and end together.

use std::thread::JoinHandle;

use tokio::runtime::Builder;
use tokio::task::LocalSet;

use crate::members::Members;
use crate::{LabError, Node, Stop};

type Thread = JoinHandle<Result<Result<(), LabError>, LabError>>;

/// The threads of one piece of traffic. Dropping it stops and joins them.
#[derive(Debug)]
pub(crate) struct Crew {
    stop: Stop,
    threads: Vec<(String, Thread)>,
}

impl Crew {
    pub(crate) fn new() -> Self {
        Self { stop: Stop::new(), threads: Vec::new() }
    }

    pub(crate) fn stop(&self) -> &Stop {
        &self.stop
    }

    pub(crate) fn is_done(&self) -> bool {
        self.threads.iter().all(|(_, thread)| thread.is_finished())
    }

    /// Runs tasks on a thread in a member's namespace until they end or the crew is stopped.
    ///
    /// `tasks` is called inside the thread's runtime and may spawn more with
    /// [`tokio::task::spawn_local`]; what it returns is what is waited for.
    pub(crate) fn spawn_tasks<F>(
        &mut self,
        members: &Members,
        node: &Node,
        what: &str,
        tasks: impl FnOnce() -> F + Send + 'static,
    ) -> Result<(), LabError>
    where
        F: Future<Output = ()>,
    {
        let stop = self.stop.clone();
        self.spawn(members, node, what, move || {
            let runtime = Builder::new_current_thread()
                .enable_all()
                .build()
                .map_err(|error| LabError::system("start a runtime", error))?;
            let set = LocalSet::new();
            set.block_on(&runtime, async {
                tokio::select! {
                    () = stop.stopped() => {}
                    () = tasks() => {}
                }
            });
            Ok(())
        })
    }

    /// Runs a blocking loop on a thread in a member's namespace; it must mind the stop flag.
    pub(crate) fn spawn(
        &mut self,
        members: &Members,
        node: &Node,
        what: &str,
        work: impl FnOnce() -> Result<(), LabError> + Send + 'static,
    ) -> Result<(), LabError> {
        // The kernel shows 15 bytes of a thread's name.
        let name = format!("{} {what}", node.name);
        let thread = members.namespace(node)?.spawn(&name, work)?;
        self.threads.push((name, thread));
        Ok(())
    }

    /// Stops and joins all threads; the first failure is told.
    pub(crate) fn finish(mut self) -> Result<(), LabError> {
        self.stop.stop();
        self.join()
    }

    /// Joins all threads without stopping them.
    pub(crate) fn join(&mut self) -> Result<(), LabError> {
        let results: Vec<_> = self
            .threads
            .drain(..)
            .map(|(name, thread)| {
                thread.join().map_err(|_| LabError::Panicked { name }).flatten().flatten()
            })
            .collect();
        results.into_iter().collect()
    }
}

impl Drop for Crew {
    fn drop(&mut self) {
        self.stop.stop();
        // A caller that needs the result has called `finish`.
        let _ = self.join();
    }
}
