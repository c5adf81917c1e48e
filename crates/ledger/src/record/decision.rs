//! A decision on its way into the file.

use events::DecisionRecord;
use rusqlite::types::{ToSqlOutput, Type};

use crate::columns::{Cell as _, Columns, Fields, kept};
use crate::record::Text;

/// An anomalous peer in a window, and what was done about it.
///
/// The record is kept whole, as JSON. Columns beside it are what is looked up: time, address,
/// outcome and refusal. A refusal is a decision with its outcome, not a table of its own: it has
/// the same evidence, and the question that people ask, what happened to this address and why, is
/// answered by one query.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// The run.
    pub run: u64,
    /// The hash of the model that scored it.
    pub model: Text,
    /// The decision; its number is from [`Ids`](crate::Ids), and a block made of it refers to that.
    pub record: DecisionRecord,
}

kept! {
    Decision in Decisions {
        run: "run",
        model: "model",
        record: "record" "id" "at_ns" "address" "outcome" "refusal",
    }
}

/// The whole record, and beside it what is looked up.
impl Columns for DecisionRecord {
    fn put<'a>(&'a self, values: &mut Vec<ToSqlOutput<'a>>) {
        let at_ns = i64::try_from(self.time.as_nanosecond()).unwrap_or(i64::MAX);
        values.extend([
            serde_json::to_string(self).unwrap_or_default().into(),
            self.id.value(),
            at_ns.into(),
            // An IPv4 address mapped into IPv6 is the IPv4 address, so that it is found under one
            // name.
            self.peer().to_canonical().to_string().into(),
            self.outcome.value(),
            self.refusal.value(),
        ]);
    }

    fn take(fields: &mut Fields<'_>) -> rusqlite::Result<Self> {
        let text: Text = fields.take()?;
        let column = fields.skip(5);
        serde_json::from_str(&text).map_err(|error| {
            rusqlite::Error::FromSqlConversionFailure(column - 1, Type::Text, error.into())
        })
    }
}
