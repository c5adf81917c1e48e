//! What the statistics promise, on traffic whose truth is known: many calibration sets, windows of
//! benign peers, true anomalies among them, all from fixed seeds.

mod budget;
mod drift;
mod rates;
mod world;
