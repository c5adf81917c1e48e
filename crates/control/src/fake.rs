//! A node without traffic: it keeps what it is told in memory and shows made-up windows, for
//! tests and for looking at `weir top`. Its time is what it is told.

use std::{
    collections::BTreeMap,
    net::IpAddr,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use events::{
    Action, ActionTaken, Claim, Decision, DecisionRecord, Evidence, Mode, Origin, Outcome, PValues,
    Prefix, ProcedureChoice, Reason, Refusal, Share, Stamp, Subject,
};
use jiff::{SignedDuration, Timestamp};

use crate::{
    node::{Node, Who},
    wire::{
        Alert, AlertQuery, AllowQuery, AllowRequest, AllowSource, Allowed, Block, BlockQuery,
        BlockRequest, BlockTotals, Breaker, Confirm, DisallowRequest, Drift, DriftState, Health,
        ImportRefused, ImportRequest, Imported, Interface, LIMIT_DEFAULT, LedgerHealth,
        ModeRequest, ModeState, ModelInfo, MovedFeature, Page, Refused, Reloaded, Status,
        UnblockRequest, WindowInfo,
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
}

#[derive(Debug)]
struct State {
    now: Timestamp,
    start: Timestamp,
    mode: Mode,
    confirm_until: Option<Timestamp>,
    breaker: Breaker,
    drift: Drift,
    blocks: BTreeMap<Prefix, Block>,
    allowed: BTreeMap<Prefix, Allowed>,
    alerts: Vec<Alert>,
    acts: Vec<(Who, String)>,
    heard_from: Vec<IpAddr>,
    window: u64,
}

impl FakeNode {
    /// An idle node at this time.
    #[must_use]
    pub fn new(now: Timestamp) -> Self {
        let breaker = Breaker { open: false, reason: None, since: None, rearms: None };
        let drift = Drift { state: DriftState::Steady, since: Some(now), moved: Vec::new() };
        let state = State {
            now,
            start: now,
            mode: Mode::Shadow,
            confirm_until: None,
            breaker,
            drift,
            blocks: BTreeMap::new(),
            allowed: BTreeMap::new(),
            alerts: Vec::new(),
            acts: Vec::new(),
            heard_from: Vec::new(),
            window: 0,
        };
        Self { state: Mutex::new(state), held: Mutex::new(false), released: Condvar::new() }
    }

    /// A node under attack: blocks of every origin, alerts, drift, something to confirm.
    #[must_use]
    pub fn busy(now: Timestamp) -> Self {
        let node = Self::new(now);
        node.with(|state| {
            state.start = now - SignedDuration::from_hours(27);
            state.mode = Mode::Enforce;
            state.confirm_until = Some(now + SignedDuration::from_mins(4));
            state.drift = Drift {
                state: DriftState::Drifting,
                since: Some(now - SignedDuration::from_mins(7)),
                moved: vec![MovedFeature {
                    subject: "peer".into(),
                    feature: "distinct_local_ports".into(),
                    psi: 0.41,
                }],
            };
            for (target, action, origin, left_s, packets) in [
                ("192.0.2.7", Action::Drop, Origin::Model, 287, 184_223),
                ("198.51.100.0/24", Action::Drop, Origin::Person, 3_540, 12),
                ("203.0.113.9", Action::RateLimit, Origin::Model, 41, 977),
                ("2001:db8:7::1", Action::Shadow, Origin::Import, 86_000, 0),
            ] {
                state.put(target, action, origin, left_s, packets);
            }
            for _ in 0..40 {
                state.tick();
            }
            state.alert("192.0.2.7", ActionTaken::Blocked);
            state.alert("203.0.113.9", ActionTaken::RateLimited);
            state.alert("198.51.100.77", ActionTaken::Refused);
        });
        node
    }

    /// Lets a second pass: another window.
    pub fn tick(&self) {
        self.with(State::tick);
    }

    /// Opens the breaker.
    pub fn trip(&self, reason: &str) {
        self.with(|state| {
            state.breaker = Breaker {
                open: true,
                reason: Some(reason.to_owned()),
                since: Some(state.now),
                rearms: Some(state.now + SignedDuration::from_mins(10)),
            };
        });
    }

    /// Adds an alert about this address.
    pub fn alert(&self, peer: &str, outcome: ActionTaken) {
        self.with(|state| state.alert(peer, outcome));
    }

    /// Changes made, with the names of those who made them.
    #[must_use]
    pub fn acts(&self) -> Vec<(Who, String)> {
        self.with(|state| state.acts.clone())
    }

    /// The addresses that asked with a token.
    #[must_use]
    pub fn clients(&self) -> Vec<IpAddr> {
        self.with(|state| state.heard_from.clone())
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

    fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        act(&mut lock(&self.state))
    }

    fn call<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        drop(
            self.released
                .wait_while(lock(&self.held), |held| *held)
                .unwrap_or_else(PoisonError::into_inner),
        );
        self.with(act)
    }

    fn act<T>(
        &self,
        who: &Who,
        what: impl Into<String>,
        act: impl FnOnce(&mut State) -> Result<T, Refused>,
    ) -> Result<T, Refused> {
        self.call(|state| {
            let done = act(state)?;
            state.acts.push((who.clone(), what.into()));
            Ok(done)
        })
    }
}

impl State {
    fn tick(&mut self) {
        self.window += 1;
        self.now += SignedDuration::from_secs(1);
        let now = self.now;
        self.blocks.retain(|_, block| block.expires > now);
        for block in self.blocks.values_mut() {
            block.left_s = seconds_until(block.expires, now);
        }
        if self.confirm_until.is_some_and(|until| until <= now) {
            self.confirm_until = None;
            self.mode = Mode::Shadow;
        }
    }

    fn put(&mut self, target: &str, action: Action, origin: Origin, left_s: u64, packets: u64) {
        let Ok(target) = target.parse::<Prefix>() else { return };
        let by_model = origin == Origin::Model;
        let block = Block {
            target,
            action,
            pps: (action == Action::RateLimit).then_some(5),
            made: Some(self.now),
            expires: self.now + SignedDuration::from_secs(i64::try_from(left_s).unwrap_or(0)),
            left_s,
            origin,
            who: (!by_model).then(|| "ada".to_owned()),
            reason: (!by_model).then(|| "seen in the mail log".to_owned()),
            allowed: None,
            decision: by_model.then_some(41),
            p_value: by_model.then_some(0.000_8),
            offence: by_model.then_some(1),
            dropped_packets: if action == Action::Shadow { 0 } else { packets },
            dropped_bytes: packets * 60,
            passed_packets: 0,
            would_drop_packets: if action == Action::Shadow { packets } else { 0 },
            first_drop: (packets > 0).then_some(self.now),
            last_drop: (packets > 0).then_some(self.now),
        };
        self.blocks.insert(target, block);
    }

    /// Adds an alert about this address; one without an entry is refused as allowed.
    fn alert(&mut self, peer: &str, taken: ActionTaken) {
        let Ok(address) = peer.parse() else { return };
        let reason = |feature: &str, value, unit: &str, benign_high, share| Reason {
            subject: Subject::Peer,
            feature: feature.into(),
            unit: unit.into(),
            value,
            benign_low: 0.0,
            benign_high,
            share,
        };
        let reasons = vec![
            reason("distinct_local_ports", 812.0, "ports", 4.0, 0.7),
            reason("unanswered_ratio", 0.98, "", 0.1, 0.2),
        ];
        let stamp = Stamp {
            id: self.alerts.len() as u64 + 1,
            window: self.window,
            at_ns: self.window * 1_000_000_000,
            time: self.now,
        };
        let evidence = Evidence {
            address,
            p_value: 0.000_8,
            conditional_p_value: 0.001,
            peer_score: 0.71,
            flow_score: 0.55,
            novelty: 0.8,
            excess: 0.62,
            packets: 2_210,
            bytes: 132_600,
            verified: true,
            initiated: false,
            service: None,
        };
        let claim = Claim {
            rate: Share::TENTH,
            procedure: ProcedureChoice::PerWindow,
            p_values: PValues::Conditional,
            p_value: 0.001,
            level: 0.001,
            held_out: Some(9_000),
            needed: 3_000,
            supported: true,
        };
        let outcome = match taken.entry() {
            Some(action) => Outcome::Block {
                action,
                ttl: Duration::from_secs(TTL_S),
                expires_ns: stamp.at_ns + TTL_S * 1_000_000_000,
                offence: 1,
                early: false,
            },
            None => Outcome::Refused(Refusal::Allowed),
        };
        let decision = Decision { evidence, claim, outcome };
        self.alerts.push(DecisionRecord::of(stamp, decision, taken, reasons));
    }

    fn mode_state(&self) -> ModeState {
        let confirm = self.confirm_until.map(|until| Confirm {
            until,
            left_s: seconds_until(until, self.now),
            falls_back_to: Mode::Shadow,
        });
        ModeState { mode: self.mode, confirm }
    }

    fn status(&self) -> Status {
        // A wave that a sparkline shows.
        let wave = [3_u32, 5, 8, 12, 16, 18, 16, 12, 8, 5, 3, 2];
        let height = f64::from(wave[usize::try_from(self.window % 12).unwrap_or(0)]);
        let window = (self.window > 0).then(|| WindowInfo {
            number: self.window,
            ended: self.now,
            length_ms: 1_000,
            decided_after_ms: 2.0 + height / 2.0,
            flows: 1_204,
            peers: 312,
            packets_per_second: height * 10_000.0,
            lossy: false,
        });
        let sum = |of: fn(&Block) -> u64| self.blocks.values().map(of).sum();
        Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: 4_242,
            time: self.now,
            uptime_s: seconds_until(self.now, self.start),
            mode: self.mode,
            confirm: self.mode_state().confirm,
            breaker: self.breaker.clone(),
            drift: self.drift.clone(),
            model: Some(ModelInfo {
                path: "/var/lib/weir/office.weir".into(),
                hash: "9f86d081884c7d659a2feaa0c55ad015".into(),
                created: "2026-11-20T08:00:00Z".into(),
            }),
            window,
            blocks: BlockTotals {
                active: self.blocks.len() as u64,
                limit: 1_000,
                capacity: 1_000_000,
                made_last_minute: 2,
                limit_per_minute: 60,
                dropped_packets: sum(|block| block.dropped_packets),
                would_drop_packets: sum(|block| block.would_drop_packets),
            },
            refusals: BTreeMap::from([("allowed".into(), 3), ("too_few_windows".into(), 118)]),
            losses: BTreeMap::from([("not_ip".into(), 91)]),
            late_windows: 0,
            ledger: LedgerHealth {
                health: Health::Ok,
                error: None,
                path: Some("/var/lib/weir/ledger.sqlite".into()),
                bytes: 8_192_000,
                lost: 0,
            },
            interfaces: vec![Interface {
                name: "eth0".into(),
                flows: "TCX".into(),
                guard: "XDP (native)".into(),
            }],
        }
    }
}

impl Node for FakeNode {
    fn status(&self) -> Result<Status, Refused> {
        self.call(|state| Ok(state.status()))
    }

    fn ready(&self) -> Result<(), Refused> {
        self.call(|state| match state.window {
            0 => Err(Refused::unavailable("no window was decided yet")),
            _ => Ok(()),
        })
    }

    fn blocks(&self, query: &BlockQuery) -> Result<Page<Block>, Refused> {
        self.call(|state| {
            let wanted = state
                .blocks
                .values()
                .filter(|block| query.after.is_none_or(|after| block.target > after))
                .filter(|block| query.origin.is_none_or(|origin| block.origin == origin))
                .cloned();
            let limit = query.limit.unwrap_or(LIMIT_DEFAULT);
            Ok(Page::cut(wanted, limit, |block| block.target.to_string()))
        })
    }

    fn block(&self, who: &Who, request: &BlockRequest) -> Result<Block, Refused> {
        self.act(who, format!("block {}", request.target), |state| {
            if state.allowed.keys().any(|allowed| allowed.net().contains(&request.target.net())) {
                let text = format!("`{}` is on the allowlist, which wins", request.target);
                return Err(Refused::conflict(text));
            }
            let target = request.target.to_string();
            state.put(&target, request.action, Origin::Person, request.for_s.unwrap_or(TTL_S), 0);
            let made = state.blocks.get_mut(&request.target);
            let made = made.ok_or_else(|| Refused::internal("it was not made"))?;
            made.who = Some(who.to_string());
            made.reason.clone_from(&request.reason);
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

    fn import(&self, who: &Who, request: &ImportRequest) -> Result<Imported, Refused> {
        self.act(who, format!("import {}", request.all().count()), |state| {
            let for_s = request.for_s.unwrap_or(TTL_S);
            let mut imported = Imported { load: 1, for_s, ..Imported::default() };
            for (entry, one) in request.all().enumerate() {
                let net = one.target.net();
                if state.allowed.keys().any(|allowed| allowed.net().contains(&net)) {
                    let text = format!("`{}` is on the allowlist", one.target);
                    imported.refused.push(ImportRefused { entry, code: "allowed".into(), text });
                    continue;
                }
                let action = one.action.or(request.action).unwrap_or(Action::Drop);
                let target = one.target.to_string();
                state.put(&target, action, Origin::Import, one.for_s.unwrap_or(for_s), 0);
                imported.new += 1;
            }
            Ok(imported)
        })
    }

    fn allowed(&self, query: &AllowQuery) -> Result<Page<Allowed>, Refused> {
        self.call(|state| {
            let wanted = state.allowed.values();
            let wanted =
                wanted.filter(|one| query.after.is_none_or(|after| one.prefix > after)).cloned();
            let limit = query.limit.unwrap_or(LIMIT_DEFAULT);
            Ok(Page::cut(wanted, limit, |allowed| allowed.prefix.to_string()))
        })
    }

    fn allow(&self, who: &Who, request: &AllowRequest) -> Result<Allowed, Refused> {
        self.act(who, format!("allow {}", request.prefix), |state| {
            let allowed = Allowed {
                prefix: request.prefix,
                source: AllowSource::Person,
                who: Some(who.to_string()),
                since: Some(state.now),
                expires: request.for_s.map(|seconds| {
                    state.now + SignedDuration::from_secs(i64::try_from(seconds).unwrap_or(0))
                }),
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
        self.call(|state| {
            let wanted = state
                .alerts
                .iter()
                .filter(|alert| query.after.is_none_or(|after| alert.id > after))
                .filter(|alert| query.before.is_none_or(|before| alert.id < before))
                .filter(|alert| query.since.is_none_or(|since| alert.time >= since))
                .filter(|alert| query.peer.is_none_or(|peer| alert.peer() == peer))
                .cloned();
            let limit = query.limit.unwrap_or(LIMIT_DEFAULT);
            let cursor = |alert: &Alert| alert.id.to_string();
            Ok(match query.after {
                Some(_) => Page::cut(wanted, limit, cursor),
                None => Page::cut(wanted.rev(), limit, cursor),
            })
        })
    }

    fn set_mode(&self, who: &Who, request: &ModeRequest) -> Result<ModeState, Refused> {
        self.act(who, format!("mode {}", request.mode.name()), |state| {
            state.mode = request.mode;
            state.confirm_until = request.confirm_within_s.map(|seconds| {
                state.now + SignedDuration::from_secs(i64::try_from(seconds).unwrap_or(0))
            });
            Ok(state.mode_state())
        })
    }

    fn confirm(&self, who: &Who) -> Result<ModeState, Refused> {
        self.act(who, "confirm", |state| match state.confirm_until.take() {
            Some(_) => Ok(state.mode_state()),
            None => Err(Refused::conflict("there is nothing to confirm")),
        })
    }

    fn rearm(&self, who: &Who) -> Result<Status, Refused> {
        self.act(who, "rearm", |state| {
            if !state.breaker.open {
                return Err(Refused::conflict("the breaker is closed already"));
            }
            state.breaker = Breaker { open: false, reason: None, since: None, rearms: None };
            Ok(state.status())
        })
    }

    fn reload(&self, who: &Who) -> Result<Reloaded, Refused> {
        self.act(who, "reload", |state| {
            Ok(Reloaded { allowed: state.allowed.len() as u64, ..Reloaded::default() })
        })
    }

    fn metrics(&self) -> String {
        self.call(|state| {
            format!(
                "# HELP weir_windows_total Windows that were decided.\n\
                 # TYPE weir_windows_total counter\nweir_windows_total {}\n",
                state.window
            )
        })
    }

    fn heard_from(&self, address: IpAddr) {
        self.with(|state| state.heard_from.push(address));
    }
}

fn seconds_until(end: Timestamp, now: Timestamp) -> u64 {
    u64::try_from(end.duration_since(now).as_secs()).unwrap_or(0)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
