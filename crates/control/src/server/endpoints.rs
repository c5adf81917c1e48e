//! Every endpoint there is.

use axum::http::Method;

use super::{
    endpoint::Endpoint,
    limits::{BODY_BYTES, IMPORT_BYTES, LONG_TIME},
    openapi::document,
    shared::Shared,
};
use crate::{
    metrics::Exposition,
    node::Who,
    wire::{
        AlertQuery, AllowQuery, AllowRequest, BlockQuery, BlockRequest, ConfirmRequest,
        DisallowRequest, ImportRequest, LearnRequest, MaintenanceRequest, ModeRequest,
        RearmRequest, Refused, ReloadRequest, Reloaded, RollBackRequest, StatusQuery,
        UnblockAllRequest, UnblockRequest, VerdictRequest,
    },
};

const TEXT: &str = "text/plain; charset=utf-8";
const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Every endpoint there is.
#[expect(clippy::too_many_lines, reason = "an entry for each of them")]
pub(super) fn endpoints() -> Vec<Endpoint> {
    let (post, put) = (|| Method::POST, || Method::PUT);
    vec![
        Endpoint::monitor("/livez", "The process answers.", TEXT, |_| Ok("ok\n".to_owned())),
        Endpoint::monitor("/readyz", "The node decides windows.", TEXT, |shared| {
            shared.node.ready().map(|()| "ok\n".to_owned())
        }),
        Endpoint::monitor("/metrics", "Metrics for Prometheus.", PROMETHEUS, |shared| {
            let mut exposition = Exposition::default();
            shared.node.metrics(&mut exposition);
            shared.counters.expose(&mut exposition);
            Ok(exposition.into_text())
        }),
        Endpoint::about("/openapi.json", "This document.", document),
        Endpoint::read("/v1/status", "The node as it is now.", |node, _: &StatusQuery| {
            node.status()
        }),
        Endpoint::read("/v1/blocks", "The blocks that stand.", |node, query: &BlockQuery| {
            node.blocks(query)
        }),
        Endpoint::change(
            post(),
            "/v1/blocks",
            "Make a block.",
            |shared, who, body: &BlockRequest| shared.node.block(who, body),
        ),
        Endpoint::delete("/v1/blocks", "End a block.", |shared, who, query: &UnblockRequest| {
            shared.node.unblock(who, query)
        }),
        Endpoint::delete(
            "/v1/blocks/all",
            "End all blocks of a list, or all.",
            |shared, who, query: &UnblockAllRequest| shared.node.unblock_all(who, query),
        )
        .with_needs(BODY_BYTES, LONG_TIME),
        Endpoint::change(
            post(),
            "/v1/import",
            "Block a list of addresses and prefixes, batch after batch.",
            |shared, who, body: &ImportRequest| shared.node.import(who, body),
        )
        .with_needs(IMPORT_BYTES, LONG_TIME),
        Endpoint::read("/v1/allow", "What is never blocked.", |node, query: &AllowQuery| {
            node.allowed(query)
        }),
        Endpoint::change(
            post(),
            "/v1/allow",
            "Allow a prefix.",
            |shared, who, body: &AllowRequest| shared.node.allow(who, body),
        ),
        Endpoint::delete(
            "/v1/allow",
            "Take back what a person allowed.",
            |shared, who, query: &DisallowRequest| shared.node.disallow(who, query),
        ),
        Endpoint::read(
            "/v1/alerts",
            "News of incidents: of anomalous peers, and of this host's own side.",
            |node, query: &AlertQuery| node.alerts(query),
        ),
        Endpoint::events(
            "/v1/events",
            "What the node tells, as it comes: server-sent events, one JSON object each. One named \
             `gap` says how many events are not kept any more (`missed`; null where the node was \
             started anew).",
        ),
        Endpoint::change(put(), "/v1/mode", "Go to a mode.", |shared, who, body: &ModeRequest| {
            shared.node.set_mode(who, body)
        }),
        Endpoint::change(
            put(),
            "/v1/maintenance",
            "Say that services will fail for a while.",
            |shared, who, body: &MaintenanceRequest| shared.node.maintain(who, body),
        ),
        Endpoint::read("/v1/models", "The models.", |node, _: &StatusQuery| node.models()),
        Endpoint::change(
            post(),
            "/v1/models/rollback",
            "Take an earlier model back, and stop learning.",
            |shared, who, body: &RollBackRequest| shared.node.roll_back(who, body),
        ),
        Endpoint::change(
            put(),
            "/v1/models/learning",
            "Stop learning, or let it go on.",
            |shared, who, body: &LearnRequest| shared.node.learn(who, body),
        ),
        Endpoint::change(
            post(),
            "/v1/verdicts",
            "Say that what a remote did was benign.",
            |shared, who, body: &VerdictRequest| shared.node.vouch(who, body),
        ),
        Endpoint::change(
            post(),
            "/v1/confirm",
            "Confirm an enforcement that would fall back.",
            |shared, who, _: &ConfirmRequest| shared.node.confirm(who),
        ),
        Endpoint::change(
            post(),
            "/v1/rearm",
            "Close the breaker.",
            |shared, who, _: &RearmRequest| shared.node.rearm(who),
        ),
        Endpoint::change(
            post(),
            "/v1/reload",
            "Read allow files, tokens and configuration again.",
            |shared, who, _: &ReloadRequest| reload(shared, who),
        ),
    ]
}

/// Tokens that do not hold leave everything as it was; the node's reload is all or nothing too.
fn reload(shared: &Shared, who: &Who) -> Result<Reloaded, Refused> {
    let tokens = match &shared.remote {
        Some(remote) => {
            remote.read_again().map_err(|error| Refused::conflict(error.to_string()))?
        }
        None => None,
    };
    let reloaded = shared.node.reload(who)?;
    if let (Some(remote), Some(tokens)) = (&shared.remote, tokens) {
        remote.replace(tokens);
    }
    Ok(reloaded)
}
