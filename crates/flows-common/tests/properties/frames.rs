//! Frames as proptest draws them, and their bytes.

use proptest::{
    collection::vec,
    prelude::{Strategy, any, prop_oneof},
    sample::select,
};
use weir_flows_common::TcpFlag;

pub(crate) const ETHERNET: usize = 14;
pub(crate) const TAG: u32 = 4;

/// A frame that parses, described.
#[derive(Clone, Debug)]
pub(crate) struct Frame {
    pub(crate) ip: Ip,
    pub(crate) transport: Transport,
    pub(crate) payload: u16,
    /// VLAN tag control information, outermost first.
    pub(crate) tags: Vec<u16>,
}

#[derive(Clone, Debug)]
pub(crate) struct Ip {
    pub(crate) v6: bool,
    pub(crate) source: u8,
    pub(crate) destination: u8,
    pub(crate) ttl: u8,
    /// 32-bit words of IPv4 options; IPv6 has a destination options header for any.
    pub(crate) option_words: u8,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Transport {
    Tcp { ports: (u16, u16), flags: u8, sequence: u32, acknowledged: u32, window: u16 },
    Udp { ports: (u16, u16) },
    Icmp { kind: u8, code: u8 },
    Other,
}

impl Frame {
    /// The frame as the other side would send it.
    pub(crate) fn reversed(&self) -> Self {
        let mut frame = self.clone();
        std::mem::swap(&mut frame.ip.source, &mut frame.ip.destination);
        match &mut frame.transport {
            Transport::Tcp { ports, .. } | Transport::Udp { ports } => {
                *ports = (ports.1, ports.0);
            }
            Transport::Icmp { .. } | Transport::Other => {}
        }
        frame
    }

    /// The frame with other tags.
    pub(crate) fn tagged(&self, tags: &[u16]) -> Self {
        Self { tags: tags.to_vec(), ..self.clone() }
    }

    pub(crate) fn length(&self) -> u32 {
        u32::try_from(self.bytes().len()).expect("a drawn frame is short")
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut bytes = vec![2; ETHERNET - 2];
        for (depth, tag) in self.tags.iter().enumerate() {
            let outer_of_two = depth == 0 && self.tags.len() == 2;
            bytes.extend(if outer_of_two { [0x88, 0xa8] } else { [0x81, 0x00] });
            bytes.extend(tag.to_be_bytes());
        }
        let mut above = self.transport.header(self.ip.v6);
        above.resize(above.len() + usize::from(self.payload), 0x5a);
        let protocol = self.transport.protocol(self.ip.v6);
        bytes.extend(self.ip.header(protocol, above.len()));
        bytes.extend(above);
        bytes
    }
}

impl Ip {
    fn header(&self, protocol: u8, above: usize) -> Vec<u8> {
        let options = usize::from(self.option_words) * 4;
        if self.v6 {
            // The options header comes in units of eight bytes, the first one not counted.
            let extension = if options == 0 { 0 } else { options.div_ceil(8) * 8 };
            let mut header = vec![0x86, 0xdd, 0x60, 0, 0, 0];
            header.extend(length16(extension + above).to_be_bytes());
            header.extend([if extension == 0 { protocol } else { 60 }, self.ttl]);
            for host in [self.source, self.destination] {
                header.extend([0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, host]);
            }
            if extension > 0 {
                let start = header.len();
                header.resize(start + extension, 0);
                header[start] = protocol;
                header[start + 1] = u8::try_from(extension / 8 - 1).expect("a short header");
            }
            header
        } else {
            let mut header = vec![0x08, 0x00, 0x45 + self.option_words, 0];
            header.extend(length16(20 + options + above).to_be_bytes());
            header.extend([0, 0, 0, 0, self.ttl, protocol, 0, 0]);
            header.extend([192, 0, 2, self.source, 192, 0, 2, self.destination]);
            header.resize(header.len() + options, 1);
            header
        }
    }
}

fn length16(length: usize) -> u16 {
    u16::try_from(length).expect("a drawn packet is below 64 KiB")
}

impl Transport {
    fn protocol(self, v6: bool) -> u8 {
        match self {
            Self::Tcp { .. } => 6,
            Self::Udp { .. } => 17,
            Self::Icmp { .. } if v6 => 58,
            Self::Icmp { .. } => 1,
            Self::Other => 132,
        }
    }

    fn header(self, v6: bool) -> Vec<u8> {
        let mut header = Vec::new();
        match self {
            Self::Tcp { ports, flags, sequence, acknowledged, window } => {
                header.extend(ports.0.to_be_bytes());
                header.extend(ports.1.to_be_bytes());
                header.extend(sequence.to_be_bytes());
                header.extend(acknowledged.to_be_bytes());
                header.extend([0x50, flags]);
                header.extend(window.to_be_bytes());
                header.extend([0; 4]);
            }
            Self::Udp { ports } => {
                header.extend(ports.0.to_be_bytes());
                header.extend(ports.1.to_be_bytes());
                header.extend([0; 4]);
            }
            Self::Icmp { kind, code } => {
                header.extend([kind, code, 0, 0]);
                header.resize(if v6 { 4 } else { 8 }, 0);
            }
            Self::Other => {}
        }
        header
    }
}

/// A frame of any shape that parses.
pub(crate) fn frame() -> impl Strategy<Value = Frame> {
    (ip(), transport(), 0_u16..1_500, vec(any::<u16>(), 0..=2))
        .prop_map(|(ip, transport, payload, tags)| Frame { ip, transport, payload, tags })
}

/// A TCP segment with payload and only such flags as segmentation offload leaves to all of them.
pub(crate) fn segment() -> impl Strategy<Value = Frame> {
    let flags = select(vec![TcpFlag::Ack.bit(), TcpFlag::Ack.bit() | TcpFlag::Psh.bit()]);
    (frame(), any::<(u16, u16)>(), flags, any::<u32>(), any::<u16>(), 1_u16..20_000).prop_map(
        |(frame, ports, flags, sequence, window, payload)| Frame {
            transport: Transport::Tcp { ports, flags, sequence, acknowledged: 0, window },
            payload,
            ..frame
        },
    )
}

/// Frames of one flow, in both directions (`true` where reversed).
pub(crate) fn conversation() -> impl Strategy<Value = Vec<(Frame, bool)>> {
    (frame(), vec((transport(), any::<(u8, u16, bool)>()), 1..40)).prop_map(|(first, others)| {
        others
            .into_iter()
            .map(|(transport, (ttl, payload, back))| {
                let mut frame = first.clone();
                frame.ip.ttl = ttl;
                frame.payload = payload % 1_500;
                frame.transport = first.transport.with_state_of(transport);
                (if back { frame.reversed() } else { frame }, back)
            })
            .collect()
    })
}

impl Transport {
    /// The same kind and ports, with another packet's flags, sequence, window, type and code.
    fn with_state_of(self, other: Self) -> Self {
        match (self, other) {
            (Self::Tcp { ports, .. }, Self::Tcp { flags, sequence, acknowledged, window, .. }) => {
                Self::Tcp { ports, flags, sequence, acknowledged, window }
            }
            (Self::Icmp { .. }, Self::Icmp { .. }) => other,
            _ => self,
        }
    }
}

fn ip() -> impl Strategy<Value = Ip> {
    (any::<bool>(), any::<(u8, u8, u8)>(), 0_u8..=10).prop_map(
        |(v6, (source, destination, ttl), option_words)| Ip {
            v6,
            source,
            destination,
            ttl,
            option_words,
        },
    )
}

fn transport() -> impl Strategy<Value = Transport> {
    prop_oneof![
        4 => any::<((u16, u16), u8, [u32; 2], u16)>().prop_map(
            |(ports, flags, [sequence, acknowledged], window)| {
                Transport::Tcp { ports, flags, sequence, acknowledged, window }
            }
        ),
        2 => any::<(u16, u16)>().prop_map(|ports| Transport::Udp { ports }),
        // None that is of the link itself where it comes with the right hop limit.
        1 => any::<(u8, u8)>().prop_map(|(kind, code)| {
            let kind = if matches!(kind, 130..=137 | 143) { kind & 0x7f } else { kind };
            Transport::Icmp { kind, code }
        }),
        1 => proptest::strategy::Just(Transport::Other),
    ]
}
