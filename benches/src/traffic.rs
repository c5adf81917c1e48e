//! Synthetic packets and captures, between documentation addresses only.

use std::{
    fs::File,
    io::{self, BufWriter, Write as _},
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    path::Path,
};

use rand_xoshiro::{
    Xoshiro256PlusPlus,
    rand_core::{Rng as _, SeedableRng as _},
};

/// Bytes of an Ethernet frame without its checksum, padded to the least there may be.
const SHORTEST_FRAME: usize = 60;
/// Protocol number of TCP.
const TCP: u8 = 6;
/// The ACK bit of a TCP header.
pub const ACK: u8 = 0x10;
/// The SYN bit of a TCP header.
pub const SYN: u8 = 0x02;

/// The local side of every packet, IPv4.
pub const LOCAL_V4: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
/// The local side of every packet, IPv6.
pub const LOCAL_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);

/// A TCP segment to be put into a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Source address; of the destination's family.
    pub source: IpAddr,
    /// Destination address.
    pub destination: IpAddr,
    /// Source port.
    pub source_port: u16,
    /// Destination port.
    pub destination_port: u16,
    /// Sequence number.
    pub sequence: u32,
    /// Byte 13 of the header.
    pub flags: u8,
    /// Bytes after the header, all zero.
    pub payload: u16,
}

impl Segment {
    /// A segment that comes in from the `number`th remote of its family, to port 443.
    ///
    /// IPv4 remotes are `198.51.100.0/24` by address and then by port, IPv6 ones
    /// `2001:db8:1::/48`.
    #[must_use]
    pub fn incoming(number: u32, family: Family) -> Self {
        let (source, destination): (IpAddr, IpAddr) = match family {
            Family::V4 => {
                let [.., host] = number.to_be_bytes();
                (Ipv4Addr::new(198, 51, 100, host).into(), LOCAL_V4.into())
            }
            Family::V6 => {
                let prefix = u128::from(Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 0));
                (Ipv6Addr::from(prefix | u128::from(number)).into(), LOCAL_V6.into())
            }
        };
        let port = 1_024 + (number >> 8) % 64_000;
        Self {
            source,
            destination,
            source_port: u16::try_from(port).unwrap_or(u16::MAX),
            destination_port: 443,
            sequence: 1,
            flags: ACK,
            payload: 0,
        }
    }

    /// The Ethernet frame, at least 60 bytes. Checksums are zero: nothing here looks at them.
    ///
    /// # Panics
    /// If the addresses are not of one family.
    #[must_use]
    pub fn frame(&self) -> Vec<u8> {
        let mut frame = vec![0x02, 0, 0, 0, 0, 1, 0x02, 0, 0, 0, 0, 2];
        let length = 20 + self.payload;
        match (self.source, self.destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                frame.extend([0x08, 0x00, 0x45, 0]);
                frame.extend((20 + length).to_be_bytes());
                frame.extend([0, 0, 0x40, 0, 64, TCP, 0, 0]);
                frame.extend(source.octets());
                frame.extend(destination.octets());
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                frame.extend([0x86, 0xdd, 0x60, 0, 0, 0]);
                frame.extend(length.to_be_bytes());
                frame.extend([TCP, 64]);
                frame.extend(source.octets());
                frame.extend(destination.octets());
            }
            _ => panic!("{} and {} are of two families", self.source, self.destination),
        }
        frame.extend(self.source_port.to_be_bytes());
        frame.extend(self.destination_port.to_be_bytes());
        frame.extend(self.sequence.to_be_bytes());
        frame.extend([0; 4]);
        frame.extend([0x50, self.flags, 0xff, 0xff, 0, 0, 0, 0]);
        frame.resize((frame.len() + usize::from(self.payload)).max(SHORTEST_FRAME), 0);
        frame
    }
}

/// An address family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

/// A capture to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capture {
    /// Packets in it.
    pub packets: u32,
    /// Flows they are spread over, a tenth of which carries nine tenths of the packets.
    pub flows: u32,
    /// Packets in each second of the capture's clock.
    pub per_second: u32,
    /// Seed of the choice of each packet's flow.
    pub seed: u64,
}

impl Capture {
    /// Writes it as a pcap with nanoseconds.
    ///
    /// Each packet comes in or goes out with even chance, one flow in four is IPv6, and payloads
    /// are of 0, 100 or 1,400 bytes.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        let mut file = BufWriter::new(File::create(path)?);
        file.write_all(&0xa1b2_3c4d_u32.to_le_bytes())?;
        file.write_all(&[2, 0, 4, 0])?;
        for word in [0, 0, 65_535, 1_u32] {
            file.write_all(&word.to_le_bytes())?;
        }
        let mut random = Xoshiro256PlusPlus::seed_from_u64(self.seed);
        for packet in 0..self.packets {
            let frame = self.segment(random.next_u64()).frame();
            let length = u32::try_from(frame.len()).map_err(io::Error::other)?;
            let ns =
                u64::from(packet % self.per_second) * 1_000_000_000 / u64::from(self.per_second);
            let ns = u32::try_from(ns).map_err(io::Error::other)?;
            for word in [packet / self.per_second + 1, ns, length, length] {
                file.write_all(&word.to_le_bytes())?;
            }
            file.write_all(&frame)?;
        }
        file.flush()
    }

    fn segment(&self, random: u64) -> Segment {
        let [flow, chance, way, size, ..] = random.to_be_bytes().map(u32::from);
        let busy = (self.flows / 10).max(1);
        let pick = (flow << 24) | u32::try_from(random & 0xff_ffff).unwrap_or(0);
        let number = if chance < 230 { pick % busy } else { pick % self.flows };
        let family = if number % 4 == 0 { Family::V6 } else { Family::V4 };
        let incoming = Segment {
            payload: [0, 100, 1_400][size as usize % 3],
            ..Segment::incoming(number, family)
        };
        if way % 2 == 0 { incoming } else { incoming.answered() }
    }
}

impl Segment {
    /// The same segment the other way.
    #[must_use]
    pub const fn answered(self) -> Self {
        Self {
            source: self.destination,
            destination: self.source,
            source_port: self.destination_port,
            destination_port: self.source_port,
            ..self
        }
    }
}

#[cfg(test)]
mod tests {
    use flows_common::parse::{Frame, parse};

    use super::*;

    #[test]
    fn frames_parse_as_what_they_were_made_of() {
        for family in [Family::V4, Family::V6] {
            let segment = Segment { payload: 100, ..Segment::incoming(70_000, family) };
            let frame = segment.frame();
            let length = u32::try_from(frame.len()).unwrap();
            let packet = parse(frame.as_slice(), &Frame::of_length(length)).unwrap();
            assert_eq!((packet.source_port, packet.destination_port), (1_024 + 273, 443));
            assert_eq!((packet.payload, packet.tcp_flags, packet.tcp), (100, ACK, true));
        }
    }

    #[test]
    fn the_shortest_frame_is_padded_and_its_payload_empty() {
        let frame = Segment::incoming(0, Family::V4).frame();
        assert_eq!(frame.len(), SHORTEST_FRAME);
        let packet = parse(frame.as_slice(), &Frame::of_length(60)).unwrap();
        assert_eq!(packet.payload, 0);
    }

    #[test]
    fn different_numbers_are_different_flows() {
        let flows: std::collections::HashSet<_> = (0..100_000)
            .map(|number| Segment::incoming(number, Family::V4))
            .map(|segment| (segment.source, segment.source_port))
            .collect();
        assert_eq!(flows.len(), 100_000);
    }
}
