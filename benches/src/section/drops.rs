//! What following the kernel's drops costs, on packets that the stack drops anyway.

use datapath::{Trace, TraceEndpoint, TraceFilter, TracePoint};

use super::Effort;
use crate::{
    bpf::missing_privileges,
    cpu,
    measurement::{Measurement, Reach, Unit},
    statistics::Turns,
    wire::{Ends, Wire, frame},
};

/// Drops a second that the share of a CPU is told for.
const DROPS: f64 = 100_000.0;
/// Frames of one sample.
const FRAMES: usize = 20_000;
/// Sources of the frames.
const SENDERS: u8 = 200;

const SHARE: &str = "drops followed: share of one CPU at 100,000 drops a second";
const STAGED: &str = "UDP of 60 bytes from 200 sources through a veth pair, dropped for a wrong checksum, on one \
                      CPU: the sender's work is in it";

pub(super) fn measure(effort: Effort) -> anyhow::Result<Vec<Measurement>> {
    if let Some(why) = missing_privileges() {
        return Ok(vec![Measurement::skipped(SHARE, why).reach(Reach::AtMost(0.02))]);
    }
    let wire = Wire::new()?;
    cpu::on_one(|| {
        wire.enter()?;
        measure_here(&wire.ends()?, effort)
    })
}

fn measure_here(ends: &Ends, effort: Effort) -> anyhow::Result<Vec<Measurement>> {
    let frames: Vec<Vec<u8>> = (0..SENDERS).map(damaged).collect();
    let one = |net: &str| TraceFilter {
        ends: [TraceEndpoint { net: net.parse().ok(), port: None }, TraceEndpoint::default()],
        protocol: None,
    };
    let per_packet = || Ok(ends.send(&frames, FRAMES)? / FRAMES as f64 * 1e9);
    let followed = |net: &'static str, points: &'static [TracePoint]| {
        move || {
            let _trace = Trace::start(&one(net), points)?;
            per_packet()
        }
    };
    let dropped = &[TracePoint::Dropped];
    let mut bare = per_packet;
    let mut others = followed("203.0.113.7/32", dropped);
    let mut all = followed("198.51.100.0/24", dropped);
    let mut everything = followed("198.51.100.0/24", &TracePoint::ALL);
    let rounds = effort.of(21, 5);
    let turns = Turns::take(rounds, &mut [&mut bare, &mut others, &mut all, &mut everything])?;
    let mut rows: Vec<Measurement> = [
        "a packet that the stack drops",
        "followed by its reason, of another address than is asked after",
        "followed by its reason and flow",
        "followed where it comes, goes and ends",
    ]
    .into_iter()
    .enumerate()
    .map(|(contestant, what)| {
        Measurement::of(what, Unit::NanosecondsPerPacket, turns.spread(contestant)).note(STAGED)
    })
    .collect();
    let mut share = turns.difference(2, 0);
    for value in [&mut share.min, &mut share.median, &mut share.max] {
        *value *= DROPS / 1e9;
    }
    rows.push(
        Measurement::of(SHARE, Unit::Ratio, share)
            .reach(Reach::AtMost(0.02))
            .note("what it adds to each, a hundred thousand times"),
    );
    Ok(rows)
}

/// A datagram whose checksum is wrong.
fn damaged(number: u8) -> Vec<u8> {
    /// Place of the checksum: behind the headers of Ethernet and IPv4 and 6 bytes of UDP's.
    const CHECKSUM: usize = 14 + 20 + 6;
    let mut frame = frame(std::net::Ipv4Addr::new(198, 51, 100, 1 + number));
    frame[CHECKSUM..CHECKSUM + 2].copy_from_slice(&[0xba, 0xad]);
    frame
}
