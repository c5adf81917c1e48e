//! Decisions of people, and the past before a restart.

use std::{collections::BTreeMap, net::IpAddr};

use flows_common::{Action, clock::nanos};

#[cfg(doc)]
use crate::ExpertConfig;
use crate::{CommitConfirm, Mode, Policy, ProtectedHosts, Scope, Service, ValidPolicy};

impl Policy {
    /// Sets the mode: for good, or with `confirm_by_ns` until then unless [`Policy::confirm`] is
    /// called. The policy then falls back to the mode before, and to shadow at most.
    ///
    /// Below enforce, its own blocks only shadow from here on; with enforce, what only shadows is
    /// decided anew.
    pub fn set_mode(&mut self, mode: Mode, confirm_by_ns: Option<u64>) {
        let before = self.commit_confirm.take().map_or(self.mode, |pending| pending.fall_back);
        let fall_back = before.min(Mode::Shadow);
        self.commit_confirm = confirm_by_ns.map(|by_ns| CommitConfirm::new(by_ns, fall_back));
        self.mode = mode;
        if mode == Mode::Enforce {
            self.decide_anew();
        } else {
            self.history.demote(self.now_ns);
        }
    }

    /// Confirms the mode that waits for it; returns its blocks that were cut short, each with its
    /// full end. `None` where no mode waits.
    pub fn confirm(&mut self) -> Option<BTreeMap<IpAddr, u64>> {
        let blocks = self.commit_confirm.take()?.into_blocks();
        for (&peer, &until_ns) in &blocks {
            self.history.prolonged(peer, until_ns);
        }
        Some(blocks)
    }

    /// Closes the breaker by hand; true if it was open. What it turned to shadow is decided anew.
    pub fn rearm(&mut self) -> bool {
        let was_open = self.breaker.rearm();
        if was_open {
            self.decide_anew();
        }
        was_open
    }

    /// Forgets a block that could not be made: no offence of its peer.
    pub fn forget_block(&mut self, peer: IpAddr) {
        self.history.not_blocked(peer);
        self.forget_trial(peer);
    }

    fn forget_trial(&mut self, peer: IpAddr) {
        if let Some(pending) = &mut self.commit_confirm {
            pending.forget(peer);
        }
    }

    /// Takes a block back for a person: the peer is left alone for [`ExpertConfig::grace`].
    pub fn pardon(&mut self, peer: IpAddr, now_ns: u64) {
        self.history.unblocked(peer);
        self.forget_trial(peer);
        self.history.pardoned(peer, now_ns.saturating_add(nanos(self.config.expert.grace)));
    }

    /// Takes over a peer's past from before a restart: the number of its blocks, and the end of
    /// the last, in ns of the boot clock.
    pub fn remember(&mut self, peer: IpAddr, blocks: u32, until_ns: u64) {
        self.history.remember(peer, blocks, until_ns);
    }

    /// Takes over a block that stands: with its action one of the policy's own from before a
    /// restart, without one that somebody else made.
    pub fn take_over(&mut self, peer: IpAddr, scope: Scope, own: Option<Action>, until_ns: u64) {
        self.history.take_over(peer, scope, own, until_ns);
    }

    /// Takes over a limit of a service from before a restart, which ends then.
    pub fn remember_limit(&mut self, service: Service, until_ns: u64) {
        self.floods.remember(service, until_ns);
    }

    /// Has a service, or all, be known to fail until then, in ns of the boot clock: remotes that were
    /// ordinary before are not acted on for what they meet there, also while longer horizons hold
    /// it. A time that is over ends it.
    pub fn maintain(&mut self, service: Option<Service>, until_ns: u64) {
        self.outages.tell(service, until_ns);
    }

    /// Notes that a remote failed to log in, by what nobody but this host's own services can write,
    /// at this time in ns of the boot clock. A handful within ten minutes has it acted on while it
    /// goes on.
    pub fn failed_log_in(&mut self, peer: IpAddr, now_ns: u64) {
        self.log_ins.note(peer.to_canonical(), now_ns);
    }

    /// Replaces the hosts that must not be blocked; those of `policy.allow` stay.
    pub fn protect(&mut self, hosts: ProtectedHosts) {
        self.protected = hosts.clone().allowing(&self.config.allow);
        self.told = hosts;
    }

    /// Hosts that must not be blocked, by the policy or by anybody else.
    #[must_use]
    pub const fn protected(&self) -> &ProtectedHosts {
        &self.protected
    }

    /// Takes a new configuration over from the next window on. The mode stays: people change it by
    /// [`Policy::set_mode`].
    pub fn reconfigure(&mut self, config: ValidPolicy) {
        self.selector.reconfigure(&self.config, &config);
        self.protected = self.told.clone().allowing(&config.allow);
        self.config = config;
    }
}
