//! Alerts as people are told of them: from memory, and further back from the ledger.

use control::wire::{self, Action, Alert, AlertQuery, Outcome, Page, RefusalText, Refused};
use ledger::Cursor;
use policy::{Reason, Refusal};

use super::{
    Node,
    journal::{code, moment},
    status::timestamp,
};
use crate::event::{AnomalyEvent, Deed};

/// Alerts of one answer where the query names no number.
const PAGE: u32 = wire::LIMIT_DEFAULT;

/// An anomaly as an alert.
pub(super) fn of_event(id: u64, event: &AnomalyEvent) -> Alert {
    let (outcome, action) = match event.deed {
        Deed::WouldBlock => (Outcome::WouldBlock, None),
        Deed::Shadowed => (Outcome::Shadowed, Some(Action::Shadow)),
        Deed::RateLimited => (Outcome::RateLimited, Some(Action::RateLimit)),
        Deed::Blocked => (Outcome::Blocked, Some(Action::Drop)),
        Deed::Refused => (Outcome::Refused, None),
        Deed::Failed => (Outcome::Failed, None),
    };
    Alert {
        id,
        time: timestamp(moment().wall_ns_at(event.at_ns)),
        window: event.window,
        peer: event.peer,
        p_value: event.p_value,
        peer_score: event.peer_score.into(),
        flow_score: event.flow_score.into(),
        novelty: event.novelty.into(),
        excess: event.excess,
        packets: event.packets,
        verified: event.verified,
        outcome,
        refusal: event.refusal.map(refusal_text),
        action,
        ttl_s: event.ttl_s,
        reasons: event.reasons.iter().map(reason).collect(),
    }
}

fn refusal_text(refusal: Refusal) -> RefusalText {
    RefusalText { code: code(refusal), text: refusal.text().to_owned() }
}

fn reason(reason: &Reason) -> wire::Reason {
    wire::Reason {
        subject: match reason.subject {
            policy::Subject::Peer => "peer",
            policy::Subject::Flow => "flow",
        }
        .to_owned(),
        feature: reason.feature.clone(),
        value: reason.value.into(),
        unit: reason.unit.clone(),
        benign_low: reason.benign_low.into(),
        benign_high: reason.benign_high.into(),
        share: reason.share,
    }
}

/// A recorded decision as an alert.
fn of_record(record: &ledger::Decision) -> Alert {
    let action = match record.action.as_deref() {
        Some("drop") => Some(Action::Drop),
        Some("rate-limit") => Some(Action::RateLimit),
        Some("shadow") => Some(Action::Shadow),
        _ => None,
    };
    let outcome = match (record.outcome, action) {
        (ledger::Outcome::Refused, _) => Outcome::Refused,
        (ledger::Outcome::Would, _) => Outcome::WouldBlock,
        (ledger::Outcome::Failed, _) => Outcome::Failed,
        (ledger::Outcome::Made, Some(Action::Drop)) => Outcome::Blocked,
        (ledger::Outcome::Made, Some(Action::RateLimit)) => Outcome::RateLimited,
        (ledger::Outcome::Made, _) => Outcome::Shadowed,
    };
    // What an earlier version wrote may not be a refusal or reasons of this one.
    let refusal = record.refusal.as_deref().map(|code| {
        serde_json::from_value::<Refusal>(code.into()).map_or_else(
            |_| RefusalText { code: code.to_owned(), text: code.to_owned() },
            refusal_text,
        )
    });
    let reasons: Vec<Reason> = serde_json::from_str(&record.reasons).unwrap_or_default();
    Alert {
        id: record.id,
        time: timestamp(record.at_ns),
        window: record.window,
        peer: record.address,
        p_value: record.p_value,
        peer_score: record.peer_score.into(),
        flow_score: record.flow_score.into(),
        novelty: record.novelty.into(),
        excess: record.excess,
        packets: record.packets,
        verified: record.verified,
        outcome,
        refusal,
        action: action.filter(|_| record.outcome == ledger::Outcome::Made),
        ttl_s: record.ttl.map_or(0, |ttl| ttl.as_secs()),
        reasons: reasons.iter().map(reason).collect(),
    }
}

impl Node {
    /// Alerts: the newest from memory, and those that it no longer holds from the ledger.
    pub(super) fn list_alerts(&self, query: &AlertQuery) -> Result<Page<Alert>, Refused> {
        let limit = query.limit.unwrap_or(PAGE);
        let kept = self.kept_alerts(query);
        let oldest_kept = self.inner().alerts.front().map(|alert| alert.id);
        if query.after.is_some() {
            return Ok(Page::cut(kept, limit, |alert| alert.id.to_string()));
        }
        let mut found: Vec<Alert> = kept.into_iter().rev().collect();
        if found.len() <= limit as usize {
            let older = self.recorded_alerts(query, oldest_kept, limit)?;
            found.extend(older);
        }
        Ok(Page::cut(found, limit, |alert| alert.id.to_string()))
    }

    /// Those in memory that the query asks for, the oldest first.
    fn kept_alerts(&self, query: &AlertQuery) -> Vec<Alert> {
        self.inner()
            .alerts
            .iter()
            .filter(|alert| query.after.is_none_or(|after| alert.id > after))
            .filter(|alert| query.before.is_none_or(|before| alert.id < before))
            .filter(|alert| query.since.is_none_or(|since| alert.time >= since))
            .filter(|alert| query.peer.is_none_or(|peer| alert.peer == peer.to_canonical()))
            .cloned()
            .collect()
    }

    /// Those in the ledger that are older than what memory holds.
    fn recorded_alerts(
        &self,
        query: &AlertQuery,
        oldest_kept: Option<u64>,
        limit: u32,
    ) -> Result<Vec<Alert>, Refused> {
        let failed = |error: ledger::LedgerError| Refused::unavailable(error.to_string());
        let Some(reader) = self.journal.reader().map_err(failed)? else { return Ok(Vec::new()) };
        let before = match (query.before, oldest_kept) {
            (Some(before), Some(kept)) => Some(before.min(kept)),
            (before, kept) => before.or(kept),
        };
        // The row behind which to go on: the ledger's cursor has its time as well.
        let after = match before {
            None => None,
            Some(id) => match reader.decision(id).map_err(failed)? {
                Some(decision) => Some(Cursor { at_ns: decision.at_ns, id }),
                // Not recorded yet, or no more: its number alone tells.
                None => Some(Cursor { at_ns: i64::MAX, id }),
            },
        };
        let query = ledger::AlertQuery {
            span: ledger::Span {
                since_ns: query
                    .since
                    .map(|since| i64::try_from(since.as_nanosecond()).unwrap_or(i64::MAX)),
                after,
                limit: limit as usize + 1,
                ..ledger::Span::default()
            },
            address: query.peer,
            ..ledger::AlertQuery::default()
        };
        let page = reader.alerts(&query).map_err(failed)?;
        Ok(page
            .rows
            .iter()
            .filter(|row| before.is_none_or(|before| row.id < before))
            .map(of_record)
            .collect())
    }
}
