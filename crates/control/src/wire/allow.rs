//! The allowlist: what is never blocked.

use events::word_set;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{Check, Prefix, Refused, check_text, page::check_limit};

word_set! {
    /// Source of an allowed prefix.
    #[derive(ToSchema)]
    AllowSource {
        /// An address of the host itself.
        Own = "own",
        /// A gateway of the host.
        Gateway = "gateway",
        /// A resolver of the host.
        Resolver = "resolver",
        /// Someone who administers the host: a client with a token, a remote log-in.
        Administrator = "administrator",
        /// The configuration.
        Config = "config",
        /// A file that the configuration names.
        File = "file",
        /// A person or a program, through this interface.
        Person = "person",
    }
}

/// A prefix that is never blocked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Allowed {
    /// The prefix.
    #[schema(value_type = String, example = "198.51.100.0/24")]
    pub prefix: Prefix,
    /// Source; only those of a person can be taken back here.
    pub source: AllowSource,
    /// Person who added it, or the file and line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub who: Option<String>,
    /// Time of its adding.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// End; never without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Timestamp>,
    /// Purpose, in a person's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// Filter of allowed prefixes, in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct AllowQuery {
    /// Only those behind this prefix: the last page's `next`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(value_type = Option<String>)]
    pub after: Option<Prefix>,
    /// Limit of the page, 1 to 4096; 100 without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

impl Check for AllowQuery {
    fn check(&self) -> Result<(), Refused> {
        check_limit(self.limit)
    }
}

/// A prefix to allow; blocks within it end at once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AllowRequest {
    /// The prefix.
    #[schema(value_type = String, example = "198.51.100.0/24")]
    pub prefix: Prefix,
    /// Seconds it is allowed for; without it, until it is taken back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub for_s: Option<u64>,
    /// Purpose, in one line of at most 500 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

impl Check for AllowRequest {
    fn check(&self) -> Result<(), Refused> {
        if self.for_s == Some(0) {
            return Err(Refused::invalid("`for_s` must be at least 1, got 0"));
        }
        check_text("note", self.note.as_deref())
    }
}

/// An allowed prefix to take back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct DisallowRequest {
    /// The prefix, as it is listed.
    #[param(value_type = String, example = "198.51.100.0/24")]
    pub prefix: Prefix,
}

impl Check for DisallowRequest {}
