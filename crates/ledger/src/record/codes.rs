//! Closed sets of words, kept as the words themselves, so that any SQLite tool shows them.

use serde::Serialize;

macro_rules! codes {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $code:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
        #[serde(rename_all = "snake_case")]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)*
        }

        impl $name {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The word in the file, in JSON and in tables.
            #[must_use]
            pub const fn code(self) -> &'static str {
                match self {
                    $(Self::$variant => $code,)*
                }
            }

            /// The one with this word.
            #[must_use]
            pub fn of_code(code: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|one| one.code() == code)
            }
        }
    };
}

codes! {
    /// What came of an anomalous peer.
    Outcome {
        /// A guard refused; [`Decision::refusal`](crate::Decision::refusal) says which.
        Refused = "refused",
        /// Nothing was done, in observe mode; it would have been blocked.
        Would = "would",
        /// A block was made, shadow included; [`Decision::action`](crate::Decision::action) says
        /// what it does.
        Made = "made",
        /// The block could not be made.
        Failed = "failed",
    }
}

codes! {
    /// Where a block came from.
    Origin {
        /// A decision of weir's own.
        Model = "model",
        /// A person.
        Person = "person",
        /// A list that a person imported.
        Import = "import",
        /// It stood in the kernel at start, and the ledger did not know it.
        Found = "found",
    }
}

codes! {
    /// How a block ended.
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

codes! {
    /// How the run before this one ended.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_the_word_in_json() {
        for how in How::ALL {
            assert_eq!(serde_json::to_value(how).expect("JSON"), how.code());
            assert_eq!(How::of_code(how.code()), Some(*how));
        }
        for outcome in Outcome::ALL {
            assert_eq!(serde_json::to_value(outcome).expect("JSON"), outcome.code());
        }
        assert_eq!(Origin::of_code("nobody"), None);
    }
}
