//! Community ID, version 1: one name for a flow in Zeek, Suricata and here
//! (<https://github.com/corelight/community-id-spec>).

use flows_common::unmap_v4;
use sha1::{Digest as _, Sha1};

const ICMP: u8 = 1;
const ICMP_V6: u8 = 58;

/// The two ends of a flow: its address in the 16-byte form, and its port, or of ICMP the type and
/// the code of the first message.
pub(super) struct Ends {
    pub(super) source: ([u8; 16], u16),
    pub(super) destination: ([u8; 16], u16),
    pub(super) protocol: u8,
}

impl Ends {
    /// The flow's Community ID with the seed 0.
    pub(super) fn community_id(&self) -> String {
        let (mut source, mut destination) = (self.source, self.destination);
        let mut is_one_way = false;
        if matches!(self.protocol, ICMP | ICMP_V6) {
            match answer_of(self.protocol, source.1) {
                Some(answer) => destination.1 = answer,
                None => is_one_way = true,
            }
        }
        if !is_one_way && source > destination {
            std::mem::swap(&mut source, &mut destination);
        }
        let mut digest = Sha1::new();
        digest.update([0, 0]);
        for (address, _) in [source, destination] {
            match unmap_v4(&address) {
                Some(v4) => digest.update(v4),
                None => digest.update(address),
            }
        }
        digest.update([self.protocol, 0]);
        digest.update(source.1.to_be_bytes());
        digest.update(destination.1.to_be_bytes());
        format!("1:{}", base64(&digest.finalize()))
    }
}

/// The type that answers an ICMP type, or that it answers; none of a message that has no answer.
fn answer_of(protocol: u8, kind: u16) -> Option<u16> {
    let pairs: &[[u16; 2]] = if protocol == ICMP {
        &[[8, 0], [13, 14], [15, 16], [17, 18], [10, 9]]
    } else {
        &[[128, 129], [133, 134], [135, 136], [130, 131], [139, 140], [144, 145]]
    };
    pairs.iter().find_map(|&[one, other]| match kind {
        _ if kind == one => Some(other),
        _ if kind == other => Some(one),
        _ => None,
    })
}

/// RFC 4648, section 4, with padding.
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let word = chunk.iter().fold(0, |word, &byte| word << 8 | usize::from(byte))
            << (8 * (3 - chunk.len()));
        for place in 0..4 {
            let digit = word >> (18 - 6 * place) & 0x3f;
            text.push(if place <= chunk.len() { char::from(ALPHABET[digit]) } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use flows_common::map_v4;

    fn id(protocol: u8, source: ([u8; 4], u16), destination: ([u8; 4], u16)) -> String {
        let end = |(address, port)| (map_v4(address), port);
        Ends { source: end(source), destination: end(destination), protocol }.community_id()
    }

    /// The specification's own examples, as its reference implementation prints them.
    #[test]
    fn the_specifications_flows_have_their_names() {
        let [client, server] = [[128, 232, 110, 120], [66, 35, 250, 204]];
        let tcp = id(6, (client, 34_855), (server, 80));
        assert_eq!(tcp, "1:LQU9qZlK+B5F3KDmev6m5PMibrg=");
        assert_eq!(id(6, (server, 80), (client, 34_855)), tcp);
        assert_eq!(
            id(17, ([192, 168, 1, 52], 54_585), ([8, 8, 8, 8], 53)),
            "1:d/FP5EW3wiY1vCndhwleRRKHowQ="
        );
        assert_eq!(
            id(1, ([192, 168, 0, 89], 8), ([192, 168, 0, 1], 0)),
            "1:X0snYXpgwiv9TZtqg64sgzUn6Dk="
        );
    }

    #[test]
    fn base64_is_padded() {
        for (bytes, text) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v")] {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
    }
}
