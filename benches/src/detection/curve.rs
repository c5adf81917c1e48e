//! How detection changes with what was learnt: the lab's day, and ever more networks beside it.

use std::fmt::Write as _;

use super::{
    corpus::Corpus,
    learn::{Lesson, fit, lessons},
    replay::Roots,
    score::{Scored, score},
};

/// Captures that are learnt from beside the lab's day, where there are as many.
const STEPS: [usize; 5] = [0, 5, 20, 60, usize::MAX];

/// Words of the classes of attacks that come from outside and fail, repeat or probe: what is to be
/// acted on.
const ABUSE: [&str; 4] = ["scan", "flood", "sweep", "brute force"];

/// A point of the curve.
#[derive(Clone, Debug)]
pub struct Point {
    /// Captures that were learnt from beside the lab's day.
    pub captures: usize,
    /// Captures of attacks: all of them, and those of abuse.
    attacks: [usize; 2],
    /// Of these, those in which an attacking remote was reported.
    reported: [usize; 2],
    /// Of these, those in which one would have been blocked or limited.
    acted: [usize; 2],
    /// Benign remotes: all, reported, and those that would have been blocked.
    benign: [usize; 3],
}

/// Learns from more and more captures, and scores the same others each time.
///
/// # Errors
/// A capture cannot be read.
pub fn curve(
    corpus: &Corpus,
    roots: &Roots,
    turns: usize,
    mut tell: impl FnMut(&str),
) -> anyhow::Result<Vec<Point>> {
    let (shipped, others): (Vec<Lesson>, Vec<Lesson>) =
        lessons(corpus, roots, turns, &mut tell)?.into_iter().partition(|one| one.shipped);
    let others = mixed(&others);
    let mut points = Vec::new();
    for step in STEPS {
        let step = step.min(others.len());
        let learnt = [&shipped[..], &others[..step]].concat();
        tell(&format!("learning from {} captures", learnt.len()));
        let (model, _) = fit(&learnt)?;
        points.push(point(step, &score(&model, corpus, roots, turns, |_| ())?));
    }
    Ok(points)
}

/// Captures of all groups through each other, two that train before each that calibrates, so that
/// the first few are a sample of all of them.
fn mixed(lessons: &[Lesson]) -> Vec<Lesson> {
    let spread = |place: usize| {
        let its: Vec<&Lesson> = lessons.iter().filter(|one| one.place == place).collect();
        // A stride that shares no factor with the count visits each once.
        let count = its.len();
        let stride = (count * 5 / 8..=count).find(|&stride| gcd(stride, count) == 1).unwrap_or(1);
        (0..count).map(move |number| its[number * stride % count].clone()).collect::<Vec<_>>()
    };
    let mut trains = spread(0).into_iter();
    let mut calibrates = spread(1).into_iter();
    let mut order = Vec::with_capacity(lessons.len());
    while order.len() < lessons.len() {
        order.extend(trains.by_ref().take(2));
        order.extend(calibrates.next());
    }
    order
}

const fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

fn point(captures: usize, scored: &[Scored]) -> Point {
    let attacks: Vec<&Scored> = scored.iter().filter(|one| one.is_attack).collect();
    let abuse: Vec<&Scored> = attacks
        .iter()
        .copied()
        .filter(|one| ABUSE.iter().any(|word| one.group.contains(word)))
        .collect();
    let count = |which: fn(&Scored) -> bool| {
        [&attacks, &abuse].map(|some| some.iter().filter(|one| which(one)).count())
    };
    let benign = scored.iter().filter(|one| !one.is_attack).fold([0; 3], |sum, one| {
        let all = one.remotes();
        [sum[0] + all, sum[1] + one.acted.reported[0], sum[2] + one.acted.blocked[0]]
    });
    Point {
        captures,
        attacks: count(|_| true),
        reported: count(|one| one.acted.reported[1] > 0),
        acted: count(|one| one.acted.blocked[1] > 0),
        benign,
    }
}

/// The curve, as Markdown.
#[must_use]
pub fn table(points: &[Point]) -> String {
    let mut text = String::from(
        "| captures beside the lab\'s day | attacks reported | of them scans, floods and guessing \
         | acted on | of them scans, floods and guessing | benign remotes | reported | would be \
         blocked |\n|---|---|---|---|---|---|---|---|\n",
    );
    for point in points {
        let of =
            |found: [usize; 2], kind: usize| format!("{} of {}", found[kind], point.attacks[kind]);
        let [all, reported, blocked] = point.benign;
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} | {all} | {reported} | {blocked} |",
            point.captures,
            of(point.reported, 0),
            of(point.reported, 1),
            of(point.acted, 0),
            of(point.acted, 1),
        );
    }
    text
}
