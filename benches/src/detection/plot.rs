//! Drawings of the study: what is found as more is learnt, and by how much may be cried over.

use ::report::{
    colour::{Role, dashes, on_white},
    plot::{Axes, Drawn, drawing},
};
use plotters::prelude::*;

use super::{
    budget::{Measure, View},
    curve::Point,
    folds::{Outcome, found, found_by_either},
};

const SIZE: (u32, u32) = (760, 420);

/// A line of a drawing.
struct Line {
    name: &'static str,
    points: Vec<(f64, f64)>,
}

/// The curve: shares of attacks and of benign remotes, by captures that were learnt from.
#[must_use]
pub fn curve(points: &[Point]) -> String {
    // Steps, not numbers, are evenly spread.
    let line = |name, of: &dyn Fn(&Point) -> (usize, usize)| {
        let share = |point: &Point| match of(point) {
            (_, 0) => 0.0,
            (some, all) => some as f64 / all as f64,
        };
        let points = points.iter().enumerate();
        Line { name, points: points.map(|(place, point)| (place as f64, share(point))).collect() }
    };
    let lines = [
        line("attacks from outside, reported", &|one| (one.reported[1], one.attacks[1])),
        line("attacks from outside, acted on", &|one| (one.acted[1], one.attacks[1])),
        line("benign remotes, reported", &|one| (one.benign[1], one.benign[0])),
        line("benign remotes, blocked", &|one| (one.benign[2], one.benign[0])),
    ];
    let captures = |place: &f64| {
        let is_at = |(at, _): &(usize, &Point)| (*at as f64 - place).abs() < 1e-6;
        let point = points.iter().enumerate().find(is_at);
        point.map_or_else(String::new, |(_, point)| point.captures.to_string())
    };
    let last = points.len().saturating_sub(1).max(1) as f64;
    paint(&lines, "captures of other networks that were learnt from", last, &captures)
}

/// Shares of the attacks that are found, by the share of benign remotes that may ever alarm.
#[must_use]
pub fn budgets(outcomes: &[Outcome]) -> String {
    const STEPS: [f64; 7] = [0.003, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1];
    let all: usize = outcomes.iter().map(|one| one.fold.attacks.len()).sum();
    let line = |name, of: &dyn Fn(f64) -> usize| {
        let share = |budget: f64| of(budget) as f64 / all.max(1) as f64;
        let steps = STEPS.iter().enumerate();
        Line { name, points: steps.map(|(at, budget)| (at as f64, share(*budget))).collect() }
    };
    let (both, peers) = (Measure::Both as usize, View::Peers as usize);
    let by = |measure, view| move |budget| found(outcomes, budget, measure, view);
    let lines = [
        line("peers or the host's side, a budget each", &|budget| {
            found_by_either(outcomes, budget, both)
        }),
        line("peers", &by(both, peers)),
        line("peers, by tails alone", &by(Measure::Tails as usize, peers)),
        line("peers, by the forest alone", &by(Measure::Forest as usize, peers)),
    ];
    let budget = |place: &f64| {
        let is_at = |(at, _): &(usize, &f64)| (*at as f64 - place).abs() < 1e-6;
        let step = STEPS.iter().enumerate().find(is_at);
        step.map_or_else(String::new, |(_, step)| format!("{} %", (step * 1e4).round() / 100.0))
    };
    let last = (STEPS.len() - 1) as f64;
    paint(&lines, "benign remotes that may ever alarm", last, &budget)
}

fn paint(lines: &[Line], x: &str, last: f64, x_text: &dyn Fn(&f64) -> String) -> String {
    let svg = drawing(SIZE, |area| {
        let percent = |share: &f64| format!("{:.0} %", share * 100.0);
        let axes = Axes { x, y: "share", x_labels: 10, x_text, y_text: &percent };
        let mut chart = axes.draw(area, -0.2..last + 0.2, -0.02..1.3)?;
        for (series, line) in lines.iter().enumerate() {
            let style = Role::Series(series).placeholder().stroke_width(2);
            let points = line.points.iter().copied();
            match dashes(series) {
                (_, 0) => chart.draw_series(LineSeries::new(points, style)).map(drop)?,
                (on, off) => {
                    chart.draw_series(DashedLineSeries::new(points, on, off, style)).map(drop)?;
                }
            }
            let dots = line.points.iter();
            chart.draw_series(dots.map(|at| Circle::new(*at, 4, style.filled())))?;
        }
        names(area, lines)
    });
    on_white(&svg)
}

/// The lines' names above them, two in a row.
fn names(area: &::report::plot::Area<'_>, lines: &[Line]) -> Drawn {
    let ink = Role::Ink.placeholder();
    let text = TextStyle::from(("sans-serif", 14).into_font()).color(&ink);
    for (series, line) in (0..).zip(lines) {
        let place = usize::try_from(series).unwrap_or_default();
        let (left, top) = (90 + series % 2 * 330, 22 + series / 2 * 22);
        let style = Role::Series(place).placeholder().filled();
        area.draw(&Circle::new((left, top), 4, style))?;
        area.draw(&Text::new(line.name, (left + 12, top - 7), text.clone()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_curve_is_drawn_with_its_steps_and_the_names_of_its_lines() {
        let at = |captures, acted| Point {
            captures,
            attacks: [20, 10],
            reported: [20, 10],
            acted: [12, acted],
            benign: [100, 5, 0],
            ..Point::default()
        };
        let svg = curve(&[at(0, 8), at(5, 9), at(178, 10)]);
        assert!(svg.starts_with("<svg") && svg.contains("acted on"), "{svg}");
        for step in ["0", "5", "178"] {
            assert!(svg.contains(&format!("\n{step}\n")), "{step}: {svg}");
        }
    }
}
