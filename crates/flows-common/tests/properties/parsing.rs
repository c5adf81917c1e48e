//! The parser.

use proptest::{collection::vec, option, prelude::*};
use weir_flows_common::{
    Direction, FlowKey, Loss,
    parse::{Address, Frame, HEADERS_LIMIT, LinkLayer, Packet, parse, remote_address},
};

use crate::frames::{self, TAG};

fn parsed(frame: &frames::Frame) -> Packet {
    parse(&frame.bytes()[..], &Frame::of_length(frame.length())).expect("a drawn frame parses")
}

fn any_shape() -> impl Strategy<Value = Frame> {
    let link = prop::sample::select(vec![LinkLayer::Ethernet, LinkLayer::Bare]);
    (any::<u32>(), any::<u32>(), any::<u32>(), option::of(any::<u16>()), link).prop_map(
        |(length, gso_segs, gso_size, tag, link)| Frame { length, gso_segs, gso_size, tag, link },
    )
}

fn holds_together(packet: &Packet, shape: &Frame) -> Result<(), TestCaseError> {
    prop_assert!(packet.segments >= 1);
    prop_assert!(packet.wire_bytes() >= u64::from(packet.payload));
    prop_assert!(u64::from(packet.payload) <= u64::from(shape.wire_length()));
    if packet.segments == 1 {
        prop_assert_eq!(packet.wire_bytes(), u64::from(shape.wire_length()));
    }
    Ok(())
}

proptest! {
    #[test]
    fn any_bytes_with_any_metadata_return(
        bytes in vec(any::<u8>(), 0..HEADERS_LIMIT + 100),
        shape in any_shape(),
    ) {
        if let Ok(packet) = parse(&bytes[..], &shape) {
            holds_together(&packet, &shape)?;
        }
        for direction in Direction::ALL {
            let _ = remote_address(&bytes[..], shape.link, shape.tag, direction);
        }
    }

    #[test]
    fn a_frame_with_any_bytes_changed_returns(
        frame in frames::frame(),
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 0..8),
        shape in any_shape(),
    ) {
        let mut bytes = frame.bytes();
        for (place, value) in changes {
            *place.get_mut(&mut bytes[..]) = value;
        }
        if let Ok(packet) = parse(&bytes[..], &shape) {
            holds_together(&packet, &shape)?;
        }
    }

    #[test]
    fn a_frame_cut_anywhere_is_truncated_or_the_same_packet(frame in frames::frame()) {
        let bytes = frame.bytes();
        let shape = Frame::of_length(frame.length());
        let whole = parsed(&frame);
        for end in 0..bytes.len() {
            match parse(&bytes[..end], &shape) {
                Ok(packet) => prop_assert_eq!(packet, whole, "cut at {}", end),
                Err(rejected) => prop_assert!(rejected.loss.is_truncation(), "cut at {}", end),
            }
        }
    }

    #[test]
    fn a_drawn_frame_says_what_was_put_in(frame in frames::frame()) {
        let packet = parsed(&frame);
        prop_assert_eq!(packet.ttl, frame.ip.ttl);
        prop_assert_eq!(packet.payload, u32::from(frame.payload));
        prop_assert_eq!(packet.wire_bytes(), u64::from(frame.length()));
        let vlans = [packet.outer_vlan, packet.inner_vlan];
        for (depth, vlan) in vlans.into_iter().enumerate() {
            prop_assert_eq!(vlan, frame.tags.get(depth).map_or(0, |tag| tag & 0xfff));
        }
        match frame.transport {
            frames::Transport::Tcp { ports, flags, sequence, acknowledged, window } => {
                prop_assert_eq!((packet.source_port, packet.destination_port), ports);
                prop_assert_eq!(
                    (packet.tcp_flags, packet.sequence, packet.acknowledged, packet.window),
                    (flags, sequence, acknowledged, window)
                );
            }
            frames::Transport::Udp { ports } => {
                prop_assert_eq!((packet.source_port, packet.destination_port), ports);
            }
            frames::Transport::Icmp { kind, code } => {
                prop_assert_eq!((packet.icmp_type, packet.icmp_code), (kind, code));
            }
            frames::Transport::Other => prop_assert_eq!(packet.protocol, 132),
        }
    }

    #[test]
    fn a_tag_in_the_metadata_is_a_tag_in_the_frame(
        frame in frames::frame(),
        outer in any::<u16>(),
        inner in option::of(any::<u16>()),
    ) {
        let tags: Vec<u16> = std::iter::once(outer).chain(inner).collect();
        let inline = parsed(&frame.tagged(&tags));
        let stripped = frame.tagged(&tags[1..]);
        let shape = Frame { tag: Some(outer), ..Frame::of_length(stripped.length()) };
        let accelerated = parse(&stripped.bytes()[..], &shape).expect("a drawn frame parses");
        prop_assert_eq!(accelerated, inline);
        prop_assert_eq!(shape.wire_length(), stripped.length() + TAG);
    }

    #[test]
    fn a_bare_packet_is_the_one_that_ethernet_carried(frame in frames::frame()) {
        let frame = frame.tagged(&[]);
        let carried = parsed(&frame);
        let bytes = &frame.bytes()[frames::ETHERNET..];
        let length = u32::try_from(bytes.len()).expect("short");
        let shape = Frame { link: LinkLayer::Bare, ..Frame::of_length(length) };
        let bare = parse(bytes, &shape).expect("a drawn frame parses");
        prop_assert_eq!(bare, carried);
        for direction in Direction::ALL {
            let address = remote_address(bytes, LinkLayer::Bare, None, direction);
            let key = FlowKey::of(&carried, direction, 1);
            prop_assert_eq!(address.map(Address::to_16), Ok(key.remote));
        }
    }

    #[test]
    fn both_directions_of_a_flow_meet_in_one_key(frame in frames::frame(), ifindex: u32) {
        let there = FlowKey::of(&parsed(&frame), Direction::Ingress, ifindex);
        let back = FlowKey::of(&parsed(&frame.reversed()), Direction::Egress, ifindex);
        prop_assert_eq!(there, back);
        prop_assert_eq!(there.reserved, [0; 3]);
    }

    #[test]
    fn the_address_the_guard_reads_is_the_remote_of_the_key(frame in frames::frame()) {
        for direction in Direction::ALL {
            let key = FlowKey::of(&parsed(&frame), direction, 1);
            let address = remote_address(&frame.bytes()[..], LinkLayer::Ethernet, None, direction);
            prop_assert_eq!(address.map(Address::to_16), Ok(key.remote));
        }
    }

    #[test]
    fn both_families_tell_the_same_of_what_they_carry(mut frame in frames::frame()) {
        frame.ip.v6 = false;
        let v4 = parsed(&frame);
        frame.ip.v6 = true;
        let v6 = parsed(&frame);
        let carried = |packet: Packet| Packet {
            source: v4.source,
            destination: v4.destination,
            protocol: if packet.protocol == 58 { 1 } else { packet.protocol },
            icmp_error: false,
            last_length: 0,
            ..packet
        };
        prop_assert_eq!(carried(v4), carried(v6));
    }

    #[test]
    fn a_third_tag_is_too_many(frame in frames::frame(), tags in any::<[u16; 3]>()) {
        let frame = frame.tagged(&tags);
        let rejected = parse(&frame.bytes()[..], &Frame::of_length(frame.length()));
        prop_assert_eq!(rejected.map_err(|rejected| rejected.loss), Err(Loss::TooManyVlans));
    }
}

#[test]
fn a_bare_packet_of_no_ip_version_is_not_ip_and_an_empty_one_is_cut() {
    let lost = |bytes: &[u8]| {
        let shape = Frame { link: LinkLayer::Bare, ..Frame::of_length(64) };
        parse(bytes, &shape).expect_err("no packet").loss
    };
    assert_eq!(lost(&[0x82; 64]), Loss::NotIp);
    assert_eq!(lost(&[]), Loss::TruncatedIpv4);
    assert_eq!(lost(&[0x60]), Loss::TruncatedIpv6);
}
