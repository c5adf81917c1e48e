//! The table a person reads, and the JSON a machine does.

use std::fmt::Write as _;

use serde::Serialize;

use crate::{
    machine::Machine,
    measurement::{Measurement, Met, Outcome, Reach, Unit},
    statistics::Spread,
};

/// Version of the JSON form; it changes when a key changes its meaning or goes.
pub const FORMAT: u32 = 1;

/// The measurements of one section.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SectionReport {
    /// The section's name, as `--only` takes it.
    pub section: &'static str,
    /// Duration in seconds, set-up included.
    pub seconds: f64,
    /// Its rows.
    pub measurements: Vec<Measurement>,
}

/// Everything that one run measured.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// [`FORMAT`].
    pub format: u32,
    /// Beginning of the run, RFC 3339.
    pub started: String,
    /// Sizes and rounds were cut down.
    pub quick: bool,
    /// Machine that it ran on.
    pub machine: Machine,
    /// Section by section.
    pub sections: Vec<SectionReport>,
}

impl Report {
    /// True where something was tried and did not work.
    #[must_use]
    pub fn has_failures(&self) -> bool {
        self.measurements().any(|row| matches!(row.outcome, Outcome::Failed { .. }))
    }

    /// Number of rows that came out as `met`.
    #[must_use]
    pub fn count(&self, met: Met) -> usize {
        self.measurements().filter(|row| row.met() == met).count()
    }

    /// All rows.
    pub fn measurements(&self) -> impl Iterator<Item = &Measurement> {
        self.sections.iter().flat_map(|section| &section.measurements)
    }

    /// The JSON form.
    ///
    /// # Panics
    /// Never: every key is a string.
    #[must_use]
    pub fn json(&self) -> String {
        serde_json::to_string_pretty(self).expect("plain data") + "\n"
    }

    /// The table, with the machine above it and the notes below.
    #[must_use]
    pub fn table(&self) -> String {
        let mut notes = Vec::new();
        let mut rows = vec![Row::head()];
        for section in &self.sections {
            rows.push(Row::section(section));
            rows.extend(section.measurements.iter().map(|one| Row::of(one, &mut notes)));
        }
        let mut text = format!("{}\n", self.machine.describe());
        if self.quick {
            text.push_str("quick: fewer rounds and smaller sizes; not for quoting\n");
        }
        text.push('\n');
        text.push_str(&Row::lay_out(&rows));
        if !notes.is_empty() {
            text.push('\n');
        }
        for (number, note) in (1..).zip(&notes) {
            let _ = writeln!(text, "[{number}] {note}");
        }
        let _ = writeln!(
            text,
            "\n{} met, {} missed, {} without a bound, {} not measured",
            self.count(Met::Yes),
            self.count(Met::No),
            self.count(Met::NotAsked),
            self.count(Met::NotMeasured),
        );
        text
    }
}

const COLUMNS: usize = 4;

/// A line of the table.
struct Row {
    cells: [String; COLUMNS],
    /// It spans all columns: its first cell does not widen them.
    spans: bool,
}

impl Row {
    fn head() -> Self {
        Self { cells: ["what", "measured", "reach", "met?"].map(str::to_owned), spans: false }
    }

    fn section(section: &SectionReport) -> Self {
        let mut cells: [String; COLUMNS] = Default::default();
        cells[0] = format!("{} ({:.0} s)", section.section, section.seconds);
        Self { cells, spans: true }
    }

    fn of(measurement: &Measurement, notes: &mut Vec<String>) -> Self {
        let mark = if measurement.note.is_empty() {
            String::new()
        } else {
            let known = notes.iter().position(|note| *note == measurement.note);
            let place = known.unwrap_or_else(|| {
                notes.push(measurement.note.clone());
                notes.len() - 1
            });
            format!(" [{}]", place + 1)
        };
        let (measured, unit) = match &measurement.outcome {
            Outcome::Measured { spread, unit } => (measured(spread, *unit), Some(*unit)),
            Outcome::Skipped { why } => (format!("skipped: {why}"), None),
            Outcome::Failed { error } => (format!("failed: {error}"), None),
        };
        let met = match measurement.met() {
            Met::Yes => "yes",
            Met::No => "NO",
            Met::NotAsked | Met::NotMeasured => "",
        };
        let reach = match (measurement.reach, unit) {
            (None, _) => String::new(),
            (Some(Reach::AtMost(bound)), unit) => format!("≤ {}", bare(bound, unit)),
            (Some(Reach::AtLeast(bound)), unit) => format!("≥ {}", bare(bound, unit)),
        };
        let spans = unit.is_none();
        Self {
            cells: [format!("  {}{mark}", measurement.what), measured, reach, met.to_owned()],
            spans,
        }
    }

    fn lay_out(rows: &[Self]) -> String {
        let mut widths = [0; COLUMNS];
        for row in rows {
            for (column, (width, cell)) in widths.iter_mut().zip(&row.cells).enumerate() {
                // A reason for skipping may run on; only what it is about has a column.
                if !row.spans || (column == 0 && !row.cells[1].is_empty()) {
                    *width = (*width).max(cell.chars().count());
                }
            }
        }
        let mut text = String::new();
        for row in rows {
            let mut line = String::new();
            for (width, cell) in widths.iter().zip(&row.cells) {
                let _ = write!(line, "{cell:width$}  ");
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }
}

/// The median, and the ends where there are several samples.
fn measured(spread: &Spread, unit: Unit) -> String {
    let median = number(spread.median, unit);
    if spread.samples == 1 {
        return median;
    }
    // The ends are in the median's unit, which then need not be repeated.
    let (scale, _) = scale_of(spread.median, unit);
    format!("{median} ({} to {})", digits(spread.min / scale), digits(spread.max / scale))
}

/// A bound, in the unit of what was measured where that is known.
fn bare(bound: f64, unit: Option<Unit>) -> String {
    unit.map_or_else(|| bound.to_string(), |unit| number(bound, unit))
}

/// A number as a person reads it, three digits or more.
#[must_use]
pub fn number(value: f64, unit: Unit) -> String {
    let (scale, name) = scale_of(value, unit);
    format!("{} {name}", digits(value / scale))
}

/// Divisor that makes a number easy to read, and the unit that it then has.
fn scale_of(value: f64, unit: Unit) -> (f64, &'static str) {
    let rate = |names: [&'static str; 3]| match value {
        large if large >= 1e6 => (1e6, names[2]),
        medium if medium >= 1e3 => (1e3, names[1]),
        _ => (1.0, names[0]),
    };
    match unit {
        Unit::NanosecondsPerPacket => (1.0, "ns"),
        Unit::RowsPerSecond => rate(["rows/s", "k rows/s", "M rows/s"]),
        Unit::FlowsPerSecond => rate(["flows/s", "k flows/s", "M flows/s"]),
        Unit::PacketsPerSecond => rate(["packets/s", "k packets/s", "M packets/s"]),
        Unit::Seconds if value < 1.0 => (1e-3, "ms"),
        Unit::Seconds => (1.0, "s"),
        Unit::Bytes => (1e6, "MB"),
        Unit::Instructions => (1.0, "instructions"),
        Unit::Ratio => (1.0, "×"),
    }
}

/// Three significant digits, more before the point where there are more; no zeros at the end.
fn digits(value: f64) -> String {
    let decimals = match value.abs() {
        large if large >= 99.95 => 0,
        medium if medium >= 9.995 => 1,
        small if small >= 0.9995 || small == 0.0 => 2,
        _ => 3,
    };
    let text = format!("{value:.decimals$}");
    if decimals == 0 {
        return text;
    }
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(measurements: Vec<Measurement>) -> Report {
        Report {
            format: FORMAT,
            started: "2026-01-02T03:04:05Z".to_owned(),
            quick: false,
            machine: Machine {
                cpu: "a CPU".to_owned(),
                cpus: 2,
                kernel: "6.12".to_owned(),
                load: Some(0.5),
            },
            sections: vec![SectionReport { section: "scoring", seconds: 1.0, measurements }],
        }
    }

    #[test]
    fn numbers_have_three_digits_and_a_unit() {
        for (value, unit, text) in [
            (87.46, Unit::NanosecondsPerPacket, "87.5 ns"),
            (4_120_000.0, Unit::RowsPerSecond, "4.12 M rows/s"),
            (240_000.0, Unit::RowsPerSecond, "240 k rows/s"),
            (0.0213, Unit::Seconds, "21.3 ms"),
            (0.25, Unit::Seconds, "250 ms"),
            (61.2, Unit::Seconds, "61.2 s"),
            (72e6, Unit::Bytes, "72 MB"),
            (1234.0, Unit::Ratio, "1234 ×"),
            (0.0512, Unit::Ratio, "0.051 ×"),
            (15.0, Unit::Ratio, "15 ×"),
            (0.0, Unit::Ratio, "0 ×"),
        ] {
            assert_eq!(number(value, unit), text);
        }
    }

    #[test]
    fn a_row_shows_the_median_the_ends_the_reach_and_whether_it_is_met() {
        let spread = Spread { min: 15.0, median: 16.0, max: 20.0, samples: 5 };
        let table = report(vec![
            Measurement::of("faster than them", Unit::Ratio, spread).reach(Reach::AtLeast(15.0)),
            Measurement::of("size", Unit::Bytes, Spread::once(2e6)).note("once"),
            Measurement::skipped("as root", "needs root: run it with sudo"),
        ])
        .table();
        let expected = "\
a CPU × 2, kernel 6.12, load 0.50 at the start

what                measured            reach   met?
scoring (1 s)
  faster than them  16 × (15 to 20)     ≥ 15 ×  yes
  size [1]          2 MB
  as root           skipped: needs root: run it with sudo

[1] once

1 met, 0 missed, 1 without a bound, 1 not measured
";
        let squeeze = |text: &str| text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n");
        let widths = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(widths(&squeeze(&table)), widths(&squeeze(expected)));
    }

    #[test]
    fn a_missed_bound_is_counted_and_shouted() {
        let report = report(vec![
            Measurement::of("slow", Unit::Seconds, Spread::once(2.0)).reach(Reach::AtMost(1.0)),
        ]);
        assert_eq!(report.count(Met::No), 1);
        assert!(report.table().contains("NO"));
        assert!(!report.has_failures());
    }

    #[test]
    fn the_same_note_is_told_once() {
        let row =
            |what: &str| Measurement::of(what, Unit::Seconds, Spread::once(1.0)).note("one thread");
        let table = report(vec![row("a"), row("b")]).table();
        assert_eq!(table.matches("one thread").count(), 1);
        assert_eq!(table.matches("[1]").count(), 3);
    }

    #[test]
    fn the_json_form_names_what_a_machine_compares() {
        let spread = Spread { min: 1.0, median: 2.0, max: 3.0, samples: 3 };
        let json = report(vec![
            Measurement::of("a", Unit::Ratio, spread).reach(Reach::AtMost(2.5)),
            Measurement::skipped("b", "why"),
        ])
        .json();
        let value: serde_json::Value = serde_json::from_str(&json).unwrap();
        let rows = &value["sections"][0]["measurements"];
        assert_eq!(rows[0]["measured"]["spread"]["median"], 2.0);
        assert_eq!(rows[0]["measured"]["unit"], "ratio");
        assert_eq!(rows[0]["reach"]["at_most"], 2.5);
        assert_eq!(rows[0]["met"], "yes");
        assert_eq!(rows[1]["skipped"]["why"], "why");
        assert_eq!(value["format"], FORMAT);
    }
}
