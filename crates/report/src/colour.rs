//! Colours: by role in the drawings, by scheme on the page.

use std::fmt::Write as _;

use plotters::style::RGBColor;

/// Role of a colour. Drawings carry a placeholder for each role; the page's style gives it a light
/// and a dark colour, so that one drawing is readable on both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Text and axes.
    Ink,
    /// The lines of the grid.
    Grid,
    /// Benign traffic.
    Benign,
    /// Attack traffic.
    Attack,
    /// The lines of several detectors, in their order.
    Series(usize),
}

/// Colours of series, after Okabe and Ito's palette, which the colour-blind can tell apart;
/// light scheme, dark scheme.
const SERIES: [(&str, &str); 6] = [
    ("#0072b2", "#56b4e9"),
    ("#d55e00", "#ff9a52"),
    ("#007a59", "#3ddbaa"),
    ("#a8497f", "#eaa3cb"),
    ("#8a6d00", "#f0e442"),
    ("#57606a", "#aab4be"),
];

/// Dashes that go with them, for those who see no colour at all: on, off, in pixels.
const DASHES: [(i32, i32); 6] = [(1, 0), (8, 4), (2, 3), (14, 4), (5, 2), (3, 6)];

impl Role {
    fn all() -> impl Iterator<Item = Self> {
        let fixed = [Self::Ink, Self::Grid, Self::Benign, Self::Attack];
        fixed.into_iter().chain((0..SERIES.len()).map(Self::Series))
    }

    /// The placeholder that drawings carry.
    #[must_use]
    pub fn placeholder(self) -> RGBColor {
        let code = match self {
            Self::Ink => 1,
            Self::Grid => 2,
            Self::Benign => 3,
            Self::Attack => 4,
            #[expect(clippy::cast_possible_truncation, reason = "six series")]
            Self::Series(index) => 10 + (index % SERIES.len()) as u8,
        };
        RGBColor(1, 2, code)
    }

    /// The name of the style variable.
    #[must_use]
    pub fn variable(self) -> String {
        match self {
            Self::Ink => "--ink".to_owned(),
            Self::Grid => "--grid".to_owned(),
            Self::Benign => "--benign".to_owned(),
            Self::Attack => "--attack".to_owned(),
            Self::Series(index) => format!("--series-{}", index % SERIES.len()),
        }
    }

    fn colours(self) -> (&'static str, &'static str) {
        match self {
            Self::Ink => ("#1b1f24", "#e6edf3"),
            Self::Grid => ("#d4dae0", "#363d46"),
            Self::Benign => SERIES[0],
            Self::Attack => SERIES[1],
            Self::Series(index) => SERIES[index % SERIES.len()],
        }
    }
}

/// The dashes of a series.
#[must_use]
pub fn dashes(series: usize) -> (i32, i32) {
    DASHES[series % DASHES.len()]
}

/// Style rules that turn placeholders into the scheme's colours.
#[must_use]
pub fn rules() -> String {
    let variables = |pick: fn((&'static str, &'static str)) -> &'static str| {
        Role::all().fold(String::new(), |mut text, role| {
            let _ = write!(text, "{}:{};", role.variable(), pick(role.colours()));
            text
        })
    };
    let mut rules = format!(
        ":root{{{}}}@media (prefers-color-scheme:dark){{:root{{{}}}}}",
        variables(|(light, _)| light),
        variables(|(_, dark)| dark)
    );
    for role in Role::all() {
        let (code, variable) = (code(role), role.variable());
        let _ = write!(
            rules,
            "svg [fill=\"{code}\"]{{fill:var({variable})}}svg \
             [stroke=\"{code}\"]{{stroke:var({variable})}}"
        );
    }
    rules
}

/// A drawing that stands alone, on white: with the light scheme's colours in the place of the
/// placeholders.
#[must_use]
pub fn on_white(svg: &str) -> String {
    let begin = svg.find('>').map_or(0, |at| at + 1);
    let (head, rest) = svg.split_at(begin);
    let mut drawn = format!(r##"{head}<rect width="100%" height="100%" fill="#ffffff"/>{rest}"##);
    for role in Role::all() {
        drawn = drawn.replace(&code(role), role.colours().0);
    }
    drawn
}

/// The placeholder of a role as a drawing spells it.
fn code(role: Role) -> String {
    let RGBColor(red, green, blue) = role.placeholder();
    format!("#{red:02X}{green:02X}{blue:02X}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drawing_on_white_has_colours_of_its_own() {
        let svg = format!("<svg><text fill=\"{}\"/></svg>", code(Role::Series(1)));
        let drawn = on_white(&svg);
        assert!(drawn.starts_with("<svg><rect ") && drawn.contains(SERIES[1].0), "{drawn}");
        assert!(!drawn.contains(&code(Role::Series(1))));
    }

    #[test]
    fn each_role_has_a_placeholder_of_its_own() {
        let mut seen: Vec<RGBColor> = Role::all().map(Role::placeholder).collect();
        let all = seen.len();
        seen.sort_by_key(|colour| colour.2);
        seen.dedup();
        assert_eq!(seen.len(), all);
    }
}
