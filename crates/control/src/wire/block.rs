//! Blocks: what stands in the kernel, and requests to make or end one.

use std::net::IpAddr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{Action, Check, Origin, Prefix, Refused, check_list, check_text, page::check_limit};

/// A block that stands in the kernel.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Block {
    /// Target.
    #[schema(value_type = String, example = "192.0.2.7")]
    pub target: Prefix,
    /// Action on its packets.
    #[schema(value_type = events::openapi::Action)]
    pub action: Action,
    /// Packets a second that a rate limit leaves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pps: Option<u64>,
    /// Time of its making; none for one that was found at the start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub made: Option<Timestamp>,
    /// End, by the kernel.
    pub expires: Timestamp,
    /// Seconds until then; 0 when it has ended and awaits removal.
    pub left_s: u64,
    /// Origin.
    pub origin: Origin,
    /// The list that it is of, where that has a name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub list: Option<String>,
    /// The person, the token or the list; none for a model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub who: Option<String>,
    /// Reason, in a person's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The allowed prefix that shares addresses with it, told of a block that was forced: the
    /// kernel passes what is allowed, whatever is blocked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub allowed: Option<Prefix>,
    /// The decision in the ledger that made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision: Option<u64>,
    /// The chance of a score as high in a benign window, where a model made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p_value: Option<f64>,
    /// Number of this block among the target's, from 1; each one lasts longer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offence: Option<u32>,
    /// Packets dropped; 0 where it has no counters of its own.
    pub dropped_packets: u64,
    /// Bytes dropped.
    pub dropped_bytes: u64,
    /// Packets passed: below its rate.
    pub passed_packets: u64,
    /// Packets that shadow passed and enforcing would have dropped.
    pub would_drop_packets: u64,
    /// Time of the first packet that it dropped, or would have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_drop: Option<Timestamp>,
    /// Time of the last such packet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_drop: Option<Timestamp>,
}

/// Filter of blocks, in the order of their targets.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct BlockQuery {
    /// Only those behind this target: the last page's `next`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(value_type = Option<String>)]
    pub after: Option<Prefix>,
    /// Limit of the page, 1 to 4096; 100 without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
    /// Only those that this made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(inline)]
    pub origin: Option<Origin>,
    /// Only those of this list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub list: Option<String>,
    /// Only those that hold this address: the block of it, and those of prefixes around it. All of
    /// them, the narrowest first, whatever else is asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(value_type = Option<String>)]
    pub holding: Option<IpAddr>,
}

impl Check for BlockQuery {
    fn check(&self) -> Result<(), Refused> {
        check_list(self.list.as_deref())?;
        check_limit(self.limit)
    }
}

/// A block to make.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BlockRequest {
    /// Target to block.
    #[schema(value_type = String, example = "192.0.2.7")]
    pub target: Prefix,
    /// Action on its packets; `drop` without it.
    #[serde(default = "drop_all")]
    #[schema(value_type = events::openapi::Action)]
    pub action: Action,
    /// Packets a second that a rate limit leaves; `policy.expert.rate_limit_pps` without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pps: Option<u32>,
    /// Seconds it lasts; `policy.ttl` without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub for_s: Option<u64>,
    /// Reason, in one line of at most 500 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The list that it is to be of, by name; a new one begins with its first block.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub list: Option<String>,
    /// Block a protected host all the same: one of this host's own addresses, a gateway, ...
    #[serde(default)]
    pub force: bool,
}

const fn drop_all() -> Action {
    Action::Drop
}

impl Check for BlockRequest {
    fn check(&self) -> Result<(), Refused> {
        check_text("reason", self.reason.as_deref())?;
        check_list(self.list.as_deref())?;
        if self.for_s == Some(0) {
            return Err(Refused::invalid("`for_s` must be at least 1, got 0"));
        }
        match (self.pps, self.action) {
            (Some(0), _) => Err(Refused::invalid("`pps` must be at least 1, got 0")),
            (Some(_), Action::Drop | Action::Shadow) => Err(Refused::invalid(format!(
                "`pps` is for a rate limit, got action `{}`",
                self.action.name()
            ))),
            _ => Ok(()),
        }
    }
}

/// A block to end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct UnblockRequest {
    /// Target of the block, as it is listed.
    #[param(value_type = String, example = "192.0.2.7")]
    pub target: Prefix,
    /// Reason, in one line of at most 500 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl Check for UnblockRequest {
    fn check(&self) -> Result<(), Refused> {
        check_text("reason", self.reason.as_deref())
    }
}

/// Blocks to end: all of a list, or all that stand.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct UnblockAllRequest {
    /// The list; without it all blocks end, whoever made them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub list: Option<String>,
    /// Reason, in one line of at most 500 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl Check for UnblockAllRequest {
    fn check(&self) -> Result<(), Refused> {
        check_list(self.list.as_deref())?;
        check_text("reason", self.reason.as_deref())
    }
}

/// Blocks that were ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Unblocked {
    /// Their number.
    pub ended: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_out_of_bounds_is_told_the_bound() {
        let base = BlockRequest {
            target: "192.0.2.7".parse().unwrap(),
            action: Action::Drop,
            pps: None,
            for_s: None,
            reason: None,
            list: Some("feeds".into()),
            force: false,
        };
        assert_eq!(base.check(), Ok(()));
        let long = "x".repeat(501);
        for (request, expect) in [
            (BlockRequest { pps: Some(5), ..base.clone() }, "rate limit, got action `drop`"),
            (BlockRequest { for_s: Some(0), ..base.clone() }, "at least 1, got 0"),
            (BlockRequest { reason: Some(long), ..base.clone() }, "at most 500"),
            (BlockRequest { reason: Some("a\nb".into()), ..base.clone() }, "one line"),
            (BlockRequest { list: Some("a b".into()), ..base.clone() }, "1 to 64 letters"),
            (BlockRequest { list: Some(String::new()), ..base.clone() }, "got \"\""),
        ] {
            let error = request.check().unwrap_err().text;
            assert!(error.contains(expect), "{error}");
        }
    }
}
