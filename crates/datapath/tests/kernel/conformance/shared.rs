//! The captures that the project does not ship: what real networks made of the formats, in far
//! larger numbers than the corpus has. Where they are missing, these tests are skipped.

use super::{
    both::Both,
    captures::{self, OwnedFrame},
    sweeps::{self, none_of},
};

#[test]
fn every_capture_reads_as_many_frames_as_its_manifest_says() {
    let Some(folder) = test_support::shared_data() else { return };
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
    let Some(folder) = test_support::shared_data() else { return };
    if !test_support::root() {
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
fn a_captured_frame_cut_at_any_length_counts_the_same() {
    let Some(folder) = test_support::shared_data() else { return };
    if test_support::root() {
        sweeps::cut_at_any_length(&varied_frames(&folder, 1_500));
    }
}

#[test]
fn changed_bytes_of_captured_frames_count_the_same() {
    let Some(folder) = test_support::shared_data() else { return };
    if test_support::root() {
        sweeps::changed_and_random_bytes(&varied_frames(&folder, 1_500), 40);
    }
}

#[test]
fn captured_frames_count_the_same_as_super_packets() {
    let Some(folder) = test_support::shared_data() else { return };
    if test_support::root() {
        sweeps::super_packets(&varied_frames(&folder, 3_000));
    }
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
