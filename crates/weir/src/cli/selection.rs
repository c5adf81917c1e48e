//! Which rows of feature tables a command takes.

use clap::Args;
use dataset::{LabelFilter, Selection};
use ipnet::IpNet;

/// Flags that choose rows.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Rows")]
pub(super) struct SelectionArgs {
    /// Only windows that begin at this time or later: RFC 3339, or `2026-03-01 09:00`, or a date;
    /// UTC unless it says otherwise.
    #[arg(long, value_name = "TIME", value_parser = instant)]
    from: Option<i64>,
    /// Only windows that begin before this time.
    #[arg(long, value_name = "TIME", value_parser = instant)]
    to: Option<i64>,
    /// Leave out remote addresses in this prefix; may be given several times.
    #[arg(long, value_name = "PREFIX", value_parser = address_list::parse_net)]
    exclude: Vec<IpNet>,
    /// Take only remote addresses in this prefix; may be given several times.
    #[arg(long, value_name = "PREFIX", value_parser = address_list::parse_net)]
    only: Vec<IpNet>,
    /// Take only rows of these labels, with commas between them: `benign`, or an attack's class.
    #[arg(long, value_name = "LABELS", value_delimiter = ',')]
    labels: Vec<String>,
    /// Leave out windows that lost flows.
    #[arg(long)]
    skip_lossy: bool,
    /// Leave out so many first windows of each capture, in which everything is new.
    #[arg(long, value_name = "WINDOWS", default_value_t = 0)]
    skip_first: u64,
}

impl SelectionArgs {
    /// The selection.
    ///
    /// # Errors
    /// The time range is empty.
    pub(super) fn resolve(&self) -> anyhow::Result<Selection> {
        if let (Some(from), Some(to)) = (self.from, self.to)
            && from >= to
        {
            anyhow::bail!("--from must be before --to: the range holds no window");
        }
        let labels = if self.labels.is_empty() {
            LabelFilter::Any
        } else {
            LabelFilter::Classes(self.labels.iter().cloned().collect())
        };
        Ok(Selection {
            from_ns: self.from,
            to_ns: self.to,
            labels,
            exclude_prefixes: self.exclude.clone(),
            only_prefixes: self.only.clone(),
            skip_lossy: self.skip_lossy,
            skip_first_windows: self.skip_first,
            ..Selection::default()
        })
    }
}

/// A time as unix nanoseconds.
pub(super) fn instant(text: &str) -> Result<i64, String> {
    let parsed = text.parse::<jiff::Timestamp>().or_else(|_| {
        let civil = text.parse::<jiff::civil::DateTime>()?;
        Ok::<_, jiff::Error>(civil.to_zoned(jiff::tz::TimeZone::UTC)?.timestamp())
    });
    parsed.ok().and_then(|time| i64::try_from(time.as_nanosecond()).ok()).ok_or_else(|| {
        format!("`{text}` is no time like 2026-03-01T09:00:00Z, `2026-03-01 09:00` or 2026-03-01")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_people_write_them() {
        let nine = 1_772_355_600_000_000_000;
        for text in ["2026-03-01T09:00:00Z", "2026-03-01 09:00", "2026-03-01T10:00:00+01:00"] {
            assert_eq!(instant(text), Ok(nine), "{text}");
        }
        assert_eq!(instant("2026-03-01"), Ok(nine - 9 * 3_600 * 1_000_000_000));
        assert!(instant("yesterday").unwrap_err().starts_with("`yesterday` is no time like"));
    }

    #[test]
    fn an_empty_range_is_refused() {
        let args = SelectionArgs { from: Some(2), to: Some(2), ..SelectionArgs::default() };
        assert!(args.resolve().unwrap_err().to_string().contains("--from must be before --to"));
    }
}
