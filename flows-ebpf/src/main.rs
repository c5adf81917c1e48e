//! weir's eBPF programs: thin wrappers around `flows-common`, one map file, no formula.
//!
//! - `tc_ingress`, `tc_egress` count each packet in its flow, in the tables of the CPU that
//!   handles it, and pass it on;
//! - `xdp_guard` holds each packet against the blocklist and the limits of services;
//! - `tc_guard` does the same, before `tc_ingress`, for an interface whose XDP hook is not to be
//!   had;
//! - `tc_ingress_l3`, `tc_egress_l3` and `tc_guard_l3` are these for an interface whose frames have
//!   no Ethernet header; `xdp_guard_skb` is `xdp_guard` for generic XDP;
//! - `trace_arrived`, `trace_left` and `trace_dropped` count the packets that somebody asks after
//!   where they come, go and end in the kernel, for as long as it is asked.
//!
//! A reachable panic is an endless loop, which the verifier refuses: a loaded program has none.

#![cfg_attr(target_arch = "bpf", no_std, no_main)]
#![cfg_attr(target_arch = "bpf", feature(asm_experimental_arch))]
#![cfg_attr(
    target_arch = "bpf",
    expect(clippy::inline_always, reason = "a call costs a packet more than its callee"),
    expect(clippy::needless_pass_by_value, reason = "the programs' signatures are aya's"),
    expect(clippy::cast_possible_truncation, reason = "sizes, indices and codes of a few bits")
)]

#[cfg(target_arch = "bpf")]
mod flows;
#[cfg(target_arch = "bpf")]
mod guard;
#[cfg(target_arch = "bpf")]
mod maps;
#[cfg(target_arch = "bpf")]
mod packet;
#[cfg(target_arch = "bpf")]
mod service;
#[cfg(target_arch = "bpf")]
mod socket;
#[cfg(target_arch = "bpf")]
mod trace;

#[cfg(target_arch = "bpf")]
mod programs {
    use aya_ebpf::{
        macros::{classifier, raw_tracepoint, xdp},
        programs::{RawTracePointContext, TcContext, XdpContext},
    };

    use crate::{flows, flows::Skb, guard, trace};

    const BARE: bool = true;
    const ETHERNET: bool = !BARE;

    /// Counts what comes in.
    #[classifier]
    fn tc_ingress(ctx: TcContext) -> i32 {
        flows::ingress(&Skb::<ETHERNET>::new(ctx))
    }

    /// Drops what the blocklist says: for an interface without XDP.
    #[classifier]
    fn tc_guard(ctx: TcContext) -> i32 {
        flows::ingress_guard(&Skb::<ETHERNET>::new(ctx))
    }

    /// Counts what goes out.
    #[classifier]
    fn tc_egress(ctx: TcContext) -> i32 {
        flows::egress(&Skb::<ETHERNET>::new(ctx))
    }

    /// `tc_ingress` of frames that begin with their IP header.
    #[classifier]
    fn tc_ingress_l3(ctx: TcContext) -> i32 {
        flows::ingress(&Skb::<BARE>::new(ctx))
    }

    /// `tc_guard` of frames that begin with their IP header.
    #[classifier]
    fn tc_guard_l3(ctx: TcContext) -> i32 {
        flows::ingress_guard(&Skb::<BARE>::new(ctx))
    }

    /// `tc_egress` of frames that begin with their IP header.
    #[classifier]
    fn tc_egress_l3(ctx: TcContext) -> i32 {
        flows::egress(&Skb::<BARE>::new(ctx))
    }

    /// Drops what the blocklist says.
    #[xdp(frags)]
    fn xdp_guard(ctx: XdpContext) -> u32 {
        guard::at_xdp(&ctx)
    }

    /// Drops what the blocklist says, at generic XDP.
    ///
    /// Without fragments: for a program that takes them, the stack (from Linux 6.9 on) copies the
    /// packet to another buffer (`skb_pp_cow_data`) and loses the length of its Ethernet header, and
    /// TC sees it without one.
    #[xdp]
    fn xdp_guard_skb(ctx: XdpContext) -> u32 {
        guard::at_xdp(&ctx)
    }

    /// Counts what comes up from an interface.
    #[raw_tracepoint(tracepoint = "netif_receive_skb")]
    fn trace_arrived(ctx: RawTracePointContext) {
        trace::arrived(&ctx);
    }

    /// Counts what is handed to an interface.
    #[raw_tracepoint(tracepoint = "net_dev_start_xmit")]
    fn trace_left(ctx: RawTracePointContext) {
        trace::left(&ctx);
    }

    /// Counts what the kernel lets go of, by its reason.
    #[raw_tracepoint(tracepoint = "kfree_skb")]
    fn trace_dropped(ctx: RawTracePointContext) {
        trace::dropped(&ctx);
    }

    #[panic_handler]
    fn panic(_info: &core::panic::PanicInfo) -> ! {
        loop {}
    }

    /// The helpers used are for GPL-compatible programs.
    #[unsafe(link_section = "license")]
    #[unsafe(no_mangle)]
    static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
}

/// The programs exist for the BPF target only; the host sees an empty one, so that the whole
/// workspace can be checked at once.
#[cfg(not(target_arch = "bpf"))]
fn main() {}
