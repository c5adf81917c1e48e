//! Strategies of an attacker who has read weir's source, drawn from a grammar.
//!
//! ```text
//! strategy    = [ preparation ] assault { assault } [ cover ]
//! preparation = phase: a few moves that might buy trust or blind somebody, before the assault
//! assault     = phase: one to three moves over and over, at any pace, in any guise
//! cover       = phase: good manners of the attacker's own address while the assault goes on
//! phase       = start length pace guise targets { move } [ one source port ]
//! pace        = even | drawn | ramp | bursts
//! guise       = own addresses | ever other or a few forged addresses | a client's address | a client's open connection
//!             | own among decoys, that ask for the same port at once or each for another
//! targets     = one listening port | one closed port | many ports
//! move        = SYN | SYN-ACK | ACK | RST | FIN | nothing | all flags | data | connection | login
//!             | idle connection | datagram | datagram from port 53 | echo request | echo reply
//!             | port unreachable | first fragment | last fragment | summons | doubled login
//! ```
//!
//! A start is a whole second in a third of the phases, else it falls amid a window; a tenth begin
//! before the capture, so that the first packet seen is somebody's answer.
//!
//! How a search drives it: for each seed, [`Strategy::draw`], [`crate::Synthesis::stage`] for the
//! frames (the strategy amid a benign network), [`crate::Synthetic::write`] for a capture, and then
//! replay, engine and policy as for any other. What is to be asserted needs no class of attack but
//! who sent what: each [`crate::SyntheticFrame`] names its [`crate::Author`], and
//! [`crate::Synthetic::senders`] the addresses that each used. So "no forged packet gets a proven
//! peer's packets dropped" is: no frame by [`crate::Author::Benign`] meets a block while
//! [`crate::Author::Attacker`] sent nothing under that address. A finding becomes a regression test
//! by its JSON, which outlives changes of the grammar. The loop is open: no strategy sees what is
//! done about it, and none is cut short by a block.

mod play;

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::LabError;
use crate::draw::Draw;
pub(crate) use play::play;

/// The most moves of a phase.
const MOST_MOVES: u32 = 2_000;
/// Stream of the draws that make up a strategy, apart from those of a synthesis.
const STREAM: u64 = 0x5354_5241;

/// A strategy: phases that each have their time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Strategy {
    /// Seed of what its moves leave open: addresses, ports, sequence numbers.
    pub seed: u64,
    /// Its phases.
    pub phases: Vec<Phase>,
}

/// Moves over and over, in one guise, towards the same targets.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Phase {
    /// Start in seconds since the capture's beginning; below zero it has begun before.
    pub start: f64,
    /// Length in seconds.
    pub length: f64,
    /// Pace of its moves.
    pub pace: Pace,
    /// Under whose address it is played.
    pub guise: Guise,
    /// Towards which ports.
    pub targets: Targets,
    /// The moves, in turn.
    pub moves: Vec<Move>,
    /// All its packets leave from one port.
    pub keeps_port: bool,
}

/// Moves per second, over a phase.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind", deny_unknown_fields)]
pub enum Pace {
    /// Evenly apart.
    Even {
        /// Moves per second.
        rate: f64,
    },
    /// Exponentially apart.
    Drawn {
        /// Mean moves per second.
        rate: f64,
    },
    /// Ever faster or slower, by a constant factor a second.
    Ramp {
        /// Moves per second at the beginning.
        from: f64,
        /// Moves per second at the end.
        to: f64,
    },
    /// Many at once, then nothing.
    Bursts {
        /// Moves of a burst, a tenth of a millisecond apart.
        size: u32,
        /// Seconds from one burst to the next.
        every: f64,
    },
}

/// Source addresses of a phase.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind", deny_unknown_fields)]
pub enum Guise {
    /// Addresses of the attacker's own, in turn: up to 60 of a /26, or any number of a /64.
    Own {
        /// Number of addresses.
        addresses: u16,
    },
    /// Another forged address for each move.
    Forged,
    /// So many forged addresses in turn.
    Few {
        /// Number of addresses.
        addresses: u16,
    },
    /// The address of one benign client.
    Client,
    /// The same and the ports of a connection that it has open: guessed, its numbers are not.
    Connection,
    /// Each move under the own address and under so many forged ones at once.
    Decoys {
        /// Number of forged addresses.
        count: u16,
        /// Each asks for another of the ports, as if they were not of one scan.
        #[serde(default)]
        apart: bool,
    },
}

/// Ports that a phase's moves go to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind", deny_unknown_fields)]
pub enum Targets {
    /// One port that is listened on.
    Listening,
    /// This port, be it open or not.
    Port {
        /// Its number.
        port: u16,
    },
    /// One port that is closed.
    Closed,
    /// So many ports from a random one on, over and over.
    Many {
        /// Number of ports.
        count: u16,
    },
}

macro_rules! moves {
    ($($(#[doc = $doc:literal])+ $name:ident,)+) => {
        /// What an attacker does at a time.
        #[derive(
            Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
        )]
        #[serde(rename_all = "snake_case")]
        pub enum Move {
            $($(#[doc = $doc])+ $name,)+
        }

        impl Move {
            /// All moves.
            pub const ALL: &[Self] = &[$(Self::$name,)+];
        }
    };
}

moves! {
    /// A SYN.
    Syn,
    /// A SYN-ACK that nobody asked for.
    SynAck,
    /// An ACK of nothing.
    Ack,
    /// A reset of nothing.
    Reset,
    /// A FIN of nothing.
    Finish,
    /// A segment without flags.
    Null,
    /// A segment with FIN, PSH and URG.
    Xmas,
    /// Payload of no connection.
    Data,
    /// A connection, closed without a word; where the source is forged its ACK is blind.
    Connect,
    /// A connection with a few small questions and answers of equal size.
    Login,
    /// A connection that stays open and idle.
    Hold,
    /// A datagram.
    Datagram,
    /// A datagram from port 53, as if it were an answer.
    FromDns,
    /// An echo request.
    Echo,
    /// An echo reply that nobody asked for.
    EchoReply,
    /// A port-unreachable message about a packet that was never sent.
    Unreachable,
    /// The first fragment of a datagram whose rest does not come.
    FirstFragment,
    /// The last fragment of a datagram whose beginning did not come.
    LastFragment,
    /// A connection that the host opens to an own address, as to fetch what a request names; a SYN
    /// where the source is forged.
    Summons,
    /// A login on whose tuple another SYN comes: whose packets are these? A SYN and a blind ACK where
    /// the source is forged or the port closed.
    Doubled,
}

impl Strategy {
    /// The strategy of a seed, within a capture of this length.
    #[must_use]
    pub fn draw(seed: u64, duration: Duration) -> Self {
        let seconds = duration.as_secs_f64();
        let mut draw = Draw::new(seed, STREAM);
        let start = start(&mut draw, seconds * 0.4);
        let mut phases = Vec::new();
        if draw.chance(0.5) {
            phases.push(preparation(&mut draw, start));
        }
        let assaults = draw.between(1, 3);
        for nth in 0..assaults {
            let begins = if nth == 0 { start } else { self::start(&mut draw, seconds * 0.7) };
            phases.push(assault(&mut draw, begins, seconds));
        }
        if draw.chance(0.3) {
            phases.push(cover(&mut draw, start, seconds - start));
        }
        Self { seed, phases }
    }

    /// Refuses what could not be played.
    pub(super) fn check(&self) -> Result<(), LabError> {
        for (nth, phase) in self.phases.iter().enumerate() {
            phase.check().map_err(|why| LabError::Invalid(format!("phase {}: {why}", nth + 1)))?;
        }
        if self.phases.is_empty() {
            return Err(LabError::Invalid("a strategy needs one phase at least".to_owned()));
        }
        Ok(())
    }
}

/// A start up to so many seconds: amid a window, at its edge, or before the capture.
fn start(draw: &mut Draw, most: f64) -> f64 {
    let at = draw.between(0.0, most.max(1.0));
    match draw.between(0, 9) {
        0 => -draw.between(0.0, 2.0),
        1..=3 => at.floor(),
        _ => at,
    }
}

fn preparation(draw: &mut Draw, before: f64) -> Phase {
    const DISGUISES: [Move; 11] = [
        Move::SynAck,
        Move::Ack,
        Move::Reset,
        Move::Connect,
        Move::Hold,
        Move::Login,
        Move::Datagram,
        Move::FromDns,
        Move::EchoReply,
        Move::Summons,
        Move::Doubled,
    ];
    let length = draw.magnitude(0.05, 20.0);
    Phase {
        start: before - length,
        length,
        pace: Pace::Even { rate: f64::from(draw.about(1, 12)) / length },
        guise: if draw.chance(0.7) { Guise::Own { addresses: 1 } } else { guise(draw) },
        targets: targets(draw),
        moves: vec![draw.pick(&DISGUISES)],
        keeps_port: draw.chance(0.5),
    }
}

fn assault(draw: &mut Draw, start: f64, seconds: f64) -> Phase {
    let length = draw.magnitude(0.2, (seconds - start).max(1.0));
    let moves = (0..draw.between(1, 3)).map(|_| draw.pick(Move::ALL)).collect();
    Phase {
        start,
        length,
        pace: pace(draw),
        guise: guise(draw),
        targets: targets(draw),
        moves,
        keeps_port: draw.chance(0.3),
    }
}

fn cover(draw: &mut Draw, start: f64, length: f64) -> Phase {
    let moves = [Move::Login, Move::Connect, Move::Hold, Move::Echo];
    Phase {
        start,
        length: length.max(1.0),
        pace: Pace::Drawn { rate: draw.magnitude(0.05, 2.0) },
        guise: Guise::Own { addresses: 1 },
        targets: Targets::Listening,
        moves: vec![draw.pick(&moves)],
        keeps_port: false,
    }
}

fn pace(draw: &mut Draw) -> Pace {
    match draw.between(0, 3) {
        0 => Pace::Even { rate: draw.magnitude(0.1, 1_000.0) },
        1 => Pace::Drawn { rate: draw.magnitude(0.1, 1_000.0) },
        2 => Pace::Ramp { from: draw.magnitude(0.2, 20.0), to: draw.magnitude(20.0, 2_000.0) },
        _ => Pace::Bursts { size: draw.about(2, 300), every: draw.magnitude(0.3, 20.0) },
    }
}

fn guise(draw: &mut Draw) -> Guise {
    match draw.between(0, 9) {
        0..=1 => Guise::Own { addresses: 1 },
        2 => Guise::Own { addresses: u16::try_from(draw.about(2, 2_000)).unwrap_or(2) },
        3..=4 => Guise::Forged,
        5..=6 => Guise::Client,
        7 => Guise::Connection,
        8 => Guise::Few { addresses: u16::try_from(draw.about(2, 120)).unwrap_or(2) },
        _ => Guise::Decoys { count: draw.between(1, 12), apart: draw.chance(0.5) },
    }
}

fn targets(draw: &mut Draw) -> Targets {
    match draw.between(0, 2) {
        0 => Targets::Listening,
        1 => Targets::Closed,
        _ => Targets::Many { count: u16::try_from(draw.about(2, 2_000)).unwrap_or(2) },
    }
}

impl Phase {
    fn check(&self) -> Result<(), String> {
        let positive = |name: &str, value: f64| {
            if (1e-6..=1e6).contains(&value) {
                Ok(())
            } else {
                Err(format!("`{name}` must be 0.000001 to 1000000, got {value}"))
            }
        };
        if self.moves.is_empty() {
            return Err("`moves` must name one at least".to_owned());
        }
        if !(-3_600.0..=3_600.0).contains(&self.start) {
            return Err(format!("`start` must be -3600 to 3600, got {}", self.start));
        }
        positive("length", self.length)?;
        match self.pace {
            Pace::Even { rate } | Pace::Drawn { rate } => positive("rate", rate),
            Pace::Ramp { from, to } => positive("from", from).and_then(|()| positive("to", to)),
            Pace::Bursts { every, .. } => positive("every", every),
        }
    }

    /// The times of its moves.
    fn times(&self, draw: &mut Draw) -> Vec<f64> {
        let end = self.start + self.length;
        let (mut at, mut times, mut nth) = (self.start, Vec::new(), 0_u32);
        while at < end && nth < MOST_MOVES {
            times.push(at);
            nth += 1;
            at += match self.pace {
                Pace::Even { rate } => 1.0 / rate,
                Pace::Drawn { rate } => draw.exponential(1.0 / rate),
                Pace::Ramp { from, to } => {
                    let gone = ((at - self.start) / self.length).clamp(0.0, 1.0);
                    1.0 / (from * (to / from).powf(gone))
                }
                Pace::Bursts { size, every } if nth.is_multiple_of(size.max(1)) => every,
                Pace::Bursts { .. } => 1e-4,
            };
        }
        times
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const MINUTE: Duration = Duration::from_mins(1);

    #[test]
    fn a_seed_has_one_strategy_and_a_strategy_outlives_its_text() {
        for seed in 0..100 {
            let strategy = Strategy::draw(seed, MINUTE);
            assert_eq!(strategy, Strategy::draw(seed, MINUTE));
            assert_ne!(strategy.phases, Strategy::draw(seed + 1, MINUTE).phases);
            let text = serde_json::to_string(&strategy).unwrap();
            assert_eq!(serde_json::from_str::<Strategy>(&text).unwrap(), strategy);
        }
    }

    #[test]
    fn what_cannot_be_played_is_refused_with_its_phase_and_bound() {
        let refused = |change: &dyn Fn(&mut Strategy)| {
            let mut strategy = Strategy::draw(1, MINUTE);
            change(&mut strategy);
            strategy.check().unwrap_err().to_string()
        };
        assert_eq!(
            refused(&|strategy| strategy.phases[0].moves.clear()),
            "phase 1: `moves` must name one at least"
        );
        assert_eq!(
            refused(&|strategy| strategy.phases[0].pace = Pace::Even { rate: 0.0 }),
            "phase 1: `rate` must be 0.000001 to 1000000, got 0"
        );
        assert_eq!(
            refused(&|strategy| strategy.phases[0].start = f64::NAN),
            "phase 1: `start` must be -3600 to 3600, got NaN"
        );
        assert_eq!(
            refused(&|strategy| strategy.phases.clear()),
            "a strategy needs one phase at least"
        );
        assert!((0..500).all(|seed| Strategy::draw(seed, MINUTE).check().is_ok()));
    }

    #[test]
    fn every_word_of_the_grammar_is_drawn() {
        let phases: Vec<Phase> =
            (0..300).flat_map(|seed| Strategy::draw(seed, MINUTE).phases).collect();
        let words =
            |of: &dyn Fn(&Phase) -> String| phases.iter().map(of).collect::<BTreeSet<String>>();
        let first = |debug: String| debug.split([' ', '(']).next().unwrap_or_default().to_owned();
        assert_eq!(words(&|phase| first(format!("{:?}", phase.pace))).len(), 4);
        assert_eq!(words(&|phase| first(format!("{:?}", phase.guise))).len(), 6);
        assert_eq!(words(&|phase| first(format!("{:?}", phase.targets))).len(), 3);
        let moves: BTreeSet<Move> =
            phases.iter().flat_map(|phase| phase.moves.iter().copied()).collect();
        assert_eq!(moves.len(), Move::ALL.len());
        let at_an_edge = phases.iter().filter(|phase| phase.start.fract() == 0.0).count();
        assert!((phases.len() / 10..phases.len() / 2).contains(&at_an_edge), "{at_an_edge}");
        assert!(phases.iter().any(|phase| phase.start < 0.0));
    }

    #[test]
    fn a_ramp_grows_and_a_burst_stands_apart() {
        let phase = |pace| Phase {
            start: 3.25,
            length: 10.0,
            pace,
            guise: Guise::Forged,
            targets: Targets::Closed,
            moves: vec![Move::Syn],
            keeps_port: false,
        };
        let mut draw = Draw::new(1, 0);
        let times = phase(Pace::Ramp { from: 1.0, to: 100.0 }).times(&mut draw);
        assert_eq!(times.first(), Some(&3.25));
        let gaps: Vec<f64> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert!(gaps.is_sorted_by(|a, b| a >= b), "{gaps:?}");
        assert!(gaps[gaps.len() - 1] < 0.011, "{gaps:?}");
        let times = phase(Pace::Bursts { size: 3, every: 4.0 }).times(&mut draw);
        assert_eq!(times.len(), 9);
        assert!(times[3] - times[2] > 3.9 && times[2] - times[0] < 0.001);
        let times = phase(Pace::Even { rate: 1e6 }).times(&mut draw);
        assert_eq!(times.len(), MOST_MOVES as usize);
    }
}
