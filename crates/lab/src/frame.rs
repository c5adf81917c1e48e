//! Packets as they are described, and the Ethernet frames they become.

mod piece;

use std::io;
use std::net::IpAddr;

use etherparse::icmpv4::DestUnreachableHeader;
use etherparse::icmpv6::DestUnreachableCode;
use etherparse::{
    IcmpEchoHeader, Icmpv4Type, Icmpv6Type, IpHeaders, Ipv4Extensions, Ipv4Header, Ipv6Extensions,
    Ipv6Header, PacketBuilder, TcpHeader, TcpOptionElement, VlanId,
};

use crate::payload::Payload;
pub(crate) use piece::Piece;

/// Hop limit of a packet that met no router, as most systems have it.
pub(crate) const HOPS: u8 = 64;

/// Flags of a TCP header, in its own order of bits.
pub(crate) mod flag {
    pub(crate) const FIN: u8 = 0x01;
    pub(crate) const SYN: u8 = 0x02;
    pub(crate) const RST: u8 = 0x04;
    pub(crate) const PSH: u8 = 0x08;
    pub(crate) const ACK: u8 = 0x10;
    pub(crate) const URG: u8 = 0x20;
}

/// The parts of a frame that stay the same for a whole attack.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Envelope {
    pub(crate) source_mac: [u8; 6],
    pub(crate) target_mac: [u8; 6],
    pub(crate) vlan: Option<u16>,
}

/// An IP packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Packet {
    pub(crate) source: IpAddr,
    pub(crate) target: IpAddr,
    /// TTL or hop limit.
    pub(crate) hops: u8,
    pub(crate) content: Content,
    /// The part of the content that this packet carries, where it is a fragment.
    pub(crate) piece: Option<Piece>,
}

impl Packet {
    /// A whole packet that met no router.
    pub(crate) const fn new(source: IpAddr, target: IpAddr, content: Content) -> Self {
        Self { source, target, hops: HOPS, content, piece: None }
    }
}

/// Content of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Content {
    Segment(Segment),
    Datagram {
        source_port: u16,
        target_port: u16,
        payload: Payload,
    },
    Echo {
        id: u16,
        sequence: u16,
        is_reply: bool,
        payload: Payload,
    },
    /// Port unreachable, about a packet that went the other way.
    Unreachable {
        protocol: u8,
        source_port: u16,
        target_port: u16,
    },
}

/// A TCP segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Segment {
    pub(crate) source_port: u16,
    pub(crate) target_port: u16,
    /// Of [`flag`].
    pub(crate) flags: u8,
    pub(crate) sequence: u32,
    pub(crate) acknowledgment: u32,
    pub(crate) window: u16,
    /// The option that announces the largest segment.
    pub(crate) largest: Option<u16>,
    pub(crate) payload: Payload,
}

impl Segment {
    /// The SYN that begins a connection.
    pub(crate) const fn syn(source_port: u16, target_port: u16, sequence: u32) -> Self {
        Self {
            source_port,
            target_port,
            flags: flag::SYN,
            sequence,
            acknowledgment: 0,
            window: 64_240,
            largest: Some(1_460),
            payload: Payload::NONE,
        }
    }

    fn header(&self) -> io::Result<TcpHeader> {
        let has = |flag| self.flags & flag != 0;
        let mut header =
            TcpHeader::new(self.source_port, self.target_port, self.sequence, self.window);
        header.acknowledgment_number = self.acknowledgment;
        header.fin = has(flag::FIN);
        header.syn = has(flag::SYN);
        header.rst = has(flag::RST);
        header.psh = has(flag::PSH);
        header.ack = has(flag::ACK);
        header.urg = has(flag::URG);
        if let Some(largest) = self.largest {
            header
                .set_options(&[TcpOptionElement::MaximumSegmentSize(largest)])
                .map_err(invalid)?;
        }
        Ok(header)
    }
}

/// Writes frames one after the other, with room for the payload of each.
#[derive(Debug, Default)]
pub(crate) struct Sealer {
    payload: Vec<u8>,
}

impl Sealer {
    /// Writes the frame of a packet, checksums included, over what `frame` held.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidInput`] if the addresses are not of one family or the VLAN id
    /// or the payload is too large.
    pub(crate) fn seal(
        &mut self,
        envelope: &Envelope,
        packet: &Packet,
        frame: &mut Vec<u8>,
    ) -> io::Result<()> {
        frame.clear();
        let ethernet = PacketBuilder::ethernet2(envelope.source_mac, envelope.target_mac);
        let ip = ip_headers(packet)?;
        let datagram = match envelope.vlan {
            None => ethernet.ip(ip),
            Some(id) => ethernet.single_vlan(VlanId::try_new(id).map_err(invalid)?).ip(ip),
        };
        self.payload.clear();
        match packet.content {
            Content::Segment(segment) => {
                segment.payload.write(&mut self.payload);
                datagram.tcp_header(segment.header()?).write(frame, &self.payload)
            }
            Content::Datagram { source_port, target_port, payload } => {
                payload.write(&mut self.payload);
                datagram.udp(source_port, target_port).write(frame, &self.payload)
            }
            Content::Echo { id, sequence, is_reply, payload } => {
                payload.write(&mut self.payload);
                let echo = IcmpEchoHeader { id, seq: sequence };
                match (packet.source.is_ipv4(), is_reply) {
                    (true, false) => {
                        datagram.icmpv4(Icmpv4Type::EchoRequest(echo)).write(frame, &self.payload)
                    }
                    (true, true) => {
                        datagram.icmpv4(Icmpv4Type::EchoReply(echo)).write(frame, &self.payload)
                    }
                    (false, false) => {
                        datagram.icmpv6(Icmpv6Type::EchoRequest(echo)).write(frame, &self.payload)
                    }
                    (false, true) => {
                        datagram.icmpv6(Icmpv6Type::EchoReply(echo)).write(frame, &self.payload)
                    }
                }
            }
            Content::Unreachable { protocol, source_port, target_port } => {
                quote(packet, protocol, [source_port, target_port], &mut self.payload)?;
                if packet.source.is_ipv4() {
                    let kind = Icmpv4Type::DestinationUnreachable(DestUnreachableHeader::Port);
                    datagram.icmpv4(kind).write(frame, &self.payload)
                } else {
                    let kind = Icmpv6Type::DestinationUnreachable(DestUnreachableCode::Port);
                    datagram.icmpv6(kind).write(frame, &self.payload)
                }
            }
        }
        .map_err(invalid)?;
        match packet.piece {
            None => Ok(()),
            Some(piece) => {
                let link = if envelope.vlan.is_some() { 18 } else { 14 };
                piece.cut(link, packet.source.is_ipv4(), frame)
            }
        }
    }
}

fn ip_headers(packet: &Packet) -> io::Result<IpHeaders> {
    match (packet.source, packet.target) {
        (IpAddr::V4(source), IpAddr::V4(target)) => Ok(IpHeaders::Ipv4(
            Ipv4Header {
                time_to_live: packet.hops,
                source: source.octets(),
                destination: target.octets(),
                dont_fragment: packet.piece.is_none(),
                ..Default::default()
            },
            Ipv4Extensions::default(),
        )),
        (IpAddr::V6(source), IpAddr::V6(target)) => Ok(IpHeaders::Ipv6(
            Ipv6Header {
                hop_limit: packet.hops,
                source: source.octets(),
                destination: target.octets(),
                ..Default::default()
            },
            Ipv6Extensions::default(),
        )),
        _ => Err(io::ErrorKind::InvalidInput.into()),
    }
}

/// The header of the packet that an ICMP error is about, and the first eight bytes after it.
fn quote(error: &Packet, protocol: u8, ports: [u16; 2], bytes: &mut Vec<u8>) -> io::Result<()> {
    let about = Packet { source: error.target, target: error.source, ..*error };
    match ip_headers(&about)? {
        IpHeaders::Ipv4(mut header, _) => {
            header.protocol = protocol.into();
            header.set_payload_len(8).map_err(invalid)?;
            header.header_checksum = header.calc_header_checksum();
            bytes.extend_from_slice(&header.to_bytes());
        }
        IpHeaders::Ipv6(mut header, _) => {
            header.next_header = protocol.into();
            header.payload_length = 8;
            bytes.extend_from_slice(&header.to_bytes());
        }
    }
    bytes.extend(ports.iter().flat_map(|port| port.to_be_bytes()));
    bytes.extend_from_slice(&[0, 8, 0, 0]);
    Ok(())
}

fn invalid<E>(_: E) -> io::Error {
    io::ErrorKind::InvalidInput.into()
}

#[cfg(test)]
mod tests {
    use etherparse::{NetSlice, SlicedPacket, TransportSlice};

    use super::*;

    const PLAIN: Envelope =
        Envelope { source_mac: [2, 0, 0, 0, 0, 1], target_mac: [2, 0, 0, 0, 0, 2], vlan: None };

    fn sealed(content: Content, is_v4: bool, piece: Option<Piece>) -> Vec<u8> {
        let [source, target] =
            if is_v4 { ["192.0.2.1", "198.51.100.1"] } else { ["2001:db8::1", "2001:db8:1::1"] };
        let (source, target) = (source.parse().unwrap(), target.parse().unwrap());
        let packet = Packet { piece, ..Packet::new(source, target, content) };
        let mut frame = Vec::new();
        Sealer::default().seal(&PLAIN, &packet, &mut frame).unwrap();
        frame
    }

    #[test]
    fn a_segment_carries_its_flags_and_right_checksums() {
        let segment = Segment {
            flags: flag::FIN | flag::PSH | flag::URG,
            acknowledgment: 9,
            payload: Payload::Filler(33),
            ..Segment::syn(1, 2, 3)
        };
        for is_v4 in [true, false] {
            let frame = sealed(Content::Segment(segment), is_v4, None);
            let sliced = SlicedPacket::from_ethernet(&frame).unwrap();
            let Some(TransportSlice::Tcp(tcp)) = sliced.transport else { panic!("{sliced:?}") };
            assert!(tcp.fin() && tcp.psh() && tcp.urg() && !tcp.syn() && !tcp.ack());
            let right = match sliced.net.unwrap() {
                NetSlice::Ipv4(ip) => {
                    assert_eq!(
                        ip.header().header_checksum(),
                        ip.header().to_header().calc_header_checksum()
                    );
                    tcp.to_header().calc_checksum_ipv4(&ip.header().to_header(), tcp.payload())
                }
                NetSlice::Ipv6(ip) => {
                    tcp.to_header().calc_checksum_ipv6(&ip.header().to_header(), tcp.payload())
                }
                NetSlice::Arp(_) => unreachable!(),
            };
            assert_eq!(tcp.checksum(), right.unwrap());
        }
    }

    #[test]
    fn an_unreachable_port_quotes_what_was_sent_there() {
        let content = Content::Unreachable { protocol: 17, source_port: 4_000, target_port: 9 };
        for (is_v4, header) in [(true, 20), (false, 40)] {
            let frame = sealed(content, is_v4, None);
            let sliced = SlicedPacket::from_ethernet(&frame).unwrap();
            let quoted = match sliced.transport.unwrap() {
                TransportSlice::Icmpv4(icmp) => icmp.payload().to_vec(),
                TransportSlice::Icmpv6(icmp) => icmp.payload().to_vec(),
                other => panic!("{other:?}"),
            };
            assert_eq!(quoted.len(), header + 8);
            assert_eq!(quoted[header..header + 4], [0x0f, 0xa0, 0, 9]);
        }
    }

    #[test]
    fn pieces_make_up_the_whole_again() {
        let content = Content::Datagram {
            source_port: 5_000,
            target_port: 53,
            payload: Payload::Filler(100),
        };
        for (is_v4, header) in [(true, 34), (false, 54)] {
            let whole = sealed(content, is_v4, None);
            let pieces = [(0, 64, true), (64, 44, false)].map(|(from, length, more)| Piece {
                id: 77,
                from,
                length,
                more,
            });
            let mut joined = whole[..header].to_vec();
            for piece in pieces {
                let frame = sealed(content, is_v4, Some(piece));
                let sliced = SlicedPacket::from_ethernet(&frame).unwrap();
                assert!(sliced.is_ip_payload_fragmented(), "{piece:?}");
                let body = frame.len() - usize::from(piece.length);
                joined.extend_from_slice(&frame[body..]);
            }
            assert_eq!(joined, whole);
        }
    }

    #[test]
    fn addresses_of_two_families_are_refused() {
        let content = Content::Segment(Segment::syn(1, 2, 3));
        let packet =
            Packet::new("192.0.2.1".parse().unwrap(), "2001:db8::1".parse().unwrap(), content);
        let refused = Sealer::default().seal(&PLAIN, &packet, &mut Vec::new()).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::InvalidInput);
    }
}
