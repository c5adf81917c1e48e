//! Agreement on "must not be blocked" between all who ask.

use std::{
    net::IpAddr,
    sync::{Arc, LazyLock, Mutex},
    time::Duration,
};

use collector::{
    config::RawConfig,
    dry_run::DryRun,
    enforcer::{Enforcer, ListDefaults, ListLoad},
    event::{ActionTaken, Event, ExpiredEvent},
    node::{Node, NodeParts},
};
use control::{
    Node as _, Who,
    wire::{Action, BlockRequest, ImportRequest},
};
use datapath::{Block, BlockCount, Target};
use engine::{Detector, Engine, basis};
use experiment::{
    effect::Effect,
    stream::{Row, RowLabel, Stream},
};
use flows_common::{BlockEntry, BlockStats};
use ipnet::IpNet;
use model::{Context, Window};
use policy::{
    Decision, Evidence, Mode, Outcome, Policy, ProtectedHosts, Refusal, ServiceLimit, ValidPolicy,
    WindowFacts, statistics::Unsupported,
};

use crate::{
    scene::{model, windows},
    traffic,
};

/// Addresses in one table of a dry run.
const CAPACITY: BlockCount = BlockCount { v4: 10, v6: 10, prefixes: 10 };

/// An enforcer without a kernel, which tells what it blocked.
#[derive(Clone, Default)]
struct Noted(Arc<Mutex<Vec<Target>>>);

impl Enforcer for Noted {
    fn guards(&self) -> bool {
        true
    }

    fn enforce(&mut self, decision: &Decision, _: u32, _: u64) -> anyhow::Result<ActionTaken> {
        self.0.lock().unwrap().push(Target::address(decision.evidence.address));
        Ok(ActionTaken::Blocked)
    }

    fn block(&mut self, target: Target, _: &Block, _: u64) -> anyhow::Result<BlockEntry> {
        self.0.lock().unwrap().push(target);
        Ok(BlockEntry::default())
    }

    fn unblock(
        &mut self,
        _: Target,
        _: Option<u32>,
    ) -> anyhow::Result<Option<(BlockEntry, BlockStats)>> {
        Ok(None)
    }

    fn clear(&mut self, _: Target, _: u64) -> anyhow::Result<bool> {
        Ok(false)
    }

    fn load_list(&mut self, now_ns: u64, _: u32, _: u32) -> anyhow::Result<ListLoad> {
        Ok(ListLoad::dry_run(None, CAPACITY, 0, now_ns)?)
    }

    fn allow(&mut self, _: IpNet) -> anyhow::Result<()> {
        Ok(())
    }

    fn disallow(&mut self, _: IpNet) -> anyhow::Result<()> {
        Ok(())
    }

    fn limit(&mut self, _: &ServiceLimit, _: u64) -> anyhow::Result<ActionTaken> {
        Ok(ActionTaken::RateLimited)
    }

    fn exempt(&mut self, _: &[IpAddr], _: u64) -> anyhow::Result<()> {
        Ok(())
    }

    fn demote(&mut self, _: Target, _: u64) -> anyhow::Result<bool> {
        Ok(false)
    }

    fn demote_limits(&mut self) -> anyhow::Result<()> {
        Ok(())
    }

    fn prolong(&mut self, _: IpAddr, _: u64, _: u64) -> anyhow::Result<bool> {
        Ok(false)
    }

    fn sweep(&mut self, _: u64) -> anyhow::Result<Vec<ExpiredEvent>> {
        Ok(Vec::new())
    }
}

fn config() -> ValidPolicy {
    let mut raw = RawConfig::default();
    raw.policy.mode = Mode::Enforce;
    raw.policy.unsupported = Unsupported::Act;
    // Each who asks is handed one window.
    raw.policy.expert.windows = 1;
    raw.check().expect("the defaults hold").policy
}

/// The first attack of the demo's capture that is blocked: its windows up to there, and the
/// evidence against the attacker.
fn attack() -> &'static (Vec<Window>, Evidence) {
    static ATTACK: LazyLock<(Vec<Window>, Evidence)> = LazyLock::new(|| {
        let mut windows = windows(&[traffic::own("demo")]);
        let mut dry_run = dry_run(&ProtectedHosts::default());
        let mut found = None;
        for at in 0..windows.len() {
            let tell = |event| {
                if let Event::Anomaly(anomaly) = event
                    && anomaly.outcome == ActionTaken::WouldBlock
                {
                    found.get_or_insert(anomaly.evidence);
                }
                Ok(())
            };
            dry_run.take(&windows[at], false, tell).expect("nothing fails");
            if let Some(evidence) = found.take() {
                windows.truncate(at + 1);
                return (windows, evidence);
            }
        }
        panic!("nobody is blocked");
    });
    &ATTACK
}

/// Facts of the window of the attack.
fn facts() -> WindowFacts {
    WindowFacts::ending_at(attack().0.last().expect("some").end_ns)
}

fn dry_run(hosts: &ProtectedHosts) -> DryRun {
    let detector = Detector::new(model().clone(), Context::default(), Duration::from_secs(1));
    DryRun::new(Engine::new(detector, policy(hosts)))
}

fn policy(hosts: &ProtectedHosts) -> Policy {
    Policy::new(config(), hosts.clone()).calibrated(&basis(model()))
}

/// Answer of a caller about an address: its refusal, if it refuses.
type Asker = fn(&Evidence, &ProtectedHosts) -> Option<Refusal>;

fn of_policy(evidence: &Evidence, hosts: &ProtectedHosts) -> Option<Refusal> {
    let verdicts = policy(hosts).decide(vec![evidence.clone()], &facts());
    match verdicts.peers[0].outcome {
        Outcome::Refused(refusal) => Some(refusal),
        Outcome::Block { .. } => None,
    }
}

/// `weir block` and everybody else who asks the API.
fn of_api(evidence: &Evidence, hosts: &ProtectedHosts) -> Option<Refusal> {
    let target: IpNet = evidence.address.into();
    let wide = IpNet::new(evidence.address, target.max_prefix_len() - 2).expect("shorter").trunc();
    let said = [target, wide].map(|net| {
        let noted = Noted::default();
        let parts = NodeParts::new(policy(hosts), Box::new(noted.clone()));
        let parts =
            NodeParts { allow_files: hosts.allowed.iter().collect::<Vec<IpNet>>(), ..parts };
        let request = BlockRequest {
            target: net.into(),
            action: Action::Drop,
            pps: None,
            for_s: None,
            reason: None,
            list: None,
            force: false,
        };
        let refused = Node::new(parts).block(&somebody(), &request).err()?;
        assert_eq!(*noted.0.lock().unwrap(), [], "nothing was written");
        let expect = hosts.protection(net).expect("it is refused");
        assert!(refused.text.starts_with(&expect.to_string()), "{refused}");
        Some(expect.refusal)
    });
    assert_eq!(said[0], said[1], "alone and in a prefix");
    said[0]
}

fn of_import(evidence: &Evidence, hosts: &ProtectedHosts) -> Option<Refusal> {
    let targets = vec![evidence.address.into()];
    let parts = NodeParts::new(policy(hosts), Box::<Noted>::default());
    let parts = NodeParts { allow_files: hosts.allowed.iter().collect::<Vec<IpNet>>(), ..parts };
    let request = ImportRequest { targets, end: true, ..ImportRequest::default() };
    let live = Node::new(parts).import(&somebody(), &request).expect("it guards");
    let defaults =
        ListDefaults { for_s: 60, action: flows_common::Action::Drop, packets_per_second: 1 };
    let mut dry_run = ListLoad::dry_run(None, CAPACITY, 0, 1).expect("nothing to read");
    let dry = dry_run.take(request.all(), &defaults, hosts);
    assert_eq!((&live.refused, live.new), (&dry.refused, dry.new), "--dry-run says the same");
    let code = &live.refused.first()?.code;
    Refusal::ALL.into_iter().find(|one| one.name() == code)
}

fn of_replay(evidence: &Evidence, hosts: &ProtectedHosts) -> Option<Refusal> {
    let (windows, _) = attack();
    let mut dry_run = dry_run(hosts);
    let mut said = None;
    for window in windows {
        let tell = |event| {
            if let Event::Anomaly(anomaly) = event
                && anomaly.peer() == evidence.address
            {
                said = Some(anomaly.refusal);
            }
            Ok(())
        };
        dry_run.take(window, false, tell).expect("nothing fails");
    }
    said.expect("the peer is anomalous in the last window")
}

fn of_experiment(evidence: &Evidence, hosts: &ProtectedHosts) -> Option<Refusal> {
    let facts = facts();
    let row =
        Row { evidence: evidence.clone(), first_ns: facts.start_ns, label: RowLabel::Unlabelled };
    let mut stream = Stream::default();
    stream.push(facts, vec![row]).expect("one row");
    let effect = Effect::of(&stream, policy(hosts));
    effect.refused.keys().next().copied()
}

fn somebody() -> Who {
    Who::Local { uid: 0, gid: 0, pid: Some(1), user: Some("root".into()) }
}

#[test]
fn everybody_who_asks_gets_the_same_answer_for_each_cause() {
    let (_, evidence) = attack();
    let peer = evidence.address;
    let askers: [(&str, Asker); 5] = [
        ("policy", of_policy),
        ("API and block", of_api),
        ("import", of_import),
        ("replay", of_replay),
        ("experiment", of_experiment),
    ];
    let none = ProtectedHosts::default;
    for (name, ask) in askers {
        assert_eq!(ask(evidence, &none()), None, "{name}: nothing speaks for the attacker");
    }
    for (cause, hosts) in [
        (Refusal::OwnAddress, ProtectedHosts::own([peer])),
        (Refusal::Allowed, none().allowing(&[peer.into()])),
        (Refusal::Gateway, ProtectedHosts { gateways: [peer].into(), ..none() }),
        (Refusal::Resolver, ProtectedHosts { resolvers: [peer].into(), ..none() }),
        (Refusal::Administrator, ProtectedHosts { administrators: [peer].into(), ..none() }),
    ] {
        for (name, ask) in askers {
            assert_eq!(ask(evidence, &hosts), Some(cause), "{name}");
        }
    }
    // No peer of a capture is such an address; whoever is handed one refuses it.
    for address in [
        "0.1.2.3",
        "127.0.0.1",
        "169.254.7.9",
        "224.0.0.251",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "fe80::1",
        "ff02::fb",
    ] {
        let evidence = Evidence { address: address.parse().unwrap(), ..evidence.clone() };
        for (name, ask) in askers.iter().filter(|(name, _)| *name != "replay") {
            assert_eq!(ask(&evidence, &none()), Some(Refusal::NoHost), "{name}: {address}");
        }
    }
}
