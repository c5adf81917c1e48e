//! Learning that goes on: what is said to it, and the models that come of it.
//!
//! ```text
//! score ──a copy, when due──► weir-learn ──a model that holds──► next ──before a window──► score ──► decide
//!   ▲                                                             ▲
//!   └── words on remotes: decisions, people                       └── people: roll-back, reload
//! ```

use std::{
    net::IpAddr,
    path::Path,
    sync::{
        Arc, MutexGuard, PoisonError,
        mpsc::{self, Receiver, SyncSender},
    },
    thread::{self, JoinHandle},
};

use control::{
    Who,
    wire::{
        AlertQuery, LearnRequest, Learning, Models, Refused, RollBackRequest, Verdict,
        VerdictRequest,
    },
};
use engine::basis;
use events::{DecisionRecord, ModelAct, ModelChange, ModelEvent, Standing};
use jiff::Timestamp;
use model::ModelFile;
use policy::statistics::Basis;
use training::{Candidate, NotLearnt, Ongoing, Word};

use super::{
    Inner, ModelFacts, Node,
    acts::{Done, internal},
    effects::Effects,
    journal::{moment, wall_ns},
};
use crate::{clock::boot_ns, config::Config, event::Event, versions::Versions};

/// Words on remotes that wait for a window at most.
const WORDS: usize = 4_096;

/// Learning of a node.
#[derive(Debug)]
pub(super) struct LearningState {
    pub(super) versions: Versions,
    /// What people and decisions said since the last window.
    said: Said,
    /// Words that found no room, since the start.
    unheard: u64,
    next: Option<Next>,
}

/// What was said to learning since the last window.
#[derive(Debug, Default)]
pub struct Said {
    /// Words on remotes.
    pub words: Vec<(IpAddr, Word)>,
    /// Words that found no room: who knows whom they were on.
    pub unheard: u64,
    /// The own side was unusual.
    pub own_side: bool,
    /// What came since then, in ns of the boot clock, is to be forgotten.
    pub forget_since_ns: Option<u64>,
    /// Another model is in force by a person's will.
    pub anew: bool,
    /// Nothing is to be learnt for now.
    pub paused: bool,
}

/// A model that is to be in force from the next window on.
#[derive(Debug)]
pub struct Next {
    /// The model.
    pub model: ModelFile,
    /// What goes on with the first window that it scores.
    pub told: InForce,
}

/// A model in force, as what decides is told of it.
#[derive(Debug)]
pub struct InForce {
    facts: ModelFacts,
    basis: Basis,
    event: ModelEvent,
}

/// The thread that trains, one copy after the other.
#[derive(Debug)]
pub(crate) struct Trainer {
    copies: SyncSender<(Box<Ongoing>, Box<ModelFile>)>,
}

impl Trainer {
    /// Starts it; it ends when this is dropped, with the training in hand.
    pub(crate) fn start(
        node: Arc<Node>,
    ) -> std::io::Result<(Self, JoinHandle<anyhow::Result<()>>)> {
        let (copies, to_train) = mpsc::sync_channel(1);
        let thread = thread::Builder::new().name("weir-learn".to_owned()).spawn(move || {
            yield_to_all();
            node.train(&to_train);
            Ok(())
        })?;
        Ok((Self { copies }, thread))
    }

    /// Has a copy trained on; one that comes while another is in hand waits, and a third is left out.
    pub(crate) fn train(&self, copy: Ongoing, before: &ModelFile) {
        let _ = self.copies.try_send((Box::new(copy), Box::new(before.clone())));
    }
}

/// Gives the calling thread the lowest priority: windows come first.
fn yield_to_all() {
    const LOWEST: i32 = 19;
    // SAFETY: takes no pointer; 0 is the calling thread.
    let done = unsafe { nix::libc::setpriority(nix::libc::PRIO_PROCESS, 0, LOWEST) };
    if done != 0 {
        tracing::warn!("learning has the priority of all else: it could not be lowered");
    }
}

impl LearningState {
    pub(super) fn new(versions: Versions) -> Self {
        Self { versions, said: Said::default(), unheard: 0, next: None }
    }

    /// Puts a model in force from the next window on.
    fn put(&mut self, path: &Path, model: ModelFile, act: ModelAct, change: Option<ModelChange>) {
        let event = ModelEvent {
            at_ns: boot_ns(),
            act,
            version: self.versions.number(),
            digest: model.digest().to_owned(),
            change,
            why: None,
        };
        self.said.anew |= act != ModelAct::Learnt;
        let told = InForce { facts: ModelFacts::of(path, &model), basis: basis(&model), event };
        self.next = Some(Next { model, told });
    }
}

impl Node {
    /// The model that is to be in force from the next window on, if there is another.
    pub fn next_model(&self) -> Option<Next> {
        self.learning().as_mut()?.next.take()
    }

    /// What was said to learning since the last window.
    pub fn said(&self) -> Said {
        let mut learning = self.learning();
        let Some(learning) = learning.as_mut() else { return Said::default() };
        Said { paused: learning.versions.paused(), ..std::mem::take(&mut learning.said) }
    }

    pub(super) fn learning(&self) -> MutexGuard<'_, Option<LearningState>> {
        self.learning.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The own side was unusual: what it does is not learnt for a while.
    pub(super) fn own_side_stood_out(&self) {
        if let Some(learning) = self.learning().as_mut() {
            learning.said.own_side = true;
        }
    }

    /// A remote was reported: it is not learnt from, at least while a block of it lasts.
    pub(super) fn was_reported(&self, record: &DecisionRecord) {
        let (remote, standing) = record.evidence.subject();
        if standing == Standing::Unproven {
            return;
        }
        let until_ns = record.at_ns.saturating_add(record.ttl_s.saturating_mul(1_000_000_000));
        self.say(remote, Word::Reported { until_ns });
    }

    fn say(&self, remote: IpAddr, word: Word) {
        let mut learning = self.learning();
        let Some(LearningState { said, unheard, versions, .. }) = learning.as_mut() else { return };
        if !versions.learns() {
            return;
        }
        if said.words.len() < WORDS {
            said.words.push((remote, word));
        } else {
            said.unheard += 1;
            *unheard += 1;
        }
    }

    /// Whether the model is learnt on, the number of the version in force, and the words that were not
    /// heard.
    pub(super) fn learning_state(&self) -> (Learning, u32, u64) {
        let learning = self.learning();
        learning.as_ref().map_or((Learning::Off, 0, 0), |state| {
            (state.versions.learning(), state.versions.number(), state.unheard)
        })
    }

    /// Goes over to a model with the first window that it scored.
    pub(super) fn go_over(&self, inner: &mut Inner, told: InForce, effects: &mut Effects) {
        let InForce { facts, basis, event } = told;
        inner.policy.recalibrate(&basis);
        inner.model = facts;
        tracing::info!(version = event.version, model = event.digest, "another model is in force");
        effects.records.push(self.own_act("model", &event));
        effects.events.push(Event::Model(event));
    }

    fn train(&self, copies: &Receiver<(Box<Ongoing>, Box<ModelFile>)>) {
        for (ongoing, before) in copies {
            let needed = {
                let inner = self.inner();
                let window = inner.config.as_ref().map(|config| config.window);
                let support = window.and_then(|window| inner.policy.support(window));
                support.map_or(0, |support| support.wrong_blocks.needed)
            };
            let created = Timestamp::now().to_string();
            match ongoing.train(&before, needed, &created) {
                Ok(candidate) => self.take_candidate(&before, candidate),
                Err(NotLearnt::Fit(error)) => tracing::info!(%error, "nothing is learnt yet"),
                Err(error) => self.tell_refused(&before, &error),
            }
            // What a roll-back forgot is in this copy still.
            if !self.learning().as_ref().is_none_or(|state| state.versions.paused()) {
                self.keep_gathered(&ongoing);
            }
        }
    }

    pub(super) fn take_candidate(
        &self,
        before: &ModelFile,
        Candidate { model, change }: Candidate,
    ) {
        let mut learning = self.learning();
        let Some(state) = learning.as_mut() else { return };
        // A person may have stopped it meanwhile, or taken another model.
        if state.versions.paused() || state.versions.hash() != before.digest() {
            return;
        }
        tracing::info!("learnt: {}", change.to_text());
        match state.versions.add(&model, &change) {
            Ok((_, path)) => state.put(&path, model, ModelAct::Learnt, Some(change)),
            Err(error) => {
                drop(learning);
                let error = error.context("the model that was learnt is not put in force");
                let mut effects = Effects::default();
                effects.failed("learn", &error);
                self.inner().outbox.extend(effects.events);
                tracing::warn!(model = before.digest(), "{error:#}");
            }
        }
    }

    fn tell_refused(&self, before: &ModelFile, error: &NotLearnt) {
        let version = self.learning().as_ref().map_or(0, |one| one.versions.number());
        let event = ModelEvent {
            at_ns: boot_ns(),
            act: ModelAct::Refused,
            version,
            digest: before.digest().to_owned(),
            change: error.change().cloned(),
            why: Some(error.to_string()),
        };
        tracing::warn!("a model that was learnt is not put in force: {error}");
        self.journal.put(vec![self.own_act("model", &event)]);
        self.inner().outbox.push(Event::Model(event));
    }

    pub(super) fn list_models(&self) -> Models {
        let learning = self.learning();
        let Some(LearningState { versions, .. }) = learning.as_ref() else {
            return Models::default();
        };
        let (in_force, learning) = (versions.number(), versions.learning());
        Models { in_force, learning, versions: versions.kept().to_vec() }
    }

    pub(super) fn take_back_model(
        &self,
        who: &Who,
        request: RollBackRequest,
    ) -> Result<Models, Refused> {
        self.change_models(who, "rollback", &request, |state| {
            let (now, to) = (state.versions.number(), request.to);
            let to = to.unwrap_or_else(|| state.versions.before());
            if now == to {
                let text = format!("version {to} is in force already");
                return Err(Refused::conflict(text));
            }
            let conflict = |error: anyhow::Error| Refused::conflict(format!("{error:#}"));
            let (path, model) = state.versions.roll_back(to).map_err(conflict)?;
            // What came since it was made is what was learnt behind it.
            let made = model.manifest().created.parse::<Timestamp>().unwrap_or_default();
            let moment = moment();
            let ago_ns = moment.wall_ns.saturating_sub(wall_ns(made)).max(0).cast_unsigned();
            let since_ns = if to == 0 { 0 } else { moment.boot_ns.saturating_sub(ago_ns) };
            state.said.forget_since_ns = Some(since_ns);
            state.put(&path, model, ModelAct::RolledBack, None);
            Ok(())
        })
    }

    pub(super) fn let_learn(&self, who: &Who, request: LearnRequest) -> Result<Models, Refused> {
        self.change_models(who, "learn", &request, |state| {
            state.versions.pause(!request.on).map_err(internal)
        })
    }

    pub(super) fn hear_verdict(
        &self,
        who: &Who,
        request: &VerdictRequest,
    ) -> Result<Models, Refused> {
        let remote = request.remote.as_host();
        let word = match request.verdict {
            Verdict::Benign => Word::WasBenign,
            Verdict::Attack => Word::WasAttack,
        };
        if request.verdict == Verdict::Benign && !self.was_ever_reported(remote)? {
            return Err(Refused::not_found(format!(
                "nothing was ever reported of {}, so that there is nothing to take back; `weir alerts` \
                 lists who was",
                request.remote
            )));
        }
        self.change_models(who, "verdict", request, |state| {
            if state.said.words.len() >= WORDS {
                return Err(Refused::unavailable(
                    "too much was said since the last window: try again",
                ));
            }
            state.said.words.extend(remote.map(|remote| (remote, word)));
            Ok(())
        })
    }

    /// Reads the configured model again; None where there is none, or a node that began without one.
    pub(super) fn reread_model(&self, config: &Config) -> Result<Option<ModelFile>, Refused> {
        let Some(path) = config.model.as_deref().filter(|_| self.learning().is_some()) else {
            return Ok(None);
        };
        let read = || -> anyhow::Result<ModelFile> {
            let model = ModelFile::load(path)?;
            model.check_schemas(model::schema::schema_id)?;
            model.check_window(config.window)?;
            Ok(model)
        };
        read().map(Some).map_err(|error| Refused::invalid(format!("{error:#}")))
    }

    /// Has the configured model be in force where it is another than before; returns its hash then, and
    /// what to do where the rest of the reload fails.
    pub(super) fn take_model(
        &self,
        path: &Path,
        model: ModelFile,
    ) -> Result<Option<(String, Versions)>, Refused> {
        let mut learning = self.learning();
        let Some(state) = learning.as_mut() else { return Ok(None) };
        let before = state.versions.clone();
        let hash = model.digest().to_owned();
        if hash == before.configured_hash() {
            return Ok(None);
        }
        state.versions.take_configured(path, &hash);
        if let Err(error) = state.versions.write() {
            state.versions = before;
            return Err(internal(error));
        }
        state.put(path, model, ModelAct::Reloaded, None);
        Ok(Some((hash, before)))
    }

    /// Takes it back: the rest of the reload failed.
    pub(super) fn take_model_back(&self, before: Versions) {
        if let Some(state) = self.learning().as_mut() {
            state.versions = before;
            state.next = None;
            if let Err(error) = state.versions.write() {
                tracing::warn!("which version is in force is not kept: {error:#}");
            }
        }
    }

    /// An alert is known of a remote, in memory or in the ledger.
    fn was_ever_reported(&self, remote: Option<IpAddr>) -> Result<bool, Refused> {
        let query = AlertQuery { peer: remote, limit: Some(1), ..AlertQuery::default() };
        Ok(!self.list_alerts(&query)?.items.is_empty())
    }

    fn change_models(
        &self,
        who: &Who,
        what: &'static str,
        request: &impl serde::Serialize,
        change: impl FnOnce(&mut LearningState) -> Result<(), Refused>,
    ) -> Result<Models, Refused> {
        match self.learning().as_mut().filter(|state| state.versions.learns()) {
            Some(state) => change(state)?,
            None => {
                return Err(Refused::conflict(
                    "nothing is learnt here: there is no model, or `model.learn` is false",
                ));
            }
        }
        let done = Done { what, arguments: serde_json::to_value(request), records: Vec::new() };
        self.record(self.inner(), who, done)?;
        Ok(self.list_models())
    }
}
