use features::SchemaId;
use forest::{IsolationForest, IsolationForestError, IsolationForestValidParams};
use linfa::ParamGuard as _;
use model::{Inputs, Scorer, Source};

use crate::autoencoder::AutoencoderParams;
use crate::contamination::Contamination;
use crate::ecod::Ecod;
use crate::error::TrainingError;
use crate::features::FeatureChoice;
use crate::hbos::Hbos;
use crate::prior::PriorRows;
use crate::split::TimeSplit;

/// Share of each tree's rows that weir's own forests send beyond the training rows
/// ([`beyond`](forest::IsolationForestParams::beyond)): with none a forest cannot split on what was
/// constant in training.
pub const BEYOND: f64 = 0.3;

/// Plan of a training.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// Method to fit.
    pub method: Method,
    /// Split of the time into training and calibration.
    pub split: TimeSplit,
    /// Features that the detector reads.
    pub features: FeatureChoice,
    /// Assumed contamination of the rows, if any.
    pub contamination: Option<Contamination>,
    /// True to train and calibrate on rows labelled as attacks too.
    pub keep_attacks: bool,
    /// Rows that the source itself left out, in words; goes into the model file as it is.
    pub notes: Vec<String>,
    /// Length of the windows that the rows are of, in ns; goes into the model file, by which rows
    /// of other windows are refused.
    pub window_ns: Option<u64>,
    /// Rows of other networks, for a forest: they stand in where fewer than
    /// [`ENOUGH_HELD_OUT`](crate::ENOUGH_HELD_OUT) own ones would calibrate it.
    pub prior: Option<PriorRows>,
    /// The seed of everything but a forest, whose parameters have their own.
    pub seed: u64,
}

/// A kind of detector with its parameters.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "there are two of them in a run")]
#[non_exhaustive]
pub enum Method {
    /// An isolation forest, standard or extended. Keeps trees × sample rows in memory.
    Forest(IsolationForestValidParams),
    /// Histograms.
    Hbos(Hbos),
    /// Tail probabilities.
    Ecod(Ecod),
    /// A dense network that reconstructs its input.
    Autoencoder(AutoencoderParams),
    /// A scorer that was made elsewhere: only its profile and its calibration are made here.
    Given(Given),
}

/// A scorer that was made elsewhere.
#[derive(Clone, Debug, PartialEq)]
pub struct Given {
    /// The scorer.
    pub scorer: Scorer,
    /// The features it reads, in its own order; [`Plan::features`] has no say in them.
    pub inputs: Vec<String>,
    /// The file it comes from.
    pub source: Option<Source>,
}

impl Plan {
    /// The features that the detector will read.
    pub(crate) fn inputs(&self, schema: &SchemaId) -> Result<Inputs, TrainingError> {
        match &self.method {
            Method::Given(given) => Ok(Inputs::of(schema, &given.inputs)?),
            _ => self.features.inputs(schema),
        }
    }

    /// A plan with the defaults: the first 60 % of the time trains, all features, no
    /// contamination, seed 42.
    #[must_use]
    pub fn new(method: Method) -> Self {
        let seed = match &method {
            Method::Forest(params) => params.seed(),
            _ => 42,
        };
        Self {
            method,
            split: TimeSplit::default(),
            features: FeatureChoice::default(),
            contamination: None,
            keep_attacks: false,
            notes: Vec::new(),
            window_ns: None,
            prior: None,
            seed,
        }
    }

    pub(crate) fn without_prior(&self) -> Self {
        Self { prior: None, ..self.clone() }
    }

    /// The prior, and the forest that it is for.
    pub(crate) fn prior(&self) -> Option<(&PriorRows, &IsolationForestValidParams)> {
        let Method::Forest(params) = &self.method else { return None };
        Some((self.prior.as_ref()?, params))
    }

    pub(crate) fn check(&self) -> Result<(), TrainingError> {
        self.split.check()?;
        if let Some(contamination) = &self.contamination {
            contamination.check()?;
        }
        match &self.method {
            Method::Forest(_) | Method::Ecod(_) | Method::Given(_) => Ok(()),
            Method::Hbos(hbos) => hbos.check(),
            Method::Autoencoder(params) => params.check(),
        }
    }
}

impl Method {
    /// Those that are fitted here, with the defaults of each: what is compared with one another.
    ///
    /// # Errors
    /// None with these defaults.
    pub fn all(seed: u64) -> Result<[Self; 5], IsolationForestError> {
        let forest = || IsolationForest::params().beyond(BEYOND).seed(seed);
        Ok([
            Self::Forest(forest().check()?),
            Self::Forest(forest().extension_level(1).check()?),
            Self::Autoencoder(AutoencoderParams::default()),
            Self::Hbos(Hbos::default()),
            Self::Ecod(Ecod::default()),
        ])
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Forest(params) if params.extension_level() > 0 => "extended isolation forest",
            Self::Forest(_) => "isolation forest",
            Self::Hbos(_) => "HBOS",
            Self::Ecod(_) => "ECOD",
            Self::Autoencoder(_) => "autoencoder",
            Self::Given(_) => "made elsewhere",
        }
    }
}
