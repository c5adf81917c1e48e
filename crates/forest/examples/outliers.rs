//! A forest fitted to a stream of rows, its most anomalous row, and the features behind it.

use linfa::ParamGuard;
use weir_forest::{Draws, IsolationForest};

const NAMES: [&str; 3] = ["requests/s", "mean bytes", "error share"];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut draws = Draws::new(1, 0);
    let mut ordinary = |_| {
        let load = 20.0 + 4.0 * draws.normal();
        [load, 900.0 + 30.0 * draws.normal(), (0.01 + 0.002 * draws.normal()).abs()]
    };
    #[expect(clippy::cast_possible_truncation, reason = "a forest's rows are f32")]
    let mut rows: Vec<f32> =
        (0..20_000).flat_map(&mut ordinary).map(|value| value as f32).collect();

    let params = IsolationForest::params().n_trees(100).seed(42).check()?;
    let mut stream = params.stream(NAMES.len())?;
    for block in rows.chunks(4_096 * NAMES.len()) {
        stream.extend(block)?;
    }
    let forest = stream.finish()?;

    // Many requests, small ones, and half of them fail.
    rows.extend([60.0, 300.0, 0.5]);
    let mut scores = vec![0.0; rows.len() / NAMES.len()];
    forest.score_rows(&rows, &mut scores);
    let (at, score) = scores
        .iter()
        .enumerate()
        .max_by(|(_, one), (_, other)| one.total_cmp(other))
        .ok_or("no rows")?;
    println!("row {at} of {} stands out with {score:.3}", scores.len());

    let why = forest.path_shortening(&rows[at * NAMES.len()..][..NAMES.len()]);
    println!(
        "its path is {:.2} levels, an ordinary one {:.2}; shortened by",
        why.path, why.expected
    );
    for (name, levels) in NAMES.iter().zip(&why.by_feature) {
        println!("  {name:<12} {levels:+.2}");
    }
    Ok(())
}
