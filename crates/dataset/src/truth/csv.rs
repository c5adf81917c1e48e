//! A truth in CSV.

use std::path::Path;

use csv::{ReaderBuilder, StringRecord, Trim};

use super::entry::RawInterval;
use super::{MAX_INTERVALS, Rest, Truth, TruthError};

pub(super) fn read(path: &Path, text: &str) -> Result<Truth, TruthError> {
    let syntax = |line, reason| TruthError::Syntax { path: path.to_owned(), line, reason };
    let mut reader = ReaderBuilder::new()
        .trim(Trim::All)
        .comment(Some(b'#'))
        .from_reader(text.trim_start_matches('\u{feff}').as_bytes());
    let wrong = |error: csv::Error| {
        let line = error.position().map_or(1, csv::Position::line);
        syntax(line, format!("no CSV of one width: {error}"))
    };
    let headers = reader.headers().map_err(wrong)?.clone();
    check_headers(&headers).map_err(|reason| syntax(1, reason))?;
    let mut intervals = Vec::new();
    for record in reader.records() {
        let record = record.map_err(wrong)?;
        let line = record.position().map_or(1, csv::Position::line);
        let mut raw = RawInterval::default();
        for (column, value) in headers.iter().zip(&record) {
            if let Some(field) = raw.field(column) {
                value.clone_into(field);
            }
        }
        let interval = raw.check().map_err(|refused| TruthError::Value {
            path: path.to_owned(),
            line,
            column: refused.column,
            reason: refused.reason,
        })?;
        if intervals.len() == MAX_INTERVALS {
            return Err(TruthError::Many { path: path.to_owned(), limit: MAX_INTERVALS });
        }
        intervals.push(interval);
    }
    Ok(Truth { intervals, rest: Rest::default() })
}

fn check_headers(headers: &StringRecord) -> Result<(), String> {
    let known = RawInterval::COLUMNS.join(",");
    let mut seen: Vec<&str> = Vec::new();
    for column in headers {
        if !RawInterval::COLUMNS.contains(&column) {
            return Err(format!("unknown column `{column}`, the columns are {known}"));
        }
        if seen.contains(&column) {
            return Err(format!("the column `{column}` stands twice"));
        }
        seen.push(column);
    }
    if seen.contains(&"class") {
        Ok(())
    } else {
        Err(format!("the column `class` is missing, the columns are {known}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Interval;

    fn csv(text: &str) -> Result<Truth, String> {
        read(Path::new("t.csv"), text).map_err(|error| error.to_string())
    }

    #[test]
    fn a_line_is_an_interval_and_what_is_empty_is_open() {
        let truth = csv("class,from,to,remote,local_port,protocol,name\n\
             # the scan at noon\n\
             syn_scan,10,20.5,203.0.113.7 2001:db8::/64,1-1024,tcp,noon\n\
             benign,,,192.0.2.0/24,,,\n")
        .expect("a truth");
        let scan = Interval {
            from_ns: 10_000_000_000,
            to_ns: 20_500_000_000,
            remote: vec!["203.0.113.7/32".parse().unwrap(), "2001:db8::/64".parse().unwrap()],
            local_ports: 1..=1024,
            protocol: Some(6),
            name: Some("noon".to_owned()),
            ..Interval::of_class("syn_scan")
        };
        let benign = Interval {
            remote: vec!["192.0.2.0/24".parse().unwrap()],
            ..Interval::of_class("benign")
        };
        assert_eq!(truth, Truth { intervals: vec![scan, benign], rest: Rest::Unlabelled });
    }

    #[test]
    fn errors_name_line_and_column() {
        for (text, told) in [
            ("from,to\n", "`t.csv`, line 1: the column `class` is missing"),
            ("", "`t.csv`, line 1: the column `class` is missing"),
            ("class,colour\n", "`t.csv`, line 1: unknown column `colour`"),
            ("class,class\n", "`t.csv`, line 1: the column `class` stands twice"),
            ("class,from\nx,1\nx,noon\n", "`t.csv`, line 3, from: `noon` is no time"),
            ("class,remote\nx,203.0.113.300\n", "`t.csv`, line 2, remote: `203.0.113.300` is n"),
            ("class,from\n ,1\n", "`t.csv`, line 2, class: must not be empty"),
            ("class,from\nx,1,2\n", "`t.csv`, line 2: no CSV of one width"),
        ] {
            let error = csv(text).expect_err(text);
            assert!(error.starts_with(told), "{error}");
        }
    }
}
