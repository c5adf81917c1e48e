//! Which interfaces there are, by name or by glob.

use std::{ffi::CString, fmt, io};

use super::error::KernelError;

/// Longest interface name, in bytes (`IFNAMSIZ` less the final zero).
const NAME_MAX: usize = 15;

/// A valid name of an interface, which may or may not exist.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct InterfaceName(String);

impl InterfaceName {
    /// Checks a name by the kernel's own rule (`dev_valid_name`).
    pub fn new(name: &str) -> Result<Self, KernelError> {
        let valid = !name.is_empty()
            && name.len() <= NAME_MAX
            && name != "."
            && name != ".."
            && !name.bytes().any(|byte| matches!(byte, b'/' | b':' | 0) || byte.is_ascii_whitespace());
        if valid {
            Ok(Self(name.to_owned()))
        } else {
            Err(KernelError::InvalidInterface { name: name.to_owned() })
        }
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The interface's index in the calling thread's network namespace.
    pub fn index(&self) -> Result<u32, KernelError> {
        let name = CString::new(self.0.as_str())
            .map_err(|_| KernelError::InvalidInterface { name: self.0.clone() })?;
        // SAFETY: a string that ends in zero.
        match unsafe { libc::if_nametoindex(name.as_ptr()) } {
            0 => Err(match io::Error::last_os_error() {
                error if error.raw_os_error() == Some(libc::ENODEV) => {
                    KernelError::UnknownInterface { name: self.0.clone() }
                }
                source => KernelError::System { action: "look an interface up", source },
            }),
            index => Ok(index),
        }
    }
}

impl fmt::Display for InterfaceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
