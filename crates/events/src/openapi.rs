//! What derived descriptions of types cannot say of another crate's.

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
            .description(Some(
                "What the kernel does with packets: drop all of them (`drop`), drop what exceeds \
                 a rate (`rate-limit`), or count what would be dropped (`shadow`).",
            ))
            .enum_values(Some(crate::Action::ALL.map(crate::Action::name)))
            .into()
    }
}

impl ToSchema for Action {}
