//! Parts of a page: the frame, a figure, points on two axes, and lanes over time.
//!
//! A page made of them needs nothing else: no script, no request, light and dark.

use std::{collections::BTreeMap, fmt::Write as _};

use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::colour::rules;

/// The page's own layout; colours come from [`rules`].
const STYLE: &str = include_str!("style.css");

/// The content policy of a page: nothing but its own style.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'";

/// A point of a [`scatter`](crate::plot::scatter).
#[derive(Clone, Debug, PartialEq)]
pub struct Dot {
    /// Across.
    pub x: f64,
    /// Up.
    pub y: f64,
    /// Value, a word or number beside it.
    pub number: usize,
    /// It stands out.
    pub marked: bool,
}

/// The axes of a [`scatter`](crate::plot::scatter).
#[derive(Clone, Copy)]
pub struct Axis<'a> {
    /// Name.
    pub name: &'a str,
    /// Text of its numbers.
    pub text: &'a dyn Fn(&f64) -> String,
    /// The largest value that must fit, at least.
    pub least_top: f64,
}

impl std::fmt::Debug for Axis<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Axis").field("name", &self.name).finish_non_exhaustive()
    }
}

/// A span of a lane, from and to in the same unit as the others.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Span {
    /// Its start.
    pub from: f64,
    /// Its end.
    pub to: f64,
}

/// Something that goes on beside others over time.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Lane {
    /// Name.
    pub name: String,
    /// True of an attack's.
    pub attack: bool,
    /// Pale spans behind.
    pub behind: Vec<Span>,
    /// Strong spans in front.
    pub front: Vec<Span>,
}

/// A whole page around its body; the title is escaped.
#[must_use]
pub fn page(title: &str, extent: &Markup, body: &Markup) -> String {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                title { (title) }
                style { (PreEscaped(STYLE)) (PreEscaped(rules())) }
            }
            body {
                header { h1 { (title) } (extent) }
                main { (body) }
            }
        }
    };
    page.into_string()
}

/// Points that share a place, to a grain on each axis, are one dot: their numbers as people write
/// them, `1–3, 7`. It lies where the first of them does, or the one that is marked.
#[must_use]
pub fn gathered(dots: &[Dot], grain: (f64, f64)) -> Vec<(f64, f64, bool, String)> {
    let mut places: BTreeMap<(u64, u64), (Dot, Vec<usize>)> = BTreeMap::new();
    for dot in dots {
        let key = (cell(dot.x, grain.0), cell(dot.y, grain.1));
        let (shown, numbers) = places.entry(key).or_insert_with(|| (dot.clone(), Vec::new()));
        if dot.marked {
            *shown = dot.clone();
        }
        numbers.push(dot.number);
    }
    let places = places.into_values();
    places.map(|(dot, numbers)| (dot.x, dot.y, dot.marked, ranges(numbers))).collect()
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a place on an axis that begins at 0"
)]
fn cell(value: f64, grain: f64) -> u64 {
    (value / grain).round() as u64
}

fn ranges(mut numbers: Vec<usize>) -> String {
    numbers.sort_unstable();
    let mut parts: Vec<(usize, usize)> = Vec::new();
    for number in numbers {
        match parts.last_mut() {
            Some((_, last)) if *last + 1 >= number => *last = number,
            _ => parts.push((number, number)),
        }
    }
    let mut text = String::new();
    for (place, (first, last)) in parts.iter().enumerate() {
        if place == 4 {
            text.push_str(", …");
            break;
        }
        let gap = if place > 0 { ", " } else { "" };
        let _ = match last - first {
            0 => write!(text, "{gap}{first}"),
            1 => write!(text, "{gap}{first}, {last}"),
            _ => write!(text, "{gap}{first}–{last}"),
        };
    }
    text
}

const LANE_HEIGHT: f64 = 22.0;
const NAMES_WIDTH: f64 = 250.0;
const LANES_WIDTH: f64 = 1_140.0;

/// Lanes over seconds from 0 to `until_s`; names are escaped.
#[must_use]
pub fn lanes(lanes: &[Lane], until_s: f64) -> String {
    let room = LANES_WIDTH - NAMES_WIDTH - 30.0;
    let until_s = until_s.max(f64::MIN_POSITIVE);
    let across = |second: f64| NAMES_WIDTH + room * (second / until_s).clamp(0.0, 1.0);
    let bottom = LANE_HEIGHT * lanes.len() as f64 + 8.0;
    let bar = |place: usize, span: &Span, inset: f64, colour: &str, opacity: &str| {
        let (from, to) = (across(span.from), across(span.to));
        let top = LANE_HEIGHT * place as f64 + 4.0 + inset;
        html! {
            rect x=(px(from)) y=(px(top)) width=(px((to - from).max(1.5)))
                height=(px(LANE_HEIGHT - 2.0 * inset)) rx="2" opacity=(opacity)
                style={ "fill:var(" (colour) ")" } {}
        }
    };
    let text = |x: f64, y: f64, anchor: &str, words: &str| {
        html! {
            text x=(px(x)) y=(px(y)) text-anchor=(anchor) font-size="13"
                font-family="sans-serif" style="fill:var(--ink)" { (words) }
        }
    };
    let svg = html! {
        svg viewBox={ "0 0 " (px(LANES_WIDTH)) " " (px(bottom + 44.0)) }
            xmlns="http://www.w3.org/2000/svg" {
            @for tick in ticks(until_s) {
                line x1=(px(across(tick))) x2=(px(across(tick))) y1="4" y2=(px(bottom))
                    style="stroke:var(--grid)" {}
                (text(across(tick), bottom + 17.0, "middle", &crate::text::number(tick)))
            }
            @for (place, lane) in lanes.iter().enumerate() {
                (text(NAMES_WIDTH - 10.0, LANE_HEIGHT * place as f64 + 20.0, "end", &lane.name))
                @let colour = if lane.attack { "--attack" } else { "--benign" };
                @for span in &lane.behind { (bar(place, span, 2.0, colour, "0.22")) }
                @for span in &lane.front { (bar(place, span, 6.0, colour, "1")) }
            }
            line x1=(px(NAMES_WIDTH)) x2=(px(NAMES_WIDTH + room)) y1=(px(bottom)) y2=(px(bottom))
                style="stroke:var(--ink)" {}
            (text(NAMES_WIDTH + room / 2.0, bottom + 37.0, "middle", "seconds from the start"))
        }
    };
    svg.into_string()
}

/// A coordinate, to a tenth.
fn px(value: f64) -> String {
    format!("{value:.1}")
}

/// Round numbers from 0 on, ten or so.
fn ticks(until: f64) -> impl Iterator<Item = f64> {
    let rough = until / 8.0;
    let decade = 10.0_f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].map(|times| times * decade);
    let step = step.into_iter().find(|step| *step >= rough).unwrap_or(until);
    (0_u32..=10).map(move |count| f64::from(count) * step).take_while(move |tick| *tick <= until)
}

/// A drawing with its title above and how to read it below; the drawing is taken as it is.
#[must_use]
pub fn figure(title: &str, svg: &str, caption: &str) -> Markup {
    html! {
        figure role="group" aria-label=(title) {
            h4 { (title) }
            div role="img" aria-label={ (title) ". " (caption) } { (PreEscaped(svg)) }
            figcaption { (caption) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dot(x: f64, y: f64, number: usize) -> Dot {
        Dot { x, y, number, marked: number == 2 }
    }

    #[test]
    fn dots_that_share_a_place_are_one() {
        let dots = [1, 2, 3, 5, 7, 8].map(|number| dot(0.0, 0.5, number));
        let more = [dot(1.0, 0.5, 4), dot(0.004, 0.501, 9)];
        let gathered = gathered(&[&dots[..], &more].concat(), (0.01, 0.01));
        assert_eq!(
            gathered,
            [(0.0, 0.5, true, "1–3, 5, 7–9".to_owned()), (1.0, 0.5, false, "4".to_owned())]
        );
    }

    #[test]
    fn ticks_are_round_and_not_too_many() {
        assert_eq!(ticks(68.0).collect::<Vec<_>>(), [0.0, 10.0, 20.0, 30.0, 40.0, 50.0, 60.0]);
        assert_eq!(ticks(0.5).count(), 6);
    }

    #[test]
    fn names_from_outside_are_escaped() {
        let lane = Lane { name: "<script>".to_owned(), ..Lane::default() };
        let svg = lanes(&[lane], 1.0);
        assert!(!svg.contains("<script") && svg.contains("&lt;script"), "{svg}");
        assert!(!page("<b>", &html! {}, &html! {}).contains("<b>"));
    }
}
