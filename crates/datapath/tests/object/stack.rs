//! The stack that a chain of calls takes at once.

use std::collections::BTreeMap;

use aya_obj::generated::bpf_insn;

use crate::{code, is_own_call, linked, target};

/// `MAX_BPF_STACK`.
const LIMIT: usize = 512;
/// A frame is taken in steps of so many bytes (`round_up` in `check_max_stack_depth`; newer kernels
/// with a compiler take 16).
const STEP: usize = 32;
/// The register that points to the end of the frame.
const FRAME: u8 = 10;

/// Bytes below the frame's end that an instruction reaches by itself or with the next ones.
fn reach(instructions: &[bpf_insn], at: usize) -> usize {
    let one = instructions[at];
    let below = |offset: i64| usize::try_from(-offset).unwrap_or(0);
    match one.code & code::CLASS {
        code::LDX if one.src_reg() == FRAME => below(one.off.into()),
        code::ST | code::STX if one.dst_reg() == FRAME => below(one.off.into()),
        _ if one.code == code::MOVE && one.src_reg() == FRAME => {
            let next = instructions[at + 1..].iter().find(|next| next.dst_reg() == one.dst_reg());
            let next = next.filter(|next| next.code == code::ADD);
            below(next.expect("an address on the stack is made in two steps").imm.into())
        }
        _ => 0,
    }
}

/// Bytes of stack from a function's start on, with the deepest of what it calls.
fn depth(instructions: &[bpf_insn], starts: &BTreeMap<usize, usize>, start: usize) -> usize {
    let function = &instructions[..starts[&start]];
    let frame = (start..function.len()).map(|at| reach(function, at)).max().unwrap_or(0);
    let deepest = (start..function.len())
        .filter(|&at| is_own_call(function[at]))
        .map(|at| depth(instructions, starts, target(function, at)))
        .max();
    frame.max(1).next_multiple_of(STEP) + deepest.unwrap_or(0)
}

/// Where each function of a linked program starts, and ends.
fn starts(instructions: &[bpf_insn]) -> BTreeMap<usize, usize> {
    let mut starts: Vec<usize> = (0..instructions.len())
        .filter(|&at| is_own_call(instructions[at]))
        .map(|at| target(instructions, at))
        .chain([0])
        .collect();
    starts.sort_unstable();
    starts.dedup();
    let ends = starts.iter().skip(1).copied().chain([instructions.len()]);
    starts.iter().copied().zip(ends).collect()
}

#[test]
fn a_chain_of_calls_fits_the_stack() {
    for (program, instructions) in linked() {
        let depth = depth(&instructions, &starts(&instructions), 0);
        assert!((STEP..=LIMIT).contains(&depth), "{program}: {depth} bytes");
    }
}
