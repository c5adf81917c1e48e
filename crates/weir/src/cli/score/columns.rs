//! The columns of scores: who and when, then what the model says.

use std::sync::Arc;

use ::model::{
    Horizon,
    assess::Assessment,
    schema::{ROLE_IDENTITY, ROLE_KEY},
};
use arrow_array::{
    ArrayRef, Float32Array, Float64Array, RecordBatch, UInt32Array, UInt64Array, new_null_array,
};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use dataset::schema::{ROLE_LABEL, labelled_schema};

use crate::cli::reading::Level;

/// Role of a score's column, in its field's metadata.
const ROLE_SCORE: &str = "score";

/// Makes batches of scores.
pub(super) struct Scored {
    level: Level,
    schema: SchemaRef,
    /// Columns that come from the table.
    n_identity: usize,
}

impl Scored {
    pub(super) fn new(level: Level) -> Self {
        let stored = labelled_schema(level.table());
        let is_told = |role: &str| role == ROLE_IDENTITY || role == ROLE_LABEL;
        let role = |field: &Field| field.metadata().get(ROLE_KEY).cloned().unwrap_or_default();
        let mut fields: Vec<Arc<Field>> =
            stored.fields().iter().filter(|field| is_told(&role(field))).cloned().collect();
        let n_identity = fields.len();
        let mut score = |name: &str, kind: DataType| {
            let role = (ROLE_KEY.to_owned(), ROLE_SCORE.to_owned());
            fields.push(Arc::new(Field::new(name, kind, false).with_metadata([role].into())));
        };
        if level == Level::Decision {
            score("rows", DataType::UInt64);
            score("surprise_horizon", DataType::UInt32);
        }
        score("score", DataType::Float32);
        score("tail_score", DataType::Float32);
        score("p_value", DataType::Float64);
        score("surprise", DataType::Float64);
        Self { level, schema: Arc::new(Schema::new(fields)), n_identity }
    }

    pub(super) fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// The scores of entities: `table` has a row of each in their order, of which `rows` tell how
    /// many came with the window.
    pub(super) fn batch(
        &self,
        table: &RecordBatch,
        assessment: &Assessment<'_>,
        rows: &[u64],
    ) -> anyhow::Result<RecordBatch> {
        let mut columns: Vec<ArrayRef> = self.schema.fields()[..self.n_identity]
            .iter()
            .map(|field| {
                // Only the source and the labels may be absent; reading has checked the others.
                let absent = || new_null_array(field.data_type(), table.num_rows());
                table.column_by_name(field.name()).cloned().unwrap_or_else(absent)
            })
            .collect();
        let assessed = assessment.entities();
        if self.level == Level::Decision {
            columns.push(Arc::new(UInt64Array::from_iter_values(rows.iter().copied())));
            let ms = |entity| assessment.horizon(entity).map_or(0, Horizon::ms);
            columns.push(Arc::new(UInt32Array::from_iter_values((0..assessed.len()).map(ms))));
        }
        columns
            .push(Arc::new(Float32Array::from_iter_values(assessed.iter().map(|one| one.score))));
        let tails = assessed.iter().map(|one| one.tail_score);
        columns.push(Arc::new(Float32Array::from_iter_values(tails)));
        let p_values = assessed.iter().map(|one| one.p_value);
        columns.push(Arc::new(Float64Array::from_iter_values(p_values)));
        let surprises = assessed.iter().map(|one| one.surprise);
        columns.push(Arc::new(Float64Array::from_iter_values(surprises)));
        Ok(RecordBatch::try_new(Arc::clone(&self.schema), columns)?)
    }
}
