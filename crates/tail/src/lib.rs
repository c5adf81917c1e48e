//! Scores of rows by the tails of their features, in linfa's style.
//!
//! # What it is
//!
//! [`Tails`] gives each row the sum of the three largest surprises of its features, each −log10 of
//! the chance of a value as high ([`conformal::Tail`]). Attacks are odd in few features, far out;
//! a sum over all features, or a forest, dilutes that.
//!
//! # What it never does
//!
//! No files, no clock, no threads and no randomness. It does not know what a feature means.
//!
//! # In what order
//!
//! 1. [`Tails::params`] with a [`Column`] per feature, and `check` of [`linfa::ParamGuard`].
//! 2. [`fit_rows`](TailsValidParams::fit_rows) over rows in memory, or `fit` over a
//!    [`linfa::Dataset`]; of columns that were sorted elsewhere [`ColumnTails::of_sorted`] and
//!    [`Tails::new`].
//! 3. [`Tails::with_prior`], where there are tails of other rows to begin with.
//! 4. [`score_rows`](Tails::score_rows); [`parts`](Tails::parts) for the features behind one score.

#![forbid(unsafe_code)]

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

mod column;
mod errors;
mod hyperparams;
mod tails;

pub use column::{Column, ColumnTails};
pub use errors::TailsError;
pub use hyperparams::{TailsParams, TailsValidParams};
pub use tails::{CAP, PARTS, Part, Tails};
