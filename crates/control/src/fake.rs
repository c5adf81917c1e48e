//! A node without traffic, for tests and for looking at `weir top`: it answers as one under attack
//! did (`fake.json`: blocks of every origin, alerts, drift, a mode to confirm), and keeps what it
//! is told in memory. Its time is that of the recording, and goes on when it is told to.

use std::{
    collections::BTreeMap,
    net::IpAddr,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
};

use events::{
    Action, ActionTaken, DecisionRecord, Event, Evidence, Mode, Origin, OwnAlert, Prefix,
};
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;

use crate::{
    feed::Feed,
    metrics::{Exposition, Metric},
    node::{Node, Who},
    wire::{
        Alert, AlertQuery, AllowQuery, AllowRequest, AllowSource, Allowed, Block, BlockQuery,
        BlockRequest, Breaker, Condition, Confirm, DisallowRequest, ImportRefused, ImportRequest,
        Imported, LIMIT_DEFAULT, LearnRequest, Learning, LiveClaim, Maintenance,
        MaintenanceRequest, ModeRequest, ModeState, Models, Page, Refused, Reloaded,
        RollBackRequest, ServiceState, Status, UnblockAllRequest, UnblockRequest, Unblocked,
        VerdictRequest,
    },
};

/// Seconds that a block lasts when the request does not say.
const TTL_S: u64 = 300;

/// A node without traffic.
#[derive(Debug)]
pub struct FakeNode {
    state: Mutex<State>,
    /// Calls wait while it is held.
    held: Mutex<bool>,
    released: Condvar,
    feed: Arc<Feed>,
}

/// The recording, and what came after it.
#[derive(Debug, Deserialize)]
struct State {
    status: Status,
    blocks: BTreeMap<Prefix, Block>,
    /// A block that is made anew.
    made: Block,
    alerts: Vec<Alert>,
    #[serde(skip)]
    allowed: BTreeMap<Prefix, Allowed>,
    #[serde(skip)]
    acts: Vec<(Who, String)>,
    #[serde(skip)]
    heard_from: Vec<IpAddr>,
}

impl FakeNode {
    /// The node as it was recorded, at 2026-11-28T19:00:40Z.
    ///
    /// # Panics
    /// The recording is not what [`wire`](crate::wire) writes.
    #[must_use]
    pub fn busy() -> Self {
        let mut state: State =
            serde_json::from_str(include_str!("fake.json")).expect("the recording");
        env!("CARGO_PKG_VERSION").clone_into(&mut state.status.version);
        Self {
            state: Mutex::new(state),
            held: Mutex::new(false),
            released: Condvar::new(),
            feed: Arc::default(),
        }
    }

    /// The same before its first window.
    #[must_use]
    pub fn starting() -> Self {
        let node = Self::busy();
        lock(&node.state).status.window = None;
        node
    }

    /// Lets a second pass: another window.
    pub fn tick(&self) {
        lock(&self.state).tick();
    }

    /// Opens the breaker.
    pub fn trip(&self, reason: &str) {
        let status = &mut lock(&self.state).status;
        status.breaker = Breaker {
            open: true,
            reason: Some(reason.to_owned()),
            since: Some(status.time),
            rearms: Some(status.time + SignedDuration::from_mins(10)),
        };
    }

    /// Tells of this support of the configured rate.
    pub fn claim(&self, claim: LiveClaim) {
        lock(&self.state).status.claim = Some(claim);
    }

    /// Adds an alert about this address.
    pub fn alert(&self, peer: &str, outcome: ActionTaken) {
        let Some(record) = lock(&self.state).alert(peer, outcome) else { return };
        self.push(&Event::Anomaly(record));
    }

    /// Adds news of the host's own side.
    pub fn tell(&self, alert: OwnAlert) {
        self.push(&match alert.clone() {
            OwnAlert::Service(event) => Event::Service(event),
            OwnAlert::Outage(event) => Event::Outage(event),
            OwnAlert::Site(event) => Event::Site(event),
        });
        lock(&self.state).alerts.push(Alert::Own(alert));
    }

    fn push(&self, event: &Event) {
        self.feed.push(&serde_json::to_string(event).expect("an event is JSON"));
    }

    /// Changes made, with the names of those who made them.
    #[must_use]
    pub fn acts(&self) -> Vec<(Who, String)> {
        lock(&self.state).acts.clone()
    }

    /// The addresses that asked with a token.
    #[must_use]
    pub fn clients(&self) -> Vec<IpAddr> {
        lock(&self.state).heard_from.clone()
    }

    /// Lets every call wait until [`Self::release`].
    pub fn hold(&self) {
        *lock(&self.held) = true;
    }

    /// Lets the calls go on.
    pub fn release(&self) {
        *lock(&self.held) = false;
        self.released.notify_all();
    }

    fn call(&self) -> MutexGuard<'_, State> {
        let held = self.released.wait_while(lock(&self.held), |held| *held);
        drop(held.unwrap_or_else(PoisonError::into_inner));
        lock(&self.state)
    }

    fn act<T>(
        &self,
        who: &Who,
        what: impl Into<String>,
        act: impl FnOnce(&mut State) -> Result<T, Refused>,
    ) -> Result<T, Refused> {
        let mut state = self.call();
        let done = act(&mut state)?;
        state.acts.push((who.clone(), what.into()));
        Ok(done)
    }
}

impl State {
    fn tick(&mut self) {
        // A wave that a sparkline shows.
        let wave = [3_u32, 5, 8, 12, 16, 18, 16, 12, 8, 5, 3, 2];
        let status = &mut self.status;
        status.time += SignedDuration::from_secs(1);
        status.uptime_s += 1;
        let now = status.time;
        if let Some(window) = &mut status.window {
            window.number += 1;
            window.ended = now;
            let height = f64::from(wave[usize::try_from(window.number % 12).unwrap_or(0)]);
            window.packets_per_second = height * 10_000.0;
            window.decided_after_ms = 2.0 + height / 2.0;
        }
        if let Some(confirm) = &mut status.confirm {
            confirm.left_s = seconds_until(confirm.until, now);
        }
        if let Some(over) = status.confirm.take_if(|confirm| confirm.until <= now) {
            status.mode = over.falls_back_to;
        }
        self.blocks.retain(|_, block| block.expires > now);
        for block in self.blocks.values_mut() {
            block.left_s = seconds_until(block.expires, now);
        }
    }

    fn put(&mut self, target: Prefix, action: Action, origin: Origin, ttl_s: u64) -> &mut Block {
        let block = Block {
            target,
            action,
            pps: (action == Action::RateLimit).then_some(5),
            made: Some(self.status.time),
            expires: self.after(ttl_s),
            left_s: ttl_s,
            origin,
            ..self.made.clone()
        };
        self.blocks.insert(target, block);
        self.blocks.get_mut(&target).expect("it was just made")
    }

    /// Adds an alert about this address like a recorded one.
    fn alert(&mut self, peer: &str, outcome: ActionTaken) -> Option<DecisionRecord> {
        let address = peer.parse().ok()?;
        let like = |one: &&DecisionRecord| one.outcome.made_entry() == outcome.made_entry();
        let mut decisions = self.alerts.iter().filter_map(Alert::decision);
        let recorded = decisions.find(like)?.clone();
        let window = self.status.window.as_ref().map_or(0, |window| window.number);
        let id = self.alerts.iter().map(Alert::id).max().unwrap_or(0) + 1;
        let record = DecisionRecord {
            id,
            time: self.status.time,
            at_ns: window * 1_000_000_000,
            window,
            evidence: Evidence { address, ..recorded.evidence },
            outcome,
            action: outcome.entry(),
            ..recorded
        };
        self.alerts.push(record.clone().into());
        Some(record)
    }

    fn is_allowed(&self, target: Prefix) -> bool {
        self.allowed.keys().any(|allowed| allowed.net().contains(&target.net()))
    }

    fn after(&self, seconds: u64) -> Timestamp {
        self.status.time + SignedDuration::from_secs(i64::try_from(seconds).unwrap_or(0))
    }

    const fn mode(&self) -> ModeState {
        ModeState { mode: self.status.mode, confirm: self.status.confirm }
    }

    fn status(&self) -> Status {
        let mut status = self.status.clone();
        let sum = |of: fn(&Block) -> u64| self.blocks.values().map(of).sum();
        status.blocks.active = self.blocks.len() as u64;
        status.blocks.dropped_packets = sum(|block| block.dropped_packets);
        status.blocks.would_drop_packets = sum(|block| block.would_drop_packets);
        status
    }
}

impl Node for FakeNode {
    fn status(&self) -> Result<Status, Refused> {
        Ok(self.call().status())
    }

    fn ready(&self) -> Result<(), Refused> {
        match self.call().status.window {
            None => Err(Refused::unavailable("no window was decided yet")),
            Some(_) => Ok(()),
        }
    }

    fn blocks(&self, query: &BlockQuery) -> Result<Page<Block>, Refused> {
        let state = self.call();
        let wanted = state
            .blocks
            .values()
            .filter(|block| query.after.is_none_or(|after| block.target > after))
            .filter(|block| query.origin.is_none_or(|origin| block.origin == origin))
            .filter(|block| query.list.is_none() || block.list == query.list)
            .filter(|block| query.holding.is_none_or(|one| block.target.net().contains(&one)))
            .cloned();
        Ok(Page::cut(wanted, limit(query.limit), |block| block.target.to_string()))
    }

    fn block(&self, who: &Who, request: &BlockRequest) -> Result<Block, Refused> {
        self.act(who, format!("block {}", request.target), |state| {
            if state.is_allowed(request.target) {
                let text = format!("`{}` is on the allowlist, which wins", request.target);
                return Err(Refused::conflict(text));
            }
            let ttl_s = request.for_s.unwrap_or(TTL_S);
            let made = state.put(request.target, request.action, Origin::Person, ttl_s);
            made.who = Some(who.to_string());
            made.reason.clone_from(&request.reason);
            made.list.clone_from(&request.list);
            made.pps = request.pps.map(u64::from).or(made.pps);
            Ok(made.clone())
        })
    }

    fn unblock(&self, who: &Who, request: &UnblockRequest) -> Result<Block, Refused> {
        self.act(who, format!("unblock {}", request.target), |state| {
            state.blocks.remove(&request.target).ok_or_else(|| {
                let text =
                    format!("`{}` is not blocked; `weir blocks` lists what is", request.target);
                Refused::not_found(text)
            })
        })
    }

    fn unblock_all(&self, who: &Who, request: &UnblockAllRequest) -> Result<Unblocked, Refused> {
        let what = request.list.as_deref().map_or("all".to_owned(), |list| format!("list {list}"));
        self.act(who, format!("unblock {what}"), |state| {
            let before = state.blocks.len();
            state.blocks.retain(|_, block| request.list.is_some() && block.list != request.list);
            Ok(Unblocked { ended: (before - state.blocks.len()) as u64 })
        })
    }

    fn import(&self, who: &Who, request: &ImportRequest) -> Result<Imported, Refused> {
        self.act(who, format!("import {}", request.all().count()), |state| {
            let for_s = request.for_s.unwrap_or(TTL_S);
            let mut imported = Imported { load: 1, for_s, ..Imported::default() };
            for (entry, one) in request.all().enumerate() {
                if state.is_allowed(one.target) {
                    let text = format!("`{}` is on the allowlist", one.target);
                    imported.refused.push(ImportRefused { entry, code: "allowed".into(), text });
                    continue;
                }
                let action = one.action.or(request.action).unwrap_or(Action::Drop);
                let made =
                    state.put(one.target, action, Origin::Import, one.for_s.unwrap_or(for_s));
                made.list.clone_from(&request.list);
                imported.new += 1;
            }
            Ok(imported)
        })
    }

    fn allowed(&self, query: &AllowQuery) -> Result<Page<Allowed>, Refused> {
        let state = self.call();
        let wanted = state.allowed.values();
        let wanted =
            wanted.filter(|one| query.after.is_none_or(|after| one.prefix > after)).cloned();
        Ok(Page::cut(wanted, limit(query.limit), |allowed| allowed.prefix.to_string()))
    }

    fn allow(&self, who: &Who, request: &AllowRequest) -> Result<Allowed, Refused> {
        self.act(who, format!("allow {}", request.prefix), |state| {
            let allowed = Allowed {
                prefix: request.prefix,
                source: AllowSource::Person,
                who: Some(who.to_string()),
                since: Some(state.status.time),
                expires: request.for_s.map(|seconds| state.after(seconds)),
                note: request.note.clone(),
            };
            state.allowed.insert(request.prefix, allowed.clone());
            Ok(allowed)
        })
    }

    fn disallow(&self, who: &Who, request: &DisallowRequest) -> Result<Allowed, Refused> {
        self.act(who, format!("disallow {}", request.prefix), |state| {
            state
                .allowed
                .remove(&request.prefix)
                .ok_or_else(|| Refused::not_found(format!("nobody allowed `{}`", request.prefix)))
        })
    }

    fn alerts(&self, query: &AlertQuery) -> Result<Page<Alert>, Refused> {
        let state = self.call();
        let wanted = state
            .alerts
            .iter()
            .filter(|alert| query.after.is_none_or(|after| alert.id() > after))
            .filter(|alert| query.before.is_none_or(|before| alert.id() < before))
            .filter(|alert| query.since.is_none_or(|since| alert.time() >= since))
            .filter(|alert| query.peer.is_none_or(|peer| alert.peer() == Some(peer)))
            .cloned();
        let cursor = |alert: &Alert| alert.id().to_string();
        Ok(match query.after {
            Some(_) => Page::cut(wanted, limit(query.limit), cursor),
            None => Page::cut(wanted.rev(), limit(query.limit), cursor),
        })
    }

    fn set_mode(&self, who: &Who, request: &ModeRequest) -> Result<ModeState, Refused> {
        self.act(who, format!("mode {}", request.mode.name()), |state| {
            state.status.mode = request.mode;
            state.status.confirm = request.confirm_within_s.map(|left_s| Confirm {
                until: state.after(left_s),
                left_s,
                falls_back_to: Mode::Shadow,
            });
            Ok(state.mode())
        })
    }

    fn maintain(&self, who: &Who, request: &MaintenanceRequest) -> Result<Maintenance, Refused> {
        self.act(who, "maintenance", |state| {
            let (since, until) = (state.status.time, state.after(request.for_s));
            let services = &mut state.status.services;
            services.retain(|one| {
                one.condition != Condition::Maintenance || one.service != request.service
            });
            if request.for_s > 0 {
                services.push(ServiceState {
                    host: None,
                    service: request.service,
                    condition: Condition::Maintenance,
                    since,
                    until,
                    incident: None,
                    remotes: 0,
                    count: 0,
                    pps: None,
                    note: Some(who.to_string()),
                });
            }
            let maintained = |one: &&ServiceState| one.condition == Condition::Maintenance;
            Ok(Maintenance { services: services.iter().filter(maintained).cloned().collect() })
        })
    }

    fn confirm(&self, who: &Who) -> Result<ModeState, Refused> {
        self.act(who, "confirm", |state| match state.status.confirm.take() {
            Some(_) => Ok(state.mode()),
            None => Err(Refused::conflict("there is nothing to confirm")),
        })
    }

    fn models(&self) -> Result<Models, Refused> {
        Ok(Models::default())
    }

    fn roll_back(&self, who: &Who, _: &RollBackRequest) -> Result<Models, Refused> {
        self.act(who, "rollback", |_| Err(Refused::conflict("no model is learnt on")))
    }

    fn learn(&self, who: &Who, request: &LearnRequest) -> Result<Models, Refused> {
        let learning = if request.on { Learning::On } else { Learning::Paused };
        self.act(who, "learn", |_| Ok(Models { learning, ..Models::default() }))
    }

    fn vouch(&self, who: &Who, _: &VerdictRequest) -> Result<Models, Refused> {
        self.act(who, "verdict", |_| Ok(Models::default()))
    }

    fn rearm(&self, who: &Who) -> Result<Status, Refused> {
        self.act(who, "rearm", |state| {
            if !state.status.breaker.open {
                return Err(Refused::conflict("the breaker is closed already"));
            }
            state.status.breaker = Breaker { open: false, reason: None, since: None, rearms: None };
            Ok(state.status())
        })
    }

    fn reload(&self, who: &Who) -> Result<Reloaded, Refused> {
        self.act(who, "reload", |state| {
            Ok(Reloaded { allowed: state.allowed.len() as u64, ..Reloaded::default() })
        })
    }

    fn feed(&self) -> Arc<Feed> {
        Arc::clone(&self.feed)
    }

    fn metrics(&self, to: &mut Exposition) {
        let windows = self.call().status.window.as_ref().map_or(0, |window| window.number);
        to.tell(Metric::Windows, windows as f64);
    }

    fn heard_from(&self, address: IpAddr) {
        lock(&self.state).heard_from.push(address);
    }
}

fn limit(asked: Option<u32>) -> u32 {
    asked.unwrap_or(LIMIT_DEFAULT)
}

fn seconds_until(end: Timestamp, now: Timestamp) -> u64 {
    u64::try_from(end.duration_since(now).as_secs()).unwrap_or(0)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
