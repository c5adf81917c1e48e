//! Rows per second of the models named on the command line, on one thread:
//! `cargo run --release -p weir-onnx --example throughput -- model.onnx …`

use std::time::{Duration, Instant};

use weir_onnx::OnnxModel;

const ROWS: usize = 1 << 16;
const ENOUGH: Duration = Duration::from_secs(1);

/// A golden-ratio sequence between −3 and 3: spread evenly, the same in every run.
#[expect(clippy::cast_possible_truncation, reason = "between −3 and 3")]
fn value(at: usize) -> f32 {
    ((at as f64 * 0.618_033_988_75).fract() * 6.0 - 3.0) as f32
}

/// Time that this thread has been on a CPU: what others take does not count. The time of day
/// where the kernel does not tell.
fn on_cpu(started: Instant) -> Duration {
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let nanoseconds = told.and_then(|told| told.split(' ').next()?.parse().ok());
    nanoseconds.map_or_else(|| started.elapsed(), Duration::from_nanos)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let started = Instant::now();
    for path in std::env::args().skip(1) {
        let model = OnnxModel::from_bytes(&std::fs::read(&path)?)?;
        let rows: Vec<f32> = (0..ROWS * model.n_features()).map(value).collect();
        let mut scores = vec![0.0; ROWS];
        let before = on_cpu(started);
        let mut runs = 0;
        let mut taken = Duration::ZERO;
        while taken < ENOUGH {
            model.score_rows(&rows, &mut scores);
            runs += 1;
            taken = on_cpu(started).saturating_sub(before);
        }
        let rate = f64::from(runs) * ROWS as f64 / taken.as_secs_f64();
        println!("{path}: {:.0} thousand rows/s\n{}", rate / 1e3, model.describe());
    }
    Ok(())
}
