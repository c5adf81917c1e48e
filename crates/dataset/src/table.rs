//! The tables of a data set.

use std::fmt;

use features::{Kind, schema::schema_name};

use crate::schema::WINDOW_SCHEMA;

/// A table of a data set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TableKind {
    /// A row for each flow in each window.
    Flow,
    /// A row for each remote address and horizon.
    Peer,
    /// A row for each local address and horizon.
    Host,
    /// A row for each local service and horizon.
    Service,
    /// A row for each horizon, of all local addresses.
    Net,
    /// A row for each window.
    Window,
}

impl From<Kind> for TableKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Flow => Self::Flow,
            Kind::Peer => Self::Peer,
            Kind::Host => Self::Host,
            Kind::Service => Self::Service,
            Kind::Net => Self::Net,
        }
    }
}

impl TableKind {
    /// All tables; that of the windows is the last.
    pub const ALL: [Self; 6] =
        [Self::Flow, Self::Peer, Self::Host, Self::Service, Self::Net, Self::Window];

    /// Place in [`Self::ALL`].
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }

    /// What its rows are features of; none for the window table.
    #[must_use]
    pub const fn kind(self) -> Option<Kind> {
        match self {
            Self::Flow => Some(Kind::Flow),
            Self::Peer => Some(Kind::Peer),
            Self::Host => Some(Kind::Host),
            Self::Service => Some(Kind::Service),
            Self::Net => Some(Kind::Net),
            Self::Window => None,
        }
    }

    /// True of a table whose rows are of horizons.
    #[must_use]
    pub const fn has_horizons(self) -> bool {
        !matches!(self, Self::Flow | Self::Window)
    }

    /// True of a table whose rows are about a remote address.
    #[must_use]
    pub const fn has_remotes(self) -> bool {
        matches!(self, Self::Flow | Self::Peer)
    }

    /// The table's name, which is also its folder's.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self.kind() {
            Some(kind) => kind.name(),
            None => "window",
        }
    }

    /// The name of the table's schema.
    #[must_use]
    pub const fn schema_name(self) -> &'static str {
        match self.kind() {
            Some(kind) => schema_name(kind),
            None => WINDOW_SCHEMA,
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
