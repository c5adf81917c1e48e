//! Blocks as the running node tells of them.

use control::{
    Client, ClientError,
    wire::{Action, Block, BlockQuery, LIMIT_MAX, Refused},
};
use jiff::Timestamp;

use super::row::Row;
use crate::cli::node::lasting;

/// Shows every block that stands, or those of a list, page by page.
pub(super) fn each_page(
    client: &Client,
    list: Option<&str>,
    mut show: impl FnMut(&[Row]) -> anyhow::Result<()>,
) -> Result<anyhow::Result<()>, ClientError> {
    let list = list.map(str::to_owned);
    let mut query = BlockQuery { limit: Some(LIMIT_MAX), list, ..BlockQuery::default() };
    loop {
        let page = client.blocks(&query)?;
        let now = Timestamp::now();
        let rows: Vec<Row> = page.items.iter().map(|block| Row::told(block, now)).collect();
        let shown = show(&rows);
        let (Some(next), Ok(())) = (page.next, &shown) else { return Ok(shown) };
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
