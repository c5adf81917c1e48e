//! Small files beside the ledger, written whole or not at all.

use std::{
    io::{ErrorKind, Write as _},
    path::Path,
};

use anyhow::Context as _;
use serde::{Serialize, de::DeserializeOwned};

/// Content of a file; the default where there is none.
///
/// # Errors
/// It cannot be read, or is not what weir wrote.
pub(crate) fn read<T: DeserializeOwned + Default>(path: &Path) -> anyhow::Result<T> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(T::default()),
        Err(error) => {
            return Err(error).with_context(|| format!("cannot read `{}`", path.display()));
        }
    };
    serde_json::from_str(&text).with_context(|| {
        format!("`{}` is not what weir wrote; move it away to start without", path.display())
    })
}

/// Replaces a file; durable when this returns.
///
/// # Errors
/// It cannot be written; the one before stays.
pub(crate) fn write(path: &Path, content: &impl Serialize) -> anyhow::Result<()> {
    write_bytes(path, serde_json::to_string_pretty(content)?.as_bytes())
}

/// As [`write`], of bytes.
///
/// # Errors
/// It cannot be written; the one before stays.
pub(crate) fn write_bytes(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let write = || -> anyhow::Result<()> {
        let folder = path.parent().unwrap_or_else(|| Path::new("."));
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        file.write_all(bytes)?;
        file.as_file().sync_all()?;
        file.persist(path)?;
        Ok(())
    };
    write().with_context(|| format!("cannot write `{}`", path.display()))
}
