//! Numbers as a person reads them, and plain tables for a terminal.

use std::fmt::Write as _;

/// A count with its thousands set apart: `1,234,567`.
#[must_use]
pub fn count(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A share as a percentage that never rounds up to all nor down to none: `99.98 %`, `0.02 %`.
#[must_use]
pub fn percent(share: f64) -> String {
    let value = share * 100.0;
    if value <= 0.0 || value >= 100.0 {
        return format!("{value:.0} %");
    }
    let from_end = value.min(100.0 - value);
    let decimals = if from_end >= 0.1 {
        1
    } else if from_end >= 0.01 {
        2
    } else {
        3
    };
    let text = format!("{value:.decimals$} %");
    match text.as_str() {
        "0.000 %" => "<0.001 %".to_owned(),
        "100.000 %" => ">99.999 %".to_owned(),
        _ => text,
    }
}

/// A rate of false alarms: `1 in 1,000`.
#[must_use]
pub fn rate_text(rate: f64) -> String {
    if rate <= 0.0 {
        return "none".to_owned();
    }
    let one_in = (1.0 / rate).round();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "positive; beyond u64 it saturates"
    )]
    let one_in = one_in as u64;
    format!("1 in {}", count(one_in))
}

/// A time to wait: `0.5 s`, `90 s`, `12 min`, `3.5 h`.
#[must_use]
pub fn delay_text(seconds: f64) -> String {
    match seconds {
        s if s < 9.95 => format!("{s:.1} s"),
        s if s < 120.0 => format!("{s:.0} s"),
        s if s < 7_200.0 => format!("{:.0} min", s / 60.0),
        s => format!("{:.1} h", s / 3_600.0),
    }
}

/// A number between 0 and 1 to four digits, or a dash for none.
#[must_use]
pub fn area(value: Option<f64>) -> String {
    value.map_or_else(dash, |value| {
        // A value below one must not be shown as one.
        if (0.999_95..1.0).contains(&value) { ">0.9999".to_owned() } else { format!("{value:.4}") }
    })
}

/// Placeholder for a number that could not be measured.
#[must_use]
pub fn dash() -> String {
    "–".to_owned()
}

/// A number to three digits behind the point or so, without idle zeros.
#[must_use]
pub fn number(value: f64) -> String {
    let decimals = match value.abs() {
        0.0 => 0,
        size if !(1e-4..1e6).contains(&size) => return format!("{value:.1e}"),
        size if size >= 100.0 => 0,
        size if size >= 0.01 => 3,
        _ => 5,
    };
    let text = format!("{value:.decimals$}");
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}

/// A number with as many digits as a person reads.
#[must_use]
pub fn short_number(value: f32) -> String {
    match value.abs() {
        0.0 => "0".to_owned(),
        size if size >= 1e6 => format!("{value:.2e}"),
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 1.0 => format!("{value:.1}"),
        size if size >= 1e-3 => format!("{value:.3}"),
        _ => format!("{value:.0e}"),
    }
}

/// An error and its causes, from [`std::error::Error::source`] to source, in one line. Many errors
/// name their cause in their own text; such a cause is not said twice.
#[must_use]
pub fn one_line<'a>(
    chain: impl IntoIterator<Item = &'a (dyn std::error::Error + 'static)>,
) -> String {
    let mut line = String::new();
    for cause in chain.into_iter().map(ToString::to_string) {
        if line.is_empty() {
            line = cause;
        } else if !line.contains(&cause) {
            line = format!("{line}: {cause}");
        }
    }
    line
}

/// A count with its noun, in the plural unless it is one: `1 peer`, `2,000 peers`.
#[must_use]
pub fn counted(value: u64, noun: &str) -> String {
    format!("{} {noun}{}", count(value), if value == 1 { "" } else { "s" })
}

/// Text from outside, on one line and without control characters: a name must not be able to paint
/// on a terminal.
#[must_use]
pub fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// Lays rows out in columns, the first row as the head; numbers are right-aligned.
#[must_use]
pub fn columns(rows: &[Vec<String>]) -> String {
    let n_columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let cells = |column: usize| rows.iter().filter_map(move |row| row.get(column));
    let widths: Vec<usize> = (0..n_columns)
        .map(|column| cells(column).map(|cell| cell.chars().count()).max().unwrap_or(0))
        .collect();
    let numeric: Vec<bool> =
        (0..n_columns).map(|column| cells(column).skip(1).all(|cell| is_numeric(cell))).collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (column, cell) in row.iter().enumerate() {
            let pad = widths[column].saturating_sub(cell.chars().count());
            let (left, right) = if numeric[column] { (pad, 0) } else { (0, pad) };
            let _ = write!(line, "{:left$}{cell}{:right$}  ", "", "");
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// A number, perhaps with a unit, or a dash for none; no address.
fn is_numeric(cell: &str) -> bool {
    let first = |c: char| c.is_ascii_digit() || "<>–-".contains(c);
    cell.is_empty()
        || cell.starts_with(first) && !cell.contains(':') && cell.matches('.').count() < 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_set_apart() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(count), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!(rate_text(1e-3), "1 in 1,000");
        assert_eq!(counted(1, "peer") + ", " + &counted(1_200, "peer"), "1 peer, 1,200 peers");
    }

    #[test]
    fn numbers_have_no_idle_zeros() {
        let values = [0.0, 72.0, 0.01, 1e-4, 0.672_41, 1234.5, 3e-7, 2.5e9];
        let texts = ["0", "72", "0.01", "0.0001", "0.672", "1234", "3.0e-7", "2.5e9"];
        assert_eq!(values.map(number), texts);
    }

    #[test]
    fn nothing_rounds_to_all_or_none() {
        let shares = [0.0, 1.0, 0.5, 0.9999, 0.0002, 0.999_999_99, 1e-9];
        let texts = ["0 %", "100 %", "50.0 %", "99.99 %", "0.02 %", ">99.999 %", "<0.001 %"];
        assert_eq!(shares.map(percent), texts);
        assert_eq!(area(Some(0.99999)), ">0.9999");
        assert_eq!(area(Some(1.0)), "1.0000");
        assert_eq!(area(None), "–");
    }

    #[test]
    fn a_name_cannot_paint_on_the_terminal() {
        assert_eq!(plain("a\u{1b}[31mb\nc"), "a\u{fffd}[31mb\u{fffd}c");
    }

    #[test]
    fn columns_align_and_numbers_stand_to_the_right() {
        let rows = [["peer", "packets"], ["192.0.2.1", "7"], ["::1", "1234"]]
            .map(|row| row.map(str::to_owned).to_vec());
        assert_eq!(columns(&rows), "peer       packets\n192.0.2.1        7\n::1           1234\n");
    }

    #[test]
    fn a_cause_that_an_error_names_itself_is_not_said_twice() {
        #[derive(Debug, thiserror::Error)]
        #[error("{0}")]
        struct Told(&'static str, #[source] std::io::Error);

        for text in ["cannot read x: disk on fire", "cannot read x"] {
            let error = Told(text, std::io::Error::other("disk on fire"));
            let chain = std::iter::successors(Some(&error as &dyn std::error::Error), |error| {
                error.source()
            });
            assert_eq!(one_line(chain), "cannot read x: disk on fire");
        }
    }
}
