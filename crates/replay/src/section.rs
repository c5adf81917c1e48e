//! State from a capture file's headers: enough to read its next record.

use std::ops::Range;

use flows_common::Direction;
use pcap_parser::{
    Block, EnhancedPacketBlock, InterfaceDescriptionBlock, LegacyPcapBlock, PcapBlockOwned,
    PcapHeader, SimplePacketBlock,
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

/// Offset of the data within a pcapng packet block, in bytes.
const ENHANCED_DATA: usize = 28;
const SIMPLE_DATA: usize = 12;

/// `epb_flags`, of which the lowest two bits are the direction.
const FLAGS_OPTION: u16 = 2;

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

impl Section {
    pub(super) fn of_pcap(header: &PcapHeader) -> Self {
        let resolution = if header.is_nanosecond_precision() {
            Resolution::NANOSECONDS
        } else {
            Resolution::MICROSECONDS
        };
        Self::Pcap(Pcap {
            interface: Interface {
                number: header.network.0,
                link: Link::of(header.network.0),
                resolution,
                snap_length: header.snaplen,
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
        Content::Frame(Record {
            data: self.record_header..self.record_header + record.data.len(),
            time_ns: Some(whole_ns.saturating_add(fraction)),
            wire_length: record.origlen,
            interface: 1,
            direction: None,
            link,
        })
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
        }
    }

    fn enhanced(&self, packet: &EnhancedPacketBlock<'_>) -> Content {
        let Some(interface) = self.interfaces.get(packet.if_id as usize) else {
            return Content::Lost(CaptureLoss::UnknownInterface);
        };
        let Some(link) = interface.link else {
            return Content::Lost(CaptureLoss::LinkType);
        };
        let captured = packet.data.len().min(packet.caplen as usize);
        let ticks = u64::from(packet.ts_high) << 32 | u64::from(packet.ts_low);
        Content::Frame(Record {
            data: ENHANCED_DATA..ENHANCED_DATA + captured,
            time_ns: Some(interface.resolution.time_ns(ticks)),
            wire_length: packet.origlen,
            interface: packet.if_id.saturating_add(1),
            direction: self.marked_direction(packet),
            link,
        })
    }

    /// The direction in `epb_flags`.
    fn marked_direction(&self, packet: &EnhancedPacketBlock<'_>) -> Option<Direction> {
        let option = packet.options.iter().find(|option| option.code.0 == FLAGS_OPTION)?;
        let word = *option.value.first_chunk()?;
        let flags =
            if self.big_endian { u32::from_be_bytes(word) } else { u32::from_le_bytes(word) };
        match flags & 3 {
            1 => Some(Direction::Ingress),
            2 => Some(Direction::Egress),
            _ => None,
        }
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
        Content::Frame(Record {
            data: SIMPLE_DATA..SIMPLE_DATA + captured,
            time_ns: None,
            wire_length: packet.origlen,
            interface: 1,
            direction: None,
            link,
        })
    }
}
