//! Tokens: authorization of HTTP requests, by scope.
//!
//! A token is 32 random bytes in hexadecimal digits behind `weir_`. The file holds only its
//! SHA-256, so a reader of the file gains no access.

use std::{
    collections::BTreeSet,
    fmt::Write as _,
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Deserializer, Serialize, de};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

/// Prefix of a token, by which scanners for leaked secrets know it.
const PREFIX: &str = "weir_";
/// Tokens in a file at the most: each request with one is compared with all.
pub const TOKENS_MAX: usize = 64;
/// Permission bits that a tokens file must not have: writing for the group, anything for others.
const FORBIDDEN_BITS: u32 = 0o027;

/// Scope of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scope {
    /// Seeing the node.
    Read,
    /// Changing its state; it does not include reading.
    Write,
}

/// A token that was just made: the one moment at which its text is known.
#[derive(Clone, PartialEq, Eq)]
pub struct NewToken {
    text: String,
}

impl NewToken {
    /// Makes a token from 32 random bytes.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self { text: format!("{PREFIX}{}", hexadecimal(&bytes)) }
    }

    /// Makes a token from the system's random numbers.
    ///
    /// # Errors
    /// The system has none.
    pub fn random() -> std::io::Result<Self> {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes).map_err(|error| std::io::Error::other(error.to_string()))?;
        Ok(Self::from_bytes(bytes))
    }

    /// The token itself; it is written nowhere.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Entry of the token in the tokens file.
    #[must_use]
    pub fn entry(&self, name: &str, scopes: &BTreeSet<Scope>) -> String {
        let scopes: Vec<&str> = scopes.iter().map(|scope| scope.text()).collect();
        format!(
            "[[token]]\nname = {name:?}\nsha256 = \"{}\"\nscopes = [\"{}\"]\n",
            hexadecimal(&digest(&self.text)),
            scopes.join("\", \"")
        )
    }
}

impl Scope {
    /// The scope as it is written.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
        }
    }
}

/// A token as the file knows it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Token {
    /// Name under which every change is recorded.
    pub name: String,
    #[serde(deserialize_with = "sha256")]
    sha256: [u8; 32],
    /// Scopes.
    pub scopes: BTreeSet<Scope>,
}

/// The tokens of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tokens {
    #[serde(default)]
    token: Vec<Token>,
}

/// Reason for which a tokens file is not valid.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The file is not there or cannot be read.
    #[error("tokens file `{path}`: {source}; `weir token new NAME` makes what it holds")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Error of the system.
        source: std::io::Error,
    },
    /// Others than its owner could change it, or others than its group read it.
    #[error("tokens file `{path}` has the mode {mode:04o}; `chmod 600 {path}` closes it to others")]
    Open {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// It is not of its shape.
    #[error("tokens file `{path}`: {why}; `weir token new NAME` prints an entry as it must be")]
    Shape {
        /// The file.
        path: PathBuf,
        /// Line and reason.
        why: String,
    },
}

impl Tokens {
    /// Reads a tokens file.
    ///
    /// # Errors
    /// It cannot be read, is open to others, or is not of its shape.
    pub fn read(path: &Path) -> Result<Self, TokenError> {
        let unreadable = |source| TokenError::Unreadable { path: path.to_owned(), source };
        let mode = fs::metadata(path).map_err(unreadable)?.permissions().mode() & 0o7777;
        if mode & FORBIDDEN_BITS != 0 {
            return Err(TokenError::Open { path: path.to_owned(), mode });
        }
        let text = fs::read_to_string(path).map_err(unreadable)?;
        let shape = |why: String| TokenError::Shape { path: path.to_owned(), why };
        let tokens: Self =
            toml::from_str(&text).map_err(|error| shape(error.to_string().trim().to_owned()))?;
        tokens.check().map_err(shape)?;
        Ok(tokens)
    }

    fn check(&self) -> Result<(), String> {
        if self.token.len() > TOKENS_MAX {
            return Err(format!("at most {TOKENS_MAX} tokens, got {}", self.token.len()));
        }
        let mut names = BTreeSet::new();
        for token in &self.token {
            check_name(&token.name)?;
            if !names.insert(&token.name) {
                return Err(format!("two tokens have the name `{}`", token.name));
            }
            if token.scopes.is_empty() {
                return Err(format!("token `{}` has no scope, `read` or `write`", token.name));
            }
        }
        Ok(())
    }

    /// There is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.token.is_empty()
    }

    /// The token with this text, in a time that does not tell how much of it is right.
    #[must_use]
    pub fn find(&self, text: &str) -> Option<&Token> {
        let presented = digest(text);
        let mut found = None;
        for token in &self.token {
            if bool::from(token.sha256.ct_eq(&presented)) {
                found = Some(token);
            }
        }
        found
    }
}

/// Checks a token's name: it stands in logs and in the ledger.
///
/// # Errors
/// It is empty, too long, or holds other than letters, digits, `-`, `_`, `.` and `@`.
pub fn check_name(name: &str) -> Result<(), String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || "-_.@".contains(c);
    if (1..=64).contains(&name.len()) && name.chars().all(fits) {
        return Ok(());
    }
    Err(format!("a token's name is 1 to 64 letters, digits, `-`, `_`, `.` or `@`, got {name:?}"))
}

fn digest(text: &str) -> [u8; 32] {
    Sha256::digest(text.as_bytes()).into()
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn sha256<'de, D: Deserializer<'de>>(deserializer: D) -> Result<[u8; 32], D::Error> {
    let text = String::deserialize(deserializer)?;
    let wrong = || de::Error::custom("`sha256` must be 64 hexadecimal digits");
    let mut bytes = [0; 32];
    if text.len() != 2 * bytes.len() || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(wrong());
    }
    for (byte, at) in bytes.iter_mut().zip((0..text.len()).step_by(2)) {
        *byte = u8::from_str_radix(&text[at..at + 2], 16).map_err(|_| wrong())?;
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str, mode: u32) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), text).unwrap();
        fs::set_permissions(file.path(), fs::Permissions::from_mode(mode)).unwrap();
        file
    }

    #[test]
    fn a_new_token_is_found_by_its_text_and_by_no_other() {
        let token = NewToken::from_bytes([7; 32]);
        assert!(token.text().starts_with("weir_0707"));
        let entry = token.entry("grafana", &BTreeSet::from([Scope::Read]));
        let other = NewToken::from_bytes([8; 32]).entry("ops", &BTreeSet::from([Scope::Write]));
        let file = file(&format!("{entry}\n{other}"), 0o600);
        let tokens = Tokens::read(file.path()).unwrap();
        let found = tokens.find(token.text()).unwrap();
        assert_eq!((found.name.as_str(), found.scopes.len()), ("grafana", 1));
        assert_eq!(tokens.find("weir_07"), None);
        assert_eq!(tokens.find(""), None);
        assert!(!entry.contains(token.text()), "the file holds the token itself");
    }

    #[test]
    fn random_tokens_differ() {
        assert!(NewToken::random().unwrap() != NewToken::random().unwrap());
    }

    #[test]
    fn a_file_open_to_others_is_refused_with_its_remedy() {
        for mode in [0o644, 0o604, 0o660, 0o602] {
            let file = file("", mode);
            let error = Tokens::read(file.path()).unwrap_err().to_string();
            assert!(
                error.contains(&format!("{mode:04o}")) && error.contains("chmod 600"),
                "{error}"
            );
        }
        assert!(Tokens::read(file("", 0o640).path()).unwrap().is_empty());
    }

    #[test]
    fn a_file_of_the_wrong_shape_says_where() {
        let good = NewToken::from_bytes([7; 32]).entry("a", &BTreeSet::from([Scope::Read]));
        for (text, expect) in [
            (
                "[[token]]\nname = \"a\"\nsha256 = \"12\"\nscopes = []\n".to_owned(),
                "64 hexadecimal",
            ),
            (good.replace("[\"read\"]", "[]"), "no scope"),
            (good.replace("read", "admin"), "admin"),
            (format!("{good}{good}"), "two tokens"),
            (good.replace("name = \"a\"", "name = \"a b\""), "letters, digits"),
            (good.replace("name", "nam"), "nam"),
        ] {
            let error = Tokens::read(file(&text, 0o600).path()).unwrap_err().to_string();
            assert!(error.contains(expect), "{expect}: {error}");
        }
        let error = Tokens::read(Path::new("/nowhere/tokens.toml")).unwrap_err().to_string();
        assert!(error.contains("weir token new"), "{error}");
    }
}
