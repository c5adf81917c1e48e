//! Closed sets of words: each is spelled once, here, for files, JSON, command lines and tables.

use flows_common::Action;

/// Declares a closed set: the variants with their words, which are their serde form too.
#[macro_export]
macro_rules! word_set {
    ($(#[$meta:meta])* $name:ident { $($(#[$variant_meta:meta])* $variant:ident = $word:tt,)* }) => {
        #[derive(
            Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize,
            serde::Deserialize,
        )]
        $(#[$meta])*
        pub enum $name {
            $($(#[$variant_meta])* #[serde(rename = $word)] $variant,)*
        }

        impl $name {
            /// All of them.
            pub const ALL: [Self; [$($word),*].len()] = [$(Self::$variant),*];

            /// Its word.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)*
                }
            }

            /// The one with this word.
            #[must_use]
            pub fn from_name(name: &str) -> Option<Self> {
                Self::ALL.into_iter().find(|one| one.name() == name)
            }
        }
    };
}

/// A set of this crate, which the API's document describes.
macro_rules! words {
    ($(#[$meta:meta])* $name:ident $body:tt) => {
        $crate::word_set! {
            #[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
            $(#[$meta])* $name $body
        }
    };
}
pub(crate) use words;

words! {
    /// The action taken about an anomalous peer, or about a service under a flood.
    #[cfg_attr(feature = "openapi", schema(as = Outcome))]
    ActionTaken {
        /// Observe mode: nothing, and this is what the policy would have done.
        WouldBlock = "would-block",
        /// An entry that counts and passes.
        Shadowed = "shadowed",
        /// An entry that drops above a rate.
        RateLimited = "rate-limited",
        /// An entry that drops.
        Blocked = "blocked",
        /// A guard refused.
        Refused = "refused",
        /// The entry could not be made.
        Failed = "failed",
    }
}

impl ActionTaken {
    /// Effect of an entry with this action.
    #[must_use]
    pub const fn of(action: Action) -> Self {
        match action {
            Action::Shadow => Self::Shadowed,
            Action::RateLimit => Self::RateLimited,
            Action::Drop => Self::Blocked,
        }
    }

    /// The action of the entry that was made in the kernel, if one was.
    #[must_use]
    pub const fn entry(self) -> Option<Action> {
        match self {
            Self::Shadowed => Some(Action::Shadow),
            Self::RateLimited => Some(Action::RateLimit),
            Self::Blocked => Some(Action::Drop),
            Self::WouldBlock | Self::Refused | Self::Failed => None,
        }
    }

    /// An entry was made in the kernel.
    #[must_use]
    pub const fn made_entry(self) -> bool {
        self.entry().is_some()
    }

    /// The verdict, as a person reads it.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::WouldBlock => "would block",
            taken => taken.name(),
        }
    }
}

words! {
    /// The most that weir may do about an anomaly.
    #[derive(Default)]
    Mode {
        /// Report; no entry is made.
        #[default]
        Observe = "observe",
        /// Make entries that only count what they would drop.
        Shadow = "shadow",
        /// Make entries that drop.
        Enforce = "enforce",
    }
}

words! {
    /// Origin of a block.
    Origin {
        /// A model and the policy.
        Model = "model",
        /// A person or a program, through the API or by hand.
        Person = "person",
        /// A list that was imported.
        Import = "import",
        /// It stood in the kernel when the node started, and nothing says whose it is.
        Found = "found",
    }
}

words! {
    /// Kind of a block's end.
    How {
        /// Its lease ran out.
        Expired = "expired",
        /// By chance, to keep measuring.
        ReleasedEarly = "released_early",
        /// A person unblocked it.
        Unblocked = "unblocked",
        /// Another block of the same target took its place.
        Replaced = "replaced",
        /// It was gone from the kernel, and weir had not removed it.
        Vanished = "vanished",
        /// weir fell back to shadow.
        FellBack = "fell_back",
    }
}

words! {
    /// Kind of the end of the run before this one.
    PreviousEnd {
        /// There was none.
        None = "none",
        /// In good order.
        Stopped = "stopped",
        /// Without a word, and the machine lived on: killed or crashed.
        Died = "died",
        /// Without a word, and with the machine.
        Rebooted = "rebooted",
    }
}

words! {
    /// What a reason is about.
    Subject {
        /// The peer.
        Peer = "peer",
        /// A local address.
        Host = "host",
        /// A local service.
        Service = "service",
        /// All local addresses together.
        Net = "net",
        /// The most anomalous flow of the peer, in records of versions that scored flows.
        Flow = "flow",
    }
}

words! {
    /// Cause of an open breaker.
    Trip {
        /// Blocked peers would have been too large a share of the ordinary ones.
        ShareOfPeers = "share_of_peers",
        /// Blocked peers would have carried too large a share of the ordinary bytes.
        ShareOfBytes = "share_of_bytes",
    }
}

impl Trip {
    /// The verdict, as a person reads it.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::ShareOfPeers => "blocks would hit more than policy.expert.max_share_of_peers",
            Self::ShareOfBytes => "blocks would hit more than policy.expert.max_share_of_bytes",
        }
    }
}

/// True where serde may leave a count out.
pub(crate) fn is_zero<T: Default + PartialEq>(count: &T) -> bool {
    *count == T::default()
}

#[cfg(test)]
mod tests {
    use std::fmt::Debug;

    use serde::{Serialize, de::DeserializeOwned};

    use super::*;
    use crate::Refusal;

    fn check<T, const N: usize>(all: [T; N], name: fn(T) -> &'static str)
    where
        T: Copy + Serialize + DeserializeOwned + Debug + PartialEq,
    {
        for one in all {
            assert_eq!(serde_json::to_value(one).expect("JSON"), name(one));
            assert_eq!(serde_json::from_value::<T>(name(one).into()).expect("a word"), one);
        }
    }

    #[test]
    fn the_name_is_the_word_in_json_and_reads_back() {
        check(Action::ALL, Action::name);
        check(ActionTaken::ALL, ActionTaken::name);
        check(How::ALL, How::name);
        check(Refusal::ALL, Refusal::name);
        assert_eq!(Origin::from_name("import"), Some(Origin::Import));
        assert_eq!(Origin::from_name("nobody"), None);
        assert_eq!(Action::from_name("Rate-Limit"), Some(Action::RateLimit));
    }

    #[test]
    fn an_entry_says_which_action_it_has() {
        for action in Action::ALL {
            assert_eq!(ActionTaken::of(action).entry(), Some(action));
        }
    }
}
