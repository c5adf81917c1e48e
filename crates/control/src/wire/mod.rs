//! The JSON of requests and answers.
//!
//! Times are RFC 3339 in UTC, lengths of time whole seconds (`_s`) or milliseconds (`_ms`),
//! traffic is packets and bytes since the thing at hand came to be. Requests refuse fields that
//! they do not know; answers may get new ones.

mod alert;
mod allow;
mod block;
mod following;
mod import;
mod maintenance;
mod mode;
mod model;
mod page;
mod problem;
mod status;

pub use alert::AlertQuery;
pub use allow::{AllowQuery, AllowRequest, AllowSource, Allowed, DisallowRequest};
pub use block::{Block, BlockQuery, BlockRequest, UnblockAllRequest, UnblockRequest, Unblocked};
pub use events::{Action, Alert, DecisionRecord, Mode, Origin, OwnAlert, Prefix, PrefixError};
pub use following::EventsQuery;
pub use import::{
    IMPORT_BATCH, ImportEntry, ImportRefused, ImportRequest, ImportStopped, Imported, ReadBack,
    TableCount,
};
pub use maintenance::{Condition, Maintenance, MaintenanceRequest, ServiceState};
pub use mode::{ConfirmRequest, ModeRequest, ModeState, RearmRequest, ReloadRequest, Reloaded};
pub use model::{
    LearnRequest, Learning, ModelVersion, Models, RollBackRequest, Verdict, VerdictRequest,
};
pub use page::{LIMIT_DEFAULT, LIMIT_MAX, Page};
pub use problem::{Kind, Problem, Refused};
pub use status::{
    BlockTotals, Breaker, Confirm, Drift, DriftState, Health, HeldBlocks, Interface, LedgerHealth,
    LiveClaim, ModelInfo, MovedFeature, Status, StatusQuery, WindowInfo,
};

/// The longest text that a person may give as a reason or a note, in characters.
pub const TEXT_MAX: usize = 500;

/// The longest name of a list of blocks, in characters.
pub const LIST_NAME_MAX: usize = 64;

/// Conditions of a request beyond its shape.
pub trait Check {
    /// Checks the bounds that do not depend on the node.
    ///
    /// # Errors
    /// The first field out of bounds, with the bound.
    fn check(&self) -> Result<(), Refused> {
        Ok(())
    }
}

/// Checks the name of a list of blocks: it is a label of a metric and a word of the command line.
fn check_list(name: Option<&str>) -> Result<(), Refused> {
    let Some(name) = name else { return Ok(()) };
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if (1..=LIST_NAME_MAX).contains(&name.len()) && name.bytes().all(plain) {
        return Ok(());
    }
    Err(Refused::invalid(format!(
        "`list` must be 1 to {LIST_NAME_MAX} letters, digits, `-`, `_` and `.`, got {name:?}"
    )))
}

/// Checks what a person wrote: it ends up in logs, on terminals and in a SIEM.
fn check_text(field: &str, text: Option<&str>) -> Result<(), Refused> {
    let Some(text) = text else { return Ok(()) };
    let length = text.chars().count();
    if length > TEXT_MAX {
        let bound = format!("`{field}` must be at most {TEXT_MAX} characters, got {length}");
        return Err(Refused::invalid(bound));
    }
    match text.chars().find(|character| character.is_control()) {
        Some(found) => Err(Refused::invalid(format!(
            "`{field}` must be one line without control characters, got {found:?}"
        ))),
        None => Ok(()),
    }
}
