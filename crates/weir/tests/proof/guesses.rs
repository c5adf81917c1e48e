//! Password guessing in the midst of the lab's benign traffic, with and without this host's own log.

use std::{collections::BTreeSet, net::IpAddr, time::Duration};

use engine::{Arrival, Detector};
use events::Outcome;
use lab::{AttackClass, AttackTruth, Synthesis, Synthetic};
use model::{Context, ModelFile, Tries};
use policy::Mode;

use crate::{
    scene::{SETTINGS, model, policy, windows},
    search::world,
    traffic::{Composed, SECOND, START},
    trust::{ACK, ATTACKER, Crafted, Ends, SYN},
};

/// Benign traffic in all, and ahead of the guesses.
const ALL: u64 = 290 * SECOND;
const AHEAD: u64 = 60 * SECOND;
/// The length of a session in which sshd has slept over a wrong password, in ns.
const TRY: u64 = 2_900_000_000;
/// The same of a server that does not.
const HASTY: u64 = 300_000_000;
/// Time from the refusal to the end.
const REFUSED_AHEAD: u64 = 50_000_000;
const PSH: u8 = 0x08;
const FIN: u8 = 0x01;

/// How a guesser goes about it.
#[derive(Clone, Copy)]
struct Guesser {
    /// A try begins every so many ns.
    every_ns: u64,
    /// Length of a session, in ns.
    lasts_ns: u64,
    /// All come from one bound port.
    keeps_port: bool,
}

/// A session of one wrong password: versions, keys, and a refusal at its end.
fn session(guesser: Guesser, number: u16) -> Vec<Crafted> {
    let Guesser { every_ns, lasts_ns, keeps_port } = guesser;
    let at_ns = u64::from(number) * every_ns;
    let port = if keeps_port { 30_000 } else { 30_000 + number };
    let there = Ends::to_host(ATTACKER, [port, 22]);
    let back = there.back();
    let (mut mine, mut its) = (u32::from(number) * 7_001, u32::from(number) * 9_001 + 77);
    let mut frames = vec![
        (at_ns, there.tcp(SYN, mine, 0)),
        (at_ns + 60_000, back.tcp(SYN | ACK, its, mine + 1)),
        (at_ns + 500_000, there.tcp(ACK, mine + 1, its + 1)),
    ];
    (mine, its) = (mine + 1, its + 1);
    let said = [
        (5, false, 41_u32),
        (6, true, 24),
        (20, false, 1_080),
        (25, true, 1_408),
        (60, true, 48),
        (90, false, 452),
        (130, true, 84),
        (170, false, 52),
        (200, true, 148),
        (u32::try_from((lasts_ns - REFUSED_AHEAD) / 1_000_000).expect("seconds"), false, 84),
    ];
    for (ms, from_remote, bytes) in said {
        let ends = if from_remote { there } else { back };
        let (own, other) = if from_remote { (&mut mine, its) } else { (&mut its, mine) };
        let mut frame = ends.tcp(PSH | ACK, *own, other);
        frame.truncate(54);
        frame.resize(54 + bytes as usize, 0x5a);
        let length = u16::try_from(40 + bytes).expect("a segment");
        frame[16..18].copy_from_slice(&length.to_be_bytes());
        frames.push((at_ns + u64::from(ms) * 1_000_000, frame));
        *own += bytes;
    }
    frames.extend([
        (at_ns + lasts_ns, there.tcp(FIN | ACK, mine, its)),
        (at_ns + lasts_ns + 60_000, back.tcp(FIN | ACK, its, mine + 1)),
        (at_ns + lasts_ns + 500_000, there.tcp(ACK, mine + 1, its + 1)),
    ]);
    frames
}

/// What became of a guesser: how many tries were over when it was first reported, and acted on.
#[derive(Clone, Copy, Debug, Default)]
struct Fate {
    reported: Option<u64>,
    acted: Option<u64>,
}

/// Fate of a guesser where this host's log tells of each try, or of none. Nobody else may be acted on.
fn fate(guesser: Guesser, log_tells: bool) -> Fate {
    let Guesser { every_ns, lasts_ns, .. } = guesser;
    let folder = tempfile::tempdir().expect("a folder");
    let mut benign = Composed::create(folder.path().join("benign.pcap"));
    benign.append_benign(START, START + ALL);
    let all = (ALL - AHEAD - lasts_ns) / every_ns;
    let mut frames: Vec<Crafted> =
        (0..all).flat_map(|number| session(guesser, u16::try_from(number).expect("few"))).collect();
    frames.sort_by_key(|(at_ns, _)| *at_ns);
    let mut sessions = Composed::create(folder.path().join("guesses.pcap"));
    for (at_ns, frame) in frames {
        let length = u32::try_from(frame.len()).expect("a short frame");
        sessions.put(START + AHEAD + at_ns, length, &frame);
    }
    let captures = [benign, sessions].map(|capture| capture.finish().0);
    let mut detector = Detector::new(model().clone(), Context::default(), Duration::from_secs(1));
    let mut policy = policy(Mode::Enforce, SETTINGS[0]);
    let (mut failed, mut fate) = (0, Fate::default());
    for window in windows(&captures) {
        let done = |number: u64| START + AHEAD + number * every_ns + lasts_ns <= window.end_ns;
        while failed < all && done(failed) {
            failed += 1;
            if log_tells {
                policy.failed_log_in(ATTACKER.into(), window.end_ns);
            }
        }
        let found = detector.assess(&window, Arrival::default());
        for one in policy.decide(found.evidence, &found.facts).peers {
            let is_guesser = one.evidence.address == IpAddr::from(ATTACKER);
            if is_guesser {
                fate.reported = fate.reported.or(Some(failed));
            }
            if matches!(one.outcome, Outcome::Block { .. }) {
                assert!(is_guesser, "{one:?}");
                assert_eq!(one.evidence.failed_log_ins > 0, log_tells);
                fate.acted = fate.acted.or(Some(failed));
            }
        }
    }
    fate
}

#[test]
fn a_handful_of_guesses_suffices_where_the_hosts_log_tells_of_them_and_some_tens_where_none_does() {
    let of = |every_ns| Guesser { every_ns, lasts_ns: TRY, keeps_port: false };
    for (name, guesser) in [
        ("twenty in a second", of(SECOND / 20)),
        ("hydra -t 4", of(TRY / 4)),
        ("one in a second", of(SECOND)),
        ("one in 5 s", of(5 * SECOND)),
    ] {
        is_acted_on(name, guesser);
    }
}

/// What the counters have of a tuple are sums over all that it carried in a window.
#[test]
fn a_guesser_who_keeps_his_port_is_counted_by_each_of_his_tries() {
    let of = |every_ns, lasts_ns| Guesser { every_ns, lasts_ns, keeps_port: true };
    for (name, guesser) in [
        ("one port, one in 5 s", of(5 * SECOND, TRY)),
        ("one port, one after another", of(TRY + SECOND / 10, TRY)),
        ("one port, three in a second", of(SECOND / 3, HASTY)),
    ] {
        is_acted_on(name, guesser);
    }
}

#[track_caller]
fn is_acted_on(name: &str, guesser: Guesser) {
    let [told, silent] = [true, false].map(|log_tells| fate(guesser, log_tells));
    println!("{name}: with the log {told:?}, by counters alone {silent:?}");
    let within = |tries: Option<u64>, most| tries.is_some_and(|tries| tries <= most);
    // Those that were over within the window come at its end.
    let handful = 5..=6 + (SECOND / guesser.every_ns).max(1);
    assert!(told.acted.is_some_and(|tries| handful.contains(&tries)), "{name}: {told:?}");
    assert!(within(silent.reported, 50) && within(silent.acted, 50), "{name}: {silent:?}");
}

/// Networks that guessers are made up in.
const MADE_UP: u64 = 12;

/// A capture of guesses, and a model of the same network without them, where it is lively enough.
struct MadeUp {
    capture: Synthetic,
    model: Option<ModelFile>,
}

impl MadeUp {
    fn of(seed: u64) -> Self {
        let make = |attack| Synthesis { attack, seed, ..Synthesis::default() }.make();
        let calm = make(None).expect("a capture");
        let capture = make(Some(AttackClass::SshBruteForce)).expect("a capture");
        Self { capture, model: world::learn(&world::windows(&calm)) }
    }

    fn attack(&self) -> &AttackTruth {
        let [attack] = &self.capture.truth().attacks[..] else { panic!("one attack") };
        attack
    }

    fn attacks(&self, remote: IpAddr) -> bool {
        self.attack().sources.contains(remote)
    }

    /// The most sessions alike that were counted of who attacks, and of anybody else.
    fn most_alike(&self) -> [u32; 2] {
        let (mut context, mut tries) = (Context::default(), Tries::default());
        let mut most = [0; 2];
        for window in world::windows(&self.capture) {
            for (remote, alike) in tries.look(&context.observe(&window).peers) {
                let of = &mut most[usize::from(!self.attacks(engine::detector::address(remote)))];
                *of = alike.max(*of);
            }
        }
        most
    }

    /// Who is acted on.
    fn acted_on(&self) -> Option<BTreeSet<IpAddr>> {
        let model = self.model.as_ref()?;
        let own = self.capture.truth().host.iter().copied().collect();
        let mut policy = world::Setting::Act.policy(&own, model);
        let mut detector = Detector::new(model.clone(), Context::default(), Duration::from_secs(1));
        let mut acted = BTreeSet::new();
        for window in world::windows(&self.capture) {
            let found = detector.assess(&window, Arrival::default());
            let decided = policy.decide(found.evidence, &found.facts).peers;
            let blocks = decided.iter().filter(|one| matches!(one.outcome, Outcome::Block { .. }));
            acted.extend(blocks.map(|one| one.evidence.address));
        }
        Some(acted)
    }
}

/// Nine of these twelve say less than 256 bytes a session. Left are those of fewer tries than a guesser
/// is acted on for, and one who says two things a session, as a checker may: of two of these three
/// something else is odd enough.
#[test]
fn guessers_of_made_up_networks_are_counted_and_nobody_else_is() {
    let (mut counted, mut judged, mut acted) = (0, 0, 0);
    for seed in 0..MADE_UP {
        let made_up = MadeUp::of(seed);
        let [guesser, others] = made_up.most_alike();
        let sent = &made_up.attack().sent;
        let (tries, each) = (sent.connections, sent.bytes / sent.connections);
        let answered = made_up.acted_on();
        println!(
            "{seed}: {tries} tries, {each} bytes each: {guesser} alike, others {others}; acted on \
             {answered:?}"
        );
        assert!(others < 8, "others {others}");
        counted += u32::from(guesser >= 32);
        let Some(answered) = answered else { continue };
        judged += 1;
        acted += u32::from(answered.iter().any(|one| made_up.attacks(*one)));
        assert!(answered.iter().all(|one| made_up.attacks(*one)), "{seed}: {answered:?}");
    }
    println!("{counted} of {MADE_UP} counted; {acted} of {judged} acted on");
    assert!(counted >= 9, "{counted} of {MADE_UP}");
    assert!(acted >= 10, "{acted} of {judged}");
}
