//! An adversary that searches: strategies of an attacker who has read weir's source, drawn from the
//! grammar of [`lab::Strategy`], against what weir promises whatever anybody sends.
//!
//! Each strategy is played in a made-up network from where a model of that network was learnt, and
//! held against a run of the same network without it:
//!
//! 1. *No forged packet gets a proven peer's packets dropped*: no benign address is blocked by more
//!    than [`Scope::Unproven`] that is not in the run without it.
//! 2. *No packets of an attacker's own make him unblockable while he goes on*: a loud scan that is
//!    answered by itself is answered within [`ANSWERED_S`] seconds whatever else was sent.
//! 3. *No unproven traffic opens the breaker, suspends blocking or exempts anybody*: with forged
//!    packets alone, breaker and drift are as without them, and the loud scan of somebody else is
//!    answered.
//!
//! A strategy that breaks one is made smaller as long as it does, and printed with its seed and its
//! JSON, which is what [`FOUND`] keeps. `WEIR_SEARCH` is a range of seeds for the long search:
//!
//! ```sh
//! WEIR_SEARCH=0..10000 cargo test --release -p weir --test proof -- \
//!     search::a_range_of_strategies --ignored --nocapture
//! ```

mod shrink;
pub(crate) mod world;

use std::{cell::Cell, net::IpAddr, time::Instant};

use lab::{Author, Guise, Move, Pace, Phase, Strategy, Targets};
use policy::{Refusal, Scope};

use shrink::smallest;
use world::{Blocked, STAGE, Setting, Told, World, host};

/// Seconds from a loud scan's first packet within which it is answered.
const ANSWERED_S: i64 = 6;
/// When the loud scan begins, in s: amid the window that begins then.
const SCAN_FROM: f64 = 40.3;
const SCAN_AT: i64 = 40;
/// The most odd sources that may be innocent at once: `policy.expert.max_unverified_sources`.
const INNOCENT: usize = 8;
/// Networks that the strategies are dealt to, and how many there are of these.
const NETWORKS: usize = 4;
const SEEDS: u64 = 80;

/// A promise that did not hold, in words.
type Broken = String;

/// A world with what is told of it without an attacker, and which scans it answers by themselves.
struct Arena {
    world: World,
    calm: Vec<Told>,
    scans: Vec<Scan>,
    /// Runs in which the loud scan was not answered for a cause that is told and not promised.
    spent: Cell<u32>,
}

/// A loud scan and the settings in which it is answered when nothing else is sent.
struct Scan {
    phase: Phase,
    answered: Vec<bool>,
}

/// What is loud: scans of 160 ports a second, and logins, also such as pretend to be nobody's.
const LOUD: [(Move, Targets, f64); 6] = [
    (Move::Syn, Targets::Many { count: 2_000 }, 160.0),
    (Move::SynAck, Targets::Many { count: 2_000 }, 160.0),
    (Move::Datagram, Targets::Many { count: 2_000 }, 160.0),
    (Move::Connect, Targets::Many { count: 2_000 }, 160.0),
    (Move::Login, LOG_INS, 20.0),
    (Move::Doubled, LOG_INS, 20.0),
];

/// At other services as many short sessions are a client's business.
const LOG_INS: Targets = Targets::Port { port: 22 };

fn loud((play, targets, rate): (Move, Targets, f64)) -> Phase {
    Phase {
        start: SCAN_FROM,
        length: 12.0,
        pace: Pace::Even { rate },
        guise: Guise::Own { addresses: 1 },
        targets,
        moves: vec![play],
        keeps_port: false,
    }
}

impl Arena {
    fn of(seed: u64) -> Option<Self> {
        let world = World::of(seed)?;
        let calm = world.told(None, &Setting::ALL);
        let mut arena = Self { world, calm, scans: Vec::new(), spent: Cell::new(0) };
        for phase in LOUD.map(loud) {
            let alone = Strategy { seed, phases: vec![phase.clone()] };
            let staged = arena.world.stage(&alone);
            let scanner = staged.senders(Author::Attacker).into_iter().next();
            let scanner = host(scanner.expect("a scan has a source"));
            let told = arena.world.told(Some(&staged), &Setting::ALL);
            let answered: Vec<bool> = told.iter().map(|told| is_answered(told, scanner)).collect();
            arena.scans.push(Scan { phase, answered });
        }
        let [.., login, doubled] = &mut arena.scans[..] else { unreachable!("all are there") };
        // Whatever else comes on its tuples, a login is one.
        doubled.answered.clone_from(&login.answered);
        arena.scans.retain(|scan| scan.answered.contains(&true));
        (!arena.scans.is_empty()).then_some(arena)
    }

    /// The networks of the first seeds that are lively enough.
    fn several(from: u64, count: usize) -> Vec<Self> {
        (from..).filter_map(Self::of).take(count).collect()
    }

    /// The promises that a strategy breaks.
    fn broken(&self, strategy: &Strategy) -> Vec<Broken> {
        let mut broken = Vec::new();
        let staged = self.world.stage(strategy);
        let is_forged = staged.senders(Author::Attacker).is_empty();
        let told = self.world.told(Some(&staged), &Setting::ALL);
        for ((setting, told), calm) in Setting::ALL.iter().zip(&told).zip(&self.calm) {
            let mut tell = |what: String| broken.push(format!("{setting:?}: {what}"));
            for block in self.benign_blocked(told, calm) {
                tell(format!("{} is blocked, {:?}", block.peer, block.scope));
            }
            if is_forged {
                if told.notices != calm.notices {
                    tell(format!("notices {:?}", told.notices));
                }
                let begun = |told: &Told| told.suspended.first().copied();
                if begun(told) != begun(calm) {
                    tell(format!("suspended for drift at {:?}", begun(told)));
                }
            }
        }
        let scan = &self.scans[place(strategy.seed / 7, self.scans.len())];
        let mut scanned = strategy.clone();
        scanned.phases.push(scan.phase.clone());
        let staged = self.world.stage(&scanned);
        // Clients in number, if only to look at, are more than some calibrations speak for.
        let is_one = staged.senders(Author::Attacker).len() == 1;
        let attacker = self.scanner(strategy.seed, scan);
        let senders = |author| staged.senders(author).len();
        let are_many = senders(Author::Forged) + senders(Author::Attacker) > INNOCENT;
        let told = self.world.told(Some(&staged), &Setting::ALL);
        for ((setting, told), answered) in Setting::ALL.iter().zip(&told).zip(&scan.answered) {
            let is_asked = *answered && (is_one || *setting == Setting::Act);
            if !is_asked || is_answered(told, attacker) {
                continue;
            }
            if are_many && is_spent(told, attacker) {
                self.spent.set(self.spent.get() + 1);
                continue;
            }
            broken.push(format!(
                "{setting:?}: {:?} by {attacker} is not answered; refused {:?}; limits {:?}",
                scan.phase.moves,
                told.refused.get(&attacker),
                told.limits
            ));
        }
        broken
    }

    /// The address that a loud scan of this seed comes from.
    fn scanner(&self, seed: u64, scan: &Scan) -> IpAddr {
        let alone = Strategy { seed, phases: vec![scan.phase.clone()] };
        let senders = self.world.stage(&alone).senders(Author::Attacker);
        host(senders.into_iter().next().expect("a scan has a source"))
    }

    /// Blocks of benign addresses that act on more than unproven packets, and are not made without
    /// an attacker.
    fn benign_blocked(&self, told: &Told, calm: &Told) -> Vec<Blocked> {
        let beyond = |block: &&Blocked| {
            block.scope > Scope::Unproven
                && self.world.benign.contains(&block.peer)
                && !calm.blocks.iter().any(|one| one.peer == block.peer && one.scope == block.scope)
        };
        told.blocks.iter().filter(beyond).copied().collect()
    }
}

/// True where an attacker is blocked, or the service whose unproven packets he shares is limited,
/// soon enough.
fn is_answered(told: &Told, attacker: IpAddr) -> bool {
    let until = SCAN_AT + ANSWERED_S;
    let blocked = told.blocks.iter().any(|one| one.peer == attacker && one.at_s <= until);
    let limited = told.limits.iter().any(|(at_s, _)| (SCAN_AT..=until).contains(at_s));
    blocked || (limited && !told.proven.contains(&attacker))
}

/// True where only what is not promised kept the attacker from being answered: see
/// `docs/threat-model.md`.
fn is_spent(told: &Told, attacker: IpAddr) -> bool {
    let seconds = SCAN_AT..=SCAN_AT + ANSWERED_S;
    let refused = |refusal| {
        let of = told.refused.get(&attacker).and_then(|of| of.get(&refusal));
        of.is_some_and(|at| at.iter().any(|at_s| seconds.contains(at_s)))
    };
    // Sources that never proved to be somebody took up what may be blocked of such; or they come
    // with the attacker's own datagrams, window by window.
    let is_anybody = !told.proven.contains(&attacker);
    is_anybody && (refused(Refusal::BlocksPerMinute) || refused(Refusal::ForgedSources))
}

/// The place of a seed among so many.
fn place(seed: u64, count: usize) -> usize {
    usize::try_from(seed % count as u64).unwrap_or(0)
}

/// Tries the strategies of these seeds.
///
/// # Panics
/// Where one breaks a promise: with all of those that do, each made as small as may be.
fn search(seeds: std::ops::Range<u64>, first_network: u64, networks: usize) {
    let began = Instant::now();
    let arenas = Arena::several(first_network, networks);
    println!("{} networks after {:.0} s", arenas.len(), began.elapsed().as_secs_f64());
    let duration = std::time::Duration::from_secs(STAGE);
    let mut findings = Vec::new();
    for seed in seeds.clone() {
        let strategy = Strategy::draw(seed, duration);
        let arena = &arenas[place(seed, arenas.len())];
        let broken = arena.broken(&strategy);
        if !broken.is_empty() {
            println!("seed {seed}: {broken:#?}");
            let small = smallest(&strategy, |one| !arena.broken(one).is_empty());
            let text = serde_json::to_string(&small).expect("plain data");
            let network = arena.world.seed;
            let still = arena.broken(&small);
            println!("network {network}, smaller: {text}\n  {still:#?}");
            findings.push(seed);
        }
    }
    println!(
        "{} strategies in {} networks, {} findings, {} runs with what may be blocked spent; {:.0} s",
        seeds.end - seeds.start,
        arenas.len(),
        findings.len(),
        arenas.iter().map(|arena| arena.spent.get()).sum::<u32>(),
        began.elapsed().as_secs_f64()
    );
    assert!(findings.is_empty(), "promises were broken by the seeds {findings:?}");
}

/// Strategies that broke a promise once, and the seeds of their networks.
const FOUND: [(u64, &str); 4] = [
    // Nine odd forged sources made everybody's openings forged for two minutes, the scan after them
    // too, whatever they came as: amid decoys, ...
    (
        4,
        r#"{"seed":4,"phases":[{"start":10.0,"length":0.37,"pace":{"kind":"even","rate":27.0},
        "guise":{"kind":"decoys","count":10},"targets":{"kind":"listening"},"moves":["xmas"],
        "keeps_port":false}]}"#,
    ),
    // ... decoys for ports of their own, ...
    (
        8,
        r#"{"seed":8,"phases":[{"start":12.0,"length":0.42,"pace":{"kind":"bursts","size":1,
        "every":7.7},"guise":{"kind":"decoys","count":9,"apart":true},"targets":{"kind":"many",
        "count":2},"moves":["reset"],"keeps_port":false}]}"#,
    ),
    // ... or as echo requests.
    (
        5,
        r#"{"seed":5,"phases":[{"start":1.0,"length":8.16,"pace":{"kind":"ramp","from":0.2,
        "to":765.0},"guise":{"kind":"forged"},"targets":{"kind":"listening"},"moves":["echo"],
        "keeps_port":false},{"start":7.0,"length":0.41,"pace":{"kind":"even","rate":1.0},
        "guise":{"kind":"own","addresses":1},"targets":{"kind":"listening"},"moves":["echo"],
        "keeps_port":false}]}"#,
    ),
    // A blind login on a client's open connection was that client's.
    (
        1,
        r#"{"seed":29,"phases":[{"start":14.0,"length":0.41,"pace":{"kind":"even","rate":1.0},
        "guise":{"kind":"connection"},"targets":{"kind":"listening"},"moves":["login"],
        "keeps_port":false}]}"#,
    ),
];

#[test]
fn what_was_found_stays_mended() {
    for (network, text) in FOUND {
        let strategy: Strategy = serde_json::from_str(text).expect("a strategy");
        let arena = Arena::of(network).expect("a lively network");
        assert_eq!(arena.broken(&strategy), [] as [Broken; 0], "network {network}: {text}");
    }
}

#[test]
fn no_strategy_breaks_a_promise() {
    search(0..SEEDS, 0, NETWORKS);
}

#[test]
#[ignore = "as long as it is told to: `WEIR_SEARCH=0..10000`"]
fn a_range_of_strategies() {
    let text = std::env::var("WEIR_SEARCH").unwrap_or_else(|_| "0..1000".to_owned());
    let (from, to) = text.split_once("..").expect("`WEIR_SEARCH` is a range like `0..1000`");
    let number = |text: &str| text.parse().expect("`WEIR_SEARCH` is a range like `0..1000`");
    search(number(from)..number(to), number(from), 12);
}

/// Whoever guesses the addresses and ports of a client's open connection writes segments that count
/// as the client's, until the host's TCP discards them for their numbers. At any pace they get him told
/// of, and no packet of his dropped.
#[test]
fn segments_on_a_guessed_connection_get_no_client_blocked() {
    let moves = [Move::Ack, Move::Reset, Move::Finish, Move::Null, Move::Xmas, Move::Data];
    let mut told_of = std::collections::BTreeSet::new();
    for arena in Arena::several(0, NETWORKS) {
        for (play, rate) in moves.iter().flat_map(|&one| [(one, 20.0), (one, 2_000.0)]) {
            let pace = Pace::Even { rate };
            let guise = Guise::Connection;
            let phase = Phase { pace, guise, ..loud((play, Targets::Listening, rate)) };
            let strategy = Strategy { seed: arena.world.seed, phases: vec![phase] };
            let staged = arena.world.stage(&strategy);
            let told = arena.world.told(Some(&staged), &Setting::ALL);
            for (told, calm) in told.iter().zip(&arena.calm) {
                let blocked = arena.benign_blocked(told, calm);
                assert!(blocked.is_empty(), "network {}: {play:?}: {blocked:?}", arena.world.seed);
                assert_eq!(told.notices, calm.notices, "network {}: {play:?}", arena.world.seed);
                let of = told.refused.iter().filter(|(peer, _)| arena.world.benign.contains(*peer));
                let more = of.filter(|(peer, of)| calm.refused.get(*peer) != Some(*of));
                let told = more.flat_map(|(_, of)| of.keys());
                told_of.extend(told.map(|why| format!("{play:?}, {rate} a second: {why:?}")));
            }
        }
    }
    println!("what benign addresses are told of: {told_of:#?}");
}
