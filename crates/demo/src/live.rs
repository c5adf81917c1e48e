//! The loop in a lab: learn, train, enforce, be attacked, report.

use std::{
    collections::VecDeque,
    net::IpAddr,
    sync::{
        Arc,
        mpsc::{self, TryRecvError},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use flows_common::Direction;
use lab::{Attack, AttackTruth, ClientReport, Lab, RunningAttack, RunningBenign, Scenario};
use linfa::ParamGuard as _;
use model::{Context, IsolationForest, ModelFile, Window};
use policy::{Policy, ProtectedHosts};

use super::{
    DemoOptions, Report,
    attacks::{Drops, attack_report, benign_blocked, learning},
    incidents::{self, Told},
    report::{Blocks, ClientsReport, Learning, Setting},
    watch::{Log, Watch},
};
use collector::{
    clock::boot_ns,
    config::Config,
    event::ExpiredEvent,
    live::{Live, guard_name},
    node::{Node, NodeParts},
    pipeline::Pipeline,
    protected::own_addresses,
    signals::Signals,
    sink::{JsonLines, Sink},
};
use datapath::Target;
use engine::{Arrival, Detector, basis};
use training::{BEYOND, Learner};

/// Benign traffic alone, under enforcement, before the first attack.
const QUIET: Duration = Duration::from_secs(5);
/// Longest wait for the end of blocks beyond their lease.
const LEASE_SLACK: Duration = Duration::from_secs(3);
/// Attempts to find a moment without traffic in the lab.
const SETTLE_ATTEMPTS: u32 = 100;
/// Polling interval for conditions.
const LOOK_EVERY: Duration = Duration::from_millis(100);

pub(super) fn run(options: &DemoOptions, tell: &mut dyn FnMut(&str)) -> anyhow::Result<Report> {
    let config = options.config()?;
    let signals = Signals::listen()?;
    let scenario = &options.scenario;
    let lab = build(scenario)?;
    let (live, own) =
        lab.enter(lab.host(), || anyhow::Ok((Live::open(&config)?, own_addresses()?)))??;
    let before = settled_frames(&lab, &live, |_| ())?;
    tell(&format!(
        "lab up: {} benign clients, {} attackers; {}",
        lab.clients().len(),
        lab.attackers().len(),
        live.describe().lines().next().unwrap_or_default(),
    ));

    let watch = Watch::default();
    let benign = lab.start_benign(scenario)?;
    tell(&format!("learning on benign traffic for {} s", options.learn.as_secs()));
    let learner = learn(&live, &config, options.learn, &watch, &signals)?;
    let (learning, model, context) = fit(learner, options)?;
    tell(&format!("detectors fitted in {:.0} ms; enforcing from here on", learning.fit_ms));

    // What was counted during the fit is a window of odd length: known to the past, not scored.
    let basis = basis(&model);
    let mut detector = Detector::new(model, context, config.window);
    let between = live.drain_once()?;
    watch.count(&between, 0);
    detector.assess(&between, Arrival::default());

    let mut sinks: Vec<Box<dyn Sink>> = vec![Box::new(watch.clone())];
    if let Some(folder) = &options.keep {
        sinks.push(Box::new(JsonLines::open(&folder.join("events.jsonl"))?));
    }
    let policy = Policy::new(config.policy.clone(), ProtectedHosts::own(own)).calibrated(&basis);
    let node = Arc::new(Node::new(NodeParts::new(policy, live.enforcer(&config)?)));
    node.take_over_people()?;
    let pipeline = Pipeline::score(live.drain(), config.window, detector, node, sinks)?;
    signals.pause(QUIET)?;
    let first_attack_ns = boot_ns();
    let truths = attack(&lab, scenario, &watch, &signals, tell)?;
    wait_for_leases(&watch, options.ttl, &signals, tell)?;
    let clients = finish_benign(benign, first_attack_ns)?;
    pipeline.stop()?;

    let after = settled_frames(&lab, &live, |window| watch.count(window, 0))?;
    let guard = live.attached().first().map(guard_name).unwrap_or_default();
    let log = watch.log();
    let mut accounting = log.accounting();
    accounting.dropped = live.blocklist().guard_counters(Direction::Ingress)?.dropped;
    accounting.interface = Some([after[0] - before[0], after[1] - before[1]]);
    let active = live.blocklist().list()?;
    let attacks = truths
        .iter()
        .map(|truth| {
            let drops = drops(truth, &log, &live)?;
            Ok(attack_report(truth, truth.began.boot_ns, &log, &drops))
        })
        .collect::<anyhow::Result<Vec<_>>>()?;
    let made = log.anomalies.iter().filter(|anomaly| anomaly.outcome.made_entry()).count();
    let benign: Vec<IpAddr> = lab.clients().iter().flat_map(lab::Node::addresses).collect();
    let report = Report {
        setting: Setting::Live { guard },
        closed: false,
        shortfalls: Vec::new(),
        learning,
        accounting,
        incidents: incidents::of(&log, &truths, |moment| moment.boot_ns),
        attacks,
        clients: Some(clients),
        benign_blocked: benign_blocked(&benign, &log),
        blocks: Blocks {
            made: made as u64,
            expired: log.expired.len() as u64,
            active: active.len() as u64,
        },
    };
    drop(log);
    drop(live);
    lab.remove()?;
    Ok(report.concluded())
}

/// A lab in which each packet passes every interface as it would pass a wire, so that packets can
/// be compared with what the interface counts. (TCP hands TC super-packets all the same; the
/// stack cuts them up behind it.)
fn build(scenario: &Scenario) -> anyhow::Result<Lab> {
    let mut topology = scenario.topology.clone();
    topology.offloads = false;
    Ok(Lab::build(&topology)?)
}

/// Frames counted by the host's interface, in and out, at a moment when weir had counted exactly as
/// many: no frame passed while a window was drained. That window goes to `take`.
fn settled_frames(
    lab: &Lab,
    live: &Live,
    mut take: impl FnMut(&Window),
) -> anyhow::Result<[u64; 2]> {
    for _ in 0..SETTLE_ATTEMPTS {
        let counted = interface_frames(lab)?;
        take(&live.drain_once()?);
        if interface_frames(lab)? == counted {
            return Ok(counted);
        }
        thread::sleep(Duration::from_millis(50));
    }
    anyhow::bail!("the lab's traffic does not come to rest")
}

/// Frames counted by the host's interface, in and out.
fn interface_frames(lab: &Lab) -> anyhow::Result<[u64; 2]> {
    let name = &lab.host().interface().name;
    let table =
        lab.enter(lab.host(), || std::fs::read_to_string("/proc/thread-self/net/dev"))??;
    // `eth0: bytes packets errs drop fifo frame compressed multicast bytes packets …`
    let counts = table
        .lines()
        .find_map(|line| line.trim().strip_prefix(name)?.strip_prefix(':'))
        .with_context(|| format!("/proc/net/dev does not tell of `{name}`"))?;
    let counts: Vec<u64> = counts.split_whitespace().map_while(|word| word.parse().ok()).collect();
    match counts[..] {
        [_, received, _, _, _, _, _, _, _, sent, ..] => Ok([received, sent]),
        _ => anyhow::bail!("/proc/net/dev has another shape than proc_net(5) says"),
    }
}

fn learn(
    live: &Live,
    config: &Config,
    length: Duration,
    watch: &Watch,
    signals: &Signals,
) -> anyhow::Result<Learner> {
    let (done, learnt) = mpsc::channel();
    let watch = watch.clone();
    let mut learner = Learner::of_windows(config.window);
    let until = Instant::now() + length;
    let mut done = Some(done);
    let pipeline = Pipeline::feed(live.drain(), config.window, move |next| {
        watch.count(&next.window, next.late);
        learner.take(&next.window);
        if Instant::now() >= until
            && let Some(done) = done.take()
        {
            let _ = done.send(std::mem::take(&mut learner));
        }
        Ok(())
    })?;
    let learner = loop {
        match learnt.try_recv() {
            Ok(learner) => break learner,
            Err(TryRecvError::Empty) => signals.pause(LOOK_EVERY)?,
            Err(TryRecvError::Disconnected) => {
                pipeline.stop()?;
                anyhow::bail!("the learner ended early; this is a bug");
            }
        }
    };
    pipeline.stop()?;
    Ok(learner)
}

fn fit(learner: Learner, options: &DemoOptions) -> anyhow::Result<(Learning, ModelFile, Context)> {
    let learnt = learner.learnt();
    let params = IsolationForest::params().beyond(BEYOND).check()?;
    let began = Instant::now();
    let (model, context) = learner.finish(&params, &jiff::Timestamp::now().to_string())?;
    let fitted = began.elapsed();
    if let Some(folder) = &options.keep {
        std::fs::create_dir_all(folder)
            .with_context(|| format!("folder `{}`", folder.display()))?;
        model.save(folder.join("model.weir"))?;
    }
    let learning =
        learning(options.learn.as_secs_f64(), learnt, fitted, &model, &options.config()?);
    Ok((learning, model, context))
}

/// Runs the attacks at their times, while the benign clients go on, and tells of incidents as they are
/// opened.
fn attack(
    lab: &Lab,
    scenario: &Scenario,
    watch: &Watch,
    signals: &Signals,
    tell: &mut dyn FnMut(&str),
) -> anyhow::Result<Vec<AttackTruth>> {
    let mut waiting: VecDeque<&Attack> = scenario.attacks.iter().collect();
    waiting.make_contiguous().sort_by_key(|attack| attack.start);
    let first = waiting.front().map_or(Duration::ZERO, |attack| attack.start);
    let began = Instant::now();
    let (mut running, mut truths, mut told) = (Vec::new(), Vec::new(), Told::default());
    while !(waiting.is_empty() && running.is_empty()) {
        let is_due = |attack: &&mut &Attack| began.elapsed() + first >= attack.start;
        while let Some(attack) = waiting.front_mut().filter(is_due) {
            tell(&format!("{} begins", attack.name));
            running.push(lab.start_attack(attack)?);
            waiting.pop_front();
        }
        for over in running.extract_if(.., |attack: &mut RunningAttack| attack.is_done()) {
            truths.push(over.wait()?);
        }
        let news = told.news(&watch.log());
        for line in &news {
            tell(line);
        }
        signals.pause(LOOK_EVERY)?;
    }
    truths.sort_by_key(|truth| truth.began.boot_ns);
    Ok(truths)
}

/// Waits until the blocks have run out by themselves, or should have.
fn wait_for_leases(
    watch: &Watch,
    ttl: Duration,
    signals: &Signals,
    tell: &mut dyn FnMut(&str),
) -> anyhow::Result<()> {
    let made = |log: &Log| log.anomalies.iter().filter(|one| one.outcome.made_entry()).count();
    let until = Instant::now() + ttl + LEASE_SLACK;
    tell("waiting for the last leases to run out");
    while Instant::now() < until {
        let log = watch.log();
        if log.expired.len() >= made(&log) {
            break;
        }
        drop(log);
        signals.pause(LOOK_EVERY)?;
    }
    Ok(())
}

fn finish_benign(benign: RunningBenign, first_attack_ns: u64) -> anyhow::Result<ClientsReport> {
    let clients = benign.finish()?;
    let stats = |from, until| {
        let samples: Vec<_> = clients
            .iter()
            .flat_map(|client: &ClientReport| &client.samples)
            .filter(|sample| (from..until).contains(&sample.began_ns))
            .collect();
        lab::RequestStats::of(samples)
    };
    let before = stats(0, first_attack_ns);
    let during = stats(first_attack_ns, u64::MAX);
    let ms = |us: u32| f64::from(us) / 1e3;
    Ok(ClientsReport {
        requests: before.attempted + during.attempted,
        failed: before.failed + during.failed,
        median_before_ms: ms(before.median_us),
        median_during_ms: ms(during.median_us),
        p99_before_ms: ms(before.p99_us),
        p99_during_ms: ms(during.p99_us),
    })
}

/// First drop and number of drops of each block of an attack's sources, ended or active.
fn drops(truth: &AttackTruth, log: &Log, live: &Live) -> anyhow::Result<Vec<Drops>> {
    let ended = log
        .expired
        .iter()
        .filter(|one: &&ExpiredEvent| {
            one.peer.address().is_some_and(|address| truth.sources.contains(address))
        })
        .map(|one| Drops { first_ns: one.first_drop_ns, packets: one.dropped_packets });
    let mut drops: Vec<Drops> = ended.collect();
    for blocked in live.blocklist().list()? {
        if let Target::Address(address) = blocked.target
            && truth.sources.contains(address)
        {
            let stats = live.blocklist().stats(blocked.entry.slot)?;
            drops.push(Drops { first_ns: stats.first_ns, packets: stats.dropped_packets });
        }
    }
    drops.retain(|drop| drop.first_ns > 0);
    Ok(drops)
}
