//! Which detector is fitted to a table, as typed.

use ::model::{IsolationForest, Kind, SchemaId, schema::schema_id};
use clap::{Args, ValueEnum};
use linfa::ParamGuard as _;
use training::{AutoencoderParams, BEYOND, Ecod, FeatureChoice, Hbos, Method};

/// A kind of detector.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Detector {
    /// Trees that set rows apart at random: unusual combinations, fast, explains itself.
    IsolationForest,
    /// The same with splits along several features at once.
    Extended,
    /// A network that reconstructs benign rows: follows relations between features.
    Autoencoder,
    /// Histograms, feature by feature: cheapest, blind to combinations.
    Hbos,
    /// Tail probabilities, feature by feature: nothing to tune, blind to combinations.
    Ecod,
}

/// The parameters of forests.
#[derive(Debug, Args)]
pub(super) struct ForestArgs {
    /// Trees of each forest.
    #[arg(long, default_value_t = 100)]
    trees: usize,
    /// Rows that each tree is grown from.
    #[arg(long, default_value_t = 256)]
    max_samples: usize,
    /// Deepest level of a tree; by default log2 of the rows it is grown from.
    #[arg(long, value_name = "LEVELS")]
    max_depth: Option<usize>,
    /// Share of each tree's rows that are sent beyond the training rows, so that it can split there.
    #[arg(long, value_name = "SHARE", default_value_t = BEYOND)]
    beyond: f64,
    /// Features beyond the first that a split of an extended forest leans along.
    #[arg(long, value_name = "N", default_value_t = 1)]
    extension_level: usize,
}

impl Detector {
    pub(super) fn method(self, forest: &ForestArgs, seed: u64) -> anyhow::Result<Method> {
        let grown = |extension_level| -> anyhow::Result<Method> {
            let params = IsolationForest::params()
                .n_trees(forest.trees)
                .max_samples(forest.max_samples)
                .max_depth(forest.max_depth)
                .extension_level(extension_level)
                .beyond(forest.beyond)
                .seed(seed);
            Ok(Method::Forest(params.check()?))
        };
        match self {
            Self::IsolationForest => grown(0),
            Self::Extended => grown(forest.extension_level.max(1)),
            Self::Autoencoder => Ok(Method::Autoencoder(AutoencoderParams::default())),
            Self::Hbos => Ok(Method::Hbos(Hbos::default())),
            Self::Ecod => Ok(Method::Ecod(Ecod::default())),
        }
    }
}

/// The part of the names that a table has; each has features of its own.
pub(super) fn choice(
    only: &[String],
    without: &[String],
    drop_constant: bool,
    schema: &SchemaId,
) -> FeatureChoice {
    let own = |names: &[String]| {
        names.iter().filter(|name| schema.features.contains(name)).cloned().collect()
    };
    FeatureChoice { only: own(only), without: own(without), drop_constant }
}

/// Refuses names that no table has.
pub(super) fn check_names(names: &[String]) -> anyhow::Result<()> {
    let schemas = Kind::SCORED.map(|kind| (kind, schema_id(kind).features));
    for name in names {
        if !schemas.iter().any(|(_, features)| features.contains(name)) {
            let known: Vec<String> = schemas
                .iter()
                .map(|(kind, features)| format!("{kind}s have {}", features.join(", ")))
                .collect();
            anyhow::bail!("no rows have a scored feature `{name}`: {}", known.join("; "));
        }
    }
    Ok(())
}
