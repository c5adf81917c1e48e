//! `weir model pack`.

use std::{
    fs::File,
    io::Read as _,
    path::{Path, PathBuf},
    process::ExitCode,
};

use ::model::{
    Channel, DetectorModel, Detectors, IsolationForest, Kind, ModelFile, OnnxScorer, SchemaId,
    Scorer, Source, schema,
};
use anyhow::Context as _;
use clap::Args;
use dataset::{Dataset, Selection};
use linfa::ParamGuard as _;
use training::{
    BEYOND, Given, Method, Plan, Prior, RowSource, Trained, TrainingError, train, train_beside,
};

use crate::cli::{
    Layers,
    train::source::{TableRows, horizons},
};
use ::model::WARM_UP;

/// Largest ONNX file that is read, in bytes: what a model file may hold of it.
const MAX_ONNX: u64 = 32 << 20;

#[derive(Debug, Args)]
pub(super) struct PackArgs {
    /// The ONNX model.
    #[arg(long, value_name = "FILE")]
    onnx: PathBuf,
    /// Rows that it scores, by kind and horizon: `peer-10s`; of peers over the window if not given.
    #[arg(long, value_name = "ROWS")]
    rows: Option<Channel>,
    /// The features that it reads, in its order; else the names in the ONNX file, else all.
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    features: Vec<String>,
    /// Benign feature tables: files and folders as `weir capture` and `weir replay` write them.
    /// The first 60 % of their time tell what is usual, the rest calibrates.
    #[arg(long, value_name = "DATA", required = true, num_args = 1..)]
    benign: Vec<PathBuf>,
    /// A model whose detectors measure all other rows; else isolation forests are fitted to them.
    #[arg(long, value_name = "MODEL")]
    base: Option<PathBuf>,
    /// The seed of these forests, and of samples of very many rows.
    #[arg(long, default_value_t = 42)]
    seed: u64,
    /// The model file to write.
    #[arg(long, short, value_name = "FILE")]
    out: PathBuf,
}

impl PackArgs {
    pub(super) fn run(self, _: &Layers) -> anyhow::Result<ExitCode> {
        let base = self.base.as_deref().map(crate::cli::load_model).transpose()?;
        let dataset = Dataset::open(&self.benign)?;
        let horizons = horizons(&dataset)?;
        let base_rows = Channel::new(Kind::Peer, horizons.window());
        let own = self.rows.unwrap_or(base_rows);
        anyhow::ensure!(
            horizons.all().contains(&own.horizon),
            "there are no rows over {}: the tables have rows over {horizons}",
            own.horizon
        );
        let packer = Packer { dataset: &dataset, seed: self.seed };
        let schema = schema::schema_id(own.kind);
        let given = Method::Given(given(&self.onnx, &schema, &self.features)?);
        let mut detectors = base.map_or_else(Detectors::new, |base| base.detectors().clone());
        detectors.insert(own, packer.detector(own, given, train)??);
        let all = Kind::SCORED.into_iter().flat_map(|kind| {
            horizons.all().iter().map(move |&horizon| Channel::new(kind, horizon))
        });
        for channel in all.filter(|_| self.base.is_none()).filter(|channel| *channel != own) {
            let fit = if channel == base_rows { train } else { train_beside };
            let forest = IsolationForest::params().beyond(BEYOND).seed(self.seed).check()?;
            match packer.detector(channel, Method::Forest(forest), fit)? {
                Ok(detector) => {
                    detectors.insert(channel, detector);
                }
                Err(error) if channel != base_rows && error.is_of_too_few_rows() => {}
                Err(error) => return Err(error.into()),
            }
        }
        let model = ModelFile::new(detectors, &jiff::Timestamp::now().to_string())?;
        let model = model.of_home(&dataset.homes()?)?;
        model.save(&self.out)?;
        println!("wrote {}; `weir model inspect {0}` tells what it is", self.out.display());
        Ok(ExitCode::SUCCESS)
    }
}

type Fit = fn(&dyn RowSource, &SchemaId, &Plan) -> Result<Trained, TrainingError>;

struct Packer<'a> {
    dataset: &'a Dataset,
    seed: u64,
}

impl Packer<'_> {
    fn detector(
        &self,
        channel: Channel,
        method: Method,
        fit: Fit,
    ) -> anyhow::Result<Result<DetectorModel, TrainingError>> {
        let selection = Selection {
            horizon: Some(channel.horizon),
            skip_lossy: true,
            skip_first_windows: WARM_UP,
            ..Selection::default()
        };
        let rows = TableRows::new(self.dataset, channel.kind.into(), &selection);
        let window_ns = self.dataset.window_ns()?;
        let prior = Prior::shipped().rows(channel).cloned();
        let plan = Plan { seed: self.seed, window_ns, prior, ..Plan::new(method) };
        let trained = fit(&rows, &schema::schema_id(channel.kind), &plan);
        if let Ok(trained) = &trained {
            println!("{}: {}", channel.rows(), trained.report);
        }
        Ok(trained.map(|trained| trained.detector))
    }
}

/// The scorer in an ONNX file, and the features it reads.
fn given(path: &Path, schema: &SchemaId, named: &[String]) -> anyhow::Result<Given> {
    let bytes = read_onnx(path)?;
    let scorer = OnnxScorer::from_bytes(&bytes)
        .with_context(|| format!("cannot use `{}`", path.display()))?;
    let model = scorer.model();
    let inputs = if !named.is_empty() {
        named.to_vec()
    } else if !model.feature_names().is_empty() {
        model.feature_names().to_vec()
    } else if model.n_features() == schema.features.len() {
        schema.features.clone()
    } else {
        anyhow::bail!(
            "`{}` reads {} features and does not name them, {} has {}: name them in its order \
             with --features",
            path.display(),
            model.n_features(),
            schema.name,
            schema.features.len()
        );
    };
    anyhow::ensure!(
        inputs.len() == model.n_features(),
        "`{}` reads {} features, {} are named: name as many as it reads, in its order",
        path.display(),
        model.n_features(),
        inputs.len()
    );
    let file = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
    let source = Source { file, sha256: scorer.digest() };
    Ok(Given { scorer: Scorer::Onnx(scorer), inputs, source: Some(source) })
}

fn read_onnx(path: &Path) -> anyhow::Result<Vec<u8>> {
    let cannot_read = || format!("cannot read `{}`", path.display());
    let mut bytes = Vec::new();
    let file = File::open(path).with_context(cannot_read)?;
    file.take(MAX_ONNX + 1).read_to_end(&mut bytes).with_context(cannot_read)?;
    anyhow::ensure!(
        bytes.len() as u64 <= MAX_ONNX,
        "`{}` has more than {MAX_ONNX} bytes, the most that a model file may hold of it: \
         train fewer or smaller trees, or a smaller network",
        path.display()
    );
    Ok(bytes)
}
