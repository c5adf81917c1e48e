//! aya-obj 0.3 takes two called functions at one offset of different sections for the same.

use std::collections::BTreeMap;

use crate::{called, is_own_call, linked, object, target};

#[test]
fn no_two_called_functions_are_at_one_offset() {
    let object = object();
    let mut at: BTreeMap<u64, &str> = BTreeMap::new();
    for function in called(&object) {
        if let Some(other) = at.insert(function.address, &function.name) {
            panic!("`{}` and `{other}` are both at {:#x}", function.name, function.address);
        }
    }
    assert!(!at.is_empty(), "no program calls a function");
}

#[test]
fn each_program_calls_functions_that_were_linked_to_it() {
    for (program, instructions) in linked() {
        for (at, &instruction) in instructions.iter().enumerate() {
            if is_own_call(instruction) {
                let target = target(&instructions, at);
                assert!(target < instructions.len(), "{program} at {at}");
            }
        }
    }
}
