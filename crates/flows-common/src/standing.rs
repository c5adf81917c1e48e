//! What is known of whose packets a flow's are: the unit of evidence beside the remote's address.

/// Standing of a remote's packets: who vouches that they are its own, and who asked for them.
///
/// Facts that this host's own kernel or packets established, none that a remote can write.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "kebab-case"))]
pub enum Standing {
    /// Of connections that the remote opened and completed ([`crate::FlowCounters::is_proven`]):
    /// nobody else sent them.
    Proven,
    /// Of flows that this host asked for ([`crate::Fact::Initiated`]).
    Initiated,
    /// All else: anybody may have sent them in the remote's name.
    #[default]
    Unproven,
}

impl Standing {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Proven, Self::Initiated, Self::Unproven];

    /// Its name wherever it is written: tables, events, API.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Proven => "proven",
            Self::Initiated => "initiated",
            Self::Unproven => "unproven",
        }
    }

    /// The standing of this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|standing| standing.name() == name)
    }
}
