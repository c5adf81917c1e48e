//! Rows per second of the models named on the command line, on one thread:
//! `cargo run --release -p onnx --example throughput -- model.onnx …`

use std::time::{Duration, Instant};

use onnx::OnnxModel;

const ROWS: usize = 1 << 16;
const ENOUGH: Duration = Duration::from_secs(2);

fn main() -> Result<(), Box<dyn std::error::Error>> {
    for path in std::env::args().skip(1) {
        let model = OnnxModel::from_bytes(&std::fs::read(&path)?)?;
        // A golden-ratio sequence: spread evenly, the same in every run.
        #[expect(clippy::cast_possible_truncation, reason = "between −3 and 3")]
        let value = |at: usize| ((at as f64 * 0.618_033_988_75).fract() * 6.0 - 3.0) as f32;
        let rows: Vec<f32> = (0..ROWS * model.n_features()).map(value).collect();
        let mut scores = vec![0.0; ROWS];
        let started = Instant::now();
        let mut runs = 0;
        while runs < 2 || started.elapsed() < ENOUGH {
            model.score_rows(&rows, &mut scores);
            runs += 1;
        }
        let rate = f64::from(runs) * ROWS as f64 / started.elapsed().as_secs_f64();
        println!("{path}: {:.0} thousand rows/s\n{}", rate / 1e3, model.describe());
    }
    Ok(())
}
