//! Acts of people, and findings of starts.

use super::alerts::text;
use super::{Conditions, Page, Span, read};
use crate::{Act, Difference, LedgerError, Reader};

/// Filter of acts; every condition that is given must hold.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ActQuery {
    /// From when to when, and which page.
    pub span: Span,
    /// Act done.
    pub what: Option<String>,
    /// Name of the user or of the token.
    pub name: Option<String>,
}

impl Reader {
    /// Acts of people, newest first.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn acts(&self, query: &ActQuery) -> Result<Page<Act>, LedgerError> {
        let mut conditions = Conditions::of::<Act>(query.span);
        if let Some(what) = &query.what {
            conditions.add("what = ?", [text(what)]);
        }
        if let Some(name) = &query.name {
            conditions.add("name = ?", [text(name)]);
        }
        self.page::<Act, _>(conditions, "", "", read)
    }

    /// Findings of reconciliation at the start of a run, in the order in which they were made.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn differences(&self, run: u64) -> Result<Vec<Difference>, LedgerError> {
        self.of_run("run", run)
    }
}
