//! Strategies are played as they are written, amid benign traffic that they do not touch.

use std::collections::BTreeSet;
use std::time::Duration;

use lab::{Author, Guise, Move, Pace, Phase, Strategy, Synthesis, Synthetic, Targets};

use super::frames::{Kind, Seen, frames, frames_by};
use super::replays_without_loss;

/// The network that strategies are played in.
const AMID: Synthesis =
    Synthesis { attack: None, seed: 7, duration: Duration::from_secs(20), frames: 1_000_000 };

fn staged(strategy: &Strategy) -> Synthetic {
    AMID.stage(strategy).expect("a capture")
}

fn one_phase(guise: Guise, moves: Vec<Move>) -> Strategy {
    let phase = Phase {
        start: 2.3,
        length: 3.95,
        pace: Pace::Even { rate: 10.0 },
        guise,
        targets: Targets::Listening,
        moves,
        keeps_port: false,
    };
    Strategy { seed: 11, phases: vec![phase] }
}

#[test]
fn a_strategy_is_sound_repeatable_and_touches_no_benign_frame() {
    let benign = frames(&AMID.make().unwrap());
    for seed in 0..40 {
        let strategy = Strategy::draw(seed, AMID.duration);
        let staged = staged(&strategy);
        let all = frames(&staged);
        assert_eq!(all, frames(&AMID.stage(&strategy).unwrap()), "{strategy:?}");
        for frame in &all {
            assert!(frame.sums_are_right, "{frame:?}");
            let ends = [frame.source, frame.target];
            assert!(ends.into_iter().all(lab::is_documentation), "{frame:?}");
        }
        let (untouched, own): (Vec<Seen>, Vec<Seen>) =
            all.into_iter().partition(|frame| frame.author == Author::Benign);
        assert!(untouched == benign, "{strategy:?}");
        assert!(!own.is_empty(), "{strategy:?}");
        replays_without_loss(&staged, 262_144);
    }
}

#[test]
fn who_sent_what_is_told_apart() {
    let moves = vec![Move::Connect];
    let clients: BTreeSet<_> = AMID.make().unwrap().truth().clients.iter().copied().collect();
    let own = staged(&one_phase(Guise::Own { addresses: 5 }, moves.clone()));
    assert_eq!(own.senders(Author::Attacker).len(), 5);
    assert!(own.senders(Author::Forged).is_empty());
    let forged = staged(&one_phase(Guise::Forged, moves.clone()));
    assert!(forged.senders(Author::Forged).len() > 20);
    assert!(forged.senders(Author::Attacker).is_empty());
    let client = staged(&one_phase(Guise::Client, moves.clone())).senders(Author::Forged);
    assert_eq!(client.len(), 1);
    assert!(client.is_subset(&clients), "{client:?}");
    let decoys = staged(&one_phase(Guise::Decoys { count: 4, apart: false }, moves));
    assert_eq!(decoys.senders(Author::Attacker).len(), 1);
    assert_eq!(decoys.senders(Author::Forged).len(), 4);
}

#[test]
fn a_forger_never_proves_what_an_own_address_does() {
    let proofs = |guise| {
        let strategy = one_phase(guise, vec![Move::Connect, Move::Hold, Move::Login]);
        let frames = frames_by(&staged(&strategy), |author| author != Author::Benign);
        let mut offered = BTreeSet::new();
        let mut proven = 0;
        for frame in &frames {
            let [from, to] = frame.ports;
            match frame.kind {
                Kind::Tcp { syn: true, ack: true, sequence, .. } => {
                    offered.insert((frame.target, to, from, sequence.wrapping_add(1)));
                }
                Kind::Tcp { ack: true, acknowledgment, .. } => {
                    let proof = (frame.source, from, to, acknowledgment);
                    proven += usize::from(offered.contains(&proof));
                }
                _ => {}
            }
        }
        assert!(offered.len() >= 39, "every SYN to a listening port is answered");
        proven
    };
    assert!(proofs(Guise::Own { addresses: 1 }) >= 40);
    assert_eq!(proofs(Guise::Forged), 0);
    assert_eq!(proofs(Guise::Client), 0);
}

#[test]
fn a_phase_keeps_to_its_times_its_port_and_its_moves() {
    let mut strategy = one_phase(Guise::Own { addresses: 1 }, vec![Move::Syn, Move::Datagram]);
    strategy.phases[0].keeps_port = true;
    let sent = frames_by(&staged(&strategy), |author| author == Author::Attacker);
    assert_eq!(sent.len(), 40);
    let ports: BTreeSet<_> = sent.iter().map(|frame| frame.ports).collect();
    assert_eq!(ports.len(), 1, "{ports:?}");
    assert!(sent.iter().step_by(2).all(Seen::is_first_syn));
    assert!(sent.iter().skip(1).step_by(2).all(|frame| frame.kind == Kind::Udp));
    assert!((2.29..2.31).contains(&sent[0].seconds()), "{:?}", sent[0]);
    assert!((6.19..6.21).contains(&sent[39].seconds()), "{:?}", sent[39]);
}

#[test]
fn what_began_before_the_capture_shows_the_answer_first() {
    let mut strategy = one_phase(Guise::Own { addresses: 1 }, vec![Move::Hold]);
    strategy.phases[0] = Phase { start: -1e-6, length: 0.05, ..strategy.phases[0].clone() };
    let seen = frames_by(&staged(&strategy), |author| author != Author::Benign);
    assert!(seen[0].is_syn_ack() && seen[0].author == Author::Answer, "{seen:?}");
}

#[test]
fn an_attack_and_a_strategy_are_not_played_together() {
    let both = Synthesis { attack: Some(lab::AttackClass::UdpScan), ..AMID };
    assert_eq!(
        both.stage(&Strategy::draw(1, AMID.duration)).unwrap_err().to_string(),
        "a strategy takes the place of the attack `udp_scan`; ask for one of them"
    );
}
