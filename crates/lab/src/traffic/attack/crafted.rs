//! Attacks whose frames are crafted: scans and floods.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::{Duration, Instant};

use super::trigger::Trigger;
use super::{Engagement, Family};
use crate::draw::Draw;
use crate::frame::{Content, Envelope, Packet, Sealer, Segment, flag};
use crate::payload::Payload;
use crate::plan::spoofed_network;
use crate::scenario::{AttackPlan, DECOYS, ScanGuise};
use crate::traffic::injector::Injector;
use crate::traffic::pace::Pace;
use crate::{LabError, Stop};

/// The ports of a flood that names none, clear of the host's own servers.
pub(super) const ANY_PORT: [u16; 2] = [1_024, 65_535];
/// Frames of a scan from one unsolicited SYN-ACK to the next, and the port that it comes from.
const SYN_ACK_EVERY: usize = 100;
const HTTPS: u16 = 443;
/// The ports a crafted frame comes from.
const SOURCE_PORTS: [u16; 2] = [1_024, 65_535];

/// Sends the attack's frames until its time is up or it is stopped.
pub(super) fn send(
    engagement: &Engagement,
    stop: &Stop,
    trigger: &Trigger,
) -> Result<(), LabError> {
    let failed =
        |error| LabError::system(format!("send the frames of `{}`", engagement.attack.name), error);
    let link = engagement.attacker.interface();
    let envelope = Envelope {
        source_mac: link.mac,
        target_mac: engagement.host.interfaces[engagement.attacker.segment()].mac,
        vlan: engagement.attack.does.vlan(),
    };
    let injector = Injector::open(&link.name).map_err(failed)?;
    let mut author = Author::new(engagement);
    let mut rhythm = Rhythm::of(&engagement.attack.does);
    let mut sealer = Sealer::default();
    let mut frame = Vec::with_capacity(1_600);
    let end = Instant::now() + engagement.attack.duration;
    while Instant::now() < end {
        for _ in 0..rhythm.take() {
            let (source, content) = author.next(engagement);
            for source in std::iter::once(source).chain(author.decoys.iter().copied()) {
                let packet = Packet::new(source, engagement.victim, content);
                sealer.seal(&envelope, &packet, &mut frame).map_err(failed)?;
                trigger.pull();
                if injector.send(&frame).map_err(failed)? {
                    trigger.frames(1);
                } else {
                    trigger.refused_frames(1);
                }
            }
        }
        let left = end.saturating_duration_since(Instant::now());
        if stop.wait(rhythm.wait(&mut author.draw).min(left)) {
            break;
        }
    }
    Ok(())
}

/// Schedule of frames: at a rate, or one at a time with a jittered period.
enum Rhythm {
    Steady(Pace),
    Sparse { period: Duration, next: Option<Instant> },
}

impl Rhythm {
    fn of(plan: &AttackPlan) -> Self {
        match *plan {
            AttackPlan::LowAndSlowScan { period, .. } => Self::Sparse { period, next: None },
            AttackPlan::SpoofedSynFlood { rate, ramp, .. } => {
                Self::Steady(Pace::ramped(rate, ramp))
            }
            AttackPlan::SynScan { rate, .. }
            | AttackPlan::SynFlood { rate, .. }
            | AttackPlan::UdpFlood { rate, .. }
            | AttackPlan::IcmpFlood { rate, .. } => Self::Steady(Pace::new(rate)),
            // The others are not crafted.
            _ => Self::Steady(Pace::new(1)),
        }
    }

    fn take(&mut self) -> u64 {
        match self {
            Self::Steady(pace) => pace.take(),
            Self::Sparse { next: Some(next), .. } if *next > Instant::now() => 0,
            Self::Sparse { next, .. } => {
                *next = None;
                1
            }
        }
    }

    fn wait(&mut self, draw: &mut Draw) -> Duration {
        match self {
            Self::Steady(pace) => pace.wait(),
            Self::Sparse { period, next } => {
                let next = *next.get_or_insert_with(|| Instant::now() + draw.around(*period, 0.25));
                next.saturating_duration_since(Instant::now())
            }
        }
    }
}

/// Makes up the frames one after the other.
struct Author {
    draw: Draw,
    /// The ports of a scan in the order in which they are asked.
    ports: Vec<u16>,
    /// Addresses that send whatever is sent, too.
    decoys: Vec<IpAddr>,
    sent: usize,
}

impl Author {
    fn new(engagement: &Engagement) -> Self {
        let mut draw = engagement.draw(0);
        let mut ports = match engagement.attack.does {
            AttackPlan::SynScan { ports, .. } | AttackPlan::LowAndSlowScan { ports, .. } => {
                (ports[0]..=ports[1]).collect()
            }
            _ => Vec::new(),
        };
        draw.shuffle(&mut ports);
        let count = match engagement.attack.does {
            AttackPlan::SynScan { guise: ScanGuise::Decoys, .. } => DECOYS,
            _ => 0,
        };
        let decoys = (0..count).map(|_| spoofed(engagement, &mut draw)).collect();
        Self { draw, ports, decoys, sent: 0 }
    }

    fn next(&mut self, engagement: &Engagement) -> (IpAddr, Content) {
        let nth = self.sent;
        self.sent += 1;
        let source = engagement.source;
        let source_port = self.draw.between(SOURCE_PORTS[0], SOURCE_PORTS[1]);
        let sequence = self.draw.between(0, u32::MAX);
        let syn = |port| Content::Segment(Segment::syn(source_port, port, sequence));
        match engagement.attack.does {
            AttackPlan::SynFlood { port, source_port: Some(source_port), .. } => {
                (source, Content::Segment(Segment::syn(source_port, port, sequence)))
            }
            AttackPlan::SynFlood { port, .. } => (source, syn(port)),
            AttackPlan::SpoofedSynFlood { port, .. } => {
                let source = spoofed(engagement, &mut self.draw);
                (source, syn(port))
            }
            AttackPlan::UdpFlood { port, payload, .. } => {
                let target_port =
                    port.unwrap_or_else(|| self.draw.between(ANY_PORT[0], ANY_PORT[1]));
                let payload = Payload::Filler(payload);
                (source, Content::Datagram { source_port, target_port, payload })
            }
            AttackPlan::IcmpFlood { payload, .. } => {
                let sequence = u16::try_from(nth % 0x1_0000).unwrap_or(0);
                let payload = Payload::Filler(payload);
                (source, Content::Echo { id: 0x6c61, sequence, is_reply: false, payload })
            }
            AttackPlan::SynScan { guise: ScanGuise::SynAckFirst, .. }
                if nth.is_multiple_of(SYN_ACK_EVERY) =>
            {
                let flags = flag::SYN | flag::ACK;
                let syn = Segment::syn(HTTPS, source_port, sequence);
                (source, Content::Segment(Segment { flags, acknowledgment: sequence, ..syn }))
            }
            ref does => {
                let guise = match *does {
                    AttackPlan::SynScan { guise, .. } => guise,
                    _ => ScanGuise::Own,
                };
                let source = match guise {
                    ScanGuise::Network => spoofed(engagement, &mut self.draw),
                    ScanGuise::Client => engagement.client,
                    ScanGuise::Own | ScanGuise::SynAckFirst | ScanGuise::Decoys => source,
                };
                (source, syn(self.ports[nth % self.ports.len()]))
            }
        }
    }
}

/// An address of the network kept for spoofed sources, never its first or last.
fn spoofed(engagement: &Engagement, draw: &mut Draw) -> IpAddr {
    let (v4, v6) = spoofed_network(engagement.attacker.segment());
    match engagement.attack.family {
        Family::V4 => {
            let host = draw.between(1_u32, 126);
            Ipv4Addr::from_bits(v4.to_bits() | host).into()
        }
        Family::V6 => Ipv6Addr::from_bits(v6.to_bits() | u128::from(draw.bits().max(1))).into(),
    }
}
