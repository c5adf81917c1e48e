//! Lines that make no block, each with its place and its reason.

use std::{
    fmt::Display,
    fs::File,
    io::{BufWriter, Write as _},
    path::Path,
};

use anyhow::Context as _;

use crate::cli::bar::Bar;

/// Lines that are shown on standard error.
const SHOWN: u64 = 20;

/// Shows the first ones, and writes all of them where a file was asked for.
pub(super) struct Complaints {
    count: u64,
    file: Option<BufWriter<File>>,
}

impl Complaints {
    pub(super) fn start(path: Option<&Path>) -> anyhow::Result<Self> {
        let file = path
            .map(|path| {
                File::create(path).with_context(|| format!("--errors `{}`", path.display()))
            })
            .transpose()?;
        Ok(Self { count: 0, file: file.map(BufWriter::new) })
    }

    pub(super) fn report(
        &mut self,
        file: &str,
        line: u64,
        why: &dyn Display,
        bar: &Bar,
    ) -> anyhow::Result<()> {
        self.count += 1;
        if self.count <= SHOWN {
            bar.aside(|| eprintln!("{file}:{line}: {why}"));
        }
        if let Some(out) = &mut self.file {
            writeln!(out, "{file}:{line}: {why}").context("--errors")?;
        }
        Ok(())
    }

    /// Says how many were not shown.
    pub(super) fn finish(&mut self, path: Option<&Path>) -> anyhow::Result<()> {
        let hidden = self.count.saturating_sub(SHOWN);
        if hidden > 0 {
            let where_all = match path {
                Some(path) => format!("all are in `{}`", path.display()),
                None => "`--errors FILE` writes all".to_owned(),
            };
            eprintln!("and {hidden} more lines; {where_all}");
        }
        if let Some(out) = &mut self.file {
            out.flush().context("--errors")?;
        }
        Ok(())
    }
}
