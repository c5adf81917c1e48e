//! Prior: benign rows of other networks, which stand in for a network's own while these are few.
//!
//! A tail of few rows is far too sure, and of none there is none. So rows of made-up networks are
//! shipped with the program, as `training-data/prior.bin`. Half of them, of one half of those
//! networks, are a prior of the tails ([`tail::Tails`](model::Tails)) and fill a forest's sample up;
//! the others, scored by a detector of the first half, are a prior of the calibration. Both count as
//! [`PRIOR_COUNTS_AS`] rows, where fewer than [`ENOUGH_HELD_OUT`](crate::ENOUGH_HELD_OUT) own ones
//! would calibrate a detector. They enter surprises and no p-value.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::sync::LazyLock;

use features::schema;
use flate2::Compression;
use flate2::read::ZlibDecoder;
use flate2::write::ZlibEncoder;
use forest::RowSample;
use model::Channel;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Rows that a prior counts as.
pub const PRIOR_COUNTS_AS: f64 = 10.0;

/// Rows of a channel in each half of a prior.
const HALF: usize = 512;

/// Rows that one network gives to a channel at most.
const OF_A_NETWORK: usize = 64;

/// The first bytes of a file.
const MAGIC: &[u8] = b"weir-prior 1\n";

/// Bytes at most that a file is unpacked to.
const UNPACKED: u64 = 32 << 20;

static SHIPPED: LazyLock<Prior> = LazyLock::new(|| {
    Prior::from_bytes(include_bytes!("../../../training-data/prior.bin")).unwrap_or_default()
});

/// Benign rows of other networks, by what they are about.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Prior {
    channels: BTreeMap<Channel, PriorRows>,
}

/// Rows of one channel, whole ones side by side.
#[derive(Clone, Debug, PartialEq)]
pub struct PriorRows {
    /// Those to fit to.
    pub(crate) fit: Vec<f32>,
    /// Those to calibrate on, of other networks.
    pub(crate) held_out: Vec<f32>,
    width: usize,
}

/// Reason for which bytes are no prior of this build.
#[derive(Debug, Error)]
pub enum PriorError {
    /// They cannot be unpacked, or end too soon.
    #[error("the prior is damaged ({0}): make it again with `weir-prior` of benches")]
    Damaged(String),
    /// Rows of another schema.
    #[error(
        "the prior's rows of `{channel}` are of schema {found}, this build makes {made}: make it \
         again with `weir-prior` of benches"
    )]
    Schema {
        /// The rows.
        channel: String,
        /// Hash of their schema.
        found: String,
        /// Hash of this build's.
        made: String,
    },
}

/// What stands before the rows.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    channel: String,
    schema_hash: String,
    fit: usize,
    held_out: usize,
}

impl Prior {
    /// The one that is shipped.
    #[must_use]
    pub fn shipped() -> &'static Self {
        &SHIPPED
    }

    /// The rows of a channel.
    #[must_use]
    pub fn rows(&self, channel: Channel) -> Option<&PriorRows> {
        self.channels.get(&channel)
    }

    /// The channels that it has rows of.
    pub fn channels(&self) -> impl Iterator<Item = Channel> {
        self.channels.keys().copied()
    }

    /// The file's content.
    #[must_use]
    #[expect(clippy::missing_panics_doc, reason = "writing to memory does not fail")]
    pub fn to_bytes(&self) -> Vec<u8> {
        let heads: Vec<Head> =
            self.channels.iter().map(|(channel, rows)| rows.head(*channel)).collect();
        let mut packed = ZlibEncoder::new(MAGIC.to_vec(), Compression::best());
        let head = serde_json::to_vec(&heads).expect("text and numbers are JSON");
        let mut put = |bytes: &[u8]| packed.write_all(bytes).expect("memory");
        put(&(head.len() as u64).to_le_bytes());
        put(&head);
        for rows in self.channels.values() {
            for half in [&rows.fit, &rows.held_out] {
                // One column after the other, and of their bytes too, packs to a third.
                for byte in 0..size_of::<f32>() {
                    for column in 0..rows.width {
                        let values = half.iter().skip(column).step_by(rows.width);
                        put(&values.map(|value| value.to_le_bytes()[byte]).collect::<Vec<u8>>());
                    }
                }
            }
        }
        packed.finish().expect("memory")
    }

    /// Reads a file's content.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, PriorError> {
        let damaged = |what: &str| PriorError::Damaged(what.to_owned());
        let packed = bytes.strip_prefix(MAGIC).ok_or_else(|| damaged("it begins otherwise"))?;
        let mut unpacked = Vec::new();
        let read = ZlibDecoder::new(packed).take(UNPACKED).read_to_end(&mut unpacked);
        read.map_err(|error| damaged(&error.to_string()))?;
        let mut left = &unpacked[..];
        let mut take = |count: usize| {
            let (taken, rest) =
                left.split_at_checked(count).ok_or_else(|| damaged("it ends early"))?;
            left = rest;
            Ok::<_, PriorError>(taken)
        };
        let head = take(8)?.try_into().map_err(|_| damaged("it has no head"))?;
        let head = u64::from_le_bytes(head);
        let head = take(usize::try_from(head).unwrap_or(usize::MAX))?;
        let heads: Vec<Head> =
            serde_json::from_slice(head).map_err(|error| damaged(&error.to_string()))?;
        let mut channels = BTreeMap::new();
        for Head { channel: name, schema_hash: found, fit, held_out } in heads {
            let channel: Channel = name.parse().map_err(|_| damaged("a channel has no name"))?;
            let schema = schema::schema_id(channel.kind);
            if found != schema.hash {
                return Err(PriorError::Schema { channel: name, found, made: schema.hash });
            }
            let width = schema.features.len();
            let mut half = |rows: usize| {
                let values = rows.checked_mul(width).ok_or_else(|| damaged("too many rows"))?;
                let bytes = take(values.saturating_mul(4))?;
                let value = |at: usize| {
                    let (row, column) = (at / width, at % width);
                    let byte = |byte: usize| bytes[byte * values + column * rows + row];
                    f32::from_le_bytes([byte(0), byte(1), byte(2), byte(3)])
                };
                let values: Vec<f32> = (0..values).map(value).collect();
                let finite = values.iter().all(|value| value.is_finite());
                if finite { Ok(values) } else { Err(damaged("a value is not finite")) }
            };
            let rows = PriorRows { fit: half(fit)?, held_out: half(held_out)?, width };
            if fit < conformal::MIN_SCORES || held_out < conformal::MIN_SCORES {
                return Err(damaged("a channel has hardly any rows"));
            }
            channels.insert(channel, rows);
        }
        Ok(Self { channels })
    }
}

impl PriorRows {
    fn head(&self, channel: Channel) -> Head {
        Head {
            channel: channel.to_string(),
            schema_hash: schema::schema_id(channel.kind).hash,
            fit: self.fit.len() / self.width,
            held_out: self.held_out.len() / self.width,
        }
    }

    /// So many of the rows to fit to, at most, evenly spread.
    pub(crate) fn some(&self, count: u64) -> Vec<f32> {
        let rows = self.fit.len() / self.width;
        let count = usize::try_from(count).unwrap_or(rows).min(rows);
        (0..count)
            .flat_map(|at| {
                let row = at * rows / count;
                self.fit[row * self.width..][..self.width].iter().copied()
            })
            .collect()
    }
}

/// Gathers a [`Prior`] from one network after the other.
#[derive(Debug)]
pub struct PriorBuilder {
    halves: BTreeMap<Channel, [RowSample; 2]>,
    networks: usize,
    seed: u64,
}

impl PriorBuilder {
    /// Of no network yet; the seed draws the rows.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self { halves: BTreeMap::new(), networks: 0, seed }
    }

    /// Takes what was learnt of a network: of each channel the same number of rows at most, so
    /// that no large one speaks for all.
    pub fn take(&mut self, rows: impl IntoIterator<Item = (Channel, Vec<f32>)>) {
        for (channel, rows) in rows {
            let width = schema::schema_id(channel.kind).features.len();
            let mut own = RowSample::new(OF_A_NETWORK, width, self.seed, self.networks);
            own.extend(&rows);
            let new = |half| RowSample::new(HALF, width, self.seed, usize::MAX - 32 - half);
            let halves = self.halves.entry(channel).or_insert_with(|| [0, 1].map(new));
            halves[self.networks % 2].extend(own.rows());
        }
        self.networks += 1;
    }

    /// The prior of all that was taken; a channel of hardly any rows is left out.
    #[must_use]
    pub fn finish(self) -> Prior {
        let mut channels = BTreeMap::new();
        for (channel, halves) in self.halves {
            let width = schema::schema_id(channel.kind).features.len();
            let [fit, held_out] = halves.map(RowSample::into_rows);
            if fit.len().min(held_out.len()) >= conformal::MIN_SCORES * width {
                channels.insert(channel, PriorRows { fit, held_out, width });
            }
        }
        Prior { channels }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn channel() -> Channel {
        "host-10s".parse().unwrap()
    }

    /// A prior of four networks, of which each has rows of its own number.
    fn prior() -> Prior {
        let width = schema::schema_id(channel().kind).features.len();
        let mut builder = PriorBuilder::new(1);
        for network in 0..4_u8 {
            builder.take([(channel(), vec![f32::from(network) + 0.1; 100 * width])]);
        }
        builder.finish()
    }

    #[test]
    fn the_shipped_one_is_of_this_build_and_has_every_kind_and_horizon() {
        let bytes = include_bytes!("../../../training-data/prior.bin");
        assert!(bytes.len() <= 1_000_000, "{} bytes", bytes.len());
        // Where a feature has changed: `weir-prior` makes it again.
        let prior = Prior::from_bytes(bytes).unwrap_or_else(|error| panic!("{error}"));
        let standard: Vec<Channel> = features::Kind::SCORED
            .into_iter()
            .flat_map(|kind| {
                let horizons = features::Context::default().horizons().all().to_vec();
                horizons.into_iter().map(move |horizon| Channel::new(kind, horizon))
            })
            .collect();
        assert!(prior.channels().eq(standard.iter().copied()));
        assert_eq!(*Prior::shipped(), prior);
        for channel in standard {
            let head = prior.rows(channel).unwrap().head(channel);
            assert!(head.fit.min(head.held_out) >= 20, "{channel}: {} {}", head.fit, head.held_out);
        }
    }

    #[test]
    fn each_half_is_of_other_networks_and_none_has_more_than_its_share() {
        let prior = prior();
        let rows = prior.rows(channel()).unwrap();
        let of = |half: &[f32], network: f32| {
            half.iter().filter(|x| (*x - network - 0.1).abs() < 1e-6).count()
        };
        for network in [0.0, 2.0] {
            assert_eq!(of(&rows.fit, network), OF_A_NETWORK * rows.width);
            assert_eq!(of(&rows.held_out, network), 0);
        }
        assert_eq!(of(&rows.held_out, 3.0), OF_A_NETWORK * rows.width);
        assert_eq!(rows.some(3).len(), 3 * rows.width);
    }

    #[test]
    fn it_reads_back_and_what_is_damaged_or_of_another_schema_is_refused_by_name() {
        let prior = prior();
        let bytes = prior.to_bytes();
        assert_eq!(Prior::from_bytes(&bytes).unwrap(), prior);
        for damaged in [&bytes[1..], &bytes[..bytes.len() / 2], &bytes[..MAGIC.len()]] {
            let error = Prior::from_bytes(damaged).unwrap_err().to_string();
            assert!(error.contains("weir-prior"), "{error}");
        }
        let head =
            Head { schema_hash: "00".to_owned(), ..prior.rows(channel()).unwrap().head(channel()) };
        let head = serde_json::to_vec(&[head]).unwrap();
        let mut other = ZlibEncoder::new(MAGIC.to_vec(), Compression::fast());
        other.write_all(&(head.len() as u64).to_le_bytes()).unwrap();
        other.write_all(&head).unwrap();
        let error = Prior::from_bytes(&other.finish().unwrap()).unwrap_err().to_string();
        assert!(
            error.starts_with("the prior's rows of `host-10s` are of schema 00, this"),
            "{error}"
        );
    }
}
