//! Plain tables for a terminal: laid out as reports are.

pub(crate) use evaluation::text::columns as table;
