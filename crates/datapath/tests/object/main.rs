//! The built object, held against what old kernels refuse and what loaders take for granted.

mod budget;
mod calls;
mod loops;
mod stack;

use std::collections::BTreeMap;

use aya_obj::{Function, Object, generated::bpf_insn};
use weir_datapath::OBJECT;

fn object() -> Object {
    Object::parse(OBJECT).expect("an object")
}

/// The functions that are called, by their place in the object; the others are programs.
fn called(object: &Object) -> impl Iterator<Item = &Function> {
    let programs: Vec<_> = object.programs.values().map(aya_obj::Program::function_key).collect();
    object
        .functions
        .iter()
        .filter(move |(place, _)| !programs.contains(place))
        .map(|(_, function)| function)
}

/// The instructions of each program with all functions that it calls, as the kernel gets them.
fn linked() -> BTreeMap<String, Vec<bpf_insn>> {
    let mut object = object();
    let sections = object.functions.keys().map(|&(section, _)| section).collect();
    object.relocate_calls(&sections).expect("the calls are linked");
    object
        .programs
        .iter()
        .map(|(name, program)| {
            (name.clone(), object.functions[&program.function_key()].instructions.clone())
        })
        .collect()
}

/// Kinds of an instruction (`linux/bpf_common.h`, `linux/bpf.h`).
mod code {
    /// Class: the low three bits.
    pub(crate) const CLASS: u8 = 0x07;
    pub(crate) const LDX: u8 = 0x01;
    pub(crate) const ST: u8 = 0x02;
    pub(crate) const STX: u8 = 0x03;
    pub(crate) const JMP: u8 = 0x05;
    pub(crate) const JMP32: u8 = 0x06;
    /// Operation of a jump: the high four bits.
    pub(crate) const OPERATION: u8 = 0xf0;
    pub(crate) const GOTO: u8 = 0x00;
    pub(crate) const CALL: u8 = 0x80;
    pub(crate) const EXIT: u8 = 0x90;
    /// `rX = rY`, `rX += immediate`.
    pub(crate) const MOVE: u8 = 0xbf;
    pub(crate) const ADD: u8 = 0x07;
}

/// The instruction that a call goes to.
fn target(instructions: &[bpf_insn], at: usize) -> usize {
    let after = isize::try_from(at + 1).expect("a short program");
    let target = after + isize::try_from(instructions[at].imm).expect("as wide at least");
    usize::try_from(target).expect("within the program")
}

/// The call of a function of the program's own, not of a helper.
fn is_own_call(instruction: bpf_insn) -> bool {
    const PSEUDO_CALL: u8 = 1;
    instruction.code == code::JMP | code::CALL && instruction.src_reg() == PSEUDO_CALL
}

#[test]
fn the_object_has_types_and_no_dwarf() {
    let holds = |name: &[u8]| OBJECT.windows(name.len()).any(|bytes| bytes == name);
    assert!(holds(b".BTF.ext"));
    assert!(!holds(b".debug_"));
    assert!(OBJECT.len() < 440_000, "{} bytes", OBJECT.len());
}
