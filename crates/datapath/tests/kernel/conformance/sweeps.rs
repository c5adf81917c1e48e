//! Frames taken apart and changed, each variant fed to both worlds.

use rand::{Rng as _, RngExt as _, SeedableRng as _, rngs::StdRng};
use weir_datapath::SkbContext;

use super::{
    both::{Both, Fed},
    captures::OwnedFrame,
};

/// The sweeps' random bytes are the same on each run.
pub(crate) const SEED: u64 = 42;

/// Differences shown; the first few tell the cause.
const SHOWN: usize = 20;

pub(crate) fn none_of(differences: &[String]) {
    assert!(
        differences.is_empty(),
        "{} differences, the first of them:\n{}",
        differences.len(),
        differences[..differences.len().min(SHOWN)].join("\n")
    );
}

/// Each frame, bare and with a tag, ending at each of its first 200 bytes.
pub(crate) fn cut_at_any_length(frames: &[OwnedFrame]) {
    let mut both = Both::load();
    let mut differences = Vec::new();
    let mut fed = [0_u64; 3];
    for (number, frame) in frames.iter().enumerate() {
        for bytes in [&frame.bytes, &tagged(&frame.bytes)] {
            for end in 0..=bytes.len().min(200) {
                fed[both.feed(&bytes[..end], frame.time_ns) as usize] += 1;
            }
        }
        // A drain waits for a grace period; and a few frames to one are told apart by their keys.
        if number % 50 == 49 {
            differences.extend(both.differences(&format!("frames up to {number}")));
        }
    }
    differences.extend(both.differences("the last frames"));
    println!("{} cuts, and {} that a test run refuses", fed[0] + fed[1], fed[2]);
    none_of(&differences);
}

/// Each frame with up to six bytes of its headers changed and its end cut, and bytes that never
/// were a frame; `rounds` times.
pub(crate) fn changed_and_random_bytes(frames: &[OwnedFrame], rounds: u32) {
    let mut both = Both::load();
    let mut random = StdRng::seed_from_u64(SEED);
    let (mut differences, mut fed) = (Vec::new(), [0_u64; 3]);
    for round in 0..rounds {
        for frame in frames {
            let mut bytes = frame.bytes.clone();
            bytes.truncate(random.random_range(0..=bytes.len()).max(14));
            let headers = bytes.len().min(120);
            for _ in 0..random.random_range(0..6) {
                if headers > 0 {
                    bytes[random.random_range(0..headers)] = random.random();
                }
            }
            fed[both.feed(&bytes, random.random()) as usize] += 1;
        }
        for _ in 0..500 {
            let mut bytes = vec![0; random.random_range(0..600)];
            random.fill_bytes(&mut bytes);
            fed[both.feed(&bytes, random.random()) as usize] += 1;
        }
        differences.extend(both.differences(&format!("round {round} of seed {SEED}")));
    }
    println!("{} frames, and {} that a test run refuses", fed[0] + fed[1], fed[2]);
    none_of(&differences);
}

/// Each frame with a number and a size of segments that need not fit it.
pub(crate) fn super_packets(frames: &[OwnedFrame]) {
    let mut both = Both::load();
    let mut random = StdRng::seed_from_u64(SEED);
    let mut cut = 0;
    for frame in frames {
        let context = SkbContext {
            tstamp_ns: frame.time_ns,
            gso_size: random.random_range(0..=1_500),
            gso_segs: random.random_range(0..=40),
            ..SkbContext::default()
        };
        cut += u32::from(both.feed_as(&frame.bytes, &context) == Fed::Cut);
    }
    println!("{} super-packets, {cut} of them cut to what a test run takes", frames.len());
    none_of(&both.differences("super-packets"));
}

/// The frame with a VLAN tag in it.
fn tagged(bytes: &[u8]) -> Vec<u8> {
    let (addresses, rest) = bytes.split_at(bytes.len().min(12));
    [addresses, &[0x81, 0x00, 0x00, 0x07], rest].concat()
}
