//! Events as they come.

use serde::{Deserialize, Serialize};
use utoipa::IntoParams;

use super::{Check, Refused};
use crate::feed::Cursor;

/// Asks for the events of a run, as they come.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct EventsQuery {
    /// Only those behind the one with this id, `start` for all that are kept; without it those that
    /// come from now on. The header `Last-Event-ID` says the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
}

impl EventsQuery {
    /// `after` for all that are kept.
    pub const START: &'static str = "start";

    /// The place that is asked for, in words.
    pub(crate) fn cursor(&self) -> Result<Option<Cursor>, Refused> {
        let named = self.after.as_deref().filter(|&after| after != Self::START);
        let read = |text: &str| text.parse::<Cursor>();
        named.map(read).transpose().map_err(|error| Refused::invalid(format!("`after`: {error}")))
    }
}

impl Check for EventsQuery {
    fn check(&self) -> Result<(), Refused> {
        self.cursor().map(drop)
    }
}
