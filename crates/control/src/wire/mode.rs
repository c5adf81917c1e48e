//! The mode, and requests that change the node as a whole.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Check, Confirm, Mode, Refused};

/// A mode to go to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ModeRequest {
    /// The mode.
    pub mode: Mode,
    /// Fall back to shadow after so many seconds unless it is confirmed; for `enforce` only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirm_within_s: Option<u64>,
}

impl Check for ModeRequest {
    fn check(&self) -> Result<(), Refused> {
        match (self.confirm_within_s, self.mode) {
            (Some(0), _) => Err(Refused::invalid("`confirm_within_s` must be at least 1, got 0")),
            (Some(_), Mode::Observe | Mode::Shadow) => Err(Refused::invalid(format!(
                "`confirm_within_s` is for the mode `enforce`, got `{}`",
                self.mode.name()
            ))),
            _ => Ok(()),
        }
    }
}

/// The mode the node is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ModeState {
    /// The mode.
    pub mode: Mode,
    /// Mode that waits to be confirmed, and until when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirm: Option<Confirm>,
}

/// Confirms an enforcement that would fall back. It has no fields.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ConfirmRequest {}

impl Check for ConfirmRequest {}

/// Closes the breaker again. It has no fields.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RearmRequest {}

impl Check for RearmRequest {}

/// Reads allow files, tokens and the configuration again. It has no fields.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReloadRequest {}

impl Check for ReloadRequest {}

/// Changes made by reading everything again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Reloaded {
    /// Prefixes that are allowed now.
    pub allowed: u64,
    /// Configuration keys that changed and hold from now on, as `section.key`.
    pub changed: Vec<String>,
    /// Configuration keys that changed and hold only after a restart.
    pub needs_restart: Vec<String>,
    /// Hash of the configured model, where it is another than before: it scores from the next window on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
}
