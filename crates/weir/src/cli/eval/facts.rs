//! Identity of an evaluation: data, software, command.

use std::path::PathBuf;

use dataset::{Dataset, ReadCounts, TableKind};
use evaluation::Fact;
use report::text::count;

use crate::cli::reading::Level;

/// Paths in one line.
pub(super) fn paths(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
}

/// Facts of the data that was read.
pub(super) fn of_data(
    data: &[PathBuf],
    dataset: &Dataset,
    level: Level,
    digest: String,
) -> Vec<Fact> {
    let files: Vec<&dataset::DataFile> = dataset.files(level.table()).collect();
    let bytes: u64 = files.iter().map(|file| file.bytes).sum();
    vec![
        Fact::new("data", paths(data)),
        Fact::new(
            "files",
            format!(
                "{} of {} bytes with {} rows",
                files.len(),
                count(bytes),
                count(files.iter().map(|file| file.rows).sum())
            ),
        ),
        Fact::new("SHA-256 of the evaluated rows", digest),
        Fact::new("scored", format!("--table {}", level.name())),
        Fact::new("software", concat!("weir ", env!("CARGO_PKG_VERSION"))),
    ]
}

/// Caveats about the data.
pub(super) fn notes(dataset: &Dataset, read: &ReadCounts, skips_lossy: bool) -> Vec<String> {
    let sums = dataset.sums();
    let mut notes = Vec::new();
    if dataset.files(TableKind::Window).next().is_none() {
        notes
            .push("There is no window table, so nobody knows which windows lost flows.".to_owned());
    }
    if sums.lossy_windows > 0 {
        let consequence = if skips_lossy { "they were left out" } else { "they are in" };
        notes.push(format!(
            "{} of {} windows lost flows, {consequence}.",
            count(sums.lossy_windows),
            count(sums.windows)
        ));
    }
    if read.files_without_windows > 0 {
        notes.push(format!(
            "{} files have no window table beside them, so that none of their windows could be \
             left out.",
            count(read.files_without_windows)
        ));
    }
    notes
}

/// The command as it was typed, quoted for a shell.
pub(super) fn command() -> String {
    let words = std::env::args_os().enumerate().map(|(index, word)| {
        let word = word.to_string_lossy().into_owned();
        if index == 0 { "weir".to_owned() } else { quoted(&word) }
    });
    words.collect::<Vec<_>>().join(" ")
}

fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@%+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_can_be_pasted_back() {
        assert_eq!(quoted("a/b.parquet"), "a/b.parquet");
        assert_eq!(quoted("my data"), "'my data'");
        assert_eq!(quoted("it's"), r"'it'\''s'");
        assert_eq!(quoted(""), "''");
    }
}
