//! Super-packets: frames that a capture shows longer than the link can carry.
//!
//! A capture is taken between the stack and the NIC: what the NIC has put together (GRO, LRO) or
//! is yet to cut up (TSO) stands there as one frame of up to 64 KiB. The programs in the kernel are
//! told of how many packets such a frame consists and count those; a capture does not say, but
//! TCP fills its segments, so that the link's largest packet tells. Without this a capture from a
//! machine with offloads has packet lengths that no live interface ever shows, and every bulk
//! transfer in it is an anomaly.

use flows_common::parse::{Frame, Packet, parse};

/// Ethernet's header without a tag, with which every packet is counted.
const ETHERNET: u32 = 14;
/// An 802.1Q tag.
const TAG: u32 = 4;

/// The shape of a frame as the interface's packets; `None` where it is an ordinary one.
///
/// Only TCP: how a UDP super-packet was cut cannot be told.
pub(super) fn shape(bytes: &[u8], whole: &Frame, packet: &Packet, mtu: u32) -> Option<Frame> {
    let tags = u32::from(packet.outer_vlan != 0) + u32::from(packet.inner_vlan != 0);
    let largest = mtu.saturating_add(ETHERNET + TAG * tags);
    if whole.wire_length() <= largest || !packet.tcp || packet.fragment {
        return None;
    }
    // The IP length may be 0 in a frame that is yet to be cut up. As a super-packet the parser
    // goes by the frame's own length, and a segment of one byte tells the headers of each.
    let probe = Frame { gso_segs: 2, gso_size: 1, ..*whole };
    let probed = parse(bytes, &probe).ok()?;
    let payload = probed.payload;
    let headers = probed.segment_length.saturating_sub(1);
    let gso_size = largest.checked_sub(headers).filter(|size| *size > 0)?;
    Some(Frame { gso_segs: payload.div_ceil(gso_size), gso_size, ..*whole })
}

#[cfg(test)]
mod tests {
    use super::*;
    use flows_common::parse::LinkLayer;

    /// Ethernet, IPv4 and TCP without options: 54 bytes of headers.
    fn tcp(payload: u16) -> Vec<u8> {
        let mut frame = [[2; 6], [4; 6]].concat();
        frame.extend([0x08, 0x00, 0x45, 0]);
        frame.extend((40 + payload).to_be_bytes());
        frame.extend([0, 1, 0, 0, 64, 6, 0, 0, 192, 0, 2, 1, 198, 51, 100, 1]);
        frame.extend([1, 187, 195, 80, 0, 0, 0, 1, 0, 0, 0, 1, 0x50, 0x10, 4, 0, 0, 0, 0, 0]);
        frame.resize(frame.len() + usize::from(payload), 7);
        frame
    }

    fn packets(frame: &[u8], mtu: u32) -> (u32, u64, u32) {
        let length = u32::try_from(frame.len()).unwrap();
        packets_of(frame, &Frame::of_length(length), mtu)
    }

    fn packets_of(bytes: &[u8], frame: &Frame, mtu: u32) -> (u32, u64, u32) {
        let whole = parse(bytes, frame).unwrap();
        let cut =
            shape(bytes, frame, &whole, mtu).map_or(whole, |shape| parse(bytes, &shape).unwrap());
        (cut.segments, cut.wire_bytes(), cut.payload)
    }

    #[test]
    fn a_frame_that_the_link_can_carry_is_one_packet() {
        assert_eq!(packets(&tcp(1_460), 1_500), (1, 1_514, 1_460));
        assert_eq!(packets(&tcp(8_000), 9_000), (1, 8_054, 8_000));
    }

    #[test]
    fn a_longer_one_is_the_packets_that_it_took_on_the_wire() {
        // Two full segments of 1,460 and one of 80, each with 54 bytes of headers.
        assert_eq!(packets(&tcp(3_000), 1_500), (3, 3_000 + 3 * 54, 3_000));
    }

    #[test]
    fn without_an_ethernet_header_it_is_the_same_packets() {
        let bytes = &tcp(3_000)[14..];
        let frame = Frame { link: LinkLayer::Bare, ..Frame::of_length(3_040) };
        assert_eq!(packets_of(bytes, &frame, 1_500), packets(&tcp(3_000), 1_500));
        assert_eq!(packets_of(bytes, &frame, 3_040), packets(&tcp(3_000), 3_040));
    }

    #[test]
    fn an_ip_length_of_zero_does_not_matter() {
        let mut frame = tcp(3_000);
        frame[16..18].fill(0);
        assert_eq!(packets(&frame, 1_500), (3, 3_000 + 3 * 54, 3_000));
    }

    #[test]
    fn the_hop_by_hop_header_of_a_jumbogram_is_on_no_wire() {
        // Ethernet, IPv6 of length 0, hop-by-hop with the jumbo payload, TCP: 14 + 40 + 8 + 20.
        let mut frame = [[2; 6], [4; 6]].concat();
        frame.extend([0x86, 0xdd, 0x60, 0, 0, 0, 0, 0, 0, 64]);
        frame.extend([0x20; 16].iter().chain(&[0x21; 16]));
        frame.extend([6, 0, 0xc2, 4, 0, 1, 0x86, 0xa0]);
        frame.extend([1, 187, 195, 80, 0, 0, 0, 1, 0, 0, 0, 1, 0x50, 0x10, 4, 0, 0, 0, 0, 0]);
        frame.resize(82 + 70_000, 7);
        let segments = 70_000_u32.div_ceil(1_440);
        let bytes = 70_000 + u64::from(segments) * 74;
        assert_eq!(packets(&frame, 1_500), (segments, bytes, 70_000));
        // A link that carries it whole has it as it is.
        assert_eq!(packets(&frame, u32::MAX), (1, 70_082, 70_000));
    }

    #[test]
    fn a_capture_cut_behind_the_headers_is_counted_the_same() {
        let frame = tcp(3_000);
        let length = u32::try_from(frame.len()).unwrap();
        let as_it_is = Frame::of_length(length);
        let whole = parse(&frame[..96], &as_it_is).unwrap();
        let shape = shape(&frame[..96], &as_it_is, &whole, 1_500).expect("a super-packet");
        assert_eq!(parse(&frame[..96], &shape).unwrap().segments, 3);
    }
}
