//! `weir train`: from feature tables to a model file, in passes over tables larger than memory.

mod detector;
pub(super) mod source;

use std::{
    collections::BTreeMap, fmt::Write as _, path::PathBuf, process::ExitCode, time::Instant,
};

use ::model::{Channel, DetectorModel, Detectors, Kind, ModelFile, schema};
use anyhow::Context as _;
use clap::{Args, ValueEnum};
use dataset::{Columns, Dataset, ReadCounts, Selection, TableKind};
use serde::Serialize;
use training::{
    Contamination, Plan, Prior, Report, TimeSplit, TrainingError, TrimBy, told_of_bounds, train,
    train_beside,
};

use self::{
    detector::{Detector, ForestArgs, check_names, choice},
    source::{TableRows, horizons},
};
use super::Layers;

#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub(super) struct TrainArgs {
    /// Parquet files, or folders of them, as `weir capture` and `weir replay` write them.
    #[arg(required = true, value_name = "DATA")]
    data: Vec<PathBuf>,
    /// Where the model goes.
    #[arg(long, short, value_name = "FILE", default_value = "model.weir")]
    out: PathBuf,
    /// Detector fitted to each kind of rows and each horizon.
    #[arg(long, value_enum, default_value = "isolation-forest")]
    detector: Detector,
    #[command(flatten)]
    forest: ForestArgs,
    /// The seed of all randomness.
    #[arg(long, default_value_t = 42)]
    seed: u64,
    /// The share of the time, from its start, that trains; the rest calibrates.
    #[arg(long, value_name = "SHARE", default_value_t = 0.6)]
    split: f64,
    /// Windows on each side of that boundary that do neither: neighbours resemble each other.
    #[arg(long, value_name = "WINDOWS", default_value_t = 0)]
    gap: u32,
    /// First windows of each capture to leave out: in them everything is new.
    #[arg(long, value_name = "WINDOWS", default_value_t = ::model::WARM_UP)]
    warm_up: u64,
    /// Features to read, and no others; commas between them.
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    features: Vec<String>,
    /// Features not to read; commas between them.
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    without: Vec<String>,
    /// Leave out features that never vary in training; tails are then blind to them.
    #[arg(long)]
    drop_constant: bool,
    /// The share of rows that may not be benign: the most anomalous are left out and the
    /// detectors fitted again. p-values are then smaller than they should be by up to as much.
    #[arg(long, value_name = "SHARE")]
    contamination: Option<f64>,
    /// Unit that `--contamination` leaves out of peers; of other rows it is always single ones.
    #[arg(long, value_enum, default_value = "peers")]
    trim_by: Trim,
    /// Only windows that begin at this time (RFC 3339) or later.
    #[arg(long, value_name = "TIME")]
    from: Option<jiff::Timestamp>,
    /// Only windows that begin before this time (RFC 3339).
    #[arg(long, value_name = "TIME")]
    to: Option<jiff::Timestamp>,
    /// Leave out remotes in this prefix; may be given several times.
    #[arg(long, value_name = "PREFIX", value_parser = address_list::parse_net)]
    exclude: Vec<ipnet::IpNet>,
    /// Train on windows that lost flows, too.
    #[arg(long)]
    keep_lossy: bool,
    /// Train and calibrate on rows labelled as attacks, too.
    #[arg(long)]
    keep_attacks: bool,
    /// The time that the model file states (RFC 3339); by default `SOURCE_DATE_EPOCH`, or now.
    #[arg(long, value_name = "TIME")]
    created: Option<jiff::Timestamp>,
    /// Print the report as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Trim {
    /// Single rows, by their score.
    Rows,
    /// All rows of a peer, by their mean score.
    Peers,
}

/// Report of a training run.
#[derive(Serialize)]
struct TrainedTables {
    out: PathBuf,
    digest: String,
    created: String,
    seconds: f64,
    /// Most memory that the process had, in bytes.
    peak_memory_bytes: Option<u64>,
    /// By kind of rows and horizon.
    detectors: BTreeMap<Channel, RowsTold>,
    /// Rows that were too few to fit to, or to calibrate on, and why.
    without: BTreeMap<Channel, String>,
}

#[derive(Serialize)]
struct RowsTold {
    seconds: f64,
    read: ReadCounts,
    report: Report,
}

impl TrainArgs {
    pub(super) fn run(self, _layers: &Layers) -> anyhow::Result<ExitCode> {
        let began = Instant::now();
        let created = self.created()?.to_string();
        let dataset = Dataset::open(&self.data)?;
        for names in [&self.features, &self.without] {
            check_names(names)?;
        }
        dataset.require(TableKind::Peer)?;
        self.require_excluded(&dataset)?;
        let horizons = horizons(&dataset)?;
        let base = Channel::new(Kind::Peer, horizons.window());
        let (mut detectors, mut told) = (Detectors::new(), BTreeMap::new());
        let mut without = BTreeMap::new();
        for kind in Kind::SCORED {
            for &horizon in horizons.all() {
                let channel = Channel::new(kind, horizon);
                match self.fit(&dataset, channel, base)? {
                    Ok((detector, rows)) => {
                        detectors.insert(channel, detector);
                        told.insert(channel, rows);
                    }
                    Err(error) if channel != base && error.is_of_too_few_rows() => {
                        without.insert(channel, error.to_string());
                    }
                    Err(error) => return Err(error).with_context(|| channel.rows()),
                }
            }
        }
        let model = ModelFile::new(detectors, &created)?.of_home(&dataset.homes()?)?;
        model.save(&self.out)?;
        let told = TrainedTables {
            out: self.out,
            digest: model.digest().to_owned(),
            created,
            seconds: began.elapsed().as_secs_f64(),
            peak_memory_bytes: peak_memory(),
            detectors: told,
            without,
        };
        let text =
            if self.json { serde_json::to_string_pretty(&told)? + "\n" } else { told.text() };
        super::emit(&text)?;
        Ok(ExitCode::SUCCESS)
    }

    fn fit(
        &self,
        dataset: &Dataset,
        channel: Channel,
        base: Channel,
    ) -> anyhow::Result<Result<(DetectorModel, RowsTold), TrainingError>> {
        let began = Instant::now();
        let schema = schema::schema_id(channel.kind);
        let trim_by = match (self.trim_by, channel.kind) {
            (Trim::Peers, Kind::Peer) => TrimBy::Peers,
            _ => TrimBy::Rows,
        };
        let plan = Plan {
            split: TimeSplit { share: self.split, gap_windows: self.gap, ..TimeSplit::default() },
            features: choice(&self.features, &self.without, self.drop_constant, &schema),
            contamination: self
                .contamination
                .map(|fraction| Contamination { by: trim_by, ..Contamination::new(fraction) }),
            keep_attacks: self.keep_attacks,
            notes: self.notes(),
            window_ns: dataset.window_ns()?,
            prior: Prior::shipped().rows(channel).cloned(),
            seed: self.seed,
            ..Plan::new(self.detector.method(&self.forest, self.seed)?)
        };
        let selection = Selection { horizon: Some(channel.horizon), ..self.selection()? };
        let rows = TableRows::new(dataset, channel.kind.into(), &selection);
        let fit = if channel == base { train } else { train_beside };
        let trained = match fit(&rows, &schema, &plan) {
            Ok(trained) => trained,
            Err(error) => return Ok(Err(error)),
        };
        let told = RowsTold {
            seconds: began.elapsed().as_secs_f64(),
            read: rows.read_counts(),
            report: trained.report,
        };
        Ok(Ok((trained.detector, told)))
    }

    /// A prefix to leave out that no row is of is a slip.
    fn require_excluded(&self, dataset: &Dataset) -> anyhow::Result<()> {
        for prefix in &self.exclude {
            let only_prefixes = vec![*prefix];
            let of_it =
                Selection { only_prefixes, columns: Columns::Identity, ..Selection::default() };
            let mut blocks = dataset.blocks(TableKind::Peer, &of_it);
            let first = blocks.find(|block| block.as_ref().map_or(true, |block| !block.is_empty()));
            first.with_context(|| format!("--exclude {prefix}: no row is of a remote in it"))??;
        }
        Ok(())
    }

    fn selection(&self) -> anyhow::Result<Selection> {
        Ok(Selection {
            from_ns: self.from.map(nanoseconds).transpose()?,
            to_ns: self.to.map(nanoseconds).transpose()?,
            exclude_prefixes: self.exclude.clone(),
            skip_lossy: !self.keep_lossy,
            skip_first_windows: self.warm_up,
            ..Selection::default()
        })
    }

    /// The selection in words, for the model file.
    fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        if self.warm_up > 0 {
            notes.push(format!("the first {} windows of each capture left out", self.warm_up));
        }
        if self.keep_lossy {
            notes.push("windows that lost flows are in".to_owned());
        }
        if self.keep_attacks {
            notes.push("rows labelled as attacks are in".to_owned());
        }
        notes.extend(self.from.map(|from| format!("only windows from {from}")));
        notes.extend(self.to.map(|to| format!("only windows before {to}")));
        notes.extend(self.exclude.iter().map(|prefix| format!("no rows of {prefix}")));
        notes
    }

    fn created(&self) -> anyhow::Result<jiff::Timestamp> {
        const EPOCH: &str = "SOURCE_DATE_EPOCH";
        match (self.created, std::env::var(EPOCH)) {
            (Some(created), _) => Ok(created),
            (None, Ok(epoch)) => epoch
                .parse()
                .ok()
                .and_then(|seconds| jiff::Timestamp::from_second(seconds).ok())
                .with_context(|| format!("{EPOCH} must be seconds since 1970, got `{epoch}`")),
            (None, Err(_)) => Ok(jiff::Timestamp::now()),
        }
    }
}

impl TrainedTables {
    fn text(&self) -> String {
        let mut text = String::new();
        for (channel, told) in &self.detectors {
            // A string takes whatever is written.
            let _ = writeln!(text, "{}: {}", channel.rows(), told.report);
            if let Some(left_out) = told.read.left_out() {
                let _ = writeln!(text, "  selection {left_out}");
            }
            let _ = writeln!(text, "  read      {} files, {:.1} s", told.read.files, told.seconds);
        }
        for (channel, why) in &self.without {
            let _ = writeln!(text, "{}: none is measured, {why}", channel.rows());
        }
        let bounds = |(channel, told): (&Channel, &RowsTold)| {
            (channel.kind == Kind::Peer).then(|| (channel.horizon, told.report.bounds.clone()))
        };
        text += &told_of_bounds(&self.detectors.iter().filter_map(bounds).collect::<Vec<_>>());
        let memory = self
            .peak_memory_bytes
            .map(|bytes| format!(", {:.0} MB at most", bytes as f64 / 1e6))
            .unwrap_or_default();
        let out = self.out.display();
        text + &format!(
            "wrote {out} in {:.1} s{memory}; `weir eval` measures it, `weir run --model {out}` \
             scores with it\n",
            self.seconds
        )
    }
}

fn nanoseconds(time: jiff::Timestamp) -> anyhow::Result<i64> {
    i64::try_from(time.as_nanosecond())
        .with_context(|| format!("{time} is too far from 1970: give a time between 1678 and 2262"))
}

/// Most memory that this process had so far (`VmHWM`), in bytes.
fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1_024)
}
