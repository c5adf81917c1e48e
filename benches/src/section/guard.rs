//! The XDP guard, by `bpf_prog_test_run`, beside xdp-filter's program.

use std::{
    cell::RefCell,
    net::{IpAddr, Ipv4Addr},
};

use anyhow::{Context as _, ensure};
use datapath::{
    Block, BlockAction, Kernel, KernelOptions, RateLimit, Service, ServiceLimit, Target, boot_ns,
};
use flows_common::{Action, Scope, parse::TCP};
use ipnet::{IpNet, Ipv6Net};

use super::Effort;
use crate::{
    bpf::{Hook, Nothing, map_memory, missing_privileges},
    cpu,
    measurement::{Measurement, Reach, Unit},
    statistics::{Spread, Turns, timed},
    traffic::{Family, Segment},
    xdp_filter::XdpFilter,
};

const XDP_DROP: u32 = 1;
const XDP_PASS: u32 = 2;
const ENTRIES: u32 = 1_000_000;
const PREFIXES: u16 = 1_000;
/// Number of the hash map's type, which the tables of single addresses are of.
const HASH: u32 = 1;

const PASS_RATIO: &str = "pass with 1,000,000 entries, over pass with 0";
const OVER_THEIRS: [&str; 2] = ["pass, over xdp-filter's", "drop, over xdp-filter's"];
const HARNESS: &str = "bpf_prog_test_run of the shipped program on a 60-byte TCP frame, the \
                       harness's own time included";
const VARIED: &str = "10,000 remotes, one test run each, caches as the last remote left them";

pub(super) fn measure(effort: Effort) -> anyhow::Result<Vec<Measurement>> {
    if let Some(why) = missing_privileges() {
        return Ok(vec![
            Measurement::skipped(PASS_RATIO, why.clone()).reach(Reach::AtMost(1.1)),
            Measurement::skipped(OVER_THEIRS[0], why.clone()).reach(Reach::AtMost(1.0)),
            Measurement::skipped(OVER_THEIRS[1], why).reach(Reach::AtMost(1.0)),
        ]);
    }
    cpu::on_one(|| measure_here(effort))
}

/// A loaded guard; nothing is attached.
struct Guard(RefCell<Kernel>);

impl Guard {
    fn load() -> anyhow::Result<Self> {
        Ok(Self(RefCell::new(Kernel::load(&KernelOptions::default())?)))
    }

    /// Blocks the source of a frame.
    fn block(&self, target: Target) -> anyhow::Result<()> {
        self.0.borrow().blocklist().insert(target, &block(), boot_ns())?;
        Ok(())
    }

    /// Mean ns of one run; the verdict must be the expected one.
    fn run(&self, frame: &[u8], repeat: u32, expected: u32) -> anyhow::Result<f64> {
        let run = self.0.borrow_mut().test_run_xdp(frame, repeat)?;
        ensure!(run.returned == expected, "the guard returned {}, not {expected}", run.returned);
        Ok(f64::from(run.duration_ns))
    }
}

fn block() -> Block {
    const HOUR_NS: u64 = 3_600_000_000_000;
    Block {
        action: BlockAction::Drop,
        scope: Scope::All,
        expires_ns: boot_ns() + HOUR_NS,
        reason: 0,
    }
}

fn measure_here(effort: Effort) -> anyhow::Result<Vec<Measurement>> {
    let [empty, full, prefixed, hosts, dropping] =
        [Guard::load()?, Guard::load()?, Guard::load()?, Guard::load()?, Guard::load()?];
    let mut measured = fill(&full)?;
    let remote = Segment::incoming(1, Family::V4);
    dropping.block(Target::address(remote.source))?;
    for number in 0..PREFIXES {
        prefixed.block(Target::Prefix(prefix([2 * number, 0], 47)?))?;
        hosts.block(Target::Prefix(prefix([u16::MAX, number], 64)?))?;
    }

    let nothing = Nothing::load(Hook::Xdp).context("the empty program does not load")?;
    let [v4, v6] = [Family::V4, Family::V6].map(|family| Segment::incoming(1, family).frame());
    let repeat = effort.of(400_000, 40_000);
    let mut floor = || Ok(nothing.run(&v4, repeat)?);
    let mut pass_empty = || empty.run(&v4, repeat, XDP_PASS);
    let mut pass_full = || full.run(&v4, repeat, XDP_PASS);
    let mut pass_v6 = || full.run(&v6, repeat, XDP_PASS);
    let mut pass_prefixed = || prefixed.run(&v4, repeat, XDP_PASS);
    let mut pass_hosts = || hosts.run(&v4, repeat, XDP_PASS);
    let mut pass_hosts_v6 = || hosts.run(&v6, repeat, XDP_PASS);
    let mut drop = || dropping.run(&v4, repeat, XDP_DROP);
    let rounds = effort.of(15, 5);
    let own: [(&str, &mut crate::statistics::Contestant<'_>); 8] = [
        ("of it the harness (an empty program)", &mut floor),
        ("pass, 0 entries", &mut pass_empty),
        ("pass, 1,000,000 IPv4 entries", &mut pass_full),
        ("pass, IPv6", &mut pass_v6),
        ("pass, 1,000 prefixes", &mut pass_prefixed),
        ("pass, 1,000 blocked /64s, IPv4", &mut pass_hosts),
        ("pass, 1,000 blocked /64s, IPv6", &mut pass_hosts_v6),
        ("drop", &mut drop),
    ];
    let (names, mut contestants): (Vec<_>, Vec<_>) = own.into_iter().unzip();

    let theirs = XdpFilter::load(remote.source);
    let (mut their_pass, mut their_drop);
    let why = match &theirs {
        Ok(filter) => {
            let other = Segment::incoming(2, Family::V4).frame();
            let blocked = v4.clone();
            their_pass = move || filter.run(&other, repeat, XDP_PASS);
            their_drop = move || filter.run(&blocked, repeat, XDP_DROP);
            contestants.push(&mut their_pass);
            contestants.push(&mut their_drop);
            None
        }
        Err(error) => Some(format!("{error:#}")),
    };
    let turns = Turns::take(rounds, &mut contestants)?;

    let per_packet = |what: &str, contestant: usize| {
        Measurement::of(what, Unit::NanosecondsPerPacket, turns.spread(contestant)).note(HARNESS)
    };
    measured.extend(names.iter().enumerate().map(|(at, name)| per_packet(name, at)));
    measured.push(
        Measurement::of(PASS_RATIO, Unit::Ratio, turns.ratio(2, 1)).reach(Reach::AtMost(1.1)),
    );
    measured.push(varied(effort, &empty, &full)?);
    measured.extend(limited(effort, &v4, remote.source)?);
    let over = [(1, 8), (7, 9)];
    for (what, (own, other)) in OVER_THEIRS.into_iter().zip(over) {
        measured.push(
            match &why {
                None => Measurement::of(what, Unit::Ratio, turns.ratio(own, other))
                    .note("xdp-filter's `alw_ip` program of xdp-tools, taking turns"),
                Some(why) => Measurement::skipped(what, why.clone()),
            }
            .reach(Reach::AtMost(1.0)),
        );
    }
    if why.is_none() {
        measured.push(per_packet("xdp-filter: pass", 8));
        measured.push(per_packet("xdp-filter: drop", 9));
    }
    Ok(measured)
}

/// Fills a blocklist, and tells what that took.
fn fill(guard: &Guard) -> anyhow::Result<Vec<Measurement>> {
    let held = || -> anyhow::Result<u64> { Ok(map_memory()?.get(&HASH).copied().unwrap_or(0)) };
    // Reserved addresses (RFC 1112 §4): nobody's, and there are enough of them. Spread by an odd
    // factor, for a blocklist is not in order.
    let first = u32::from(Ipv4Addr::new(240, 0, 0, 0));
    let addresses: Vec<IpAddr> = (0..ENTRIES)
        .map(|number| first | (number.wrapping_mul(0x9e37_79b1) & 0x0fff_ffff))
        .map(|address| Ipv4Addr::from(address).into())
        .collect();
    let blocklist = guard.0.borrow().blocklist();
    let before = held()?;
    let (seconds, inserted) = timed(|| blocklist.insert_all(&addresses, &block(), boot_ns()));
    ensure!(inserted? == addresses.len(), "not every address is blocked");
    let bytes = held()?.saturating_sub(before);
    Ok(vec![
        Measurement::of("blocking 1,000,000 addresses", Unit::Seconds, Spread::once(seconds)),
        Measurement::of("memory of those", Unit::Bytes, Spread::once(bytes as f64))
            .note("as the kernel states it, without the buckets that stand there from the start"),
    ])
}

/// As many remotes as a cache does not hold, so that the larger table is dearer.
fn varied(effort: Effort, empty: &Guard, full: &Guard) -> anyhow::Result<Measurement> {
    let remotes = effort.of(10_000, 2_000);
    let frames: Vec<Vec<u8>> =
        (0..remotes).map(|number| Segment::incoming(number, Family::V4).frame()).collect();
    // Sources outside the table, all over its buckets.
    let mean = |guard: &Guard| -> anyhow::Result<f64> {
        let mut sum = 0.0;
        for (number, frame) in (0_u32..).zip(&frames) {
            let mut frame = frame.clone();
            let source = number.wrapping_mul(0x9e37_79b1) | (0b1110 << 28);
            frame[26..30].copy_from_slice(&(source & 0xefff_ffff).to_be_bytes());
            sum += guard.run(&frame, 1, XDP_PASS)?;
        }
        Ok(sum / f64::from(remotes))
    };
    let (mut none, mut million) = (|| mean(empty), || mean(full));
    let turns = Turns::take(effort.of(7, 3), &mut [&mut none, &mut million])?;
    Ok(Measurement::of("the same, each packet another remote", Unit::Ratio, turns.ratio(1, 0))
        .note(VARIED))
}

/// Packets to a limited service: a stranger's above the rate, and a known remote's.
fn limited(effort: Effort, frame: &[u8], known: IpAddr) -> anyhow::Result<Vec<Measurement>> {
    let guards = [Guard::load()?, Guard::load()?, Guard::load()?];
    for (guard, port) in guards.iter().zip([80, 443, 443]) {
        let rate = RateLimit { packets_per_second: 1, burst_packets: 1 };
        let action = Action::RateLimit;
        let limit = ServiceLimit { rate, action, expires_ns: block().expires_ns, reason: 0 };
        let blocklist = guard.0.borrow().blocklist();
        blocklist.limit_service(Service { protocol: TCP, port }, &limit, boot_ns())?;
    }
    let [other, stranger, familiar] = &guards;
    familiar.0.borrow().blocklist().exempt(&[known], block().expires_ns)?;
    let repeat = effort.of(400_000, 40_000);
    // Of the two buckets, that of segments which open nothing: the host is asked for its socket.
    // The burst goes first; a packet that is within the rate later may be the last of a run.
    let mut pass_other = || other.run(frame, repeat, XDP_PASS);
    let mut pass_known = || familiar.run(frame, repeat, XDP_PASS);
    let mut drop = || {
        let run = stranger.0.borrow_mut().test_run_xdp(frame, repeat)?;
        Ok(f64::from(run.duration_ns))
    };
    let turns = Turns::take(effort.of(15, 5), &mut [&mut pass_other, &mut pass_known, &mut drop])?;
    let names = [
        "pass, while another service is limited",
        "pass, a known remote to a limited service",
        "drop, a stranger's segment above a service's limit",
    ];
    Ok(names
        .into_iter()
        .enumerate()
        .map(|(at, name)| {
            Measurement::of(name, Unit::NanosecondsPerPacket, turns.spread(at)).note(HARNESS)
        })
        .collect())
}

fn prefix([third, fourth]: [u16; 2], length: u8) -> anyhow::Result<IpNet> {
    let address = std::net::Ipv6Addr::new(0x2001, 0xdb8, third, fourth, 0, 0, 0, 0);
    Ok(Ipv6Net::new(address, length)?.into())
}
