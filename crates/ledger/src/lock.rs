//! A lock that lets in one writer at a time.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use crate::LedgerError;

/// The lock of the one who writes; the kernel lets go of it when its process ends, however it
/// ends.
///
/// It is a file of its own: closing any handle of the database would drop SQLite's locks on it.
#[derive(Debug)]
pub(crate) struct Lock(#[expect(dead_code, reason = "is held, not used")] File);

impl Lock {
    /// Takes the lock of a ledger, and leaves this process's number in it.
    pub(crate) fn take(ledger: &Path) -> Result<Self, LedgerError> {
        let path = beside(ledger, ".lock");
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(LedgerError::io("open the lock", &path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                // Only for the message: it may be half written.
                let _ = file.read_to_string(&mut holder);
                let holder = holder.trim().parse().ok();
                return Err(LedgerError::InUse { path: ledger.to_owned(), holder });
            }
            Err(TryLockError::Error(error)) => return Err(LedgerError::io("lock", &path)(error)),
        }
        // A full disk must not prevent reading, or making room.
        let _ = file.set_len(0);
        let _ = file.rewind();
        let _ = writeln!(file, "{}", std::process::id());
        Ok(Self(file))
    }
}

/// The path of a file that belongs to a ledger.
pub(crate) fn beside(ledger: &Path, suffix: &str) -> PathBuf {
    let mut name = ledger.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}
