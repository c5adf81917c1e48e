//! Plain tables for a terminal.

use std::fmt::Write as _;

/// Lays rows out in columns, the first row as the head; numbers are right-aligned.
pub(crate) fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max()
    };
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
    let numeric: Vec<bool> = (0..columns)
        .map(|column| {
            rows.iter().skip(1).filter_map(|row| row.get(column)).all(|cell| is_numeric(cell))
        })
        .collect();
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

/// A number, perhaps with a unit; no address.
fn is_numeric(cell: &str) -> bool {
    let digit_first = cell.starts_with(|first: char| first.is_ascii_digit());
    cell.is_empty() || digit_first && !cell.contains(':') && cell.matches('.').count() < 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_align_and_numbers_stand_to_the_right() {
        let rows = [["peer", "packets"], ["192.0.2.1", "7"], ["::1", "1234"]]
            .map(|row| row.map(str::to_owned).to_vec());
        assert_eq!(table(&rows), "peer       packets\n192.0.2.1        7\n::1           1234\n");
    }
}
