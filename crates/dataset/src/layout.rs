//! Places and names of files.

use std::path::{Path, PathBuf};

use jiff::Timestamp;

use crate::TableKind;

/// End of a finished file's name.
const FINISHED: &str = ".parquet";
/// End of an unfinished file's name, which begins with a dot.
const UNFINISHED: &str = ".parquet.part";

/// Files that may begin at the same nanosecond in one folder, by as many runs.
pub(crate) const NAMESAKES: u32 = 10_000;

const HOUR_NS: i64 = 3_600_000_000_000;

/// The hour of unix time that an instant lies in.
pub(crate) const fn hour_of(time_ns: i64) -> i64 {
    time_ns.div_euclid(HOUR_NS)
}

/// The folder of a table's rows of an instant.
pub(crate) fn folder(root: &Path, table: TableKind, time_ns: i64) -> PathBuf {
    let time = timestamp(time_ns);
    root.join(table.name())
        .join(time.strftime("date=%Y-%m-%d").to_string())
        .join(time.strftime("hour=%H").to_string())
}

/// The name of files that begin at an instant, without its end; the `number` tells apart those
/// that begin at the same one. Names of equal numbers of digits sort by time.
pub(crate) fn stem(time_ns: i64, number: u32) -> String {
    let subsecond = time_ns.rem_euclid(1_000_000_000);
    let second = timestamp(time_ns - subsecond).strftime("%Y%m%dT%H%M%S");
    format!("{second}.{subsecond:09}Z-{number}")
}

/// Place of a finished file.
pub(crate) fn finished(folder: &Path, stem: &str) -> PathBuf {
    folder.join(format!("{stem}{FINISHED}"))
}

/// Place of a file while it is being written: beside the finished one, so that it can be renamed,
/// and hidden, so that no search for tables finds it.
pub(crate) fn unfinished(finished: &Path) -> PathBuf {
    let name = finished.file_name().unwrap_or_default().to_string_lossy();
    finished.with_file_name(format!(".{name}.part"))
}

/// The finished file's path of an unfinished one's; none where it is not named like one.
pub(crate) fn to_be(unfinished: &Path) -> Option<PathBuf> {
    let name = unfinished.file_name()?.to_str()?;
    let stem = name.strip_prefix('.')?.strip_suffix(UNFINISHED)?;
    Some(unfinished.with_file_name(format!("{stem}{FINISHED}")))
}

/// True of a file that is named like a finished table: no hidden file is.
pub(crate) fn is_table(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.ends_with(FINISHED) && !name.starts_with('.')
}

/// The folder of tables of whole flows.
pub(crate) const CONNECTION: &str = "connection";

/// True of a file in a folder of tables of whole flows.
pub(crate) fn is_connection(path: &Path) -> bool {
    path.parent().and_then(Path::file_name).is_some_and(|name| name == CONNECTION)
}

/// The path of the file in another table that was written together with this one: the innermost
/// folder of this table's name is exchanged. None where no folder is called so.
pub(crate) fn sibling(path: &Path, from: TableKind, to: TableKind) -> Option<PathBuf> {
    let parts: Vec<_> = path.components().collect();
    let at = parts.iter().rposition(|part| part.as_os_str() == from.name())?;
    let mut sibling: PathBuf = parts[..at].iter().collect();
    sibling.push(to.name());
    sibling.extend(&parts[at + 1..]);
    Some(sibling)
}

fn timestamp(time_ns: i64) -> Timestamp {
    Timestamp::from_nanosecond(time_ns.into()).expect("64 bits of nanoseconds end in 2262")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-22T21:59:59.000000007Z.
    const TIME: i64 = 1_795_384_799_000_000_007;

    #[test]
    fn a_file_lies_in_the_hour_of_its_first_window() {
        let folder = folder(Path::new("d"), TableKind::Flow, TIME);
        assert_eq!(folder, Path::new("d/flow/date=2026-11-22/hour=21"));
        assert_eq!(stem(TIME, 3), "20261122T215959.000000007Z-3");
        assert_eq!(hour_of(TIME) + 1, hour_of(TIME + 1_000_000_000));
        assert_eq!(stem(-1, 0), "19691231T235959.999999999Z-0");
    }

    #[test]
    fn an_unfinished_file_is_hidden_and_knows_what_it_will_be() {
        let file = finished(Path::new("d/flow"), "x");
        let part = unfinished(&file);
        assert_eq!(part, Path::new("d/flow/.x.parquet.part"));
        assert_eq!(to_be(&part), Some(file.clone()));
        assert_eq!(to_be(&file), None);
        assert!(is_table(&file) && !is_table(&part) && !is_table(Path::new("d/.x.parquet")));
    }

    #[test]
    fn tables_written_together_find_each_other() {
        let flow = Path::new("/flow/d/flow/date=2026-11-22/hour=21/x.parquet");
        let window = sibling(flow, TableKind::Flow, TableKind::Window);
        assert_eq!(
            window.as_deref(),
            Some(Path::new("/flow/d/window/date=2026-11-22/hour=21/x.parquet"))
        );
        assert_eq!(sibling(Path::new("x.parquet"), TableKind::Flow, TableKind::Peer), None);
    }
}
