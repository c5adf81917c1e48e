//! `weir-detection`: the detection study of `docs/detection.md`, run anew.

use std::{
    env, fs,
    path::{Path, PathBuf},
    time::Instant,
};

use anyhow::Context as _;
use benches::detection::{
    Tell, capture::Capture, corpus::Corpus, curve, folds, made, own, plot, replay::Roots, worth,
};
use clap::{Parser, ValueEnum};
use training::Prior;

/// The variable that names the folder of captures, where it is not `../shared/data`.
const SHARED_DATA: &str = "WEIR_SHARED_DATA";

/// Learn from benign captures, score others and attacks, and print what was found, as Markdown.
#[derive(Debug, Parser)]
#[command(name = "weir-detection", version)]
struct Arguments {
    /// Parts of the study; all of them where none is named.
    #[arg(value_enum)]
    part: Vec<Part>,
    /// Every attack and every benign entity of the folds with its surprises, as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Drawings of the curve and of the folds, as SVG.
    #[arg(long, value_name = "FOLDER")]
    plots: Option<PathBuf>,
}

/// Part of the study.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    /// The lab's own captures: learnt from on one day, attacked on another.
    Lab,
    /// Made-up networks, each learnt from by itself, with an attack of each class in it.
    Made,
    /// The captures of others in three folds, at a budget of benign remotes.
    Folds,
    /// What is found and acted on as more is learnt.
    Curve,
    /// The prior's worth where little was learnt.
    Prior,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let shipped = workspace.join("training-data");
    let has = |part| arguments.part.is_empty() || arguments.part.contains(&part);
    let began = Instant::now();
    let tell: Tell<'_> = &|what: &str| eprintln!("{:6.1} s: {what}", began.elapsed().as_secs_f64());
    if has(Part::Lab) {
        println!("## On the lab's own captures\n\n{}", own::run(&shipped)?.table());
    }
    if has(Part::Made) {
        println!(
            "## In made-up networks\n\n{}",
            made::run([made::NETWORKS, made::CALM], tell)?.table()
        );
    }
    if ![Part::Folds, Part::Curve, Part::Prior].into_iter().any(has) {
        return Ok(());
    }
    let shared =
        env::var_os(SHARED_DATA).map_or_else(|| workspace.join("../shared/data"), PathBuf::from);
    if !shared.is_dir() {
        println!(
            "skipped: the captures of others: none in {} ({SHARED_DATA} names another folder)",
            shared.display()
        );
        return Ok(());
    }
    let roots = Roots { shared, shipped };
    let draw = |name: &str, svg: &dyn Fn() -> String| {
        let Some(folder) = &arguments.plots else { return Ok(()) };
        let path = folder.join(name);
        fs::write(&path, svg()).with_context(|| format!("cannot write {}", path.display()))
    };
    let captures = Capture::all(&Corpus::builtin()?, &roots, tell)?;
    if has(Part::Folds) {
        let outcomes = folds::run(&captures, Prior::shipped(), tell)?;
        println!(
            "## On the captures of others\n\n{}\n{}",
            folds::table(&outcomes),
            folds::attacks(&outcomes)
        );
        draw("detection-budgets.svg", &|| plot::budgets(&outcomes))?;
        if let Some(path) = &arguments.json {
            let text = serde_json::to_vec(&outcomes)?;
            fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?;
        }
    }
    if has(Part::Curve) {
        let points = curve::curve(&captures, 0, &curve::STEPS, tell)?;
        draw("detection-curve.svg", &|| plot::curve(&points))?;
        println!("## As more is learnt\n\n{}", curve::table(&points));
    }
    if has(Part::Prior) {
        println!("## What the prior is worth\n\n{}", worth::table(&worth::run(&captures, tell)?));
    }
    Ok(())
}
