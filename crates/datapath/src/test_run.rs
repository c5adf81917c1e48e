//! Running a loaded program on a frame, for conformance tests and benches.

use std::os::fd::AsFd as _;

use aya::Ebpf;
use flows_common::{Direction, parse::LinkLayer};

use super::{
    error::KernelError,
    object::{self, TcPrograms, XDP_GUARD},
    syscall::{self, TestRun},
};

/// Bytes of `struct __sk_buff`.
const SKB_BYTES: usize = 192;
/// Offsets in `struct __sk_buff` (uapi, never moved).
mod offset {
    pub(super) const TSTAMP: usize = 152;
    pub(super) const WIRE_LEN: usize = 160;
    pub(super) const GSO_SEGS: usize = 164;
    pub(super) const GSO_SIZE: usize = 176;
}

/// Context of a frame in a test run, beside its bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SkbContext {
    /// Its time in ns, for programs loaded with [`flows_common::ClockSource::SkbTimestamp`].
    pub tstamp_ns: u64,
    /// Payload bytes of each segment of a super-packet, 0 for an ordinary packet.
    pub gso_size: u32,
    /// Segments of a super-packet.
    pub gso_segs: u32,
    /// Length on the wire, 0 for that of the frame.
    pub wire_length: u32,
    /// Header that it begins with, by which the program is chosen.
    pub link: LinkLayer,
}

impl SkbContext {
    fn bytes(&self) -> [u8; SKB_BYTES] {
        let mut bytes = [0; SKB_BYTES];
        bytes[offset::TSTAMP..][..8].copy_from_slice(&self.tstamp_ns.to_ne_bytes());
        bytes[offset::WIRE_LEN..][..4].copy_from_slice(&self.wire_length.to_ne_bytes());
        bytes[offset::GSO_SEGS..][..4].copy_from_slice(&self.gso_segs.to_ne_bytes());
        bytes[offset::GSO_SIZE..][..4].copy_from_slice(&self.gso_size.to_ne_bytes());
        bytes
    }
}

/// Runs a flow program on a frame, `repeat` times; the flow tables count it as often.
///
/// The kernel refuses frames below 14 bytes and takes the loopback for the interface.
pub(super) fn tc(
    object: &mut Ebpf,
    direction: Direction,
    frame: &[u8],
    context: &SkbContext,
    repeat: u32,
) -> Result<TestRun, KernelError> {
    let programs = TcPrograms::of(context.link);
    let name = match direction {
        Direction::Ingress => programs.ingress,
        Direction::Egress => programs.egress,
    };
    let program = object::program_fd(object, name)?;
    syscall::test_run(program.as_fd(), frame, Some(&context.bytes()), repeat)
        .map_err(KernelError::system("run a TC program on a frame"))
}

/// Runs the guard on a frame, `repeat` times; its ledger counts it as often.
pub(super) fn xdp(object: &mut Ebpf, frame: &[u8], repeat: u32) -> Result<TestRun, KernelError> {
    let program = object::program_fd(object, XDP_GUARD)?;
    syscall::test_run(program.as_fd(), frame, None, repeat)
        .map_err(KernelError::system("run the XDP program on a frame"))
}
