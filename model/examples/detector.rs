//! Two detectors fitted, calibrated, saved, loaded again and asked about a row.

use linfa::ParamGuard as _;
use weir_model::{DetectorModel, IsolationForest, ModelFile, SchemaId};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let detectors = [
        ("peer-1s".parse()?, detector("weir.peer.v1", ["rate", "size"])?),
        ("host-10s".parse()?, detector("weir.host.v1", ["flows", "ports"])?),
    ];
    let model = ModelFile::new(detectors, "2026-01-31T12:00:00Z")?;
    let folder = std::env::temp_dir().join(format!("weir-model-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let path = folder.join("example.weir");
    model.save(&path)?;
    let loaded = ModelFile::load(&path)?;
    std::fs::remove_dir_all(&folder)?;
    println!("model {}", loaded.digest());

    let row = [5_000.0, 50.0];
    let peer = loaded.peer();
    let score = peer.score_row(&row);
    let p = peer.p_value(score);
    println!("score {score:.3}, p-values {:.4} and {:.4}", p.marginal, p.conditional);
    for part in peer.explain(&row).leading(2) {
        println!("  {:<6} {:>6.1} %", part.name, part.share * 100.0);
    }
    Ok(())
}

fn detector(name: &str, features: [&str; 2]) -> Result<DetectorModel, Box<dyn std::error::Error>> {
    let features = features.map(String::from).to_vec();
    let schema = SchemaId { name: name.to_owned(), hash: "0123456789abcdef".to_owned(), features };
    let benign: Vec<f32> = (0..4_000_u16).map(|i| f32::from(i.wrapping_mul(37) % 101)).collect();
    let (train, held_out) = benign.split_at(2_000);
    let params = IsolationForest::params().n_trees(50).check()?;
    Ok(DetectorModel::fit(schema, train, held_out, &params)?)
}
