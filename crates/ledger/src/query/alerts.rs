//! Decisions.

use std::net::IpAddr;

use events::{ActionTaken, Refusal};
use rusqlite::types::Value;

use super::{Conditions, Page, Span, read};
use crate::{Decision, LedgerError, Reader};

/// Filter of decisions; every condition that is given must hold.
///
/// An address, a time and an outcome other than refused are looked up in an index; a refusal or a
/// model is looked for among the rows of the span.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AlertQuery {
    /// From when to when, and which page.
    pub span: Span,
    /// About this address.
    pub address: Option<IpAddr>,
    /// With this outcome.
    pub outcome: Option<ActionTaken>,
    /// Refused by this guard.
    pub refusal: Option<Refusal>,
}

impl Reader {
    /// Decisions, newest first.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn alerts(&self, query: &AlertQuery) -> Result<Page<Decision>, LedgerError> {
        let mut conditions = Conditions::of::<Decision>(query.span);
        if let Some(address) = query.address {
            conditions.add("address = ?", [text(&address.to_canonical())]);
        }
        if let Some(outcome) = query.outcome {
            conditions.add("outcome = ?", [text(outcome.name())]);
            if outcome != ActionTaken::Refused {
                // Said in these words, it lets the index on what was acted on be used.
                conditions.add("outcome <> 'refused'", []);
            }
        }
        if let Some(refusal) = query.refusal {
            conditions.add("refusal = ?", [text(refusal.name())]);
        }
        self.page::<Decision, _>(conditions, "", "", read)
    }

    /// The decision with this number.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn decision(&self, id: u64) -> Result<Option<Decision>, LedgerError> {
        let id = Value::Integer(i64::try_from(id).unwrap_or(i64::MAX));
        let mut conditions = Conditions::of::<Decision>(Span::default());
        conditions.add("id = ?", [id]);
        Ok(self.page::<Decision, _>(conditions, "", "", read)?.rows.pop())
    }
}

pub(super) fn text(value: &(impl ToString + ?Sized)) -> Value {
    Value::Text(value.to_string())
}
