//! The loop on a capture: learn on its benign beginning, score the rest, say what would be
//! blocked.

use std::time::Instant;

use anyhow::Context as _;
use linfa::ParamGuard as _;
use model::IsolationForest;
use policy::{Policy, ProtectedHosts};

use super::{
    DemoOptions, Report,
    attacks::{attack_report, benign_blocked, learning},
    capture::read_truth,
    incidents::{self, is_block},
    report::{Blocks, Setting},
    watch::Watch,
};
use collector::dry_run::DryRun;
use collector::sink::Sink as _;
use engine::{Detector, Engine, basis};
use replay::{HomeNet, Replay, ReplayOptions};
use training::{BEYOND, Learner};

pub(super) fn run(
    options: &DemoOptions,
    because: &str,
    tell: &mut dyn FnMut(&str),
) -> anyhow::Result<Report> {
    let config = options.config()?;
    let path = options.capture.display();
    let truth = read_truth(&options.capture).context(
        "the offline demo needs a capture with its ground truth; name one with --capture",
    )?;
    let home = HomeNet::new(truth.host.iter().map(|&address| address.into()));
    let replay_options = ReplayOptions::default().window(config.window).home(home);
    let mut replay = Replay::open(&options.capture, replay_options)?;
    let first_attack_ns = truth
        .attacks
        .iter()
        .map(|attack| attack.began.unix_ns)
        .min()
        .with_context(|| format!("the ground truth of `{path}` names no attack"))?;

    tell(&format!("learning on the benign beginning of {path}"));
    let mut watch = Watch::default();
    let mut learner = Learner::default();
    let mut first_ns = None;
    let first_attacked = loop {
        let window = replay
            .next_window()?
            .with_context(|| format!("`{path}` ends before its first attack"))?;
        first_ns.get_or_insert(window.start_ns);
        if window.end_ns > first_attack_ns {
            break window;
        }
        watch.count(&window, 0);
        learner.take(&window);
    };
    let seconds = first_attack_ns.saturating_sub(first_ns.unwrap_or(0)) as f64 / 1e9;
    let learnt = learner.learnt();
    let began = Instant::now();
    let params = IsolationForest::params().beyond(BEYOND).check()?;
    let (model, context) = learner.finish(&params, &jiff::Timestamp::now().to_string())?;
    let learning = learning(seconds, learnt, began.elapsed(), &model, &config);

    tell("scoring the rest");
    let policy = Policy::new(config.policy.clone(), ProtectedHosts::own(truth.host.clone()))
        .calibrated(&basis(&model));
    let mut dry_run =
        DryRun::new(Engine::new(Detector::new(model, context, config.window), policy));
    let mut next = Some(first_attacked);
    while let Some(window) = next.take() {
        next = replay.next_window()?;
        dry_run.take(&window, next.is_none(), |event| Ok(watch.take(&event)?))?;
    }

    let log = watch.log();
    let blocks = log.anomalies.iter().filter(|anomaly| is_block(anomaly.outcome)).count();
    let report = Report {
        setting: Setting::Offline { capture: path.to_string(), because: because.to_owned() },
        learning,
        accounting: log.accounting(),
        attacks: truth
            .attacks
            .iter()
            .map(|attack| attack_report(attack, attack.began.unix_ns, &log, &[]))
            .collect(),
        incidents: incidents::of(&log, &truth.attacks, |moment| moment.unix_ns),
        clients: None,
        benign_blocked: benign_blocked(&truth.clients, &log),
        blocks: Blocks { made: blocks as u64, ..Blocks::default() },
        closed: false,
        shortfalls: Vec::new(),
    };
    Ok(report.concluded())
}
