//! Looks for a while, and joins what weir, the kernel and the sockets say.

use std::{
    collections::BTreeMap,
    net::IpAddr,
    time::{Duration, Instant},
};

use control::wire::Action;
use datapath::{DropReason, Trace, TracePoint, Traced, TracedFlow};
use report::text::{count, counted};

use crate::{
    answer::{Answer, Cause, Finding, Seen},
    not_seen::NotSeen,
    own::{Own, OwnBlock, Sources},
    question::Question,
    reasons,
    sockets::{self, Name, Socket},
};

/// Flows that are named beside a cause.
const FLOWS_NAMED: usize = 5;

/// Reasons under which the kernel tells of a drop by a program, the surest first: weir's own are among
/// them. A veth and older kernels name none.
const BY_PROGRAM: [&str; 4] = ["XDP", "TC_INGRESS", "TC_EGRESS", DropReason::NOT_SPECIFIED];

/// Looks for so long, and says where the packets went.
///
/// `wait` is called once everything is looked at, and returns when it has been looked for long
/// enough. The calling thread's network namespace is meant.
#[must_use]
pub fn ask(question: &Question, sources: &Sources<'_>, wait: impl FnOnce()) -> Answer {
    let mut not_seen = NotSeen::default();
    let before = Snapshot::take(question, sources, &mut not_seen);
    let trace = Trace::start(&question.filter, &TracePoint::ALL)
        .inspect_err(|error| not_seen.add("packets in the kernel", error))
        .ok();
    let begun = Instant::now();
    wait();
    let traced = trace.and_then(|trace| {
        trace.read().inspect_err(|error| not_seen.add("packets in the kernel", error)).ok()
    });
    let length = begun.elapsed();
    let after = Snapshot::take(question, sources, &mut not_seen);
    join(question, length, &Looked { before, after, traced }, not_seen)
}

/// Everything that was looked at.
struct Looked {
    before: Snapshot,
    after: Snapshot,
    traced: Option<Traced>,
}

/// What weir and the sockets say at one time.
struct Snapshot {
    own: Own,
    sockets: BTreeMap<Name, Socket>,
    counters: BTreeMap<String, u64>,
}

impl Snapshot {
    fn take(question: &Question, sources: &Sources<'_>, not_seen: &mut NotSeen) -> Self {
        let own = Own::ask(sources, question, not_seen);
        let sockets = sockets::sockets()
            .inspect_err(|error| not_seen.add("this host's sockets", error))
            .unwrap_or_default();
        let counters = sockets::stack_counters()
            .inspect_err(|error| not_seen.add("the stack's counters", error))
            .unwrap_or_default();
        Self { own, sockets, counters }
    }
}

impl Looked {
    /// What the stack counted meanwhile.
    fn counted(&self, name: &str) -> u64 {
        let of = |one: &Snapshot| one.counters.get(name).copied().unwrap_or(0);
        of(&self.after).saturating_sub(of(&self.before))
    }
}

fn join(question: &Question, length: Duration, looked: &Looked, mut not_seen: NotSeen) -> Answer {
    let mut findings = Vec::new();
    let mut standing = Vec::new();
    blocks(looked, &mut findings, &mut standing);
    limits(question, looked, &mut findings, &mut standing);
    let by_weir: u64 = findings.iter().filter_map(|one| one.packets).sum();
    if let Some(traced) = &looked.traced {
        kernel(traced, by_weir, &mut findings);
        tell_losses(traced, &mut not_seen);
    }
    listeners(question, looked, &mut findings);
    connections(question, looked, &mut findings);
    let seen = looked.traced.as_ref().map(seen);
    if let Some(seen) = &seen
        && let Some(finding) = absent(question, seen, by_weir, &findings)
    {
        findings.push(finding);
    }
    standing.extend(
        looked.after.own.allowed.iter().map(|net| format!("{net} is allowed: weir never drops it")),
    );
    if looked.after.own.unpinned && !looked.after.own.guard {
        let node = if looked.after.own.node {
            "the running node blocks nothing of it"
        } else {
            "no node answered"
        };
        standing
            .push(format!("{node}, and no guard of weir's is pinned in this network namespace"));
    }
    let mut answer = Answer {
        question: question.text.clone(),
        seconds: length.as_secs_f64(),
        verdict: String::new(),
        seen,
        findings,
        standing,
        not_seen: not_seen.0,
    };
    answer.judge();
    answer
}

/// weir's blocks of the addresses.
fn blocks(looked: &Looked, findings: &mut Vec<Finding>, standing: &mut Vec<String>) {
    let (before, after) = (&looked.before.own.blocks, &looked.after.own.blocks);
    // One that ended meanwhile has no counts any more.
    let ended = before.iter().filter(|(target, _)| !after.contains_key(target));
    standing.extend(ended.map(|(target, _)| format!("the block of {target} ended meanwhile")));
    for (target, OwnBlock { told, counted }) in after {
        let earlier = before.get(target).map(|one| &one.told).filter(|one| one.made == told.made);
        let since =
            |of: fn(&control::wire::Block) -> u64| of(told).saturating_sub(earlier.map_or(0, of));
        let packets = since(|one| one.dropped_packets);
        let story = story(told);
        if told.action == Action::Shadow {
            let would = since(|one| one.would_drop_packets);
            standing.push(format!("{story}; it would have dropped {}", count(would)));
        } else if packets > 0 || !counted {
            let (cause, passed) = match told.action {
                Action::RateLimit => {
                    let passed = since(|one| one.passed_packets);
                    (Cause::RateLimit, format!("; {} were within it", count(passed)))
                }
                _ => (Cause::Block, String::new()),
            };
            let apart =
                if *counted { "" } else { "; its packets are not counted apart from others'" };
            findings.push(Finding {
                packets: counted.then_some(packets),
                bytes: counted.then(|| since(|one| one.dropped_bytes)),
                look: Some(format!(
                    "`weir unblock {target}` lets go of it, `weir allow add {target}` for good"
                )),
                block: Some(told.clone()),
                ..Finding::of(cause, format!("{story}{passed}{apart}"))
            });
        } else {
            standing.push(format!("{story}; it met no packet meanwhile"));
        }
    }
}

/// A block in a sentence: what, since when, whose, why, until when.
fn story(block: &control::wire::Block) -> String {
    let what = match block.action {
        Action::Drop => "blocked".to_owned(),
        Action::Shadow => "in shadow, where nothing is dropped".to_owned(),
        Action::RateLimit => format!("held to {} packets a second", count(block.pps.unwrap_or(0))),
    };
    let made = block.made.map(|made| format!(" since {made:.0}")).unwrap_or_default();
    let by = match (&block.who, &block.list) {
        (_, Some(list)) => format!(" by list {list}"),
        (Some(who), None) => format!(" by {who}"),
        (None, None) => format!(" by {}", whose(block.origin)),
    };
    let why = block.reason.as_ref().map(|reason| format!(" ({reason})")).unwrap_or_default();
    let decision = block.decision.map(|number| format!(", decision {number}")).unwrap_or_default();
    format!("{} is {what}{made}{by}{why}{decision}, until {:.0}", block.target, block.expires)
}

const fn whose(origin: control::wire::Origin) -> &'static str {
    use control::wire::Origin;
    match origin {
        Origin::Model => "the model",
        Origin::Person => "a person",
        Origin::Import => "a list",
        Origin::Found => "an entry that the kernel holds (no node tells whose)",
    }
}

/// weir's limits of services that the packets may go to.
fn limits(
    question: &Question,
    looked: &Looked,
    findings: &mut Vec<Finding>,
    standing: &mut Vec<String>,
) {
    for (&service, limit) in &looked.after.own.services {
        if !question.may_go_to(service) {
            continue;
        }
        let before = looked.before.own.services.get(&service);
        let what = format!(
            "what strangers together send to {service} is held to {} packets a second for {} s more",
            count(limit.pps),
            count(limit.left_s)
        );
        let since = |now: u64, before: Option<u64>| now.saturating_sub(before.unwrap_or(0));
        match limit.dropped_packets {
            _ if limit.shadow => {
                standing.push(format!("{what}, in shadow, where nothing is dropped"));
            }
            None => {
                standing
                    .push(format!("{what}; what that drops is not told without a pinned guard"));
            }
            Some(now) => {
                let packets = since(now, before.and_then(|one| one.dropped_packets));
                if packets == 0 {
                    standing.push(format!("{what}; it met no packet meanwhile"));
                    continue;
                }
                findings.push(Finding {
                    packets: Some(packets),
                    bytes: Some(since(limit.dropped_bytes, before.map(|one| one.dropped_bytes))),
                    look: Some(
                        "whoever completes a handshake is left alone; `weir allow add ADDRESS` for others, \
                         `weir mode shadow` for all"
                            .to_owned(),
                    ),
                    ..Finding::of(
                        Cause::ServiceLimit,
                        format!("{what}; the count is of all strangers to it"),
                    )
                });
            }
        }
    }
}

/// What the kernel dropped, by its reason; of drops by programs the part that is not weir's.
fn kernel(traced: &Traced, by_weir: u64, findings: &mut Vec<Finding>) {
    let mut by_reason: BTreeMap<&DropReason, Vec<&TracedFlow>> = BTreeMap::new();
    for flow in &traced.flows {
        if let Some(reason) = flow.reason.as_ref().filter(|reason| !reason.is_no_loss()) {
            by_reason.entry(reason).or_default().push(flow);
        }
    }
    let mut sums: BTreeMap<&DropReason, u64> = by_reason
        .iter()
        .map(|(&reason, flows)| (reason, flows.iter().map(|flow| flow.counters.packets).sum()))
        .collect();
    let mut left_of_weir = by_weir;
    for name in BY_PROGRAM {
        for (_, packets) in sums.iter_mut().filter(|(reason, _)| reason.name == name) {
            let own = left_of_weir.min(*packets);
            left_of_weir -= own;
            *packets -= own;
        }
    }
    let mut found = Vec::new();
    for (reason, mut flows) in by_reason {
        let packets = sums.get(reason).copied().unwrap_or(0);
        if packets == 0 {
            continue;
        }
        flows.sort_by_key(|flow| std::cmp::Reverse(flow.counters.packets));
        let named = flows
            .iter()
            .take(FLOWS_NAMED)
            .map(|flow| format!("{}: {}", flow.name(), counted(flow.counters.packets, "packet")));
        let mut named: Vec<String> = named.collect();
        if flows.len() > FLOWS_NAMED {
            named.push(format!("and {}", counted((flows.len() - FLOWS_NAMED) as u64, "more flow")));
        }
        let (cause, told) = if not_for_this_host(reason, &flows) {
            let look = "`sysctl net.ipv4.ip_forward` (or net.ipv6.conf.all.forwarding) is 0: this host is no \
                        router; `ip route` of the sender";
            (
                Cause::NotForwarded,
                Some(("they are for another host, and this one passes nothing on", look)),
            )
        } else {
            (Cause::Kernel, reasons::told(&reason.name))
        };
        let (what, look) = told.unwrap_or((
            "a reason of the kernel's that weir has no words for",
            "the kernel's source (enum skb_drop_reason); numbers with a colon are of a subsystem",
        ));
        found.push(Finding {
            reason: Some(reason.name.clone()),
            packets: Some(packets),
            bytes: Some(flows.iter().map(|flow| flow.counters.bytes).sum()),
            look: Some(look.to_owned()),
            flows: named,
            ..Finding::of(cause, what.to_owned())
        });
    }
    found.sort_by_key(|one| std::cmp::Reverse(one.packets));
    findings.extend(found);
}

/// True where packets were dropped for their destination, which is not here, and this host is no
/// router.
fn not_for_this_host(reason: &DropReason, flows: &[&TracedFlow]) -> bool {
    const FOR_DESTINATION: [&str; 3] =
        ["IP_INADDRERRORS", "IP_INNOROUTES", DropReason::NOT_SPECIFIED];
    if !FOR_DESTINATION.contains(&reason.name.as_str()) {
        return false;
    }
    let Ok(own) = sockets::own_addresses() else { return false };
    let is_here = |address: &IpAddr| own.contains(address) || address.is_multicast();
    flows.iter().all(|flow| {
        !is_here(&flow.destination.0)
            && !is_here(&flow.source.0)
            && !sockets::forwards(flow.destination.0.is_ipv6())
    })
}

/// Listeners and UDP sockets that had no room.
fn listeners(question: &Question, looked: &Looked, findings: &mut Vec<Finding>) {
    let told_by_kernel = findings.iter().any(|one| one.reason.as_deref() == Some("SOCKET_RCVBUFF"));
    for (name, socket) in &looked.after.sockets {
        let service = events::Service { protocol: socket.protocol, port: socket.local.1 };
        let before = looked.before.sockets.get(name).map_or(0, |one| one.drops);
        let drops = socket.drops.saturating_sub(before);
        let is_asked = if socket.listens || socket.remote.1 == 0 {
            question.may_go_to(service)
        } else {
            question.is_about(socket.protocol, socket.local, socket.remote)
        };
        if drops == 0 || !is_asked {
            continue;
        }
        if socket.listens {
            let overflows = looked.counted("TcpExt.ListenOverflows");
            findings.push(Finding {
                packets: Some(drops),
                look: Some(format!(
                    "`ss -lnt 'sport = :{}'` (Recv-Q, Send-Q): the program accepts too slowly, or its backlog and \
                     `sysctl net.core.somaxconn` are too small",
                    socket.local.1
                )),
                ..Finding::of(
                    Cause::ListenOverflow,
                    format!(
                        "the listener at {service} has {} waiting of {}; it let go of {} meanwhile, from \
                         anybody (the stack counts {} overflows)",
                        count(socket.queued.into()),
                        count(socket.room.into()),
                        counted(drops, "packet"),
                        count(overflows)
                    ),
                )
            });
        } else if socket.protocol != 6 && !told_by_kernel {
            findings.push(Finding {
                packets: Some(drops),
                look: reasons::told("SOCKET_RCVBUFF").map(|(_, look)| look.to_owned()),
                ..Finding::of(
                    Cause::ReceiveBuffer,
                    format!(
                        "the socket at {service} let go of {} meanwhile, from anybody; {} bytes wait to be \
                         read",
                        counted(drops, "packet"),
                        count(socket.queued.into())
                    ),
                )
            });
        }
    }
}

/// Connections of the question: what was sent again, and who takes nothing more.
fn connections(question: &Question, looked: &Looked, findings: &mut Vec<Finding>) {
    let (mut again, mut stuck, mut flows) = (0, Vec::new(), Vec::new());
    for (name, socket) in &looked.after.sockets {
        let Some(tcp) = socket.tcp else { continue };
        if !question.is_about(socket.protocol, socket.local, socket.remote) {
            continue;
        }
        let earlier = looked.before.sockets.get(name).and_then(|one| one.tcp);
        let since = tcp.retransmitted.saturating_sub(earlier.map_or(0, |one| one.retransmitted));
        let end = |(address, port)| std::net::SocketAddr::new(address, port);
        let flow = format!(
            "tcp {} -> {}: round trip {:.1} ms",
            end(socket.local),
            end(socket.remote),
            f64::from(tcp.round_trip_us) / 1_000.0
        );
        if tcp.peer_window == Some(0) && tcp.unsent.is_some_and(|unsent| unsent > 0) {
            stuck.push(flow.clone());
        }
        if since > 0 {
            again += u64::from(since);
            flows.push(format!("{flow}, {} sent again", count(since.into())));
        }
    }
    flows.truncate(FLOWS_NAMED);
    stuck.truncate(FLOWS_NAMED);
    if again > 0 {
        findings.push(Finding {
            packets: Some(again),
            look: Some(
                "`ss -ntio`; loss on the way, which no counter of this host tells".to_owned(),
            ),
            flows,
            ..Finding::of(
                Cause::Retransmitted,
                "this host had to send segments again: they, or their acknowledgements, were lost"
                    .to_owned(),
            )
        });
    }
    if !stuck.is_empty() {
        findings.push(Finding {
            look: Some("the peer's program: it does not read".to_owned()),
            flows: stuck,
            ..Finding::of(
                Cause::ZeroWindow,
                "the peer's window is zero, and data waits to be sent".to_owned(),
            )
        });
    }
}

fn seen(traced: &Traced) -> Seen {
    let of = |point| {
        traced
            .flows
            .iter()
            .filter(|flow| flow.point == point)
            .filter(|flow| !flow.reason.as_ref().is_some_and(DropReason::is_no_loss))
            .map(|flow| flow.counters.packets)
            .sum()
    };
    Seen {
        arrived: of(TracePoint::Arrived),
        left: of(TracePoint::Left),
        dropped: of(TracePoint::Dropped),
    }
}

/// What is not there.
fn absent(question: &Question, seen: &Seen, by_weir: u64, findings: &[Finding]) -> Option<Finding> {
    let nothing_came = seen.arrived == 0 && by_weir == 0;
    match (nothing_came, seen.left) {
        (true, 0) if seen.dropped == 0 && findings.is_empty() => Some(Finding {
            look: Some(
                "whoever is before this host: the sender, its route, a firewall on the way; a filter in the NIC \
                 or an XDP program that is not weir's (`bpftool net`)"
                    .to_owned(),
            ),
            ..Finding::of(
                Cause::NeverArrived,
                format!("no packet of {} came to this host, and none left it", question.text),
            )
        }),
        (true, left @ 1..) => Some(Finding {
            look: Some("the way there and back: `tracepath`, the other host's own `weir why`".to_owned()),
            ..Finding::of(
                Cause::Unanswered,
                format!("{} left this host, and nothing came back", counted(left, "packet")),
            )
        }),
        _ => None,
    }
}

/// Records that the kernel's tables or programs lost.
fn tell_losses(traced: &Traced, not_seen: &mut NotSeen) {
    let sum = |of: fn(&datapath::TraceLedger) -> u64| traced.ledger.values().map(of).sum::<u64>();
    let (no_room, unplaced) = (sum(|one| one.no_room), sum(|one| one.unplaced));
    if no_room > 0 {
        let text = format!("{} found no room in the table of flows", counted(no_room, "packet"));
        not_seen.add("packets in the kernel", &text);
    }
    if traced.missed > 0 {
        let text = format!(
            "{} were not looked at, for the program was running on that CPU",
            counted(traced.missed, "buffer")
        );
        not_seen.add("packets in the kernel", &text);
    }
    if unplaced > 0 {
        let text =
            format!("of {} the network namespace cannot be told", counted(unplaced, "packet"));
        not_seen.add("packets in the kernel", &text);
    }
}
