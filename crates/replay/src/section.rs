//! State from a capture file's headers: enough to read its next record.

use std::ops::Range;

use flows_common::Direction;
use pcap_parser::{
    Block, EnhancedPacketBlock, InterfaceDescriptionBlock, LegacyPcapBlock, PcapBlockOwned,
    PcapHeader, SimplePacketBlock, UnknownBlock,
};

use super::{CaptureLoss, clock::Resolution, link::Link};

/// The longest frame that libpcap reads too (`MAXIMUM_SNAPLEN`); a longer one is damage.
const FRAME_LIMIT: usize = 256 << 10;

/// The longest pcapng block; one of decryption secrets or of names may outgrow a frame by far.
const BLOCK_LIMIT: usize = 16 << 20;

/// Interfaces kept of one section; frames of a later one count as [`CaptureLoss::UnknownInterface`].
const INTERFACES_LIMIT: usize = 65_536;

/// A section header's block type, the same in either byte order, and its byte order magic.
const SECTION_HEADER: u32 = 0x0a0d_0d0a;
const BYTE_ORDER: u32 = 0x1a2b_3c4d;

/// Block type of the Packet Block, which the Enhanced Packet Block took the place of.
const PACKET_BLOCK: u32 = 2;

/// Offset of the data within a pcapng packet block, in bytes: of an enhanced one and of its
/// predecessor, and of a simple one.
const PACKET_DATA: usize = 28;
const SIMPLE_DATA: usize = 12;
/// Offset of a block's content.
const CONTENT: usize = 8;

/// `epb_flags`, and `pack_flags` before it: the direction in the lowest two bits, the bytes of the
/// FCS in bits 5 to 8.
const FLAGS_OPTION: u16 = 2;
/// `if_fcslen`.
const FCS_OPTION: u16 = 13;

/// The file's header (pcap) or its current section (pcapng).
#[derive(Debug)]
pub(super) enum Section {
    Pcap(Pcap),
    PcapNg(PcapNg),
}

#[derive(Debug)]
pub(super) struct Pcap {
    interface: Interface,
    big_endian: bool,
    record_header: usize,
    /// Before version 2.4 some wrote a record's two lengths the other way round.
    lengths_may_be_swapped: bool,
}

#[derive(Debug, Default)]
pub(super) struct PcapNg {
    big_endian: bool,
    interfaces: Vec<Interface>,
}

#[derive(Clone, Copy, Debug)]
struct Interface {
    number: i32,
    link: Option<Link>,
    resolution: Resolution,
    snap_length: u32,
    /// Bytes of the frame check sequence at the end of each frame.
    fcs: u32,
}

/// Content of a record or block.
#[derive(Debug)]
pub(super) enum Content {
    Frame(Record),
    Lost(CaptureLoss),
    /// No frame: a header, a description, statistics, names.
    Other,
    /// The record contradicts itself.
    Damaged(&'static str),
}

/// A frame's place and what its record says of it.
#[derive(Debug)]
pub(super) struct Record {
    /// From the start of the block.
    pub(super) data: Range<usize>,
    /// `None` where the record has no time.
    pub(super) time_ns: Option<u64>,
    pub(super) wire_length: u32,
    pub(super) interface: u32,
    pub(super) direction: Option<Direction>,
    pub(super) link: Link,
}

impl Record {
    /// The same without the frame check sequence, which no interface counts.
    fn without_fcs(mut self, bytes: u32) -> Self {
        self.wire_length = self.wire_length.saturating_sub(bytes);
        let most = self.data.start.saturating_add(self.wire_length as usize);
        // A capture whose length on the wire is 0 or less than was captured is not cut by it.
        if bytes > 0 {
            self.data.end = self.data.end.min(most);
        }
        self
    }
}

impl Section {
    pub(super) fn of_pcap(header: &PcapHeader) -> Self {
        let resolution = if header.is_nanosecond_precision() {
            Resolution::NANOSECONDS
        } else {
            Resolution::MICROSECONDS
        };
        // The link type is in the low bits; above them stands whether frames end in an FCS, and
        // its length in units of two bytes.
        let network = header.network.0.cast_unsigned();
        let fcs = if network & 0x0400_0000 == 0 { 0 } else { (network >> 28) * 2 };
        let number = (network & 0x03ff_ffff).cast_signed();
        Self::Pcap(Pcap {
            interface: Interface {
                number,
                link: Link::of(number),
                resolution,
                snap_length: header.snaplen,
                fcs,
            },
            big_endian: header.is_bigendian(),
            record_header: if header.is_modified_format() { 24 } else { 16 },
            lengths_may_be_swapped: (header.version_major, header.version_minor) < (2, 4),
        })
    }

    /// The link type of every frame so far, where none of them can be read.
    pub(super) fn unsupported(&self) -> Option<i32> {
        let interfaces = match self {
            Self::Pcap(pcap) => std::slice::from_ref(&pcap.interface),
            Self::PcapNg(section) => &section.interfaces,
        };
        let first = interfaces.first()?;
        interfaces.iter().all(|interface| interface.link.is_none()).then_some(first.number)
    }

    /// The length that the record at the start of `bytes` declares, where it is told yet.
    pub(super) fn record_length(&self, bytes: &[u8]) -> Option<usize> {
        let word = |at: usize, big_endian: bool| {
            let word = *bytes.get(at..)?.first_chunk()?;
            Some(if big_endian { u32::from_be_bytes(word) } else { u32::from_le_bytes(word) })
        };
        match self {
            Self::Pcap(pcap) => {
                let captured = word(8, pcap.big_endian)? as usize;
                Some(captured.saturating_add(pcap.record_header))
            }
            Self::PcapNg(section) => {
                // A section header is the one block that tells its own byte order.
                let big_endian = match word(0, false)? {
                    SECTION_HEADER => word(8, false)? != BYTE_ORDER,
                    _ => section.big_endian,
                };
                Some(word(4, big_endian)? as usize)
            }
        }
    }

    /// The longest record that is not taken for damage.
    pub(super) const fn record_limit(&self) -> usize {
        match self {
            Self::Pcap(pcap) => FRAME_LIMIT + pcap.record_header,
            Self::PcapNg(_) => BLOCK_LIMIT,
        }
    }

    /// Reads what a block says, and remembers what later ones need.
    pub(super) fn read(&mut self, block: &PcapBlockOwned<'_>) -> Content {
        match (self, block) {
            (Self::Pcap(pcap), PcapBlockOwned::Legacy(record)) => pcap.record(record),
            (Self::PcapNg(section), PcapBlockOwned::NG(block)) => section.block(block),
            _ => Content::Other,
        }
    }
}

impl Pcap {
    fn record(&self, record: &LegacyPcapBlock<'_>) -> Content {
        if self.lengths_may_be_swapped && record.caplen > record.origlen {
            return Content::Damaged("its two lengths are swapped, as before libpcap 0.4");
        }
        let Some(link) = self.interface.link else {
            return Content::Lost(CaptureLoss::LinkType);
        };
        let fraction = self.interface.resolution.time_ns(u64::from(record.ts_usec));
        let whole_ns = u64::from(record.ts_sec) * 1_000_000_000;
        let frame = Record {
            data: self.record_header..self.record_header + record.data.len(),
            time_ns: Some(whole_ns.saturating_add(fraction)),
            wire_length: record.origlen,
            interface: 1,
            direction: None,
            link,
        };
        Content::Frame(frame.without_fcs(self.interface.fcs))
    }
}

impl PcapNg {
    fn block(&mut self, block: &Block<'_>) -> Content {
        match block {
            Block::SectionHeader(header) => {
                self.big_endian = header.big_endian();
                self.interfaces.clear();
                Content::Other
            }
            Block::InterfaceDescription(description) => {
                if self.interfaces.len() < INTERFACES_LIMIT {
                    self.interfaces.push(self.interface(description));
                }
                Content::Other
            }
            Block::EnhancedPacket(packet) => self.enhanced(packet),
            Block::SimplePacket(packet) => self.simple(packet),
            // pcap-parser does not know it, and reads its type as little-endian.
            Block::Unknown(block) if self.native(block.block_type) == PACKET_BLOCK => {
                self.obsolete(block)
            }
            _ => Content::Other,
        }
    }

    fn interface(&self, description: &InterfaceDescriptionBlock<'_>) -> Interface {
        // pcap-parser reads the offset as little-endian whatever the section is.
        let offset_s = if self.big_endian {
            description.if_tsoffset.swap_bytes()
        } else {
            description.if_tsoffset
        };
        Interface {
            number: description.linktype.0,
            link: Link::of(description.linktype.0),
            resolution: Resolution::of_interface(description.if_tsresol, offset_s),
            snap_length: description.snaplen,
            fcs: description
                .options
                .iter()
                .find(|option| option.code.0 == FCS_OPTION)
                .and_then(|option| option.value.first())
                .map_or(0, |&length| fcs_bytes(length)),
        }
    }

    const fn native(&self, little_endian: u32) -> u32 {
        if self.big_endian { little_endian.swap_bytes() } else { little_endian }
    }

    fn enhanced(&self, packet: &EnhancedPacketBlock<'_>) -> Content {
        let flags = packet.options.iter().find(|option| option.code.0 == FLAGS_OPTION);
        let flags = flags.and_then(|option| option.value.first_chunk()).copied();
        self.packet(&Packet {
            interface: packet.if_id,
            ticks: u64::from(packet.ts_high) << 32 | u64::from(packet.ts_low),
            captured: packet.data.len().min(packet.caplen as usize),
            wire_length: packet.origlen,
            flags: self.native(flags.map_or(0, u32::from_le_bytes)),
        })
    }

    /// The Packet Block of the format's first drafts, which capturing programs of that time wrote
    /// and readers are to read: an interface of 16 bits and a count of drops stand where the
    /// Enhanced Packet Block has its interface.
    fn obsolete(&self, block: &UnknownBlock<'_>) -> Content {
        let word = |at: usize| {
            let bytes = block.data.get(at..).and_then(|rest| rest.first_chunk()).copied();
            bytes.map(|bytes| self.native(u32::from_le_bytes(bytes)))
        };
        let head = || Some([word(0)?, word(4)?, word(8)?, word(12)?, word(16)?]);
        let Some([interface, high, low, captured, wire_length]) = head() else {
            return Content::Damaged("a packet block shorter than its own header");
        };
        let data = PACKET_DATA - CONTENT;
        if captured as usize > block.data.len() - data {
            return Content::Damaged("a packet block that does not fit its own length");
        }
        let interface = if self.big_endian { interface >> 16 } else { interface & 0xffff };
        let options = block.data.get(data + (captured as usize).next_multiple_of(4)..);
        self.packet(&Packet {
            interface,
            ticks: u64::from(high) << 32 | u64::from(low),
            captured: captured as usize,
            wire_length,
            flags: self.flags_of(options.unwrap_or_default()),
        })
    }

    /// The flags among the options behind a packet's data, 0 where there are none.
    fn flags_of(&self, mut options: &[u8]) -> u32 {
        while let Some((&[a, b, c, d], value)) = options.split_first_chunk() {
            let [code, length] = [[a, b], [c, d]].map(|pair| {
                if self.big_endian { u16::from_be_bytes(pair) } else { u16::from_le_bytes(pair) }
            });
            if let (FLAGS_OPTION, Some(&word)) = (code, value.first_chunk()) {
                return self.native(u32::from_le_bytes(word));
            }
            options = match value.get(usize::from(length).next_multiple_of(4)..) {
                Some(rest) if code != 0 => rest,
                _ => break,
            };
        }
        0
    }

    fn packet(&self, packet: &Packet) -> Content {
        let Some(interface) = self.interfaces.get(packet.interface as usize) else {
            return Content::Lost(CaptureLoss::UnknownInterface);
        };
        let Some(link) = interface.link else {
            return Content::Lost(CaptureLoss::LinkType);
        };
        let fcs = match packet.flags >> 5 & 0xf {
            0 => interface.fcs,
            own => own,
        };
        let frame = Record {
            data: PACKET_DATA..PACKET_DATA + packet.captured,
            time_ns: Some(interface.resolution.time_ns(packet.ticks)),
            wire_length: packet.wire_length,
            interface: packet.interface.saturating_add(1),
            direction: match packet.flags & 3 {
                1 => Some(Direction::Ingress),
                2 => Some(Direction::Egress),
                _ => None,
            },
            link,
        };
        Content::Frame(frame.without_fcs(fcs))
    }

    /// A simple packet block belongs to the first interface, and its captured length is what its
    /// own length and the interface's snap length leave.
    fn simple(&self, packet: &SimplePacketBlock<'_>) -> Content {
        let Some(interface) = self.interfaces.first() else {
            return Content::Lost(CaptureLoss::UnknownInterface);
        };
        let Some(link) = interface.link else {
            return Content::Lost(CaptureLoss::LinkType);
        };
        let snap_length = match interface.snap_length {
            0 => u32::MAX,
            length => length,
        };
        let captured = packet.data.len().min(packet.origlen.min(snap_length) as usize);
        let frame = Record {
            data: SIMPLE_DATA..SIMPLE_DATA + captured,
            time_ns: None,
            wire_length: packet.origlen,
            interface: 1,
            direction: None,
            link,
        };
        Content::Frame(frame.without_fcs(interface.fcs))
    }
}

/// What an enhanced packet block and its predecessor say of their packet.
struct Packet {
    interface: u32,
    ticks: u64,
    captured: usize,
    wire_length: u32,
    flags: u32,
}

/// Bytes of an interface's FCS: the format's text says bits, its own example and what writes it
/// say bytes, and no FCS has as few as eight bits or as many as eight bytes.
const fn fcs_bytes(length: u8) -> u32 {
    if length > 8 { length as u32 / 8 } else { length as u32 }
}
