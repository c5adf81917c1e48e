//! Names of lists of blocks, each with the reason that the kernel's entries of it carry.

use std::path::{Path, PathBuf};

use anyhow::ensure;

use crate::{
    enforcer::{BY_IMPORT, FIRST_OF_PEOPLE, LISTS_LIMIT},
    kept,
};

/// The names, in the order of their numbers; a number is never given to another name.
#[derive(Debug, Default)]
pub struct Lists {
    path: Option<PathBuf>,
    names: Vec<String>,
}

impl Lists {
    /// Reads the names that earlier runs kept beside this ledger.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn beside(ledger: Option<&Path>) -> anyhow::Result<Self> {
        let path = ledger.map(|path| path.with_file_name("lists.json"));
        let names = path.as_deref().map(kept::read).transpose()?.unwrap_or_default();
        Ok(Self { path, names })
    }

    /// The reason that entries of a list carry.
    #[must_use]
    pub fn reason(&self, name: &str) -> Option<u32> {
        self.names.iter().position(|one| one == name).and_then(reason_of)
    }

    /// The list whose entries carry this reason; none for a list without a name.
    #[must_use]
    pub fn name(&self, reason: u32) -> Option<&str> {
        self.names.get(number_of(reason)?).map(String::as_str)
    }

    /// As [`Self::reason`]; a name that is new gets a number, which is kept.
    ///
    /// # Errors
    /// There are [`LISTS_LIMIT`] names already, or the file cannot be written.
    pub fn reason_or_new(&mut self, name: &str) -> anyhow::Result<u32> {
        if let Some(reason) = self.reason(name) {
            return Ok(reason);
        }
        ensure!(
            self.names.len() < LISTS_LIMIT as usize,
            "{LISTS_LIMIT} lists have a name already, `{name}` would be one more; use one of theirs"
        );
        self.names.push(name.to_owned());
        if let Err(error) = self.keep() {
            self.names.pop();
            return Err(error);
        }
        Ok(BY_IMPORT - u32::try_from(self.names.len()).unwrap_or(LISTS_LIMIT))
    }

    /// Names the list of this reason by its number, where the file that had its name is lost.
    pub(crate) fn cover(&mut self, reason: u32) {
        let Some(number) = number_of(reason) else { return };
        for lost in self.names.len()..=number {
            self.names.push(format!("lost-{}", lost + 1));
        }
    }

    fn keep(&self) -> anyhow::Result<()> {
        self.path.as_deref().map_or(Ok(()), |path| kept::write(path, &self.names))
    }
}

/// The place of a list's name.
fn number_of(reason: u32) -> Option<usize> {
    let named = (FIRST_OF_PEOPLE..BY_IMPORT).contains(&reason);
    named.then(|| (BY_IMPORT - reason - 1) as usize)
}

fn reason_of(place: usize) -> Option<u32> {
    u32::try_from(place).ok().map(|place| BY_IMPORT - 1 - place)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_keeps_its_reason_over_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = folder.path().join("ledger.db");
        let mut lists = Lists::beside(Some(&ledger)).unwrap();
        let [one, two] = ["feeds", "tor"].map(|name| lists.reason_or_new(name).unwrap());
        assert_eq!((one, two), (BY_IMPORT - 1, BY_IMPORT - 2));
        let mut again = Lists::beside(Some(&ledger)).unwrap();
        assert_eq!((again.reason("tor"), again.name(one)), (Some(two), Some("feeds")));
        assert_eq!(again.reason_or_new("feeds").unwrap(), one);
        assert_eq!((again.name(BY_IMPORT), again.name(7)), (None, None));
    }

    #[test]
    fn a_list_whose_name_is_lost_keeps_its_number_and_no_name_comes_beyond_the_last() {
        let mut lists = Lists::default();
        lists.cover(BY_IMPORT - 2);
        assert_eq!(lists.name(BY_IMPORT - 2), Some("lost-2"));
        assert_eq!(lists.reason_or_new("feeds").unwrap(), BY_IMPORT - 3);
        for number in 3..LISTS_LIMIT {
            lists.reason_or_new(&format!("list-{number}")).unwrap();
        }
        let error = lists.reason_or_new("more").unwrap_err().to_string();
        assert!(error.contains("1024") && error.contains("`more`"), "{error}");
        assert_eq!(lists.name(FIRST_OF_PEOPLE), Some("list-1023"));
    }
}
