//! Files that a report names with their digests.

use std::{fs::File, path::Path};

use anyhow::Context as _;
use sha2::{Digest as _, Sha256};

use experiment::report::Input;

/// Reads a file through for its length and digest.
pub(super) fn input(role: &'static str, path: &Path) -> anyhow::Result<Input> {
    let failed = || format!("cannot read `{}`", path.display());
    anyhow::ensure!(
        path != Path::new("-"),
        "`-` is standard input, which can be read only once: give a file, for the report names \
         its digest"
    );
    let mut file = File::open(path).with_context(failed)?;
    let mut digest = Sha256::new();
    let bytes = std::io::copy(&mut file, &mut digest).with_context(failed)?;
    let sha256 = format!("{:x}", digest.finalize());
    Ok(Input { role, path: path.display().to_string(), bytes, sha256 })
}
