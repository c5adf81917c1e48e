//! Descriptions of another crate's types, which cannot be derived.

use flows_common as kernel;
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{ObjectBuilder, RefOr, Schema},
};

/// Describes a word of the kernel's contract: its values and what they mean.
macro_rules! describe_word {
    ($name:ident, $description:expr) => {
        #[doc = concat!("The description of [`crate::", stringify!($name), "`], which the kernel's contract declares.")]
        #[derive(Debug)]
        pub struct $name;

        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                ObjectBuilder::new()
                    .description(Some($description))
                    .enum_values(Some(kernel::$name::ALL.map(kernel::$name::name)))
                    .into()
            }
        }

        impl ToSchema for $name {}
    };
}

describe_word!(
    Action,
    format!(
        "What the kernel does with packets: drop all of them (`{}`), drop what exceeds a rate \
         (`{}`), or count what would be dropped (`{}`).",
        kernel::Action::Drop.name(),
        kernel::Action::RateLimit.name(),
        kernel::Action::Shadow.name()
    )
);
describe_word!(
    Scope,
    format!(
        "The part of a source's packets that a block is on: all but connections that this host \
         holds open (`{}`), all but those that it opened itself (`{}`), or all (`{}`).",
        kernel::Scope::Unproven.name(),
        kernel::Scope::Inbound.name(),
        kernel::Scope::All.name()
    )
);
describe_word!(
    Standing,
    format!(
        "Whose packets the evidence is of: of connections that the peer completed (`{}`), of flows \
         that this host asked for (`{}`), or of anybody who may have forged its address (`{}`).",
        kernel::Standing::Proven.name(),
        kernel::Standing::Initiated.name(),
        kernel::Standing::Unproven.name()
    )
);
