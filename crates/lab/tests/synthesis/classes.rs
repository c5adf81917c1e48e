//! Each class is what its name says, over many seeds.

use std::collections::BTreeSet;
use std::net::IpAddr;

use lab::{AttackClass, Author};

use super::frames::{Seen, frames_by};
use super::synthetic;

/// Numbers of an attack.
#[derive(Debug)]
struct Traits {
    frames: usize,
    /// First SYNs, or datagrams and echoes, from the side that attacks.
    asked: usize,
    sources: usize,
    targets: usize,
    ports: usize,
    /// Answers with a payload.
    answered: usize,
    bytes: usize,
    seconds: f64,
    is_outward: bool,
}

impl Traits {
    fn of(frames: &[Seen], clients: &[IpAddr]) -> Self {
        let hostile: Vec<&Seen> = frames
            .iter()
            .filter(|frame| matches!(frame.author, Author::Attacker | Author::Forged))
            .collect();
        assert!(!hostile.is_empty());
        assert!(hostile.iter().all(|frame| !clients.contains(&frame.source)));
        let count = |of: &dyn Fn(&&&Seen) -> String| {
            hostile.iter().map(|frame| of(&frame)).collect::<BTreeSet<String>>().len()
        };
        let home = |address: IpAddr| match address {
            IpAddr::V4(v4) => v4.octets()[..3] == [192, 0, 2],
            IpAddr::V6(v6) => v6.segments()[2..4] == [0, 0],
        };
        Self {
            frames: hostile.len(),
            asked: hostile
                .iter()
                .filter(|frame| frame.is_first_syn() || frame.ports[1] == 0)
                .count(),
            sources: count(&|frame| frame.source.to_string()),
            targets: count(&|frame| frame.target.to_string()),
            ports: count(&|frame| frame.ports[1].to_string()),
            answered: frames
                .iter()
                .filter(|frame| frame.author == Author::Answer && frame.payload > 0)
                .count(),
            bytes: hostile.iter().map(|frame| frame.payload).sum(),
            seconds: hostile[hostile.len() - 1].seconds() - hostile[0].seconds(),
            is_outward: home(hostile[0].source),
        }
    }

    fn fits(&self, class: AttackClass) -> bool {
        let per_second = self.frames as f64 / self.seconds.max(1e-9);
        match class {
            AttackClass::SynScan => self.ports >= 15 && self.targets == 1 && per_second > 4.0,
            AttackClass::LowAndSlowScan => self.ports >= 3 && per_second < 4.0,
            AttackClass::HorizontalScan => self.ports == 1 && self.targets >= 3,
            AttackClass::UdpScan => self.ports >= 10 && self.asked == 0,
            AttackClass::DecoyScan => self.sources >= 4 && self.ports >= 10,
            AttackClass::SynFlood => self.sources == 1 && self.ports == 1 && per_second > 40.0,
            AttackClass::SpoofedSynFlood => self.sources > 20 && self.ports == 1,
            AttackClass::UdpFlood | AttackClass::IcmpFlood => per_second > 40.0,
            AttackClass::ConnectionFlood => self.asked >= 10 && self.answered >= self.asked,
            AttackClass::SlowHttp => self.asked >= 10 && self.answered == 0,
            AttackClass::SshBruteForce => self.asked >= 10 && self.ports == 1,
            AttackClass::SlowBruteForce => self.asked >= 3 && self.answered > self.asked,
            AttackClass::WebScan => self.asked >= 1 && self.answered >= 15,
            AttackClass::Exfiltration => self.bytes > 290_000 || self.seconds > 60.0,
            AttackClass::Beaconing => self.asked >= 8 && self.ports == 1,
            AttackClass::CommandChannel => self.asked == 1 && self.answered >= 8,
            AttackClass::OutboundScan => self.targets >= 5 && self.ports <= 2,
            AttackClass::PeerToPeer => self.targets >= 4 && self.answered > 0,
            AttackClass::DnsTunnel => self.bytes / self.frames > 80 && self.answered > 10,
            AttackClass::DomainGeneration => self.bytes / self.frames < 80 && self.answered > 10,
            AttackClass::IcmpTunnel => self.asked >= 20 && self.answered >= 20,
        }
    }
}

#[test]
fn each_class_is_what_its_name_says() {
    for &class in AttackClass::ALL {
        for seed in 0..3 {
            let synthetic = synthetic(Some(class), seed);
            let traits = Traits::of(
                &frames_by(&synthetic, |author| author != Author::Benign),
                &synthetic.truth().clients,
            );
            assert!(traits.fits(class), "{class:?} of seed {seed}: {traits:?}");
            assert_eq!(traits.is_outward, class.is_initiated_by_the_victim(), "{class:?}");
        }
    }
}
