//! Labels of rows.

use std::sync::Arc;

/// The label of benign rows, as it stands in the column `label`.
pub const BENIGN: &str = "benign";

/// Label of a row.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Label {
    /// Nothing is known: `label` is null.
    #[default]
    Unlabelled,
    /// `label` is [`BENIGN`].
    Benign,
    /// Of an attack.
    Attack {
        /// The column `label`: the attack's class, such as `syn_scan`.
        class: Arc<str>,
        /// The column `attack`: which attack of that class it was, if that is known.
        name: Option<Arc<str>>,
    },
}

impl Label {
    /// The label of what stands in the columns `label` and `attack`.
    #[must_use]
    pub fn of(class: Option<&str>, name: Option<&str>) -> Self {
        match class {
            None => Self::Unlabelled,
            Some(BENIGN) => Self::Benign,
            Some(class) => Self::Attack { class: class.into(), name: name.map(Into::into) },
        }
    }

    /// Value of the column `label`.
    #[must_use]
    pub fn class(&self) -> Option<&str> {
        match self {
            Self::Unlabelled => None,
            Self::Benign => Some(BENIGN),
            Self::Attack { class, .. } => Some(class),
        }
    }

    /// Value of the column `attack`.
    #[must_use]
    pub fn attack(&self) -> Option<&str> {
        match self {
            Self::Attack { name, .. } => name.as_deref(),
            Self::Unlabelled | Self::Benign => None,
        }
    }

    /// True of an attack's label.
    #[must_use]
    pub const fn is_attack(&self) -> bool {
        matches!(self, Self::Attack { .. })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_is_what_its_columns_say() {
        for (class, name) in [
            (None, None),
            (Some("benign"), None),
            (Some("syn_scan"), None),
            (Some("syn_scan"), Some("scan at noon")),
        ] {
            let label = Label::of(class, name);
            assert_eq!((label.class(), label.attack()), (class, name));
        }
        assert!(Label::of(Some("syn_scan"), None).is_attack());
        assert!(!Label::of(Some(BENIGN), None).is_attack());
    }
}
