//! Captures made up in virtual time: a randomised benign network, and an attack of a class in it.
//!
//! ```text
//! seed ─► Network: hosts, remotes, RTT, TTL, segment sizes, offloads, firewalls, failures
//!           │
//!           ├─► benign pairs, each with a trade and habits ─┐
//!           └─► an attack within the ranges of its class ───┴─► Timeline ─► frames ─► pcap
//!                                                                  └─► GroundTruth
//! ```
//!
//! Nothing here opens a socket, reads a clock or waits. A seed gives the same network with and
//! without an attack; what differs between seeds is what a detector must not lean on. A seed gives the same bytes
//! wherever one build runs.
//!
//! What it is not: a model of any real network. Hosts do not congest each other, servers do not
//! fail under a flood, clients do not come back because they failed, there is no multicast and no
//! ARP. Detecting these attacks says that a detector sees what makes them up, as in
//! `training-data/README.md`.

mod attack;
mod benign;
mod episode;
mod line;
mod network;
mod strategy;
mod tcp;
mod timeline;
mod trade;

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::time::Duration;

use pcap_file::pcap::{PcapPacket, PcapWriter};

use crate::draw::Draw;
use crate::frame::{Envelope, Packet, Sealer};
use crate::{
    AttackClass, AttackTruth, CaptureReport, GroundTruth, LabError, Moment, Role, capture,
};
use attack::Played;
use benign::Conversations;
use network::Network;
use timeline::{Event, Timeline};

pub use episode::Episode;
pub use strategy::{Guise, Move, Pace, Phase, Strategy, Targets};
pub use timeline::Author;

/// Keeps the draws of attacks apart from those of their network.
const HOSTILE: u64 = 0x686f_7374_696c_6500;

/// The home network of every synthetic capture, as prefixes.
pub const HOME: [&str; 2] = ["192.0.2.0/24", "2001:db8::/64"];

/// What is to be made up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Synthesis {
    /// The attack's class; none for benign traffic alone.
    pub attack: Option<AttackClass>,
    /// Seed of everything that is drawn.
    pub seed: u64,
    /// Duration of the capture, 10 s to 1 h.
    pub duration: Duration,
    /// The most frames: the capture ends early where there would be more.
    pub frames: usize,
}

impl Default for Synthesis {
    /// Ten benign minutes of seed 42, at most a million frames.
    fn default() -> Self {
        Self { attack: None, seed: 42, duration: Duration::from_mins(10), frames: 1_000_000 }
    }
}

impl Synthesis {
    /// The moment of every capture's beginning since 1970: 2026-01-01, 00:00 UTC.
    pub const EPOCH: Duration = Duration::from_hours(490_896);

    /// Bounds of [`Self::duration`].
    pub const DURATIONS: RangeInclusive<Duration> =
        Duration::from_secs(10)..=Duration::from_hours(1);

    /// Makes it up, in memory: some 100 bytes a frame, and half as much to sort them.
    ///
    /// # Errors
    /// The duration or the bound of frames is out of bounds, or the latter ends the capture before
    /// the attack has begun.
    pub fn make(&self) -> Result<Synthetic, LabError> {
        let (network, benign, conversations) = self.benign()?;
        let mut timeline = benign.with(self.hostile(2));
        let attack = self.attack.map(|class| Played::add(class, &network, &mut timeline));
        self.finish(&network, conversations, timeline, attack)
    }

    /// Makes it up with a strategy in the place of an attack of a class. Its ground truth has no
    /// attack; who sent what stands in the frames.
    ///
    /// # Errors
    /// The duration is out of bounds, both an attack and a strategy are asked for, or a phase has
    /// no moves or a pace, start or length out of bounds.
    pub fn stage(&self, strategy: &Strategy) -> Result<Synthetic, LabError> {
        self.set()?.play(strategy)
    }

    /// A stage for one strategy after the other: its network and benign traffic are made up once.
    ///
    /// # Errors
    /// The duration is out of bounds, or an attack is asked for.
    pub fn set(&self) -> Result<Stage, LabError> {
        if let Some(class) = self.attack {
            return Err(LabError::Invalid(format!(
                "a strategy takes the place of the attack `{}`; ask for one of them",
                class.name()
            )));
        }
        let (network, benign, conversations) = self.benign()?;
        Ok(Stage { synthesis: *self, network, conversations, benign: benign.into_events() })
    }

    /// A network and its benign traffic.
    fn benign(&self) -> Result<(Network, Timeline, Conversations), LabError> {
        if !Self::DURATIONS.contains(&self.duration) {
            return Err(LabError::Invalid(format!(
                "the duration of a synthetic capture must be 10s to 1h, got {}",
                humantime::format_duration(self.duration)
            )));
        }
        if self.frames == 0 {
            return Err(LabError::Invalid(
                "a synthetic capture must be allowed at least 1 frame, got 0".to_owned(),
            ));
        }
        let mut network = Network::draw(&mut Draw::new(self.seed, 0));
        let mut timeline = Timeline::new(Draw::new(self.seed, 1), self.duration);
        let conversations = benign::fill(&mut network, &mut timeline);
        Ok((network, timeline, conversations))
    }

    /// Draws of what is added to benign traffic, of a stream of their own.
    fn hostile(&self, stream: u64) -> Draw {
        Draw::new(self.seed ^ HOSTILE, stream)
    }

    /// What was captured of a timeline's events.
    fn finish(
        &self,
        network: &Network,
        conversations: Conversations,
        timeline: Timeline,
        attack: Option<Played>,
    ) -> Result<Synthetic, LabError> {
        let mut events = timeline.into_events();
        let beyond_bound = events.len().saturating_sub(self.frames) as u64;
        events.truncate(self.frames);
        let attacks = attack.map_or_else(Vec::new, |attack| attack.truth(&events, moment));
        if let (Some(class), []) = (self.attack, &attacks[..]) {
            return Err(LabError::Invalid(format!(
                "{} frames end the capture before the attack `{}` begins; allow more",
                self.frames,
                class.name()
            )));
        }
        Ok(Synthetic {
            events,
            beyond_bound,
            truth: self.ground_truth(network, attacks),
            vlan: network.vlan,
            conversations,
            failure_share: network.failure_share,
        })
    }

    fn ground_truth(&self, network: &Network, mut attacks: Vec<AttackTruth>) -> GroundTruth {
        attacks.sort_by_key(|truth| truth.began);
        GroundTruth {
            scenario: format!("synthetic {}", self.attack.map_or("benign", AttackClass::name)),
            seed: self.seed,
            host: network.addresses(Role::Host),
            clients: network.addresses(Role::Client),
            attacks,
        }
    }
}

/// A network with its benign traffic, in which strategies are played.
#[derive(Clone, Debug)]
pub struct Stage {
    synthesis: Synthesis,
    network: Network,
    conversations: Conversations,
    benign: Vec<Event>,
}

impl Stage {
    /// The same without the benign packets of its first time: what is played captures no more of it.
    #[must_use]
    pub fn since(mut self, begin: Duration) -> Self {
        let begin_ns = u64::try_from(begin.as_nanos()).unwrap_or(u64::MAX);
        self.benign.retain(|event| event.at_ns >= begin_ns);
        self
    }

    /// The same with something that happens so long after the beginning, though nobody attacks.
    #[must_use]
    pub fn with(mut self, at: Duration, episode: Episode) -> Self {
        let draw = self.synthesis.hostile(u64::try_from(at.as_nanos()).unwrap_or(u64::MAX));
        let mut timeline = Timeline::of(draw, self.synthesis.duration, self.benign);
        episode.happen(&mut self.network, &mut timeline, at.as_secs_f64());
        self.benign = timeline.into_events();
        self
    }

    /// The stage without anybody on it.
    ///
    /// # Errors
    /// None for a stage that was set.
    pub fn calm(&self) -> Result<Synthetic, LabError> {
        let Self { synthesis, network, conversations, benign } = self;
        let timeline = Timeline::of(synthesis.hostile(0), synthesis.duration, benign.clone());
        synthesis.finish(network, *conversations, timeline, None)
    }

    /// Plays a strategy, as [`Synthesis::stage`] does.
    ///
    /// # Errors
    /// A phase has no moves or a pace, start or length out of bounds.
    pub fn play(&self, strategy: &Strategy) -> Result<Synthetic, LabError> {
        strategy.check()?;
        let Self { synthesis, network, conversations, benign } = self;
        let draw = synthesis.hostile(strategy.seed);
        let mut timeline = Timeline::of(draw, synthesis.duration, benign.clone());
        strategy::play(strategy, network, &mut timeline);
        synthesis.finish(network, *conversations, timeline, None)
    }
}

/// Frames with their ground truth.
#[derive(Clone, Debug)]
pub struct Synthetic {
    events: Vec<Event>,
    beyond_bound: u64,
    truth: GroundTruth,
    vlan: Option<u16>,
    conversations: Conversations,
    failure_share: f64,
}

/// A frame of a synthetic capture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SyntheticFrame<'a> {
    /// Nanoseconds since the Unix epoch.
    pub unix_ns: u64,
    /// Who sent it.
    pub author: Author,
    /// All its bytes, from the Ethernet header on.
    pub bytes: &'a [u8],
}

impl Synthetic {
    /// The ground truth. Its boot clock begins with the capture.
    #[must_use]
    pub fn truth(&self) -> &GroundTruth {
        &self.truth
    }

    /// Number of benign conversations that were begun, and of those that failed.
    #[must_use]
    pub fn conversations(&self) -> [u32; 2] {
        [self.conversations.begun, self.conversations.failed]
    }

    /// The share of benign conversations that may fail in this network.
    #[must_use]
    pub fn failure_share(&self) -> f64 {
        self.failure_share
    }

    /// The addresses under which an author sent anything.
    #[must_use]
    pub fn senders(&self, author: Author) -> BTreeSet<IpAddr> {
        let own = self.events.iter().filter(|event| event.author == author);
        own.map(|event| event.packet.source).collect()
    }

    /// Number of frames.
    #[must_use]
    pub fn frames(&self) -> usize {
        self.events.len()
    }

    /// Hands out each frame in order of time.
    ///
    /// # Errors
    /// As `each`.
    pub fn for_each<E: From<io::Error>>(
        &self,
        mut each: impl FnMut(SyntheticFrame<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let (mut sealer, mut bytes) = (Sealer::default(), Vec::with_capacity(2_048));
        for event in &self.events {
            sealer.seal(&envelope(&event.packet, self.vlan), &event.packet, &mut bytes)?;
            let unix_ns = moment(event.at_ns).unix_ns;
            each(SyntheticFrame { unix_ns, author: event.author, bytes: &bytes })?;
        }
        Ok(())
    }

    /// Writes a pcap file: Ethernet, nanoseconds, so many bytes kept of each frame.
    ///
    /// # Errors
    /// `out` takes no more.
    pub fn write(&self, out: impl Write, snap_length: u32) -> io::Result<CaptureReport> {
        let snap_length = snap_length.clamp(1, capture::LONGEST_FRAME);
        let mut writer =
            PcapWriter::with_header(out, capture::header(snap_length)).map_err(capture::as_io)?;
        let mut report = CaptureReport { beyond_bound: self.beyond_bound, ..Default::default() };
        self.for_each(|frame| {
            let kept = frame.bytes.len().min(snap_length as usize);
            let length = u32::try_from(frame.bytes.len()).unwrap_or(u32::MAX);
            report.frames += 1;
            report.bytes += kept as u64;
            report.truncated += u64::from(kept < frame.bytes.len());
            let at = Duration::from_nanos(frame.unix_ns);
            let packet = PcapPacket::new(at, length, &frame.bytes[..kept]);
            writer.write_packet(&packet).map(|_| ()).map_err(capture::as_io)
        })?;
        writer.into_writer().flush()?;
        Ok(report)
    }
}

/// A time since the beginning on both clocks.
fn moment(at_ns: u64) -> Moment {
    let epoch = u64::try_from(Synthesis::EPOCH.as_nanos()).unwrap_or(u64::MAX);
    Moment { boot_ns: at_ns, unix_ns: epoch.saturating_add(at_ns) }
}

/// Hardware addresses by who is at home; the others are behind the gateway.
fn envelope(packet: &Packet, vlan: Option<u16>) -> Envelope {
    Envelope { source_mac: mac(packet.source), target_mac: mac(packet.target), vlan }
}

fn mac(address: IpAddr) -> [u8; 6] {
    let home = match address {
        IpAddr::V4(v4) => {
            let [a, b, c, nth] = v4.octets();
            ([a, b, c] == [192, 0, 2]).then_some(nth)
        }
        IpAddr::V6(v6) => {
            let [.., nth] = v6.octets();
            (v6.segments()[..4] == [0x2001, 0xdb8, 0, 0]).then_some(nth)
        }
    };
    match home {
        Some(nth) => [0x02, 0, 0, 0x01, 0, nth],
        None => [0x02, 0, 0, 0xfe, 0, 0],
    }
}
