//! A lab from its building to its removal.

use std::sync::{Mutex, PoisonError};
use std::thread::JoinHandle;

use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

use crate::members::Members;
use crate::net::namespace::Namespace;
use crate::net::{namespace, ready, sysctl, wiring};
use crate::plan::{Node, Plan};
use crate::registry::{self, Registration};
use crate::traffic::Servers;
use crate::{LabError, Topology};

/// Random ids drawn before giving up.
const ID_DRAWS: usize = 16;

/// A protected host, its clients and its attackers, each in a network namespace of its own.
///
/// Dropping it removes everything it made, on a panic as well. Threads that are still inside a
/// namespace keep it alive, nameless, until they end: finish the traffic first.
#[derive(Debug)]
pub struct Lab {
    plan: Plan,
    switch: Option<Namespace>,
    members: Members,
    registration: Registration,
    offloads: bool,
    /// Running from the first traffic on.
    servers: Mutex<Option<Servers>>,
}

impl Lab {
    /// Builds a lab; takes about 0.1 s for the default one.
    ///
    /// # Errors
    /// [`LabError::Permission`] and [`LabError::KernelLacks`] where the machine cannot hold a
    /// lab ([`LabError::is_unavailable`]), [`LabError::IdTaken`] and
    /// [`LabError::NamespaceTaken`] on a clash of names, [`LabError::Invalid`] for a topology
    /// out of bounds. Nothing is left behind then.
    pub fn build(topology: &Topology) -> Result<Self, LabError> {
        topology.check()?;
        let (plan, registration) = claim(topology)?;
        // From here on dropping the lab removes what there is of it.
        let mut lab = Self {
            members: Members::none_of(&plan.id),
            plan,
            switch: None,
            registration,
            offloads: topology.offloads,
            servers: Mutex::default(),
        };
        lab.wire()?;
        Ok(lab)
    }

    /// The lab's id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.plan.id
    }

    /// The protected host.
    #[must_use]
    pub fn host(&self) -> &Node {
        &self.plan.host
    }

    /// The benign clients, by index.
    #[must_use]
    pub fn clients(&self) -> &[Node] {
        &self.plan.clients
    }

    /// The attackers, by index.
    #[must_use]
    pub fn attackers(&self) -> &[Node] {
        &self.plan.attackers
    }

    /// Runs `work` on a fresh thread inside a member's namespace and waits for it.
    ///
    /// Sockets opened there stay in the namespace wherever they are used later; threads,
    /// runtimes and child processes started there are inside too. `/sys/class/net` keeps showing
    /// the outer namespace: ask netlink, or `if_nametoindex`, instead.
    ///
    /// # Errors
    /// [`LabError::Panicked`] if `work` panicked; `work`'s own result is the value.
    pub fn enter<T: Send>(
        &self,
        node: &Node,
        work: impl FnOnce() -> T + Send,
    ) -> Result<T, LabError> {
        self.members.namespace(node)?.run(work)
    }

    /// Starts a named thread that runs `work` inside a member's namespace.
    pub fn spawn<T: Send + 'static>(
        &self,
        node: &Node,
        thread: &str,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<JoinHandle<Result<T, LabError>>, LabError> {
        self.members.namespace(node)?.spawn(thread, work)
    }

    /// Starts the protected host's servers, unless they run: web on 80 and 443, logins on 22,
    /// names on 53, uploads on 873. They run until the lab is removed.
    pub fn serve(&self) -> Result<(), LabError> {
        let mut servers = self.servers.lock().unwrap_or_else(PoisonError::into_inner);
        if servers.is_none() {
            *servers = Some(Servers::start(&self.members, self.host())?);
        }
        Ok(())
    }

    /// Removes the lab and says whether that worked; dropping it does the same silently.
    pub fn remove(self) -> Result<(), LabError> {
        self.stop_serving();
        self.registration.remove()
    }

    /// All registered labs, those of running processes too.
    #[must_use]
    pub fn registered() -> Vec<Registration> {
        registry::all()
    }

    /// Labs whose owner died without removing them.
    #[must_use]
    pub fn leftovers() -> Vec<Registration> {
        registry::all().into_iter().filter(|lab| !lab.owner_is_alive()).collect()
    }

    /// Removes all leftovers and says which; labs of running processes are never touched.
    pub fn remove_leftovers() -> Result<Vec<Registration>, LabError> {
        let leftovers = Self::leftovers();
        leftovers.iter().try_for_each(Registration::remove)?;
        Ok(leftovers)
    }

    /// Removes one leftover by its id.
    ///
    /// # Errors
    /// [`LabError::UnknownLab`], or [`LabError::OwnerAlive`] if it is no leftover.
    pub fn remove_leftover(id: &str) -> Result<(), LabError> {
        let registration = registry::find(id)?;
        if registration.owner_is_alive() {
            return Err(LabError::OwnerAlive { id: registration.id, pid: registration.pid });
        }
        registration.remove()
    }

    pub(crate) fn members(&self) -> &Members {
        &self.members
    }

    /// The namespace of the switch between all members; `None` while the lab is being built.
    pub(crate) fn switch(&self) -> Option<&Namespace> {
        self.switch.as_ref()
    }

    fn stop_serving(&self) {
        drop(self.servers.lock().unwrap_or_else(PoisonError::into_inner).take());
    }

    fn wire(&mut self) -> Result<(), LabError> {
        let switch = Namespace::create(&self.plan.switch_namespace())?;
        for node in self.plan.nodes() {
            let namespace = Namespace::create(&node.namespace)?;
            namespace.run(|| sysctl::write(sysctl::QUIET)).and_then(|result| result)?;
            self.members.add(node.clone(), namespace);
        }
        switch.run(|| wiring::wire_switch(&self.plan, self.members.all(), self.offloads))??;
        let mut ports = Vec::new();
        for (node, namespace) in self.members.all() {
            namespace.run(|| wiring::configure_member(node, self.offloads))??;
            ports.extend(node.interfaces.iter().map(|link| wiring::port_name(node, link)));
        }
        for (node, namespace) in self.members.all() {
            let links: Vec<String> = node.interfaces.iter().map(|l| l.name.clone()).collect();
            namespace.run(|| ready::wait_for_links(&links))??;
        }
        switch.run(|| ready::wait_for_ports(&ports))??;
        self.switch = Some(switch);
        Ok(())
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        self.stop_serving();
        // A namespace that could not be removed stays registered and is listed as a leftover later.
        let _ = self.registration.remove();
    }
}

/// Registers a lab under the id that was asked for, or under a random one that is free.
fn claim(topology: &Topology) -> Result<(Plan, Registration), LabError> {
    let attempt = |id: &str| {
        let plan = Plan::new(id, topology);
        let namespaces = plan.namespaces();
        if let Some(name) = namespaces.iter().find(|name| namespace::exists(name)) {
            // Never registered, never removed by us.
            let taken = registry::find(id).is_err();
            return Err(if taken {
                LabError::NamespaceTaken { name: name.clone() }
            } else {
                LabError::IdTaken { id: id.to_owned() }
            });
        }
        let registration = Registration { namespaces, ..Registration::of_this_process(id)? };
        registration.claim()?;
        Ok((plan, registration))
    };
    if let Some(id) = &topology.id {
        return attempt(id);
    }
    let seed = flows_common::clock::boot_ns() ^ u64::from(std::process::id()).rotate_left(32);
    let mut generator = Xoshiro256PlusPlus::seed_from_u64(seed);
    let mut last = None;
    for _ in 0..ID_DRAWS {
        let id = format!("{:05x}", generator.random_range(0..0x10_0000));
        match attempt(&id) {
            Err(error @ (LabError::IdTaken { .. } | LabError::NamespaceTaken { .. })) => {
                last = Some(error);
            }
            result => return result,
        }
    }
    Err(last.unwrap_or(LabError::IdTaken { id: "random".to_owned() }))
}
