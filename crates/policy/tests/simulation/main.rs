//! Promises of the statistics, on traffic whose truth is known: many calibration sets, windows of
//! benign peers, true anomalies among them, all from fixed seeds.

#![expect(
    clippy::cast_possible_truncation,
    reason = "scores are f32, and what they are drawn from f64"
)]

mod budget;
mod drift;
mod rates;
mod world;
