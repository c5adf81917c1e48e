//! What the tests over captures share.

pub(crate) mod captures;
