//! Refusals, and the problem documents (RFC 9457) in which they travel.

use events::word_set;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Declares the kinds of problems once: variant, word, HTTP status code, and words for a person.
macro_rules! kinds {
    ($($(#[$meta:meta])* $kind:ident = $word:tt: $status:literal, $title:literal;)*) => {
        word_set! {
            /// Reason for which a request is not done, as far as a program has to tell.
            #[derive(ToSchema)]
            Kind {
                $($(#[$meta])* $kind = $word,)*
            }
        }

        impl Kind {
            /// The HTTP status code.
            #[must_use]
            pub const fn status(self) -> u16 {
                match self {
                    $(Self::$kind => $status,)*
                }
            }

            /// A few words for a person.
            #[must_use]
            pub const fn title(self) -> &'static str {
                match self {
                    $(Self::$kind => $title,)*
                }
            }
        }
    };
}

kinds! {
    /// The request itself is wrong, or asks for what a guard forbids.
    Invalid = "invalid": 400, "the request is not valid";
    /// No token, or one that is not known.
    Unauthorized = "unauthorized": 401, "a token is needed";
    /// Whoever asks may not do this.
    Forbidden = "forbidden": 403, "not allowed";
    /// There is no such thing.
    NotFound = "not-found": 404, "not found";
    /// The path is there, but not with this method.
    MethodNotAllowed = "method-not-allowed": 405, "no such method here";
    /// The node's state does not allow it now.
    Conflict = "conflict": 409, "not possible now";
    /// The request is larger than may be.
    TooLarge = "too-large": 413, "the request is too large";
    /// The request took too long to arrive.
    TooSlow = "too-slow": 408, "the request came too slowly";
    /// Too many requests; the header `Retry-After` says when to come back.
    TooMany = "too-many": 429, "too many requests";
    /// The node cannot answer now; try again.
    Unavailable = "unavailable": 503, "not available now";
    /// Something broke.
    Internal = "internal": 500, "something broke";
}

/// A request that was not done: what a node answers instead of a result.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct Refused {
    /// Kind of problem, for programs.
    pub kind: Kind,
    /// Value, bound and remedy, in one line.
    pub text: String,
}

impl Refused {
    /// A refusal.
    #[must_use]
    pub fn new(kind: Kind, text: impl Into<String>) -> Self {
        Self { kind, text: text.into() }
    }

    /// The request itself is wrong, or asks for what a guard forbids.
    #[must_use]
    pub fn invalid(text: impl Into<String>) -> Self {
        Self::new(Kind::Invalid, text)
    }

    /// There is no such thing.
    #[must_use]
    pub fn not_found(text: impl Into<String>) -> Self {
        Self::new(Kind::NotFound, text)
    }

    /// The node's state does not allow it now.
    #[must_use]
    pub fn conflict(text: impl Into<String>) -> Self {
        Self::new(Kind::Conflict, text)
    }

    /// The node cannot answer now.
    #[must_use]
    pub fn unavailable(text: impl Into<String>) -> Self {
        Self::new(Kind::Unavailable, text)
    }

    /// Something broke.
    #[must_use]
    pub fn internal(text: impl Into<String>) -> Self {
        Self::new(Kind::Internal, text)
    }
}

/// A refusal as it travels: `application/problem+json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// Always `about:blank`: `kind` tells problems apart.
    #[serde(rename = "type")]
    pub type_uri: String,
    /// A few words for a person.
    pub title: String,
    /// The HTTP status code again.
    pub status: u16,
    /// Value, bound and remedy, in one line.
    pub detail: String,
    /// Kind of problem, for programs.
    pub kind: Kind,
}

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Self {
        Self {
            type_uri: "about:blank".to_owned(),
            title: refused.kind.title().to_owned(),
            status: refused.kind.status(),
            detail: refused.text,
            kind: refused.kind,
        }
    }
}

impl From<Problem> for Refused {
    fn from(problem: Problem) -> Self {
        Self { kind: problem.kind, text: problem.detail }
    }
}
