//! Followers of the feed: server-sent events (WHATWG HTML, 9.2).
//!
//! A stream ends before its connection's time is over; the client comes back with the id of the
//! last event it saw, as browsers do by themselves.

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::{
    http::{HeaderMap, HeaderValue, header::CACHE_CONTROL},
    response::{IntoResponse as _, Response, Sse, sse},
};
use futures_util::stream;
use serde_json::json;
use tokio::{
    select,
    sync::{OwnedSemaphorePermit, watch},
    time::{Instant, sleep, sleep_until},
};

use super::{
    limits::{FOLLOWERS, GRACE},
    shared::Shared,
};
use crate::{
    feed::{Cursor, Feed, Step},
    wire::{EventsQuery, Refused},
};

pub(super) const CONTENT_TYPE: &str = "text/event-stream";

/// Silence after which a comment shows that the connection stands.
const HEARTBEAT: Duration = Duration::from_secs(10);
/// Time after which a client comes back.
const RETRY: Duration = Duration::from_secs(1);

/// One who follows.
struct Follower {
    feed: Arc<Feed>,
    at: Cursor,
    newest: watch::Receiver<u64>,
    stop: watch::Receiver<bool>,
    until: Instant,
    /// The first thing that it is told is when to come back.
    greeted: bool,
    _place: OwnedSemaphorePermit,
}

/// The feed from where the client was.
pub(super) fn answer(
    shared: &Shared,
    query: EventsQuery,
    headers: &HeaderMap,
) -> Result<Response, Refused> {
    let last = headers.get("last-event-id").and_then(|id| id.to_str().ok());
    let query = last.map_or(query, |id| EventsQuery { after: Some(id.to_owned()) });
    let asked = query.cursor()?;
    let place = Arc::clone(&shared.followers).try_acquire_owned().map_err(|_| {
        Refused::unavailable(format!("{FOLLOWERS} clients follow the events; ask again later"))
    })?;
    let feed = shared.node.feed();
    let start = if query.after.is_some() { Feed::start } else { Feed::end };
    let follower = Follower {
        at: asked.unwrap_or_else(|| start(&feed)),
        newest: feed.watch(),
        feed,
        stop: shared.stop.clone(),
        until: Instant::now() + shared.limits.connection_time.saturating_sub(GRACE * 2),
        greeted: false,
        _place: place,
    };
    let events = stream::unfold(follower, |mut follower| async move {
        let event = follower.next().await?;
        Some((Ok::<_, Infallible>(event), follower))
    });
    let mut response = Sse::new(events).into_response();
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

impl Follower {
    /// The next thing to tell; none where the stream ends.
    async fn next(&mut self) -> Option<sse::Event> {
        if !std::mem::replace(&mut self.greeted, true) {
            return Some(sse::Event::default().retry(RETRY));
        }
        loop {
            let (at, event) = match self.feed.step(self.at) {
                Step::Event(at, line) => (at, sse::Event::default().data(line)),
                Step::Gap(at, missed) => {
                    let said = json!({ "missed": missed }).to_string();
                    (at, sse::Event::default().event("gap").data(said))
                }
                Step::End => {
                    select! {
                        _ = self.stop.wait_for(|&stop| stop) => return None,
                        () = sleep_until(self.until) => return None,
                        () = sleep(HEARTBEAT) => return Some(sse::Event::default().comment("")),
                        changed = self.newest.changed() => changed.ok()?,
                    }
                    continue;
                }
            };
            self.at = at;
            return Some(event.id(at.to_string()));
        }
    }
}
