//! A decision on its way into the file.

use std::borrow::Cow;

use events::DecisionRecord;

use crate::columns::{Field, Fields, Kept};
use crate::record::Text;
use crate::table::Table;

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

impl Kept for Decision {
    const TABLE: Table = Table::Decisions;
    // The first three are read back; the others are in the record.
    const COLUMNS: &'static [&'static str] =
        &["run", "model", "record", "id", "at_ns", "address", "outcome", "refusal"];

    fn values(&self) -> Vec<Field<'_>> {
        let record = &self.record;
        let at_ns = i64::try_from(record.time.as_nanosecond()).unwrap_or(i64::MAX);
        vec![
            self.run.into(),
            (&self.model).into(),
            Field::Text(Cow::Owned(serde_json::to_string(record).unwrap_or_default())),
            record.id.into(),
            at_ns.into(),
            record.peer().into(),
            record.outcome.name().into(),
            record.refusal.map(events::Refusal::name).into(),
        ]
    }

    fn read(fields: &mut Fields<'_>) -> rusqlite::Result<Self> {
        let decision = Self {
            run: fields.number()?,
            model: fields.text()?,
            record: fields.parsed(|text| serde_json::from_str(text).ok())?,
        };
        fields.skip(Self::COLUMNS.len() - 3);
        Ok(decision)
    }
}
