//! Row filter: one pass over a source, and of each row whether it is for this part or why not.

use std::fmt;
use std::net::IpAddr;

use features::SchemaId;
use model::Inputs;
use serde::Serialize;

use crate::error::TrainingError;
use crate::source::{Mark, RowBlock, RowSource};
use crate::split::{Boundaries, Part};
use crate::trim::Trim;

/// Survey of the whole stream, every value checked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Survey {
    pub(crate) rows: u64,
    pub(crate) windows: u64,
    pub(crate) first_ns: i64,
    pub(crate) last_ns: i64,
    /// End of the last window.
    pub(crate) end_ns: i64,
    /// The longest window's length.
    pub(crate) window_ns: i64,
}

impl Survey {
    pub(crate) fn of(source: &dyn RowSource, schema: &SchemaId) -> Result<Self, TrainingError> {
        let width = schema.features.len();
        let mut survey = Self {
            rows: 0,
            windows: 0,
            first_ns: i64::MAX,
            last_ns: i64::MIN,
            end_ns: i64::MIN,
            window_ns: 0,
        };
        let mut previous = None;
        source.read(&mut |block| {
            check_shape(block, width)?;
            if let Some(at) = block.rows.iter().position(|value| !value.is_finite()) {
                return Err(TrainingError::NonFinite {
                    row: survey.rows + (at / width) as u64,
                    feature: schema.features[at % width].clone(),
                    value: block.rows[at],
                });
            }
            survey.rows += block.starts_ns.len() as u64;
            for (&start, &end) in block.starts_ns.iter().zip(&block.ends_ns) {
                survey.windows += u64::from(previous != Some(start));
                previous = Some(start);
                survey.first_ns = survey.first_ns.min(start);
                survey.last_ns = survey.last_ns.max(start);
                survey.end_ns = survey.end_ns.max(end);
                survey.window_ns = survey.window_ns.max(end.saturating_sub(start));
            }
            Ok(())
        })?;
        if survey.rows == 0 {
            (survey.first_ns, survey.last_ns, survey.end_ns) = (0, 0, 0);
        }
        Ok(survey)
    }
}

/// Rows that took no part, each counted once, by the first cause in this order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Dropped {
    /// From windows that had lost flows.
    pub lossy: u64,
    /// Labelled as an attack.
    pub attack: u64,
    /// From windows that only filled the features' memory.
    pub warm_up: u64,
    /// Too near to the boundary between training and calibration.
    pub gap: u64,
    /// Among the most anomalous, where the rows may not all be benign.
    pub trimmed: u64,
}

impl fmt::Display for Dropped {
    /// In words, without what never happened: `3 labelled as attacks, 20 in the gap`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { lossy, attack, warm_up, gap, trimmed } = *self;
        let parts: Vec<String> = [
            (lossy, "from lossy windows"),
            (attack, "labelled as attacks"),
            (warm_up, "in the warm-up"),
            (gap, "in the gap"),
            (trimmed, "trimmed as possibly not benign"),
        ]
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, cause)| format!("{count} {cause}"))
        .collect();
        f.write_str(if parts.is_empty() { "none left out" } else { "" })?;
        f.write_str(&parts.join(", "))
    }
}

/// Conditions that make a row fit for a part.
pub(crate) struct RowFilter<'a> {
    pub(crate) source: &'a dyn RowSource,
    pub(crate) inputs: &'a Inputs,
    pub(crate) boundaries: Boundaries,
    pub(crate) keep_attacks: bool,
}

/// Rows that passed, side by side.
pub(crate) struct Kept<'a> {
    /// Whole rows.
    pub(crate) whole: &'a [f32],
    /// The inputs alone.
    pub(crate) inputs: &'a [f32],
    pub(crate) starts_ns: &'a [i64],
    /// Empty where the source knows none.
    pub(crate) peers: &'a [IpAddr],
}

#[derive(Default)]
struct Buffer {
    whole: Vec<f32>,
    starts_ns: Vec<i64>,
    peers: Vec<IpAddr>,
}

impl RowFilter<'_> {
    /// Reads the source once and shows `visit` the rows of a part, in their order. Returns how
    /// many there were, and what became of all others; rows of the opposite part count nowhere.
    pub(crate) fn pass(
        &self,
        part: Part,
        trim: &Trim,
        visit: &mut dyn FnMut(&Kept<'_>) -> Result<(), TrainingError>,
    ) -> Result<(u64, Dropped), TrainingError> {
        let mut dropped = Dropped::default();
        let mut kept = 0;
        let mut buffer = Buffer::default();
        let width = self.inputs.width();
        self.source.read(&mut |block| {
            check_shape(block, width)?;
            buffer.clear();
            for row in 0..block.starts_ns.len() {
                if self.is_kept(part, block, row, &mut dropped) {
                    buffer.push(block, row, width);
                }
            }
            let before = buffer.starts_ns.len();
            let inputs = self.inputs.project(&buffer.whole);
            let (inputs, trimmed) = match trim.among(&inputs, &buffer.peers, self.inputs.len()) {
                None => (inputs.into_owned(), 0),
                Some(keep) => {
                    buffer.retain(&keep, width);
                    let after = buffer.starts_ns.len();
                    (self.inputs.project(&buffer.whole).into_owned(), (before - after) as u64)
                }
            };
            dropped.trimmed += trimmed;
            kept += buffer.starts_ns.len() as u64;
            if buffer.starts_ns.is_empty() {
                return Ok(());
            }
            visit(&Kept {
                whole: &buffer.whole,
                inputs: &inputs,
                starts_ns: &buffer.starts_ns,
                peers: &buffer.peers,
            })
        })?;
        Ok((kept, dropped))
    }

    fn is_kept(&self, part: Part, block: &RowBlock, row: usize, dropped: &mut Dropped) -> bool {
        let counter = match (block.marks[row], self.boundaries.part(block.starts_ns[row])) {
            (Mark::Lossy, _) => &mut dropped.lossy,
            (Mark::Attack, _) if !self.keep_attacks => &mut dropped.attack,
            (_, Part::WarmUp) => &mut dropped.warm_up,
            (_, Part::Gap) => &mut dropped.gap,
            (_, found) => return found == part,
        };
        *counter += 1;
        false
    }
}

impl Buffer {
    fn clear(&mut self) {
        self.whole.clear();
        self.starts_ns.clear();
        self.peers.clear();
    }

    fn push(&mut self, block: &RowBlock, row: usize, width: usize) {
        self.whole.extend_from_slice(&block.rows[row * width..(row + 1) * width]);
        self.starts_ns.push(block.starts_ns[row]);
        self.peers.extend(block.peers.get(row));
    }

    fn retain(&mut self, keep: &[bool], width: usize) {
        let mut to = 0;
        for (from, _) in keep.iter().enumerate().filter(|(_, keep)| **keep) {
            self.whole.copy_within(from * width..(from + 1) * width, to * width);
            self.starts_ns[to] = self.starts_ns[from];
            if let Some(peer) = self.peers.get(from).copied() {
                self.peers[to] = peer;
            }
            to += 1;
        }
        self.whole.truncate(to * width);
        self.starts_ns.truncate(to);
        self.peers.truncate(to);
    }
}

fn check_shape(block: &RowBlock, width: usize) -> Result<(), TrainingError> {
    let rows = block.starts_ns.len();
    let parts = [
        ("window ends", block.ends_ns.len(), rows),
        ("marks", block.marks.len(), rows),
        ("peers", block.peers.len(), if block.peers.is_empty() { 0 } else { rows }),
        ("values", block.rows.len(), rows * width),
    ];
    match parts.into_iter().find(|(_, got, expected)| got != expected) {
        Some((what, got, expected)) => Err(TrainingError::Block { what, got, expected }),
        None => Ok(()),
    }
}
