//! `weir-detection`: the detection study of `docs/detection.md`, run anew.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use benches::detection::{
    corpus::Corpus,
    curve::{curve, table},
    learn::learn,
    own,
    replay::Roots,
    report,
    score::score,
};
use clap::Parser;

/// The variable that names the folder of captures, where it is not `../shared/data`.
const SHARED_DATA: &str = "WEIR_SHARED_DATA";

/// Learn from benign captures, score others and attacks, and print what was found, as Markdown.
#[derive(Debug, Parser)]
#[command(name = "weir-detection", version)]
struct Arguments {
    /// Turn the roles of the groups of captures this often: what trained calibrates, what
    /// calibrated is tested, what was tested trains.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..3))]
    turns: u8,
    /// Every remote in every window, with its score and reasons, as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Learn from ever more captures, and print what is found each time.
    #[arg(long, conflicts_with = "json")]
    curve: bool,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let shipped = workspace.join("training-data");
    println!("## On the lab's own captures\n\n{}", report::own(&own::run(&shipped)?));

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
    let corpus = Corpus::builtin()?;
    let turns = usize::from(arguments.turns);
    let tell = |what: &str| eprintln!("{what}");
    if arguments.curve {
        let points = curve(&corpus, &roots, turns, tell)?;
        println!("## As more is learnt\n\n{}", table(&points));
        return Ok(());
    }
    let (model, learnt) = learn(&corpus, &roots, turns, tell)?;
    let scored = score(&model, &corpus, &roots, turns, tell)?;
    println!("## On the captures of others\n\n{}", report::others(&learnt, &scored));
    if let Some(path) = arguments.json {
        let text = serde_json::to_vec(&(learnt, scored))?;
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}
