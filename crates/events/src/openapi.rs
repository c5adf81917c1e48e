//! Descriptions of another crate's types, which cannot be derived.

use flows_common::Action as Kernel;
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{ObjectBuilder, RefOr, Schema},
};

/// The description of [`crate::Action`], which the kernel's contract declares.
#[derive(Debug)]
pub struct Action;

impl PartialSchema for Action {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .description(Some(format!(
                "What the kernel does with packets: drop all of them (`{}`), drop what exceeds a \
                 rate (`{}`), or count what would be dropped (`{}`).",
                Kernel::Drop.name(),
                Kernel::RateLimit.name(),
                Kernel::Shadow.name()
            )))
            .enum_values(Some(Kernel::ALL.map(Kernel::name)))
            .into()
    }
}

impl ToSchema for Action {}
