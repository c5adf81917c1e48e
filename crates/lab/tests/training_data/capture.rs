//! Content of a shipped capture, counted frame by frame and not with weir's own reader.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    net::IpAddr,
    path::Path,
    time::Duration,
};

use etherparse::{LaxNetSlice, LaxSlicedPacket};
use lab::{AttackTruth, GroundTruth};

/// The magic number of pcap with nanoseconds.
const NANOSECOND_PCAP: u32 = 0xa1b2_3c4d;
/// The link type of Ethernet.
const ETHERNET: u32 = 1;

/// Time after an attack's end in which answers to it may still come.
const ANSWERS: Duration = Duration::from_secs(1);

/// The contents of a capture.
#[derive(Debug, Default)]
pub(crate) struct Contents {
    pub(crate) snap_length: u32,
    pub(crate) frames: u64,
    pub(crate) span: Duration,
    /// Every address but the protected host's, and but those of neighbour discovery: link-local
    /// ones, made from the lab's hardware addresses, and multicast groups.
    pub(crate) remotes: BTreeSet<IpAddr>,
    /// Frames from and to its sources, by the attack's place in the ground truth, with its class.
    pub(crate) frames_by_attack: Vec<(&'static str, u64)>,
}

impl Contents {
    /// Reads a capture with its ground truth.
    pub(crate) fn read(path: &Path, truth: &GroundTruth) -> Self {
        let file = File::open(path).expect("the capture is there");
        let bytes = zstd::decode_all(file).expect("zstd");
        let (head, mut rest) = bytes.split_first_chunk::<24>().expect("a pcap header");
        assert_eq!(number(&head[..]), NANOSECOND_PCAP);
        assert_eq!(number(&head[20..]), ETHERNET);
        let mut contents = Self {
            snap_length: number(&head[16..]),
            frames_by_attack: truth.attacks.iter().map(|one| (one.class.name(), 0)).collect(),
            ..Self::default()
        };
        let mut first = None;
        while let Some((record, after)) = rest.split_first_chunk::<16>() {
            let at = Duration::new(number(&record[..]).into(), number(&record[4..]));
            let length = number(&record[8..]);
            assert!(length <= contents.snap_length.min(number(&record[12..])));
            let (frame, after) = after.split_at(length as usize);
            rest = after;
            contents.frames += 1;
            let first = *first.get_or_insert(at);
            contents.span = contents.span.max(at.saturating_sub(first));
            for remote in addresses(frame).into_iter().flatten() {
                if truth.host.contains(&remote) || is_of_the_link(remote) {
                    continue;
                }
                contents.remotes.insert(remote);
                let attacks = truth.attacks.iter().zip(&mut contents.frames_by_attack);
                for (attack, (_, frames)) in attacks {
                    let holds = is_during(attack, at) && attack.sources.contains(remote);
                    *frames += u64::from(holds);
                }
            }
        }
        assert_eq!(rest, [0; 0], "whole records to the end");
        contents
    }

    /// Frames by class of attack.
    pub(crate) fn frames_by_class(&self) -> BTreeMap<String, u64> {
        let mut by_class = BTreeMap::new();
        for (class, frames) in &self.frames_by_attack {
            *by_class.entry((*class).to_owned()).or_default() += frames;
        }
        by_class
    }
}

fn is_of_the_link(address: IpAddr) -> bool {
    let unspecific = address.is_multicast() || address.is_unspecified();
    unspecific || matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local())
}

fn is_during(attack: &AttackTruth, at: Duration) -> bool {
    let from = Duration::from_nanos(attack.began.unix_ns);
    let to = Duration::from_nanos(attack.ended.unix_ns) + ANSWERS;
    (from..=to).contains(&at)
}

/// The big-endian number that the bytes begin with.
fn number(bytes: &[u8]) -> u32 {
    u32::from_be_bytes(*bytes.first_chunk().expect("four bytes"))
}

/// Source and destination, where the frame is IP.
fn addresses(frame: &[u8]) -> Option<[IpAddr; 2]> {
    let sliced = LaxSlicedPacket::from_ethernet(frame).ok()?;
    match sliced.net? {
        LaxNetSlice::Ipv4(v4) => {
            let header = v4.header();
            Some([header.source_addr().into(), header.destination_addr().into()])
        }
        LaxNetSlice::Ipv6(v6) => {
            let header = v6.header();
            Some([header.source_addr().into(), header.destination_addr().into()])
        }
        LaxNetSlice::Arp(_) => None,
    }
}
