//! The instructions that the verifier follows to accept each program, of the million it would.

use weir_datapath::{Verified, verify};

/// Kernel of the record below; another one follows another number.
const RECORDED_ON: &str = "6.18.";

/// Instructions of each program as recorded.
const RECORD: [(&str, u32); 11] = [
    ("tc_ingress", 38_320),
    ("tc_egress", 38_542),
    ("tc_guard", 63_416),
    ("xdp_guard", 85_881),
    ("tc_ingress_l3", 40_924),
    ("tc_egress_l3", 57_669),
    ("tc_guard_l3", 68_601),
    ("xdp_guard_skb", 85_881),
    ("trace_arrived", 3_918),
    ("trace_left", 3_875),
    ("trace_dropped", 4_104),
];

/// Growth beyond which the record is to be written anew, with the reason: 1 in 20.
const TOLERANCE: u32 = 20;

#[test]
fn the_verifier_follows_no_more_instructions_than_recorded() {
    if !test_support::root() {
        return;
    }
    let running = std::fs::read_to_string("/proc/sys/kernel/osrelease").expect("a release");
    if !running.starts_with(RECORDED_ON) {
        test_support::skip(&format!("recorded on Linux {RECORDED_ON}x, this is {running}"));
        return;
    }
    let mut beyond = Vec::new();
    for Verified { program, instructions } in verify().expect("the object") {
        let followed = instructions.expect("accepted").expect("Linux 5.16 tells");
        let recorded = RECORD.iter().find(|(name, _)| *name == program).expect("recorded").1;
        let budget = recorded + recorded / TOLERANCE;
        if followed > budget {
            beyond.push(format!("{program}: {followed} instructions, {recorded} recorded"));
        }
    }
    assert!(beyond.is_empty(), "{beyond:#?}");
}
