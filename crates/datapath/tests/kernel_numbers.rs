//! What a packet costs, by `bpf_prog_test_run`. Ignored by default: it measures.

use std::net::IpAddr;

use datapath::{
    Block, BlockAction, Kernel, KernelError, KernelOptions, SkbContext, Target, boot_ns,
};
use flows_common::Direction;

/// Packets in one run: about a millisecond, so that some runs are not interrupted.
const REPEAT: u32 = 20_000;

fn ethernet(ether_type: u16) -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];
    frame.extend(ether_type.to_be_bytes());
    frame
}

fn tcp(source_port: u16) -> Vec<u8> {
    let mut header = Vec::new();
    header.extend(source_port.to_be_bytes());
    header.extend(443_u16.to_be_bytes());
    header.extend(1_u32.to_be_bytes());
    header.extend(1_u32.to_be_bytes());
    header.extend([0x50, 0x10, 0x20, 0, 0, 0, 0, 0]);
    header
}

fn v4(source: [u8; 4], source_port: u16) -> Vec<u8> {
    let mut frame = ethernet(0x0800);
    frame.extend([0x45, 0, 0, 40, 0, 0, 0, 0, 64, 6, 0, 0]);
    frame.extend(source);
    frame.extend([192, 0, 2, 1]);
    frame.extend(tcp(source_port));
    frame.resize(60, 0);
    frame
}

fn v6(last: u8) -> Vec<u8> {
    let mut frame = ethernet(0x86dd);
    frame.extend([0x60, 0, 0, 0, 0, 20, 6, 64]);
    let mut address = [0; 16];
    address[..4].copy_from_slice(&[0x20, 0x01, 0x0d, 0xb8]);
    address[15] = last;
    frame.extend(address);
    address[15] = 1;
    frame.extend(address);
    frame.extend(tcp(40_000));
    frame
}

fn arp() -> Vec<u8> {
    let mut frame = ethernet(0x0806);
    frame.resize(60, 0);
    frame
}

fn report(what: &str, ns: u32) {
    println!("{what:<44} {ns:>5} ns");
}

/// The least of many runs: what other load on the machine adds is no property of the program.
fn least(runs: impl Fn() -> u32) -> u32 {
    (0..100).map(|_| runs()).min().unwrap_or(0)
}

#[test]
#[ignore = "measures; run with --ignored --nocapture, on a quiet machine"]
fn what_a_packet_costs() -> Result<(), KernelError> {
    let options = KernelOptions { block_capacity: 2_000_000, ..KernelOptions::default() };
    let kernel = std::cell::RefCell::new(Kernel::load(&options)?);
    let context = SkbContext::default();
    let tc = |frame: &[u8], direction| {
        least(|| {
            let run = kernel.borrow_mut().test_run_tc(direction, frame, &context, REPEAT);
            run.expect("a test run").duration_ns
        })
    };
    let xdp = |frame: &[u8]| {
        least(|| {
            let run = kernel.borrow_mut().test_run_xdp(frame, REPEAT);
            run.expect("a test run").duration_ns
        })
    };
    let other = v4([198, 51, 100, 7], 40_000);
    report("known flow, IPv4 TCP, ingress", tc(&other, Direction::Ingress));
    report("known flow, IPv4 TCP, egress", tc(&other, Direction::Egress));
    report("known flow, IPv6 TCP, ingress", tc(&v6(2), Direction::Ingress));
    report("not IP (ARP)", tc(&arp(), Direction::Ingress));

    let timeless = Kernel::load(&KernelOptions {
        clock: flows_common::ClockSource::SkbTimestamp,
        ..KernelOptions::default()
    })?;
    let timeless = std::cell::RefCell::new(timeless);
    report(
        "known flow, IPv4 TCP, without reading a clock",
        least(|| {
            let run =
                timeless.borrow_mut().test_run_tc(Direction::Ingress, &other, &context, REPEAT);
            run.expect("a test run").duration_ns
        }),
    );

    let mut new_ns = 0;
    for port in 1..=20_000 {
        let frame = v4([203, 0, 113, 9], port);
        new_ns += u64::from(
            kernel.borrow_mut().test_run_tc(Direction::Ingress, &frame, &context, 1)?.duration_ns,
        );
    }
    println!("{:<44} {:>5} ns (cold, one call each)", "new flow, IPv4 TCP", new_ns / 20_000);

    report("XDP pass, not IP", xdp(&arp()));
    let empty_v4 = xdp(&other);
    let empty_v6 = xdp(&v6(2));
    report("XDP pass, IPv4, no entries", empty_v4);
    report("XDP pass, IPv6, no entries", empty_v6);
    let blocklist = kernel.borrow().blocklist();
    let now = boot_ns();
    let block = Block { action: BlockAction::Drop, expires_ns: now + 600_000_000_000, reason: 1 };
    let many: Vec<IpAddr> =
        (0..1_000_000_u32).map(|n| IpAddr::from((0x0a00_0000 + n).to_be_bytes())).collect();
    let started = std::time::Instant::now();
    blocklist.insert_all(&many, &block, now)?;
    println!("1,000,000 blocks written in {:?}", started.elapsed());
    let full = xdp(&other);
    report("XDP pass, IPv4, 1,000,000 entries", full);
    blocklist.insert(Target::from(IpAddr::from([198, 51, 100, 7])), &block, now)?;
    report("XDP drop, IPv4", xdp(&other));
    let started = std::time::Instant::now();
    println!("{} blocks listed in {:?}", blocklist.list()?.len(), started.elapsed());
    Ok(())
}

#[test]
#[ignore = "measures; run with --ignored --nocapture, on a quiet machine"]
fn what_a_drain_costs() -> Result<(), KernelError> {
    let options = KernelOptions { flow_capacity: 400_000, ..KernelOptions::default() };
    let mut kernel = Kernel::load(&options)?;
    let context = SkbContext::default();
    for round in 0..3 {
        for network in 0..2_u8 {
            for port in 0..50_000 {
                let frame = v4([203, 0, 113, network], port);
                kernel.test_run_tc(Direction::Ingress, &frame, &context, 1)?;
            }
        }
        let started = std::time::Instant::now();
        let window = kernel.drain(boot_ns())?;
        let took = started.elapsed();
        println!(
            "round {round}: {} flows in {took:?}, {:.2} M flows/s; evicted {}",
            window.flows.len(),
            window.flows.len() as f64 / took.as_secs_f64() / 1e6,
            window.evicted_flows
        );
    }
    Ok(())
}
