//! Refusals, and the problem documents (RFC 9457) in which they travel.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Reason for which a request is not done, as far as a program has to tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// The request itself is wrong, or asks for what a guard forbids.
    Invalid,
    /// No token, or one that is not known.
    Unauthorized,
    /// Whoever asks may not do this.
    Forbidden,
    /// There is no such thing.
    NotFound,
    /// The path is there, but not with this method.
    MethodNotAllowed,
    /// The node's state does not allow it now.
    Conflict,
    /// The request is larger than may be.
    TooLarge,
    /// The request took too long to arrive.
    TooSlow,
    /// Too many requests; the header `Retry-After` says when to come back.
    TooMany,
    /// The node cannot answer now; try again.
    Unavailable,
    /// Something broke.
    Internal,
}

impl Kind {
    /// All of them, by status code.
    pub const ALL: [Self; 11] = [
        Self::Invalid,
        Self::Unauthorized,
        Self::Forbidden,
        Self::NotFound,
        Self::MethodNotAllowed,
        Self::TooSlow,
        Self::Conflict,
        Self::TooLarge,
        Self::TooMany,
        Self::Internal,
        Self::Unavailable,
    ];

    /// The HTTP status code.
    #[must_use]
    pub const fn status(self) -> u16 {
        match self {
            Self::Invalid => 400,
            Self::Unauthorized => 401,
            Self::Forbidden => 403,
            Self::NotFound => 404,
            Self::MethodNotAllowed => 405,
            Self::TooSlow => 408,
            Self::Conflict => 409,
            Self::TooLarge => 413,
            Self::TooMany => 429,
            Self::Internal => 500,
            Self::Unavailable => 503,
        }
    }

    /// A few words for a person.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::Invalid => "the request is not valid",
            Self::Unauthorized => "a token is needed",
            Self::Forbidden => "not allowed",
            Self::NotFound => "not found",
            Self::MethodNotAllowed => "no such method here",
            Self::TooSlow => "the request came too slowly",
            Self::Conflict => "not possible now",
            Self::TooLarge => "the request is too large",
            Self::TooMany => "too many requests",
            Self::Internal => "something broke",
            Self::Unavailable => "not available now",
        }
    }
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
