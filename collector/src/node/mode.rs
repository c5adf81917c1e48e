//! Mode: what people set, and the kernel's entries in line with it.

use std::time::Duration;

use control::{
    Who,
    wire::{Mode, ModeRequest, ModeState, Refused, Status},
};
use events::Action;
use ledger::{How, Origin};

use super::{
    Inner, Node,
    acts::{Done, internal},
    effects::Effects,
    journal::moment,
};
use crate::{
    clock::{boot_ns, nanos},
    enforcer::host,
    event::ExpiredEvent,
};
use datapath::Target;

/// The longest that a mode may wait to be confirmed, in seconds: a day.
const CONFIRM_MAX_S: u64 = 86_400;

impl Node {
    /// Brings the kernel in line with the mode; called after everything that may change it. Returns
    /// the number of blocks that dropped or limited and only shadow now.
    ///
    /// Where the mode does not enforce, no block of the model's does more than shadow, nor does the
    /// limit of a service; those of people and lists are theirs. Where it enforces, the policy has
    /// forgotten what only shadows and decides it anew. What could not be written is tried again at
    /// the next call.
    pub(super) fn align(&self, inner: &mut Inner, effects: &mut Effects) -> usize {
        let mode = inner.policy.mode();
        if mode == Mode::Enforce || mode == inner.aligned {
            inner.aligned = mode;
            return 0;
        }
        // Whatever was found and is no person's or list's, a model made.
        let own: Vec<Target> = inner
            .known
            .iter()
            .filter(|(_, known)| matches!(known.origin, Origin::Model | Origin::Found))
            .map(|(&target, _)| target)
            .collect();
        let now_ns = boot_ns();
        let (mut demoted, mut complete) = (0, true);
        for target in own {
            match inner.enforcer.demote(target, now_ns) {
                Ok(true) => {
                    demoted += 1;
                    self.record_demoted(inner, target, now_ns, effects);
                }
                Ok(false) => {}
                Err(error) => {
                    complete = false;
                    effects.failed("demote", &error);
                }
            }
        }
        if let Err(error) = inner.enforcer.demote_limits() {
            complete = false;
            effects.failed("demote the limits of services", &error);
        }
        if complete {
            inner.aligned = mode;
        }
        self.forget_listing();
        demoted
    }

    /// One block ends by the mode, another begins that shadows.
    fn record_demoted(
        &self,
        inner: &mut Inner,
        target: Target,
        now_ns: u64,
        effects: &mut Effects,
    ) {
        let Some(known) = inner.known.get_mut(&target) else { return };
        let hits = ExpiredEvent { at_ns: now_ns, ..ExpiredEvent::nothing(target) };
        effects.records.push(self.journal.ending(known.id, target, How::FellBack, &hits));
        known.id = self.journal.next_block();
        known.made = moment();
        known.action = Action::Shadow;
        effects.records.push(self.journal.block(target, known));
    }

    pub(super) fn go_to(&self, who: &Who, request: &ModeRequest) -> Result<ModeState, Refused> {
        let mode = request.mode;
        if mode != Mode::Observe {
            self.guarded()?;
        }
        let confirm_by_ns = match request.confirm_within_s {
            Some(seconds) if seconds > CONFIRM_MAX_S => {
                return Err(Refused::invalid(format!(
                    "`confirm_within_s` must be at most {CONFIRM_MAX_S} (a day), got {seconds}"
                )));
            }
            seconds => {
                seconds.map(|seconds| boot_ns().saturating_add(nanos(Duration::from_secs(seconds))))
            }
        };
        let mut inner = self.inner();
        inner.policy.set_mode(mode, confirm_by_ns);
        let mut effects = Effects::default();
        self.align(&mut inner, &mut effects);
        inner.outbox.append(&mut effects.events);
        let arguments = serde_json::to_value(request);
        self.record(inner, who, Done { what: "mode", arguments, records: effects.records })?;
        Ok(self.mode_state())
    }

    pub(super) fn confirm_mode(&self, who: &Who) -> Result<ModeState, Refused> {
        let mut inner = self.inner();
        let Some(blocks) = inner.policy.confirm() else {
            return Err(Refused::conflict("no mode waits to be confirmed"));
        };
        let now_ns = boot_ns();
        for (peer, until_ns) in blocks {
            inner.enforcer.prolong(peer, until_ns, now_ns).map_err(internal)?;
            if let Some(known) = inner.known.get_mut(&host(peer)) {
                known.expires.wall_ns = moment().wall_ns_at(until_ns);
                known.expires.boot_ns = until_ns;
            }
        }
        self.forget_listing();
        let arguments = Ok(serde_json::Value::Null);
        self.record(inner, who, Done { what: "confirm", arguments, records: Vec::new() })?;
        Ok(self.mode_state())
    }

    pub(super) fn close_breaker(&self, who: &Who) -> Result<Status, Refused> {
        let mut inner = self.inner();
        if !inner.policy.rearm() {
            return Err(Refused::conflict("the breaker is not open"));
        }
        let mut effects = Effects::default();
        self.align(&mut inner, &mut effects);
        inner.outbox.append(&mut effects.events);
        let arguments = Ok(serde_json::Value::Null);
        self.record(inner, who, Done { what: "rearm", arguments, records: effects.records })?;
        self.read_status()
    }
}
