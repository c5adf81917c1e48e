//! The loaded programs and the host build count the same, bit for bit.
//!
//! Every frame runs through `bpf_prog_test_run` with its own time for a clock, and through the
//! same parsing and accounting on the host; then all flow counters, peer counters and the ledger
//! are compared, key by key.

use datapath::SkbContext;
use rand::{Rng as _, RngExt as _, SeedableRng as _, rngs::StdRng};

use crate::{
    both::{Both, Fed},
    captures::{self, OwnedFrame},
};

/// The sweeps' random bytes are the same on each run.
const SEED: u64 = 42;

/// Differences shown; the first few tell the cause.
const SHOWN: usize = 20;

fn none_of(differences: &[String]) {
    assert!(
        differences.is_empty(),
        "{} differences, the first of them:\n{}",
        differences.len(),
        differences[..differences.len().min(SHOWN)].join("\n")
    );
}

#[test]
fn every_capture_reads_as_many_frames_as_its_manifest_says() {
    let Some(folder) = requires::shared_data() else { return };
    let (mut read, mut refused) = (0, Vec::new());
    for capture in captures::all(&folder) {
        let mut frames = 0;
        match capture.for_each(|_| frames += 1) {
            Ok(()) => assert_eq!(frames, capture.frames, "{}", capture.name),
            Err(why) => refused.push(why),
        }
        read += frames;
    }
    println!("{read} frames; {} captures of other link types:", refused.len());
    println!("{}", refused.join("\n"));
}

#[test]
fn every_capture_counts_the_same_in_the_kernel_and_on_the_host() {
    let Some(folder) = requires::shared_data() else { return };
    if !requires::root() {
        return;
    }
    let mut both = Both::load();
    let (mut frames, mut differences) = (0, Vec::new());
    let (mut cut, mut refused, mut unread) = (Vec::new(), Vec::new(), Vec::new());
    for capture in captures::all(&folder) {
        let mut fed = [0_u64; 3];
        let outcome = capture.for_each(|frame| {
            fed[both.feed(&frame.bytes, frame.time_ns) as usize] += 1;
        });
        let [_, cut_frames, refused_frames] = fed;
        frames += fed.iter().sum::<u64>();
        for (list, count) in [(&mut cut, cut_frames), (&mut refused, refused_frames)] {
            if count > 0 {
                list.push(format!("{count} of {}", capture.name));
            }
        }
        unread.extend(outcome.err());
        differences.extend(both.differences(&capture.name));
    }
    let lengths = both.lengths();
    println!("{frames} frames, {} flows and peers compared", both.compared());
    println!("a test run takes {} to {} bytes", lengths.start(), lengths.end());
    println!("cut to the longest, on both sides: {}", cut.join(", "));
    println!("refused by a test run, on neither side: {}", refused.join(", "));
    println!("not read:\n{}", unread.join("\n"));
    none_of(&differences);
}

#[test]
fn a_frame_cut_at_any_length_counts_the_same() {
    let Some(folder) = requires::shared_data() else { return };
    if !requires::root() {
        return;
    }
    let mut both = Both::load();
    let mut differences = Vec::new();
    let mut fed = [0_u64; 3];
    for (number, frame) in varied_frames(&folder, 1_500).iter().enumerate() {
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

#[test]
fn changed_and_random_bytes_count_the_same() {
    let Some(folder) = requires::shared_data() else { return };
    if !requires::root() {
        return;
    }
    let mut both = Both::load();
    let mut random = StdRng::seed_from_u64(SEED);
    let (mut differences, mut fed) = (Vec::new(), [0_u64; 3]);
    let frames = varied_frames(&folder, 1_500);
    for round in 0..40 {
        for frame in &frames {
            let mut bytes = frame.bytes.clone();
            bytes.truncate(random.random_range(0..=bytes.len()).max(14));
            let headers = bytes.len().min(120);
            for _ in 0..random.random_range(0..6) {
                bytes[random.random_range(0..headers)] = random.random();
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

#[test]
fn super_packets_count_the_same() {
    let Some(folder) = requires::shared_data() else { return };
    if !requires::root() {
        return;
    }
    let mut both = Both::load();
    let mut random = StdRng::seed_from_u64(SEED);
    let frames = varied_frames(&folder, 3_000);
    let mut cut = 0;
    for frame in &frames {
        let context = SkbContext {
            tstamp_ns: frame.time_ns,
            gso_size: random.random_range(0..=1_500),
            gso_segs: random.random_range(0..=40),
            wire_length: 0,
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

/// Frames of all captures, `count` at most, evenly spread so that each protocol has its share.
fn varied_frames(folder: &std::path::Path, count: usize) -> Vec<OwnedFrame> {
    let captures = captures::all(folder);
    let per_capture = count.div_ceil(captures.len());
    let mut frames = Vec::new();
    for capture in captures {
        let step = (capture.frames / per_capture as u64).max(1);
        let mut number = 0;
        let mut taken = 0;
        let read = capture.for_each(|frame| {
            if number % step == 0 && taken < per_capture {
                frames.push(frame);
                taken += 1;
            }
            number += 1;
        });
        // The other tests tell which captures are of a link type that cannot be read.
        drop(read);
    }
    frames
}
