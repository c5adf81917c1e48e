//! Incidents of a demo: what a person was told of, one line for each.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

use collector::{
    event::{ActionTaken, DecisionRecord, ServiceEvent, SiteEvent},
    event_text::explain_reason,
};
use events::{Incident, Reason, Refusal, Site, Standing};
use lab::{AttackTruth, Moment};
use report::text::{columns, counted};
use serde::Serialize;

use super::watch::Log;

/// Features that are named of an incident.
const LEADING: usize = 2;
/// Remotes that the host opened flows to are told one by one up to so many.
const TURNED_TO: usize = 3;

/// An alarm on the host's own side is an attack's where it comes from within.
pub(super) fn tells_of(truth: &AttackTruth, alarm: &SiteEvent) -> bool {
    truth.initiated_by_the_victim && matches!(alarm.site, Site::Host(_) | Site::Net)
}

/// An entry was made, or would have been.
pub(super) fn is_block(outcome: ActionTaken) -> bool {
    outcome.made_entry() || outcome == ActionTaken::WouldBlock
}

/// Incidents of a run.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Incidents {
    told: Vec<IncidentReport>,
    /// Those of unproven sources that nothing was done about.
    unproven: u64,
    /// Those of remotes that the host opened flows to, where they are many.
    turned_to: u64,
    /// Anomalous windows of all of them.
    windows: u64,
}

/// An incident.
#[derive(Clone, Debug, Serialize)]
struct IncidentReport {
    id: u64,
    /// Whom or what it is about.
    about: String,
    /// The strongest answer.
    answer: String,
    /// Anomalous windows.
    windows: u64,
    /// The attack that it is of, by the ground truth.
    attack: Option<String>,
    /// Features that made it.
    why: Vec<String>,
    #[serde(skip)]
    kind: Kind,
}

/// How an incident is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    OneByOne,
    /// Of an unproven source, and nothing was done about it.
    Unproven,
    /// Of a remote that the host opened flows to.
    TurnedTo,
}

/// What really happened, by the log's clock.
struct Truths<'a> {
    attacks: &'a [AttackTruth],
    clock: fn(&Moment) -> u64,
}

impl Truths<'_> {
    /// The attack that began last before then, of those that match.
    fn of(&self, at_ns: u64, is_its: impl Fn(&AttackTruth) -> bool) -> Option<String> {
        let began = |truth: &&AttackTruth| (self.clock)(&truth.began);
        let its = self.attacks.iter().filter(|one| is_its(one) && began(one) <= at_ns);
        its.max_by_key(began).map(|truth| truth.name.clone())
    }
}

/// Incidents of a log, held against what really happened by its clock.
pub(super) fn of(log: &Log, attacks: &[AttackTruth], clock: fn(&Moment) -> u64) -> Incidents {
    let truths = Truths { attacks, clock };
    let mut all: BTreeMap<u64, IncidentReport> = BTreeMap::new();
    for one in &log.anomalies {
        let Some(Incident { id, windows, .. }) = one.incident else { continue };
        let known = all.entry(id).or_insert_with(|| IncidentReport {
            id,
            about: one.peer().to_string(),
            answer: answer(one),
            windows,
            attack: truths.of(one.at_ns, |truth| truth.sources.contains(one.peer())),
            why: why(one),
            kind: kind(one),
        });
        known.windows = windows;
        if is_block(one.outcome) && known.answer != one.outcome.text() {
            (known.answer, known.why, known.kind) = (answer(one), why(one), Kind::OneByOne);
        }
    }
    for one in &log.sites {
        let Some(Incident { id, windows, .. }) = one.incident else { continue };
        let known = all.entry(id).or_insert_with(|| IncidentReport {
            id,
            about: one.site.to_string(),
            answer: "alarm".to_owned(),
            windows,
            attack: truths.of(one.at_ns, |truth| tells_of(truth, one)),
            why: leading(&one.reasons),
            kind: Kind::OneByOne,
        });
        known.windows = windows;
    }
    for one in &log.limits {
        let Some(Incident { id, windows, .. }) = one.incident else { continue };
        let known = all.entry(id).or_insert_with(|| limited(one, id, &truths));
        known.windows = windows;
    }
    let windows = all.values().map(|one| one.windows).sum();
    let mut incidents = Incidents { windows, ..Incidents::default() };
    let mut turned_to = 0;
    for one in all.into_values() {
        turned_to += usize::from(one.kind == Kind::TurnedTo);
        match one.kind {
            Kind::Unproven => incidents.unproven += 1,
            Kind::TurnedTo if turned_to > TURNED_TO => incidents.turned_to += 1,
            Kind::OneByOne | Kind::TurnedTo => incidents.told.push(one),
        }
    }
    incidents
}

fn limited(event: &ServiceEvent, id: u64, truths: &Truths<'_>) -> IncidentReport {
    let limit = &event.limit;
    let is_its = |truth: &AttackTruth| {
        truth.sources.are_spoofed()
            && truth.ports.is_none_or(|[first, last]| (first..=last).contains(&limit.service.port))
    };
    IncidentReport {
        id,
        about: format!("service {}", limit.service),
        answer: event.outcome.text().to_owned(),
        windows: 0,
        attack: truths.of(event.at_ns, is_its),
        why: vec![counted(limit.sources, "unproven source")],
        kind: Kind::OneByOne,
    }
}

fn kind(one: &DecisionRecord) -> Kind {
    match one.refusal {
        Some(Refusal::LocallyInitiated) => Kind::TurnedTo,
        Some(_) if one.evidence.standing == Standing::Unproven => Kind::Unproven,
        _ => Kind::OneByOne,
    }
}

fn answer(one: &DecisionRecord) -> String {
    match one.refusal {
        Some(refusal) => format!("told only: {}", refusal.text()),
        None => one.outcome.text().to_owned(),
    }
}

fn why(one: &DecisionRecord) -> Vec<String> {
    let mut why = leading(&one.reasons);
    if why.is_empty() && one.evidence.log_ins_alike > 0 {
        why.push(format!("{} log-ins alike in ten minutes", one.evidence.log_ins_alike));
    }
    why
}

fn leading(reasons: &[Reason]) -> Vec<String> {
    reasons.iter().take(LEADING).map(explain_reason).collect()
}

impl Incidents {
    /// As a person reads them.
    pub(crate) fn to_text(&self) -> String {
        let mut rows =
            vec![["", "about", "answer", "windows", "attack", "why"].map(str::to_owned).to_vec()];
        rows.extend(self.told.iter().map(|one| {
            let attack = one.attack.clone().unwrap_or_else(|| "none".to_owned());
            let (id, windows) = (one.id.to_string(), one.windows.to_string());
            vec![id, one.about.clone(), one.answer.clone(), windows, attack, one.why.join("; ")]
        }));
        let all = self.told.len() as u64 + self.unproven + self.turned_to;
        let (all, windows) = (counted(all, "incident"), counted(self.windows, "anomalous window"));
        let mut text = format!("{all} of {windows}\n{}", columns(&rows).trim_end());
        for (count, whose) in [
            (self.unproven, "unproven sources, about whom nothing is done one by one"),
            (
                self.turned_to,
                "remotes that this host opened flows to: whose doing it is, its alarm tells",
            ),
        ] {
            if count > 0 {
                // A string takes whatever is written.
                let _ = write!(text, "\nand {count} more of {whose}");
            }
        }
        text
    }
}

/// What was told of a log so far.
#[derive(Debug, Default)]
pub(super) struct Told {
    anomalies: usize,
    sites: usize,
    limits: usize,
    /// Each answer to an incident is told once.
    answers: BTreeSet<(u64, String)>,
    turned_to: usize,
}

impl Told {
    /// Lines on incidents that were opened, or answered more strongly, since the last time.
    pub(super) fn news(&mut self, log: &Log) -> Vec<String> {
        let number = |incident: Option<Incident>| incident.map_or(0, |incident| incident.id);
        let mut found = Vec::new();
        for one in log.anomalies[self.anomalies..].iter().filter(|one| one.is_news()) {
            let kind = kind(one);
            self.turned_to += usize::from(kind == Kind::TurnedTo);
            if kind == Kind::Unproven || (kind == Kind::TurnedTo && self.turned_to > TURNED_TO) {
                continue;
            }
            let text = format!("{} {}", one.peer(), answer(one));
            found.push((number(one.incident), text, why(one).join("; ")));
        }
        for one in log.sites[self.sites..].iter().filter(|one| one.is_news()) {
            let why = format!("{}; {}", leading(&one.reasons).join("; "), one.site.advice());
            found.push((number(one.incident), format!("{} is unusual", one.site), why));
        }
        for one in log.limits[self.limits..].iter().filter(|one| one.is_news()) {
            let text = format!("service {} {}", one.limit.service, one.outcome.text());
            let why = counted(one.limit.sources, "unproven source");
            found.push((number(one.incident), text, why));
        }
        (self.anomalies, self.sites, self.limits) =
            (log.anomalies.len(), log.sites.len(), log.limits.len());
        found.retain(|(id, text, _)| self.answers.insert((*id, text.clone())));
        found.into_iter().map(|(id, text, why)| format!("  incident {id}: {text}: {why}")).collect()
    }
}
