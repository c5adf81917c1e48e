//! A strategy made smaller as long as it still does what it was found for.

use lab::{Guise, Pace, Strategy, Targets};

/// The most strategies tried.
const MOST_TRIES: usize = 80;

/// The smallest strategy found that still fails, by one step after the other.
pub(super) fn smallest(strategy: &Strategy, fails: impl Fn(&Strategy) -> bool) -> Strategy {
    let mut small = strategy.clone();
    let mut tries = 0;
    while let Some(smaller) = steps(&small).into_iter().find(|one| {
        tries += 1;
        tries <= MOST_TRIES && *one != small && fails(one)
    }) {
        small = smaller;
    }
    small
}

/// Strategies that are smaller by a step, the largest steps first.
fn steps(strategy: &Strategy) -> Vec<Strategy> {
    let mut steps = Vec::new();
    if strategy.phases.len() > 1 {
        for nth in 0..strategy.phases.len() {
            let mut fewer = strategy.clone();
            fewer.phases.remove(nth);
            steps.push(fewer);
        }
    }
    for (nth, phase) in strategy.phases.iter().enumerate() {
        let mut push = |change: &dyn Fn(&mut lab::Phase)| {
            let mut other = strategy.clone();
            change(&mut other.phases[nth]);
            steps.push(other);
        };
        if phase.moves.len() > 1 {
            for place in 0..phase.moves.len() {
                push(&|phase| _ = phase.moves.remove(place));
            }
        }
        if phase.length > 0.5 {
            push(&|phase| phase.length /= 2.0);
        }
        push(&|phase| phase.pace = slower(phase.pace));
        push(&|phase| phase.guise = plainer(phase.guise));
        if let Targets::Many { count } = phase.targets {
            push(&|phase| phase.targets = Targets::Many { count: (count / 2).max(2) });
        }
        push(&|phase| phase.keeps_port = false);
        push(&|phase| phase.start = phase.start.floor());
    }
    steps
}

fn slower(pace: Pace) -> Pace {
    match pace {
        Pace::Even { rate } if rate > 1.0 => Pace::Even { rate: (rate / 2.0).floor().max(1.0) },
        Pace::Drawn { rate } => Pace::Even { rate: rate.ceil() },
        Pace::Ramp { to, .. } => Pace::Even { rate: to.ceil() },
        Pace::Bursts { size, every } if size > 1 => Pace::Bursts { size: size / 2, every },
        other => other,
    }
}

fn plainer(guise: Guise) -> Guise {
    match guise {
        Guise::Own { addresses } if addresses > 1 => Guise::Own { addresses: addresses / 2 },
        Guise::Few { addresses } if addresses > 1 => Guise::Few { addresses: addresses / 2 },
        Guise::Decoys { count, apart } if count > 1 => Guise::Decoys { count: count / 2, apart },
        other => other,
    }
}
