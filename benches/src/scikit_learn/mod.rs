//! scikit-learn in a process of its own, which takes its turns when it is told to; and weir's
//! Python package beside it in the same interpreter.

use std::{
    env,
    fmt::Display,
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    str::FromStr,
};

use anyhow::{Context as _, bail};

use crate::rows::Rows;

/// Names the Python interpreter that can import scikit-learn, and weir's package;
/// `cargo xtask bench` sets it.
pub const PYTHON: &str = "WEIR_BENCH_PYTHON";

const WORKER: &str = include_str!("worker.py");

/// Variables by which the libraries below scikit-learn are held to one thread.
const ONE_THREAD: [&str; 3] = ["OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"];

/// Library of the forest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Package {
    /// scikit-learn's.
    ScikitLearn,
    /// That of weir's own package, with scikit-learn's interface.
    Weir,
}

impl Package {
    const fn name(self) -> &'static str {
        match self {
            Self::ScikitLearn => "scikit-learn",
            Self::Weir => "weir",
        }
    }
}

/// A running interpreter; dropping it ends the process.
#[derive(Debug)]
pub struct ScikitLearn {
    child: Child,
    commands: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl ScikitLearn {
    /// Starts the interpreter that [`PYTHON`] names; `Ok(None)` where it names none.
    ///
    /// # Errors
    /// It does not start, or cannot import scikit-learn.
    pub fn start() -> anyhow::Result<Option<Self>> {
        let Some(python) = env::var_os(PYTHON) else { return Ok(None) };
        let mut command = Command::new(&python);
        command.arg("-c").arg(WORKER).stdin(Stdio::piped()).stdout(Stdio::piped());
        command.envs(ONE_THREAD.map(|variable| (variable, "1")));
        let mut child = command
            .spawn()
            .with_context(|| format!("cannot start `{}` ({PYTHON})", python.to_string_lossy()))?;
        let (Some(commands), Some(answers)) = (child.stdin.take(), child.stdout.take()) else {
            bail!("the interpreter's pipes are missing");
        };
        Ok(Some(Self { child, commands, answers: BufReader::new(answers) }))
    }

    /// Its version.
    ///
    /// # Errors
    /// It cannot be imported.
    pub fn version(&mut self) -> anyhow::Result<String> {
        self.version_of(Package::ScikitLearn)?.context("scikit-learn cannot be imported")
    }

    /// A package's version; none where it cannot be imported, and why is on standard error.
    ///
    /// # Errors
    /// The process ended.
    pub fn version_of(&mut self, package: Package) -> anyhow::Result<Option<String>> {
        let version: String = self.ask(&["version", package.name()])?;
        Ok((version != "none").then_some(version))
    }

    /// Has it read rows from a file that [`Rows::write`] wrote.
    ///
    /// # Errors
    /// The process ended.
    pub fn load(&mut self, path: &Path, rows: &Rows) -> anyhow::Result<()> {
        let path = path.to_str().context("the temporary folder's name is not UTF-8")?;
        let loaded: usize = self.ask(&["rows", path, &rows.width().to_string()])?;
        if loaded != rows.len() {
            bail!("scikit-learn read {loaded} rows of {}", rows.len());
        }
        Ok(())
    }

    /// Fits a forest to the first rows, in one thread; seconds.
    ///
    /// # Errors
    /// The process ended.
    pub fn fit(
        &mut self,
        package: Package,
        rows: usize,
        trees: usize,
        max_samples: usize,
        seed: u64,
    ) -> anyhow::Result<f64> {
        let numbers = [rows.to_string(), trees.to_string(), max_samples.to_string()];
        let [rows, trees, max_samples] = &numbers;
        self.ask(&["fit", package.name(), rows, trees, max_samples, &seed.to_string()])
    }

    /// Scores the first rows in one call; seconds.
    ///
    /// # Errors
    /// The process ended.
    pub fn score(&mut self, package: Package, rows: usize) -> anyhow::Result<f64> {
        self.ask(&["score", package.name(), &rows.to_string()])
    }

    /// Scores the first rows in one call each; seconds.
    ///
    /// # Errors
    /// The process ended.
    pub fn score_each(&mut self, package: Package, rows: usize) -> anyhow::Result<f64> {
        self.ask(&["score_each", package.name(), &rows.to_string()])
    }

    fn ask<T: FromStr<Err: Display>>(&mut self, words: &[&str]) -> anyhow::Result<T> {
        let what = words[0];
        writeln!(self.commands, "{}", words.join("\t"))
            .with_context(|| format!("scikit-learn ended before `{what}`"))?;
        let mut answer = String::new();
        if self.answers.read_line(&mut answer)? == 0 {
            bail!("scikit-learn ended at `{what}`; what it said is above");
        }
        answer
            .trim()
            .parse()
            .map_err(|error| anyhow::anyhow!("answer `{}` to `{what}`: {error}", answer.trim()))
    }
}

impl Drop for ScikitLearn {
    fn drop(&mut self) {
        // It waits for a command and has nothing to lose.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
