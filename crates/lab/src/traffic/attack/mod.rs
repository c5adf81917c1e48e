//! Attackers at work.

mod brute_force;
mod crafted;
mod outbound;
mod slow_http;
mod trigger;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::crew::Crew;
use super::wire::{COMMAND, DNS, DROP_SITE, HTTP, SSH};
use crate::draw::Draw;
use crate::plan::{V4_PREFIX, V6_PREFIX, spoofed_network};
use crate::scenario::{Attack, AttackPlan, Channel, ScanGuise};
use crate::truth::{AttackTruth, Sources, Transport};
use crate::{Family, Lab, LabError, Moment, Node, Stop};
use trigger::{SentCounters, Trigger};

/// Longest wait for an attack's first frame.
const PATIENCE: Duration = Duration::from_secs(10);

/// An attack under way.
#[derive(Debug)]
pub struct RunningAttack {
    crew: Crew,
    sent_counters: Arc<SentCounters>,
    began: Moment,
    attack: Attack,
    sources: Sources,
    victim: IpAddr,
}

/// Attacker and victim, for the tasks of one attack.
#[derive(Clone, Debug)]
struct Engagement {
    attack: Attack,
    attacker: Node,
    host: Node,
    /// The attacked address.
    victim: IpAddr,
    /// The attacker's address.
    source: IpAddr,
    /// That of the first benign client, or the attacker's where there is none.
    client: IpAddr,
}

impl Engagement {
    fn draw(&self, nth: u64) -> Draw {
        Draw::new(self.attack.seed, nth)
    }
}

impl RunningAttack {
    /// Starts an attack and returns once its first frame is about to leave.
    pub(crate) fn start(lab: &Lab, attack: &Attack) -> Result<Self, LabError> {
        let attacker = lab.attackers().get(attack.attacker).ok_or_else(|| {
            LabError::Invalid(format!(
                "the attack `{}` is by attacker {}, but the lab has {} of them",
                attack.name,
                attack.attacker,
                lab.attackers().len()
            ))
        })?;
        let victim = lab.host().interfaces[attacker.segment()].address(attack.family);
        let source = attacker.address(attack.family);
        let mut clients = lab.clients().iter();
        let client = clients.find(|client| client.segment() == attacker.segment());
        let client = client.map_or(source, |client| client.address(attack.family));
        let engagement = Engagement {
            attack: attack.clone(),
            attacker: attacker.clone(),
            host: lab.host().clone(),
            victim,
            source,
            client,
        };
        let mut crew = Crew::new();
        let sent_counters = Arc::new(SentCounters::default());
        let (trigger, fired) = Trigger::new(Arc::clone(&sent_counters));
        engage(&mut crew, lab, &engagement, trigger)?;
        // The trigger is gone, and this fails at once, if the attack ended without firing.
        let Ok(began) = fired.recv_timeout(PATIENCE) else {
            let reason =
                crew.finish().err().map_or("it ended at once".to_owned(), |e| e.to_string());
            return Err(LabError::NeverBegan {
                attack: attack.name.clone(),
                seconds: PATIENCE.as_secs(),
                reason,
            });
        };
        let sources = sources_of(attack, attacker, client);
        Ok(Self { crew, sent_counters, began, attack: attack.clone(), sources, victim })
    }

    /// Time of its first frame, read right before the kernel got it.
    #[must_use]
    pub fn began(&self) -> Moment {
        self.began
    }

    /// The addresses the host sees.
    #[must_use]
    pub fn sources(&self) -> &Sources {
        &self.sources
    }

    /// The attack as it was asked for.
    #[must_use]
    pub fn attack(&self) -> &Attack {
        &self.attack
    }

    /// The flag that ends it early.
    #[must_use]
    pub fn stop(&self) -> Stop {
        self.crew.stop().clone()
    }

    /// True once it has run its time.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.crew.is_done()
    }

    /// Waits until it has run its time, and tells what it was.
    pub fn wait(mut self) -> Result<AttackTruth, LabError> {
        self.crew.join()?;
        Ok(self.truth())
    }

    /// Ends it now, and tells what it was.
    pub fn finish(mut self) -> Result<AttackTruth, LabError> {
        self.crew.stop().stop();
        self.crew.join()?;
        Ok(self.truth())
    }

    fn truth(&self) -> AttackTruth {
        let class = self.attack.does.class();
        let (transport, ports) = target_of(&self.attack.does);
        AttackTruth {
            name: self.attack.name.clone(),
            class,
            sources: self.sources.clone(),
            victim: self.victim,
            transport,
            ports,
            initiated_by_the_victim: class.is_initiated_by_the_victim(),
            vlan: self.attack.does.vlan(),
            began: self.began,
            ended: self.sent_counters.ended().unwrap_or(self.began),
            sent: self.sent_counters.sent(),
        }
    }
}

/// Starts the threads of an attack.
fn engage(
    crew: &mut Crew,
    lab: &Lab,
    engagement: &Engagement,
    trigger: Trigger,
) -> Result<(), LabError> {
    match &engagement.attack.does {
        AttackPlan::SynScan { .. }
        | AttackPlan::LowAndSlowScan { .. }
        | AttackPlan::SynFlood { .. }
        | AttackPlan::SpoofedSynFlood { .. }
        | AttackPlan::UdpFlood { .. }
        | AttackPlan::IcmpFlood { .. } => {
            let (stop, own) = (crew.stop().clone(), engagement.clone());
            crew.spawn(lab.members(), &engagement.attacker, "attack", move || {
                crafted::send(&own, &stop, &trigger)
            })
        }
        AttackPlan::SshBruteForce { rate } => {
            brute_force::start(crew, lab, engagement, *rate, trigger)
        }
        AttackPlan::SlowHttp { connections, drip } => {
            slow_http::start(crew, lab, engagement, *connections, *drip, trigger)
        }
        AttackPlan::Exfiltration { channel, bytes_per_second } => {
            outbound::exfiltrate(crew, lab, engagement, *channel, *bytes_per_second, trigger)
        }
        AttackPlan::Beaconing { period, jitter } => {
            outbound::beacon(crew, lab, engagement, *period, *jitter, trigger)
        }
        AttackPlan::OutboundScan { port, rate } => {
            outbound::scan(crew, lab, engagement, *port, *rate, trigger)
        }
    }
}

fn sources_of(attack: &Attack, attacker: &Node, client: IpAddr) -> Sources {
    let address = attacker.address(attack.family);
    match attack.does {
        AttackPlan::SynScan { guise: ScanGuise::Client, .. } => {
            let prefix = if client.is_ipv4() { 32 } else { 128 };
            Sources::Spoofed { network: client, prefix, attacker: address }
        }
        AttackPlan::SpoofedSynFlood { .. }
        | AttackPlan::SynScan { guise: ScanGuise::Network, .. } => {
            let (network, prefix) = elsewhere(attack, attacker);
            Sources::Spoofed { network, prefix, attacker: address }
        }
        AttackPlan::OutboundScan { .. } => {
            let (network, prefix) = elsewhere(attack, attacker);
            Sources::Network { network, prefix }
        }
        _ => Sources::Real { address },
    }
}

/// The network that is kept for spoofed sources, where nobody is.
fn elsewhere(attack: &Attack, attacker: &Node) -> (IpAddr, u8) {
    let (v4, v6) = spoofed_network(attacker.segment());
    match attack.family {
        Family::V4 => (v4.into(), V4_PREFIX),
        Family::V6 => (v6.into(), V6_PREFIX),
    }
}

fn target_of(plan: &AttackPlan) -> (Transport, Option<[u16; 2]>) {
    let one = |port: u16| Some([port, port]);
    match *plan {
        AttackPlan::SynScan { ports, .. } | AttackPlan::LowAndSlowScan { ports, .. } => {
            (Transport::Tcp, Some(ports))
        }
        AttackPlan::SynFlood { port, .. } | AttackPlan::SpoofedSynFlood { port, .. } => {
            (Transport::Tcp, one(port))
        }
        AttackPlan::UdpFlood { port, .. } => {
            (Transport::Udp, port.map_or(Some(crafted::ANY_PORT), one))
        }
        AttackPlan::IcmpFlood { .. } => (Transport::Icmp, None),
        AttackPlan::SshBruteForce { .. } => (Transport::Tcp, one(SSH)),
        AttackPlan::SlowHttp { .. } => (Transport::Tcp, one(HTTP)),
        AttackPlan::Exfiltration { channel: Channel::Tcp, .. } => (Transport::Tcp, one(DROP_SITE)),
        AttackPlan::Exfiltration { channel: Channel::Dns, .. } => (Transport::Udp, one(DNS)),
        AttackPlan::Beaconing { .. } => (Transport::Tcp, one(COMMAND)),
        AttackPlan::OutboundScan { port, .. } => (Transport::Tcp, one(port)),
    }
}
