//! How detection changes with what was learnt: the lab's day, and ever more captures beside it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

use serde::Serialize;
use training::Prior;

use super::{
    Tell,
    capture::Capture,
    corpus::{Fold, Use, hash},
    each,
    learn::Lessons,
    score::Run,
};

/// Captures that are learnt from beside the lab's day, where there are as many.
pub const STEPS: [usize; 5] = [0, 5, 20, 60, 178];

/// A point of the curve: counts of all attacks, and of those that come from outside and probe, flood or
/// repeat.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Point {
    /// Captures that were learnt from beside the lab's day.
    pub captures: usize,
    /// Attacks.
    pub attacks: [usize; 2],
    /// Those of which a remote was reported.
    pub reported: [usize; 2],
    /// Those of which one would have been blocked or limited.
    pub acted: [usize; 2],
    /// Benign remotes: all, reported, and those that would have been blocked.
    pub benign: [usize; 3],
    /// The latter, and how each stood out.
    pub wrong: Vec<String>,
    /// What became of the attacks from outside, by name: acted on where nothing is told.
    pub fates: BTreeMap<String, Option<String>>,
}

/// Learns from more and more captures of a fold, and runs what it tests each time.
///
/// # Errors
/// There are too few rows to learn from.
pub fn curve(
    captures: &[Capture],
    fold: usize,
    steps: &[usize],
    tell: Tell<'_>,
) -> anyhow::Result<Vec<Point>> {
    let usage = |one: &&Capture| one.fold.usage(&one.name, fold);
    let always = captures.iter().filter(|one| one.fold == Fold::Learnt);
    let mut others: Vec<&Capture> =
        captures.iter().filter(|one| one.fold != Fold::Learnt && usage(one) != Use::Test).collect();
    // Each step holds the one before it, and is a sample of all.
    others.sort_by_key(|one| hash(&one.name));
    let tested: Vec<&Capture> = captures.iter().filter(|one| usage(one) == Use::Test).collect();
    each(steps, |&step| {
        let step = step.min(others.len());
        tell(&format!("the curve: {step} captures beside the lab's day"));
        let mut lessons = Lessons::default();
        always.clone().for_each(|one| lessons.take(one, Use::Train));
        others[..step].iter().for_each(|one| lessons.take(one, usage(one)));
        point(&lessons, step, &tested)
    })
}

fn point(lessons: &Lessons, captures: usize, tested: &[&Capture]) -> anyhow::Result<Point> {
    let model = lessons.fit(Prior::shipped())?;
    let mut point = Point { captures, ..Point::default() };
    for capture in tested {
        let run = Run::of(&model, &capture.windows)?;
        if capture.attacks.is_empty() {
            for (remote, one) in run.benign(capture) {
                point.benign[0] += 1;
                point.benign[1] += usize::from(one.reported.is_some());
                point.benign[2] += usize::from(one.acted.is_some());
                if one.acted.is_some() {
                    point.wrong.push(format!("{remote} in {}: {}", capture.name, one.story));
                }
            }
        }
        for attack in &capture.attacks {
            let fate = run.fate(attack);
            for place in 0..=usize::from(attack.is_abuse()) {
                point.attacks[place] += 1;
                point.reported[place] += usize::from(fate.reported);
                point.acted[place] += usize::from(fate.acted);
            }
            if attack.is_abuse() {
                let why_not = (!fate.acted).then(|| run.why_not(attack));
                point.fates.insert(attack.name.clone(), why_not);
            }
        }
    }
    Ok(point)
}

/// The curve, as Markdown.
#[must_use]
pub fn table(points: &[Point]) -> String {
    let mut text = String::from(
        "| captures beside the lab\'s day | attacks reported | of them from outside: scans, floods, \
         guessing | acted on | of them from outside | benign remotes | reported | would be blocked \
         |\n|---|---|---|---|---|---|---|---|\n",
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
    for point in points {
        for one in &point.wrong {
            let _ = write!(text, "\n- blocked with {}: {one}", point.captures);
        }
    }
    for name in points.iter().flat_map(|point| point.fates.keys()).collect::<BTreeSet<_>>() {
        let told = |point: &Point| Some((point.captures, point.fates.get(name)?.clone()?));
        let missed: Vec<_> = points.iter().filter_map(told).collect();
        for (captures, why) in missed {
            let _ = write!(text, "\n- `{name}` with {captures}: {why}");
        }
    }
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use std::{path::Path, time::Duration};

    use super::*;
    use crate::detection::made;

    #[test]
    fn with_more_learning_every_attack_is_still_found_and_nobody_else_blocked() {
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../training-data");
        let lab = |name, fold| {
            let capture = Capture::of_lab(&shipped, name).expect("it is shipped");
            Capture { fold, ..capture.expect("it has rows") }
        };
        let mut captures = vec![
            lab("benign-train", Fold::Learnt),
            lab("benign-test", Fold::Tested),
            lab("mixed", Fold::Tested),
        ];
        // Others' networks, learnt from in the second fold.
        let others =
            (0..8).map(|seed| made::calm(6_000 + seed, Duration::from_mins(2), Fold::First));
        captures.extend(others.map(|one| one.expect("it can be made")));
        let points = curve(&captures, 1, &[0, 2, 8], &|_| ()).expect("enough to learn from");
        println!("{}", table(&points));
        let abuse = points[0].attacks[1];
        assert!(abuse >= 12, "{abuse} attacks from outside");
        for point in &points {
            assert_eq!(point.reported[1], abuse, "{point:?}");
            assert!(point.acted[1] + 1 >= abuse, "{point:?}");
            assert!(point.benign[1] <= 2 && point.benign[2] == 0, "{point:?}");
        }
    }
}
