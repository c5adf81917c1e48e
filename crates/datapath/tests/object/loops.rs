//! Before Linux 6.7, a loop's way back must be a jump.

use aya_obj::generated::bpf_insn;

use crate::{code, object};

/// States of an instruction, as in `check_cfg` (kernel/bpf/verifier.c, Linux 6.1).
const DISCOVERED: u8 = 0x10;
const EXPLORED: u8 = 0x20;
const FALL_THROUGH: u8 = 1;
const BRANCH: u8 = 2;

/// The ways back that are no jumps: from, to. Walks through a function as Linux 6.1 does.
fn refused(function: &[bpf_insn]) -> Vec<(usize, usize)> {
    let mut walk = Walk { state: vec![0; function.len()], stack: vec![0], refused: Vec::new() };
    walk.state[0] = DISCOVERED;
    while let Some(&at) = walk.stack.last() {
        let instruction = function[at];
        let target = || at.checked_add_signed(isize::from(instruction.off) + 1).expect("a target");
        let goes_on = match (instruction.code & code::CLASS, instruction.code & code::OPERATION) {
            (code::JMP | code::JMP32, code::EXIT) => false,
            (code::JMP, code::GOTO) => walk.step(at, target(), FALL_THROUGH, true),
            (code::JMP, code::CALL) => walk.step(at, at + 1, FALL_THROUGH, false),
            (code::JMP | code::JMP32, _) => {
                walk.step(at, at + 1, FALL_THROUGH, true) || walk.step(at, target(), BRANCH, true)
            }
            _ => walk.step(at, at + 1, FALL_THROUGH, false),
        };
        if !goes_on {
            walk.state[at] = EXPLORED;
            walk.stack.pop();
        }
    }
    walk.refused
}

struct Walk {
    state: Vec<u8>,
    stack: Vec<usize>,
    refused: Vec<(usize, usize)>,
}

impl Walk {
    /// Follows an edge; true where it leads to an instruction not seen before.
    fn step(&mut self, from: usize, to: usize, edge: u8, may_lead_back: bool) -> bool {
        if self.state[from] >= DISCOVERED | edge {
            return false;
        }
        self.state[from] = DISCOVERED | edge;
        match self.state[to] {
            0 => {
                self.state[to] = DISCOVERED;
                self.stack.push(to);
                true
            }
            EXPLORED.. => false,
            _ => {
                if !may_lead_back {
                    self.refused.push((from, to));
                }
                false
            }
        }
    }
}

#[test]
fn no_loop_goes_back_by_falling_through() {
    let object = object();
    assert!(object.functions.len() >= object.programs.len());
    for function in object.functions.values() {
        assert_eq!(refused(&function.instructions), [], "{}", function.name);
    }
}

#[test]
fn a_loop_whose_latch_lies_before_its_head_is_found() {
    const ASSIGN: u8 = 0xb7;
    const IF_EQUAL: u8 = code::JMP | 0x10;
    let instruction = |code, off| {
        // SAFETY: integers, for which all zero is a value.
        let mut instruction: bpf_insn = unsafe { std::mem::zeroed() };
        (instruction.code, instruction.off) = (code, off);
        instruction
    };
    let goto = instruction(code::JMP | code::GOTO, 1);
    let latch = instruction(ASSIGN, 0);
    let exit = instruction(code::JMP | code::EXIT, 0);
    assert_eq!(refused(&[goto, latch, instruction(IF_EQUAL, -2), exit]), [(1, 2)]);
    assert_eq!(refused(&[latch, instruction(IF_EQUAL, -2), exit]), []);
}
