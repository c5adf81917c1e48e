//! Hooks asked for what they hold.

use std::io;

use flows_common::Direction;

use super::{Attribute, bpf, command};

#[repr(C)]
#[derive(Clone, Copy, Default)]
struct QueryRequest {
    target_ifindex: u32,
    attach_type: u32,
    query_flags: u32,
    attach_flags: u32,
    program_ids: u64,
    program_count: u32,
    padding: u32,
}

/// Programs in TCX links at one end of an interface of this network namespace, in their order.
///
/// # Errors
/// `EINVAL` where the kernel has no TCX (before 6.6); others, where asking is not allowed.
pub(in super::super) fn query_tcx(ifindex: u32, way: Direction) -> io::Result<Vec<u32>> {
    /// `BPF_TCX_INGRESS`, `BPF_TCX_EGRESS`.
    const ENDS: [u32; 2] = [46, 47];
    /// `BPF_MPROG_MAX`: the kernel takes no more there.
    const MOST: u32 = 64;
    let mut programs = vec![0_u32; MOST as usize];
    let request = QueryRequest {
        target_ifindex: ifindex,
        attach_type: ENDS[way.index()],
        program_ids: programs.as_mut_ptr() as u64,
        program_count: MOST,
        ..Default::default()
    };
    let mut attribute = Attribute::of(&request);
    // SAFETY: there is room for as many numbers as said.
    unsafe { bpf(command::PROG_QUERY, &mut attribute) }?;
    programs.truncate(attribute.read::<QueryRequest>().program_count as usize);
    Ok(programs)
}
