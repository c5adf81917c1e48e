//! The trait of a feature table, and the macro that makes one.

use crate::feature::measure;
use crate::feature::scale::Scale;

/// What a score makes of a feature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Use {
    /// Nothing: it is a column for study.
    Column,
    /// More of it is unusual.
    Upper,
    /// More of it is unusual, and abuse where much of it stands out.
    Act,
    /// More of it is unusual, and abuse where it is of what nobody completes: a business that goes on
    /// may be as busy as it is, and whoever is new has new targets alone.
    Rate,
    /// Both more and less of it is unusual.
    Both,
}

/// Raised whenever a formula changes while its name, unit and doc stay the same; a part of the
/// schema's hash.
pub const FORMULA_REVISION: u32 = 5;

/// A column of a feature table.
pub trait Feature: Copy + Eq + std::fmt::Debug + Send + Sync + 'static {
    /// The record that it is computed from.
    type Record;

    /// All features, in the order of columns; those of [`Use::Column`] stand last.
    const ALL: &'static [Self];

    /// The feature's place in [`Self::ALL`].
    fn index(self) -> usize;

    /// The column's name, in snake case.
    fn name(self) -> &'static str;

    /// The unit of its values, as `log2(1 + packets/s)`; `1` for a ratio or a flag.
    fn unit(self) -> &'static str;

    /// The unit of what the formula yields, as `packets/s`: that of [`Self::natural`].
    fn natural_unit(self) -> &'static str;

    /// Mapping from the formula's quantity to the value.
    fn scale(self) -> Scale;

    /// Its description, with its formula.
    fn doc(self) -> &'static str;

    /// What a score makes of it.
    fn used(self) -> Use;

    /// True where it enters scores.
    fn is_scored(self) -> bool {
        self.used() != Use::Column
    }

    /// True where little of it is as unusual as much.
    fn is_two_sided(self) -> bool {
        self.used() == Use::Both
    }

    /// True where it is of a kind that is abuse (failures, empty handshakes, new targets,
    /// repetition): volume, shape and rate alone are not.
    fn may_act(self) -> bool {
        self.used() == Use::Act
    }

    /// True where it tells how often openings come, how many stay open, or that they are new.
    fn is_rate(self) -> bool {
        self.used() == Use::Rate
    }

    /// Those that enter scores, in the order of [`Self::ALL`], which is that of model input.
    fn scored() -> impl Iterator<Item = Self> {
        Self::ALL.iter().copied().filter(|feature| feature.is_scored())
    }

    /// Its value, in [`Self::unit`]; finite for any record.
    fn value(self, record: &Self::Record) -> f32;

    /// All values of a record, in the order of [`Self::ALL`]: as [`Self::value`] of each, in one
    /// pass over the record.
    ///
    /// # Panics
    ///
    /// Where `row` has not the length of [`Self::ALL`].
    fn fill(record: &Self::Record, row: &mut [f32]);

    /// A value in [`Self::natural_unit`], for people to read.
    fn natural(self, value: f32) -> f32 {
        measure::finite(self.scale().invert(f64::from(value)))
    }

    /// The feature of a name.
    fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|feature| feature.name() == name)
    }

    /// The values of the scored features of records, row-major: model input without a detour.
    fn rows<'a>(records: impl IntoIterator<Item = &'a Self::Record>) -> Vec<f32>
    where
        Self::Record: 'a,
    {
        let scored = Self::scored().count();
        let mut whole = vec![0.0; Self::ALL.len()];
        let mut rows = Vec::new();
        for record in records {
            Self::fill(record, &mut whole);
            rows.extend_from_slice(&whole[..scored]);
        }
        rows
    }
}

/// Makes a feature enum of a table with the rows
/// `Variant, name, scale, use, natural unit, doc, formula;`.
macro_rules! feature_table {
    (
        $(#[$meta:meta])*
        pub enum $table:ident of $record:ty {
            $($variant:ident, $name:literal, $scale:ident, $used:ident, $unit:literal, $doc:literal, $formula:expr;)+
        }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $table {
            $(#[doc = $doc] $variant,)+
        }

        impl $crate::feature::table::Feature for $table {
            type Record = $record;

            const ALL: &'static [Self] = &[$(Self::$variant,)+];

            fn index(self) -> usize {
                self as usize
            }

            fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            fn unit(self) -> &'static str {
                match self { $(Self::$variant => $crate::feature::table::scaled!($scale, $unit),)+ }
            }

            fn natural_unit(self) -> &'static str {
                match self { $(Self::$variant => $unit,)+ }
            }

            fn scale(self) -> $crate::feature::scale::Scale {
                match self { $(Self::$variant => $crate::feature::scale::Scale::$scale,)+ }
            }

            fn doc(self) -> &'static str {
                match self { $(Self::$variant => $doc,)+ }
            }

            fn used(self) -> $crate::feature::table::Use {
                match self { $(Self::$variant => $crate::feature::table::Use::$used,)+ }
            }

            fn value(self, record: &$record) -> f32 {
                let formula: fn(&$record) -> f64 = match self { $(Self::$variant => $formula,)+ };
                $crate::feature::measure::finite(self.scale().apply(formula(record)))
            }

            fn fill(record: &$record, row: &mut [f32]) {
                let row: &mut [f32; <Self as $crate::feature::table::Feature>::ALL.len()] =
                    row.try_into().expect("a row is as long as the table");
                $({
                    let formula: fn(&$record) -> f64 = $formula;
                    let value = $crate::feature::scale::Scale::$scale.apply(formula(record));
                    row[Self::$variant as usize] = $crate::feature::measure::finite(value);
                })+
            }
        }
    };
}
pub(super) use feature_table;

/// The unit of a value, of its scale and its natural unit.
macro_rules! scaled {
    (Linear, $unit:literal) => {
        $unit
    };
    (Log, $unit:literal) => {
        concat!("log2(1 + ", $unit, ")")
    };
}
pub(super) use scaled;
