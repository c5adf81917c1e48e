//! Blocks as the running node tells of them.

use control::{
    Client, ClientError,
    wire::{Action, Block, BlockQuery, LIMIT_MAX, Refused},
};
use jiff::Timestamp;

use super::row::Row;
use crate::cli::node::lasting;

/// Every block that stands.
pub(super) fn list(client: &Client) -> Result<Vec<Row>, ClientError> {
    let mut query = BlockQuery { limit: Some(LIMIT_MAX), ..BlockQuery::default() };
    let mut rows = Vec::new();
    loop {
        let page = client.blocks(&query)?;
        let now = Timestamp::now();
        rows.extend(page.items.iter().map(|block| Row::told(block, now)));
        let Some(next) = page.next else { return Ok(rows) };
        let next = next.parse().map_err(|error| {
            Refused::internal(format!("the node's cursor for the next page does not hold: {error}"))
        })?;
        query.after = Some(next);
    }
}

/// The node's answer to a request, as text.
pub(super) fn describe(block: &Block) -> String {
    let what = match block.action {
        Action::Drop => "blocked".to_owned(),
        Action::Shadow => "shadowed (nothing is dropped)".to_owned(),
        Action::RateLimit => format!("limited to {} packets a second", block.pps.unwrap_or(0)),
    };
    format!("{} is {what} for {}", block.target, lasting(block.left_s))
}
