//! Lists that come in parts.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{ArrayBuilder, ObjectBuilder, Ref, RefOr, Schema, Type, schema::SchemaType},
};

use super::Refused;

/// Items in an answer when the request does not say.
pub const LIMIT_DEFAULT: u32 = 100;
/// Items in an answer at the most.
pub const LIMIT_MAX: u32 = 4_096;

/// A part of a list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Page<T> {
    /// The items, in the order that the query names.
    pub items: Vec<T>,
    /// Cursor of the part that follows; none behind the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

impl<T> Page<T> {
    /// The first `limit` of these, and the cursor of the last when there are more.
    pub fn cut(
        items: impl IntoIterator<Item = T>,
        limit: u32,
        cursor: impl FnOnce(&T) -> String,
    ) -> Self {
        let limit = limit as usize;
        let mut items: Vec<T> = items.into_iter().take(limit.saturating_add(1)).collect();
        let more = items.len() > limit;
        items.truncate(limit);
        let next = if more { items.last().map(cursor) } else { None };
        Self { items, next }
    }
}

// Derived, every list would be documented under the one name `Page`.
impl<T: ToSchema> PartialSchema for Page<T> {
    fn schema() -> RefOr<Schema> {
        let items = ArrayBuilder::new().items(Ref::from_schema_name(T::name()));
        let text = SchemaType::from_iter([Type::String, Type::Null]);
        let next = ObjectBuilder::new().schema_type(text).description(Some(
            "What to give as the query's cursor for the part that follows; none behind the last.",
        ));
        ObjectBuilder::new()
            .description(Some("A part of a list."))
            .property("items", items)
            .property("next", next)
            .required("items")
            .into()
    }
}

impl<T: ToSchema> ToSchema for Page<T> {
    fn name() -> Cow<'static, str> {
        format!("{}Page", T::name()).into()
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.push((T::name().into_owned(), T::schema()));
        T::schemas(schemas);
    }
}

/// Limit of items in a query.
pub(super) fn check_limit(limit: Option<u32>) -> Result<(), Refused> {
    match limit {
        Some(limit) if !(1..=LIMIT_MAX).contains(&limit) => {
            Err(Refused::invalid(format!("`limit` must be between 1 and {LIMIT_MAX}, got {limit}")))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_has_a_cursor_only_when_more_follows() {
        let page = Page::cut(1..=3, 2, ToString::to_string);
        assert_eq!((page.items, page.next.as_deref()), (vec![1, 2], Some("2")));
        let page = Page::cut(1..=2, 2, ToString::to_string);
        assert_eq!((page.items, page.next), (vec![1, 2], None));
    }
}
