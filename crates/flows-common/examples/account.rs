//! Three packets of a TCP handshake, parsed and counted as the eBPF programs do.

use weir_flows_common::{
    Direction, FlowCounters, FlowKey, TcpFlag, account,
    parse::{Frame, parse},
    unmap_v4,
};

const REMOTE: [u8; 4] = [198, 51, 100, 7];
const LOCAL: [u8; 4] = [192, 0, 2, 1];

fn main() {
    let (syn, ack) = (TcpFlag::Syn.bit(), TcpFlag::Ack.bit());
    let handshake = [
        (Direction::Ingress, frame(REMOTE, LOCAL, (40_000, 22), [1, 0], syn)),
        (Direction::Egress, frame(LOCAL, REMOTE, (22, 40_000), [7, 2], syn | ack)),
        (Direction::Ingress, frame(REMOTE, LOCAL, (40_000, 22), [2, 8], ack)),
    ];
    let (mut flow, mut key) = (FlowCounters::default(), FlowKey::default());
    for ((direction, bytes), now_ns) in handshake.iter().zip((1_000_000..).step_by(200_000)) {
        match parse(bytes.as_slice(), &Frame::of_length(54)) {
            Ok(packet) => {
                key = FlowKey::of(&packet, *direction, 1);
                account::update(&mut flow, &packet, *direction, now_ns);
            }
            Err(rejected) => println!("in no flow: {}", rejected.loss.name()),
        }
    }
    let remote = unmap_v4(&key.remote).map(std::net::Ipv4Addr::from);
    println!("{remote:?}:{} to port {}", key.remote_port, key.local_port);
    println!("{} packets, {} bytes", flow.packets(), flow.bytes());
    if let (Some(syn_ns), Some(syn_ack_ns)) =
        (flow.first_syn_ns(Direction::Ingress), flow.first_syn_ack_ns(Direction::Egress))
    {
        println!("answered after {} µs", (syn_ack_ns - syn_ns) / 1_000);
    }
    println!("the remote's address is proven: {}", flow.is_proven());
}

/// Ethernet, IPv4 and TCP without options or payload; `numbers` are sequence and acknowledgement.
fn frame(
    source: [u8; 4],
    destination: [u8; 4],
    ports: (u16, u16),
    numbers: [u32; 2],
    flags: u8,
) -> Vec<u8> {
    let mut frame = vec![0; 12];
    frame.extend([0x08, 0x00, 0x45, 0, 0, 40, 0, 0, 0, 0, 64, 6, 0, 0]);
    frame.extend(source.into_iter().chain(destination));
    frame.extend(ports.0.to_be_bytes().into_iter().chain(ports.1.to_be_bytes()));
    frame.extend(numbers.into_iter().flat_map(u32::to_be_bytes));
    frame.extend([0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
    frame
}
