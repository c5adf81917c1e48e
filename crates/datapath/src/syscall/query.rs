//! Hooks asked for what they hold.

use std::io;

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

/// Asks an interface of this network namespace for the number of its TCX programs, which a kernel
/// without TCX does not know to answer.
///
/// # Errors
/// `EINVAL` where the kernel has no TCX (before 6.6); others, where asking is not allowed.
pub(in super::super) fn query_tcx(ifindex: u32) -> io::Result<()> {
    /// `BPF_TCX_INGRESS`.
    const TCX_INGRESS: u32 = 46;
    let request =
        QueryRequest { target_ifindex: ifindex, attach_type: TCX_INGRESS, ..Default::default() };
    // SAFETY: no room is offered, and none is written to.
    unsafe { bpf(command::PROG_QUERY, &mut Attribute::of(&request)) }.map(drop)
}
