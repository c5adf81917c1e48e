//! Other people's programs on an interface, and their order.

use std::{collections::BTreeMap, path::Path};

use aya::programs::loaded_programs;
use flows_common::Direction;

use super::{
    dispatcher, error::KernelError, interfaces::InterfaceName, orphan::own_programs,
    rtnetlink::filters, syscall,
};

/// A program that is not weir's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Neighbour {
    /// Its hook, as a person reads it: `TCX egress`.
    pub hook: &'static str,
    /// Its name, or what else is known of it.
    pub name: String,
    /// It runs before a program of weir's that goes the same way, from which it can keep packets.
    pub is_before: bool,
}

/// The XDP hook, as a person reads it.
const XDP: &str = "XDP";

impl Neighbour {
    /// True where it may keep packets from the host's stack.
    pub(super) fn is_at_xdp(&self) -> bool {
        self.hook == XDP
    }
}

impl std::fmt::Display for Neighbour {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let order = if self.is_before { ", before weir's" } else { "" };
        write!(f, "{} {}{order}", self.hook, self.name)
    }
}

/// Programs of others at XDP, TCX and clsact on an interface of this network namespace, in the order
/// in which a packet meets them: those that come in, then those that go out. Those that share the XDP
/// hook are known by their pins on `bpffs`.
///
/// `own` are weir's programs there; where they are not known, those of any weir are.
/// Names are told to whoever may list the kernel's programs (`CAP_SYS_ADMIN`), others get numbers.
///
/// # Errors
/// The interface is gone.
pub fn neighbours(
    bpffs: &Path,
    interface: &InterfaceName,
    own: Option<&[u32]>,
) -> Result<Vec<Neighbour>, KernelError> {
    let ifindex = interface.index()?;
    let own: Vec<u32> = match own {
        Some(own) => own.to_vec(),
        None => own_programs().map(|own| own.into_keys().collect()).unwrap_or_default(),
    };
    let mut names: Option<BTreeMap<u32, String>> = None;
    let mut name = |program: u32| {
        let names = names.get_or_insert_with(|| {
            loaded_programs()
                .filter_map(Result::ok)
                .filter_map(|one| Some((one.id(), one.name_as_str()?.to_owned())))
                .collect()
        });
        match names.get(&program).filter(|name| !name.is_empty()) {
            Some(name) => format!("{name} (program {program})"),
            None => format!("program {program}"),
        }
    };
    let at_xdp = dispatcher::programs(bpffs, ifindex)?;
    let at_xdp = at_xdp.into_iter().filter(|program| !own.contains(program));
    // The flow programs, at TC, are behind all of them.
    let mut found: Vec<Neighbour> = at_xdp
        .map(|program| Neighbour { hook: XDP, name: name(program), is_before: true })
        .collect();
    for way in Direction::ALL {
        let [tcx, clsact] = match way {
            Direction::Ingress => ["TCX ingress", "clsact ingress"],
            Direction::Egress => ["TCX egress", "clsact egress"],
        };
        let programs = syscall::query_tcx(ifindex, way).unwrap_or_default();
        let mut chain: Vec<(bool, &'static str, String)> = programs
            .into_iter()
            .map(|program| (own.contains(&program), tcx, name(program)))
            .collect();
        let filters = filters(ifindex, way)
            .map_err(KernelError::system("list the filters of an interface"))?;
        chain.extend(filters.into_iter().map(|filter| {
            let is_own = filter.program.is_some_and(|program| own.contains(&program));
            (is_own, clsact, filter.to_string())
        }));
        let last = chain.iter().rposition(|(is_own, ..)| *is_own);
        for (place, (is_own, hook, name)) in chain.into_iter().enumerate() {
            if !is_own {
                found.push(Neighbour {
                    hook,
                    name,
                    is_before: last.is_some_and(|last| place < last),
                });
            }
        }
    }
    Ok(found)
}
