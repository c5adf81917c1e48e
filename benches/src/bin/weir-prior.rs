//! `weir-prior`: makes `training-data/prior.bin` anew, byte by byte.

use std::path::PathBuf;

use anyhow::Context as _;
use benches::prior::Networks;
use clap::Parser;
use model::file::write_atomically;

/// Make up benign networks, and write rows of theirs as the prior that is built into weir.
#[derive(Debug, Parser)]
#[command(name = "weir-prior", version)]
struct Arguments {
    /// Where the prior goes.
    #[arg(long, short, value_name = "FILE", default_value = "training-data/prior.bin")]
    out: PathBuf,
}

fn main() -> anyhow::Result<()> {
    let out = Arguments::parse().out;
    let prior = Networks::SHIPPED.prior()?;
    let bytes = prior.to_bytes();
    write_atomically(&out, &bytes).with_context(|| format!("cannot write {}", out.display()))?;
    println!(
        "{}: {} bytes, rows of {} kinds and horizons; build anew to have it in the program",
        out.display(),
        bytes.len(),
        prior.channels().count()
    );
    Ok(())
}
