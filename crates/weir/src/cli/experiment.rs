//! `weir experiment`: what each of many settings would block, and whom that would hurt.

mod captures;
mod inputs;
mod tables;
mod truth;

use std::{
    collections::BTreeSet,
    fs::File,
    io::BufReader,
    num::NonZero,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context as _;
use clap::Args;
use dataset::{Dataset, Truth};
use engine::Detector;
use flows_common::clock::nanos;
use model::{Context, HomeNets};
use policy::ProtectedHosts;

use super::{
    IN_PART, Layers, NOTHING,
    captures::{Looked, expand},
    emit, end_with,
    label::RestChoice,
};
use collector::protected::read_allow_files;
use experiment::{
    Report,
    grid::{Grid, Setting},
    report::{Input, Origin, Source},
    run_all,
    shadow::Record,
    stream::Stream,
};
use inputs::input;
use truth::TruthFiles;

/// Threads that try settings at most.
const THREADS_LIMIT: usize = 256;

#[derive(Debug, Args)]
pub(super) struct ExperimentArgs {
    /// Captures, as `weir replay` takes them, merged by time; or feature tables, files and folders
    /// as `weir capture` and `weir replay --out` write them.
    #[arg(value_name = "DATA", required_unless_present = "shadow")]
    data: Vec<PathBuf>,
    /// The model to score with.
    #[arg(long, short, value_name = "FILE")]
    model: Option<PathBuf>,
    /// Ground truth: CSV, TOML, or the lab's `.truth.json`, as `weir label` takes them. Tables that
    /// are labelled need none.
    #[arg(long, value_name = "FILE")]
    truth: Vec<PathBuf>,
    /// Offset added to the truth's clock to give the data's, such as 500ms or -2s.
    #[arg(long, value_name = "DURATION", default_value = "0s", value_parser = super::label::offset, allow_hyphen_values = true)]
    offset: i64,
    /// Label of peers that no truth covers; without it, as the truth says, else unlabelled.
    #[arg(long, value_enum)]
    rest: Option<RestChoice>,
    /// Local prefix in a capture; may be given several times. Private addresses without it.
    #[arg(long, value_name = "PREFIX", value_parser = address_list::parse_net)]
    home_net: Vec<ipnet::IpNet>,
    /// Length of a capture's windows, 100ms to 60s.
    #[arg(long, value_name = "DURATION")]
    window: Option<humantime::Duration>,
    /// The settings: a TOML file with a table `[policy]`, whose values go over the configuration,
    /// and a table `[grid]` with a list of values for each key that is varied; `expert.act_surprise` is
    /// that of `[policy.expert]`.
    #[arg(long, value_name = "FILE")]
    grid: Option<PathBuf>,
    /// Vary a key of `[policy]`, such as `policy.expert.act_surprise=3,5,7`; may be given several
    /// times, and goes before the grid's file. Without any, `expert.act_surprise` and `expert.windows`
    /// are varied.
    #[arg(long, value_name = "KEY=VALUES")]
    set: Vec<String>,
    /// The seed of what the policy draws by lot, over `policy.expert.seed`; part of the report.
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(i64).range(0..))]
    seed: Option<i64>,
    /// Threads that try settings; as many as there are processors if not given. The report is the
    /// same with any number.
    #[arg(long, value_name = "NUMBER")]
    threads: Option<NonZero<usize>>,
    /// Make the report of a node's own record instead, which `weir run --events FILE` wrote: what
    /// its entries counted, in shadow mode or enforcing.
    #[arg(long, value_name = "EVENTS", conflicts_with_all = ["data", "model", "home_net", "window", "grid", "set", "seed", "threads"])]
    shadow: Option<PathBuf>,
    /// Print the report as a JSON object.
    #[arg(long)]
    json: bool,
    /// Write the report as one HTML page too.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

impl ExperimentArgs {
    pub(super) fn run(self, layers: &Layers) -> anyhow::Result<ExitCode> {
        let (report, end) = match &self.shadow {
            Some(events) => (self.of_record(events)?, End::default()),
            None => self.of_data(layers)?,
        };
        if let Some(path) = &self.html {
            std::fs::write(path, report.to_html())
                .with_context(|| format!("cannot write `{}`", path.display()))?;
        }
        emit(&if self.json { report.to_json() } else { report.to_text() })?;
        Ok(end.code())
    }

    fn of_data(&self, layers: &Layers) -> anyhow::Result<(Report, End)> {
        let mut raw = layers.raw()?;
        if let Some(window) = self.window {
            raw.capture.window = window.into();
        }
        if let Some(model) = &self.model {
            raw.model.path = Some(model.clone());
        }
        let mut grid = Grid::around(&raw.policy);
        let blocks = raw.tables.blocks;
        let config = raw.check()?;
        self.read_grid(&mut grid)?;
        // What is wrong with a setting is told before hours of reading.
        let settings = grid.settings(blocks)?;
        let truth = TruthFiles::read(&self.truth, self.rest, self.offset)?;
        let model_path = config.require_model()?;
        let dataset =
            if tables::are_tables(&self.data)? { Some(Dataset::open(&self.data)?) } else { None };
        let (window_ns, homes) = match &dataset {
            Some(dataset) => (dataset.window_ns()?, dataset.homes()?),
            None => {
                (Some(nanos(config.window)), vec![HomeNets::new(self.home_net.iter().copied())])
            }
        };
        let model = super::load_model_of(model_path, window_ns, &homes)?;
        let (digest, basis) = (model.digest().to_owned(), engine::basis(&model));
        let protected: Vec<ProtectedHosts> =
            settings.iter().map(protected).collect::<Result<_, _>>()?;

        let mut inputs = vec![input("model", model_path)?];
        let mut stream = Stream::default();
        let mut end = End::default();
        let (source, labelled) = if let Some(dataset) = &dataset {
            let stream = &mut stream;
            let labelled = tables::read(dataset, &self.data, model, &truth, stream, &mut inputs)?;
            (Source::Tables, labelled)
        } else {
            let looked = Looked::at(expand(&self.data)?, &self.home_net, false)?;
            let options = super::capture_options(&config);
            let detector = Detector::new(model, Context::of_windows(config.window), config.window)
                .with_ipv6_hosts(ipv6_hosts(&settings)?);
            end.lost =
                captures::read(&looked, options, detector, &truth, &mut stream, &mut inputs)?;
            (Source::Captures, false)
        };
        stream.require_rows()?;
        inputs.extend(self.side_inputs()?);
        let policy = |at: usize| {
            let protected: &ProtectedHosts = &protected[at];
            settings[at].policy(protected.clone()).calibrated(&basis)
        };
        let effects = run_all(&stream, settings.len(), policy, self.threads());
        let origin = Origin {
            source,
            inputs,
            model_sha256: Some(digest),
            seed: settings.first().map(|setting| setting.config.expert.seed),
            has_truth: truth.is_given() || labelled,
        };
        let mut report = Report::of(origin, &stream, &grid, &settings, &effects);
        let seen: BTreeSet<&str> = stream.attacks().iter().map(|one| one.name.as_str()).collect();
        let unmatched = truth.attacks().into_iter().filter(|name| !seen.contains(name));
        end.unmatched = unmatched.map(str::to_owned).collect();
        end.matched = seen.len();
        report.caveats.extend(end.notes());
        Ok((report, end))
    }

    fn read_grid(&self, grid: &mut Grid) -> anyhow::Result<()> {
        if let Some(path) = &self.grid {
            let text = std::fs::read_to_string(path)
                .with_context(|| format!("cannot read the grid `{}`", path.display()))?;
            grid.read(&text).with_context(|| format!("`{}`", path.display()))?;
        }
        for set in &self.set {
            grid.set(set)?;
        }
        if self.grid.is_none() {
            grid.or_default();
        }
        if let Some(seed) = self.seed {
            grid.seed(seed);
        }
        Ok(())
    }

    /// The files beside the data.
    fn side_inputs(&self) -> anyhow::Result<Vec<Input>> {
        let truth = self.truth.iter().map(|path| input("truth", path));
        let grid = self.grid.iter().map(|path| input("grid", path));
        truth.chain(grid).collect()
    }

    fn threads(&self) -> usize {
        let all = self.threads.or_else(|| std::thread::available_parallelism().ok());
        all.map_or(1, NonZero::get).min(THREADS_LIMIT)
    }

    fn of_record(&self, events: &Path) -> anyhow::Result<Report> {
        let truth: Option<Truth> = match &self.truth[..] {
            [] => None,
            // The record's clock is the boot clock.
            files => Some(truth::on_boot_clock(files, self.rest)?),
        };
        let file = File::open(events)
            .with_context(|| format!("cannot read the record `{}`", events.display()))?;
        let record = Record::read(BufReader::new(file))
            .with_context(|| format!("`{}`", events.display()))?;
        let mut inputs = vec![input("events", events)?];
        inputs.extend(self.side_inputs()?);
        let origin = Origin {
            source: Source::NodeRecord,
            inputs,
            model_sha256: None,
            seed: None,
            has_truth: truth.is_some(),
        };
        Ok(record.report(origin, truth.as_ref(), self.offset))
    }
}

/// What was wrong with the input of an experiment that was done all the same.
#[derive(Debug, Default)]
struct End {
    /// Records of captures that could not be read.
    lost: u64,
    /// Attacks of the truth that match no peer of the data.
    unmatched: Vec<String>,
    matched: usize,
}

impl End {
    fn notes(&self) -> Vec<String> {
        let lost = (self.lost > 0).then(|| {
            format!("{} records of the captures could not be read and are in no window.", self.lost)
        });
        let unmatched = (!self.unmatched.is_empty()).then(|| {
            format!(
                "{} of the truth match no peer of the data: check their times (--offset) and \
                 addresses, and --home-net.",
                self.unmatched.join(", ")
            )
        });
        lost.into_iter().chain(unmatched).collect()
    }

    fn code(&self) -> ExitCode {
        let why = self.notes().join(" ");
        match (self.unmatched.is_empty(), self.matched) {
            (false, 0) => end_with(NOTHING, &why),
            (true, _) if self.lost == 0 => ExitCode::SUCCESS,
            _ => end_with(IN_PART, &why),
        }
    }
}

/// Length of the networks that remote hosts of IPv6 take their addresses of.
///
/// # Errors
/// Settings differ in it: captures are read once for all of them.
fn ipv6_hosts(settings: &[Setting]) -> anyhow::Result<u8> {
    let lengths: BTreeSet<u8> = settings.iter().map(|one| one.config.ipv6_hosts.length()).collect();
    let (Some(&length), 1) = (lengths.first(), lengths.len()) else {
        anyhow::bail!(
            "`policy.ipv6_hosts` says how captures are read, which is done once for all settings: \
             make an experiment for each of its lengths"
        );
    };
    Ok(length)
}

/// Hosts that a setting protects: its files of allowed prefixes. Neither a capture nor a table
/// tells the host's other protected addresses.
fn protected(setting: &Setting) -> anyhow::Result<ProtectedHosts> {
    let allowed = read_allow_files(&setting.config.allow_files)?;
    Ok(ProtectedHosts::default().allowing(&allowed))
}
