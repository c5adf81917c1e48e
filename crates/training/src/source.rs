//! Sources of rows: blocks of them, in time order, as often as they are asked for.

use std::net::IpAddr;

use crate::error::TrainingError;

/// Error of a source; [`TrainingError::Source`] carries it on.
pub type SourceError = Box<dyn std::error::Error + Send + Sync>;

/// Facts of a row known before any model has seen it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mark {
    /// Unlabelled; taken for benign.
    #[default]
    Unlabelled,
    /// Known to be benign.
    Benign,
    /// Known to be part of an attack: not trained on, unless asked to.
    Attack,
    /// From a window that lost flows, so that its features may not be what they would have been.
    Lossy,
}

/// Rows that follow each other in the stream.
///
/// `starts_ns`, `ends_ns` and `marks` have one entry per row, and so has `peers`, or it is empty
/// where nobody needs it. `rows` holds them side by side, as wide as the schema.
#[derive(Clone, Debug, Default)]
pub struct RowBlock {
    /// Start of each row's window, in ns of the one clock that the whole stream goes by.
    pub starts_ns: Vec<i64>,
    /// End of each row's window, exclusive.
    pub ends_ns: Vec<i64>,
    /// The remote address of each row; empty where contamination is not trimmed by peer.
    pub peers: Vec<IpAddr>,
    /// Facts of each row.
    pub marks: Vec<Mark>,
    /// The features, row after row.
    pub rows: Vec<f32>,
}

/// A stream of rows that can be read again from its start.
///
/// Every reading must give the same rows in the same order; how they are cut into blocks may
/// differ. Windows should come in time order, since they are counted by their change.
pub trait RowSource {
    /// Reads the stream from start to end, block by block.
    ///
    /// # Errors
    /// The source's own, as [`TrainingError::Source`], or the first that `visit` returns.
    fn read(
        &self,
        visit: &mut dyn FnMut(&RowBlock) -> Result<(), TrainingError>,
    ) -> Result<(), TrainingError>;
}

/// A [`RowSource`] from a closure that starts the stream anew.
///
/// ```
/// use training::{Blocks, RowBlock, RowSource, SourceError};
///
/// let source = Blocks(|| {
///     let block = RowBlock { rows: vec![1.0, 2.0], ..RowBlock::default() };
///     Ok([Ok::<_, SourceError>(block)].into_iter())
/// });
/// let mut values = 0;
/// source.read(&mut |block| {
///     values += block.rows.len();
///     Ok(())
/// })?;
/// assert_eq!(values, 2);
/// # Ok::<(), training::TrainingError>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Blocks<F>(pub F);

impl<F, I> RowSource for Blocks<F>
where
    F: Fn() -> Result<I, SourceError>,
    I: Iterator<Item = Result<RowBlock, SourceError>>,
{
    fn read(
        &self,
        visit: &mut dyn FnMut(&RowBlock) -> Result<(), TrainingError>,
    ) -> Result<(), TrainingError> {
        for block in self.0().map_err(TrainingError::Source)? {
            visit(&block.map_err(TrainingError::Source)?)?;
        }
        Ok(())
    }
}
