//! `weir model pack`.

use std::{
    fs::File,
    io::Read as _,
    path::{Path, PathBuf},
    process::ExitCode,
};

use ::model::{
    DetectorModel, IsolationForest, ModelFile, OnnxScorer, SchemaId, Scorer, Source, schema,
};
use anyhow::Context as _;
use clap::Args;
use dataset::{Dataset, Selection, TableKind};
use linfa::ParamGuard as _;
use training::{Given, Method, Plan, train};

use crate::cli::{Layers, train::source::TableRows};
use ::model::WARM_UP;

/// Largest ONNX file that is read, in bytes: what a model file may hold of it.
const MAX_ONNX: u64 = 32 << 20;

#[derive(Debug, Args)]
pub(super) struct PackArgs {
    /// The ONNX model that scores flows.
    #[arg(long, value_name = "FILE", required_unless_present = "peer")]
    flow: Option<PathBuf>,
    /// The ONNX model that scores peers.
    #[arg(long, value_name = "FILE")]
    peer: Option<PathBuf>,
    /// The features that the flow model reads, in its order; else the names in the ONNX file,
    /// else all.
    #[arg(long, value_name = "NAMES", value_delimiter = ',', requires = "flow")]
    flow_features: Vec<String>,
    /// The same of the peer model.
    #[arg(long, value_name = "NAMES", value_delimiter = ',', requires = "peer")]
    peer_features: Vec<String>,
    /// Benign feature tables: files and folders as `weir capture` and `weir replay` write them.
    /// The first 60 % of their time tell what is usual, the rest calibrates.
    #[arg(long, value_name = "DATA", required = true, num_args = 1..)]
    benign: Vec<PathBuf>,
    /// A model whose detector serves for the table that no ONNX model is given for; else an
    /// isolation forest is fitted for it.
    #[arg(long, value_name = "MODEL")]
    base: Option<PathBuf>,
    /// The seed of that forest, and of samples of very many rows.
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
        let packer = Packer { dataset: &dataset, seed: self.seed };
        let flow = packer.detector(
            TableKind::Flow,
            &schema::flow_schema_id(),
            self.flow.as_deref(),
            &self.flow_features,
            base.as_ref().map(ModelFile::flow),
        )?;
        let peer = packer.detector(
            TableKind::Peer,
            &schema::peer_schema_id(),
            self.peer.as_deref(),
            &self.peer_features,
            base.as_ref().map(ModelFile::peer),
        )?;
        let model = ModelFile::new(flow, peer, &jiff::Timestamp::now().to_string())?;
        model.save(&self.out)?;
        println!("wrote {}; `weir model inspect {0}` tells what it is", self.out.display());
        Ok(ExitCode::SUCCESS)
    }
}

struct Packer<'a> {
    dataset: &'a Dataset,
    seed: u64,
}

impl Packer<'_> {
    fn detector(
        &self,
        table: TableKind,
        schema: &SchemaId,
        onnx: Option<&Path>,
        features: &[String],
        base: Option<&DetectorModel>,
    ) -> anyhow::Result<DetectorModel> {
        let method = match (onnx, base) {
            (Some(path), _) => Method::Given(given(path, schema, features)?),
            (None, Some(base)) => return Ok(base.clone()),
            (None, None) => Method::Forest(IsolationForest::params().seed(self.seed).check()?),
        };
        self.dataset.require(table)?;
        let selection =
            Selection { skip_lossy: true, skip_first_windows: WARM_UP, ..Selection::default() };
        let rows = TableRows::new(self.dataset, table, &selection);
        let plan = Plan { seed: self.seed, ..Plan::new(method) };
        let trained = train(&rows, schema, &plan)?;
        println!("{}", trained.report);
        Ok(trained.detector)
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
             with --flow-features or --peer-features",
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
