//! Bytes of headers, outermost last: a transport header goes into an IP header, and that behind
//! an Ethernet header with its tags. Checksums are zero, for neither side reads them.

use flows_common::parse::{ICMP, ICMPV6};

pub(crate) const IPV4: u16 = 0x0800;
pub(crate) const IPV6: u16 = 0x86dd;

/// The EtherType of a tag, and its control information.
pub(crate) type Tag = (u16, u16);

/// A header of the chain between IPv6 and the transport: its protocol number, and its bytes but
/// for the first, which names the header that follows.
pub(crate) type Extension = (u8, Vec<u8>);

/// An IP header between the protected host and a numbered remote.
#[derive(Clone, Debug)]
pub(crate) struct Ip {
    pub(crate) v6: bool,
    /// The frame goes from the protected host to the remote.
    pub(crate) outgoing: bool,
    pub(crate) remote: u8,
    pub(crate) ttl: u8,
    /// IPv4 only: bytes of options, a multiple of four.
    pub(crate) options: Vec<u8>,
    /// IPv4 only: the flags and the fragment offset.
    pub(crate) fragment: u16,
    /// IPv6 only.
    pub(crate) extensions: Vec<Extension>,
}

impl Ip {
    pub(crate) fn v4() -> Self {
        Self {
            v6: false,
            outgoing: false,
            remote: 1,
            ttl: 64,
            options: Vec::new(),
            fragment: 0,
            extensions: Vec::new(),
        }
    }

    pub(crate) fn v6() -> Self {
        Self { v6: true, ..Self::v4() }
    }

    pub(crate) fn outgoing(self) -> Self {
        Self { outgoing: true, ..self }
    }

    pub(crate) fn remote(self, remote: u8) -> Self {
        Self { remote, ..self }
    }

    pub(crate) fn ttl(self, ttl: u8) -> Self {
        Self { ttl, ..self }
    }

    pub(crate) fn options(self, bytes: usize) -> Self {
        Self { options: vec![1; bytes], ..self }
    }

    pub(crate) fn fragment(self, fragment: u16) -> Self {
        Self { fragment, ..self }
    }

    pub(crate) fn extensions(self, extensions: &[Extension]) -> Self {
        Self { extensions: extensions.to_vec(), ..self }
    }

    pub(crate) fn ether_type(&self) -> u16 {
        if self.v6 { IPV6 } else { IPV4 }
    }

    /// ICMP of the header's own version.
    pub(crate) fn icmp(&self) -> u8 {
        if self.v6 { ICMPV6 } else { ICMP }
    }

    /// The header with what it carries.
    pub(crate) fn over(&self, protocol: u8, above: &[u8]) -> Vec<u8> {
        if self.v6 { self.v6_over(protocol, above) } else { self.v4_over(protocol, above) }
    }

    /// The same in a frame without tags.
    pub(crate) fn frame(&self, protocol: u8, above: &[u8]) -> Vec<u8> {
        self.tagged_frame(&[], protocol, above)
    }

    pub(crate) fn tagged_frame(&self, tags: &[Tag], protocol: u8, above: &[u8]) -> Vec<u8> {
        ethernet(tags, self.ether_type(), &self.over(protocol, above))
    }

    fn v4_over(&self, protocol: u8, above: &[u8]) -> Vec<u8> {
        let header = 20 + self.options.len();
        let mut bytes = vec![0x40 | u8::try_from(header / 4).expect("at most 60 bytes"), 0];
        bytes.extend(sixteen(header + above.len()));
        bytes.extend([0, 0]);
        bytes.extend(self.fragment.to_be_bytes());
        bytes.extend([self.ttl, protocol, 0, 0]);
        let ends = self.ordered([10, 0, 0, 1], [198, 51, 100, self.remote]);
        bytes.extend(ends.concat());
        bytes.extend(&self.options);
        bytes.extend(above);
        bytes
    }

    fn v6_over(&self, protocol: u8, above: &[u8]) -> Vec<u8> {
        let mut chain = Vec::new();
        let mut next = protocol;
        for (number, rest) in self.extensions.iter().rev() {
            chain = [&[next], &rest[..], &chain].concat();
            next = *number;
        }
        let mut bytes = vec![0x60, 0, 0, 0];
        bytes.extend(sixteen(chain.len() + above.len()));
        bytes.extend([next, self.ttl]);
        let mut home = [0; 16];
        (home[0], home[15]) = (0xfd, 1);
        let mut remote = [0; 16];
        remote[..4].copy_from_slice(&[0x20, 0x01, 0x0d, 0xb8]);
        remote[15] = self.remote;
        bytes.extend(self.ordered(home, remote).concat());
        bytes.extend(chain);
        bytes.extend(above);
        bytes
    }

    fn ordered<T>(&self, home: T, remote: T) -> [T; 2] {
        if self.outgoing { [home, remote] } else { [remote, home] }
    }
}

/// A TCP header.
#[derive(Clone, Debug)]
pub(crate) struct Tcp {
    pub(crate) ports: (u16, u16),
    pub(crate) sequence: u32,
    pub(crate) flags: u8,
    pub(crate) window: u16,
    /// Bytes of options, a multiple of four.
    pub(crate) options: usize,
}

impl Tcp {
    /// An ACK to the web server of the protected host.
    pub(crate) fn to_server(client_port: u16) -> Self {
        Self { ports: (client_port, 80), sequence: 1, flags: 0x10, window: 502, options: 0 }
    }

    /// The header with a payload of so many bytes.
    pub(crate) fn over(&self, payload: usize) -> Vec<u8> {
        let mut bytes = ports(self.ports);
        bytes.extend(self.sequence.to_be_bytes());
        bytes.extend([0; 4]);
        let offset = u8::try_from((20 + self.options) / 4).expect("at most 60 bytes");
        bytes.extend([offset << 4, self.flags]);
        bytes.extend(self.window.to_be_bytes());
        bytes.extend([0; 4]);
        bytes.resize(bytes.len() + self.options, 1);
        bytes.resize(bytes.len() + payload, b'w');
        bytes
    }
}

/// A UDP header with a payload of so many bytes.
pub(crate) fn udp(source: u16, destination: u16, payload: usize) -> Vec<u8> {
    let mut bytes = ports((source, destination));
    bytes.extend(sixteen(8 + payload));
    bytes.extend([0, 0]);
    bytes.resize(bytes.len() + payload, b'w');
    bytes
}

/// An ICMP or ICMPv6 message with a body of so many bytes.
pub(crate) fn icmp(kind: u8, code: u8, body: usize) -> Vec<u8> {
    let mut bytes = vec![kind, code];
    bytes.resize(4 + body, 0);
    bytes
}

/// An Ethernet header, its tags outermost first, and what it carries.
pub(crate) fn ethernet(tags: &[Tag], ether_type: u16, above: &[u8]) -> Vec<u8> {
    let mut bytes = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];
    for (protocol, control) in tags {
        bytes.extend(protocol.to_be_bytes());
        bytes.extend(control.to_be_bytes());
    }
    bytes.extend(ether_type.to_be_bytes());
    bytes.extend(above);
    bytes
}

/// An extension header of the common form, of so many units of 8 bytes.
pub(crate) fn extension(number: u8, units: u8) -> Extension {
    let mut rest = vec![units - 1];
    // Padding options of six bytes each, the first of them two bytes into the header.
    rest.extend([1, 4, 0, 0, 0, 0]);
    for _ in 1..units {
        rest.extend([1, 6, 0, 0, 0, 0, 0, 0]);
    }
    (number, rest)
}

/// A routing header of a type that asks for nothing.
pub(crate) fn routing() -> Extension {
    (43, vec![0, 253, 0, 0, 0, 0, 0])
}

/// A fragment header; `offset` in units of 8 bytes.
pub(crate) fn fragment(offset: u16, more: bool) -> Extension {
    let field = (offset << 3 | u16::from(more)).to_be_bytes();
    (44, vec![0, field[0], field[1], 0, 0, 0, 9])
}

/// An authentication header of 12 + 4 × `words` bytes, whose length counts in units of 4.
pub(crate) fn authentication(words: u8) -> Extension {
    let mut rest = vec![1 + words];
    rest.resize(11 + usize::from(words) * 4, 0);
    (51, rest)
}

fn ports((source, destination): (u16, u16)) -> Vec<u8> {
    [source.to_be_bytes(), destination.to_be_bytes()].concat()
}

fn sixteen(length: usize) -> [u8; 2] {
    u16::try_from(length).expect("a frame of the corpus is short").to_be_bytes()
}
