//! The tables of a data set.

use std::fmt;

use features::schema::{FLOW_SCHEMA, PEER_SCHEMA};

use crate::schema::WINDOW_SCHEMA;

/// A table of a data set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TableKind {
    /// A row for each flow in each window.
    Flow,
    /// A row for each remote address in each window.
    Peer,
    /// A row for each window.
    Window,
}

impl TableKind {
    /// All tables.
    pub const ALL: [Self; 3] = [Self::Flow, Self::Peer, Self::Window];

    /// The table's name, which is also its folder's.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Flow => "flow",
            Self::Peer => "peer",
            Self::Window => "window",
        }
    }

    /// The name of the table's schema.
    #[must_use]
    pub const fn schema_name(self) -> &'static str {
        match self {
            Self::Flow => FLOW_SCHEMA,
            Self::Peer => PEER_SCHEMA,
            Self::Window => WINDOW_SCHEMA,
        }
    }

    /// The table of a schema's name.
    #[must_use]
    pub fn of_schema(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|table| table.schema_name() == name)
    }

    /// The table that a name is a schema of, in whichever version.
    pub(crate) fn of_any_version(name: &str) -> Option<Self> {
        let stem = |name: &str| name.rsplit_once(".v").map(|(stem, _)| stem.to_owned());
        let wanted = stem(name)?;
        Self::ALL.into_iter().find(|table| stem(table.schema_name()).as_ref() == Some(&wanted))
    }

    /// True of a table whose rows can bear a label; a window as such is neither benign nor an
    /// attack.
    #[must_use]
    pub const fn has_labels(self) -> bool {
        !matches!(self, Self::Window)
    }
}

impl fmt::Display for TableKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
