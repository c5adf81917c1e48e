//! `weir lab synthesize`: captures made up in virtual time, with their ground truth.

use std::{
    fs::{self, File},
    io::{BufWriter, Write as _},
    path::{Path, PathBuf},
    str::FromStr,
};

use anyhow::Context as _;
use clap::Args;
use lab::{AttackClass, CaptureReport, Synthesis, Synthetic};

use ::demo::{is_compressed, truth_path};

/// zstd's level: at 19 compression would take fifty times what making up a capture takes.
const LEVEL: i32 = 3;

#[derive(Debug, Args)]
pub(super) struct SynthesizeArgs {
    /// Classes of attacks, apart by commas, or `all`: of several captures each has the next one.
    /// Without it there is benign traffic alone.
    #[arg(long, value_name = "CLASS", default_value = "")]
    attack: Attacks,
    /// The seed; of several captures the first one's, and each has the next one.
    #[arg(long, default_value_t = Synthesis::default().seed)]
    seed: u64,
    /// Length of a capture, 10s to 1h.
    #[arg(long, value_name = "DURATION", default_value = "10m")]
    duration: humantime::Duration,
    /// The most frames of a capture, which ends early where there would be more.
    #[arg(long, value_name = "FRAMES", default_value_t = Synthesis::default().frames)]
    frames: usize,
    /// Make so many captures, in the folder that `--out` names, each of a network of its own.
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// The capture, compressed where it ends in `.zst`; the ground truth goes beside it, as
    /// `.truth.json`.
    #[arg(long, short, value_name = "PATH")]
    out: PathBuf,
    /// Bytes kept of each frame.
    #[arg(long, value_name = "BYTES", default_value_t = 128)]
    snap_length: u32,
}

/// Classes of attacks as they are asked for.
#[derive(Clone, Debug)]
struct Attacks(Vec<AttackClass>);

impl FromStr for Attacks {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "" => Ok(Self(Vec::new())),
            "all" => Ok(Self(AttackClass::ALL.to_vec())),
            names => names.split(',').map(str::parse).collect::<Result<_, _>>().map(Self),
        }
    }
}

impl SynthesizeArgs {
    pub(super) fn run(&self) -> anyhow::Result<()> {
        let Some(count) = self.count else {
            anyhow::ensure!(
                self.attack.0.len() < 2,
                "{} classes of attacks need a capture each; say how many with --count",
                self.attack.0.len()
            );
            let (attack, seed) = (self.attack.0.first().copied(), self.seed);
            let mut total = Total::default();
            total.add(&self.make(attack, seed, &self.out)?);
            println!(
                "{}: {}; ground truth in {}",
                self.out.display(),
                total.text(),
                truth_path(&self.out).display()
            );
            return Ok(());
        };
        fs::create_dir_all(&self.out)
            .with_context(|| format!("cannot make the folder {}", self.out.display()))?;
        let mut total = Total::default();
        let mut attacks = self.attack.0.iter().cycle();
        for seed in (self.seed..).take(usize::try_from(count)?) {
            let attack = attacks.next().copied();
            let name = attack.map_or("benign", AttackClass::name);
            let out = self.out.join(format!("{name}-{seed}.pcap.zst"));
            total.add(&self.make(attack, seed, &out)?);
        }
        println!("{count} captures in {}: {}", self.out.display(), total.text());
        Ok(())
    }

    /// Makes one up and writes it, whole or not at all.
    fn make(
        &self,
        attack: Option<AttackClass>,
        seed: u64,
        out: &Path,
    ) -> anyhow::Result<CaptureReport> {
        let is_compressed = is_compressed(out)?;
        let synthesis = Synthesis { attack, seed, duration: *self.duration, frames: self.frames };
        let synthetic = synthesis.make()?;
        let draft = out.with_extension("draft");
        let report = write(&synthetic, &draft, is_compressed, self.snap_length)
            .and_then(|report| fs::rename(&draft, out).map(|()| report))
            .with_context(|| format!("cannot write {}", out.display()))?;
        synthetic.truth().write(&truth_path(out))?;
        Ok(report)
    }
}

fn write(
    synthetic: &Synthetic,
    path: &Path,
    is_compressed: bool,
    snap_length: u32,
) -> std::io::Result<CaptureReport> {
    let mut file = BufWriter::new(File::create(path)?);
    if !is_compressed {
        return synthetic.write(file, snap_length);
    }
    let mut packed = zstd::Encoder::new(&mut file, LEVEL)?;
    packed.include_checksum(true)?;
    let report = synthetic.write(&mut packed, snap_length)?;
    packed.finish()?.flush()?;
    Ok(report)
}

/// Counts over all captures.
#[derive(Debug, Default)]
struct Total {
    frames: u64,
    bytes: u64,
    beyond_bound: u64,
}

impl Total {
    fn add(&mut self, report: &CaptureReport) {
        self.frames += report.frames;
        self.bytes += report.bytes;
        self.beyond_bound += report.beyond_bound;
    }

    fn text(&self) -> String {
        let Self { frames, bytes, beyond_bound } = self;
        format!("{frames} frames, {bytes} bytes of them kept, {beyond_bound} beyond the bound")
    }
}
