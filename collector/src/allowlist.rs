//! Files of addresses and prefixes that are never blocked.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use ipnet::IpNet;

/// Why a file of allowed prefixes cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum AllowFileError {
    /// It cannot be read.
    #[error("allow file `{path}`: {source}; mend it or take it out of `policy.allow_files`")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A line is neither a prefix nor empty.
    #[error(
        "allow file `{path}`, line {line}: `{text}` is neither an address nor a prefix like \
         192.0.2.0/24"
    )]
    Line {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What stands there.
        text: String,
    },
}

/// Reads all files: one address or prefix a line, `#` begins a comment. All of them hold or none
/// does: half an allowlist protects half of what it should.
///
/// # Errors
/// The first file that cannot be read, or the first line that is no prefix.
pub fn read(files: &[PathBuf]) -> Result<Vec<IpNet>, AllowFileError> {
    let mut prefixes = Vec::new();
    for path in files {
        read_one(path, &mut prefixes)?;
    }
    Ok(prefixes)
}

fn read_one(path: &Path, prefixes: &mut Vec<IpNet>) -> Result<(), AllowFileError> {
    let text = fs::read_to_string(path)
        .map_err(|source| AllowFileError::Unreadable { path: path.to_owned(), source })?;
    for (line, text) in (1..).zip(text.lines()) {
        let text = text.split('#').next().unwrap_or_default().trim();
        if text.is_empty() {
            continue;
        }
        let prefix = address_list::prefix(text).map_err(|_| AllowFileError::Line {
            path: path.to_owned(),
            line,
            text: text.to_owned(),
        })?;
        prefixes.push(prefix);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_a_prefix_a_line_and_comments() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), "# ours\n192.0.2.1\n\n2001:db8::/32 # the lab\n").unwrap();
        let expect: Vec<IpNet> =
            vec!["192.0.2.1/32".parse().unwrap(), "2001:db8::/32".parse().unwrap()];
        assert_eq!(read(&[file.path().to_owned()]).unwrap(), expect);
    }

    #[test]
    fn a_line_that_is_no_prefix_is_named_and_nothing_of_the_file_holds() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), "192.0.2.1\n192.0.2.300\n").unwrap();
        let error = read(&[file.path().to_owned()]).unwrap_err().to_string();
        assert!(error.contains("line 2: `192.0.2.300`"), "{error}");
        let error = read(&["/nowhere/allow".into()]).unwrap_err().to_string();
        assert!(error.contains("`/nowhere/allow`") && error.contains("allow_files"), "{error}");
    }
}
