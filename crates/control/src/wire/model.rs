//! Models: the one in force, those before it, and learning.

use events::{Prefix, word_set};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Check, Refused, check_text};

word_set! {
    /// Whether the model is learnt on.
    #[derive(Default, ToSchema)]
    Learning {
        /// It is.
        On = "on",
        /// A person stopped it.
        Paused = "paused",
        /// By the configuration it is not, or there is no model.
        #[default]
        Off = "off",
    }
}

/// Models of a node.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Models {
    /// Number of the version in force; 0 is the configured file.
    pub in_force: u32,
    /// Whether it is learnt on.
    pub learning: Learning,
    /// Versions that were learnt on the way and are kept, the oldest first.
    pub versions: Vec<ModelVersion>,
}

/// A model that was learnt on the way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ModelVersion {
    /// Its number, from 1.
    pub number: u32,
    /// Its hash, in hexadecimal digits.
    pub hash: String,
    /// Time of its making.
    pub created: Timestamp,
    /// What it changed, in words.
    pub change: String,
}

/// Takes an earlier model back, and stops learning until told otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RollBackRequest {
    /// Number of the version; the one before that in force without it, 0 for the configured file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<u32>,
}

impl Check for RollBackRequest {}

/// Stops learning, or lets it go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LearnRequest {
    /// Whether to learn.
    pub on: bool,
}

impl Check for LearnRequest {}

word_set! {
    /// What a person says of what a remote did.
    #[derive(Default, ToSchema)]
    Verdict {
        /// It was benign: it is learnt from.
        #[default]
        Benign = "benign",
        /// It was an attack: nothing of it is learnt.
        Attack = "attack",
    }
}

/// Says what a remote's doings were, for learning.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct VerdictRequest {
    /// The remote: an address, or the /64 that one of IPv6 is told by.
    #[schema(value_type = String, example = "192.0.2.7")]
    pub remote: Prefix,
    /// What they were.
    #[serde(default)]
    pub verdict: Verdict,
    /// Reason, in one line of at most 500 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl Check for VerdictRequest {
    fn check(&self) -> Result<(), Refused> {
        check_text("reason", self.reason.as_deref())?;
        match self.remote.as_host() {
            Some(_) => Ok(()),
            None => Err(Refused::invalid(format!(
                "a verdict is on one remote, got `{}`: name an address, or a /64 of IPv6",
                self.remote
            ))),
        }
    }
}
