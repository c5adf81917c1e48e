//! The demo's report, as text and as JSON.

use std::{fmt::Write as _, net::IpAddr};

use policy::{Reason, Refusal, statistics::Support};
use serde::Serialize;

use super::incidents::Incidents;
use collector::event::ActionTaken;
use report::text::columns as table;
use training::Learnt;

/// The whole demo in numbers.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Setting of the run.
    pub(crate) setting: Setting,
    /// The loop closed: see [`Report::shortfalls`].
    pub closed: bool,
    /// Shortfalls that kept the loop from closing; empty where it closed.
    pub(crate) shortfalls: Vec<String>,
    /// The learning.
    pub(crate) learning: Learning,
    /// The accounting identity over the whole demo.
    pub(crate) accounting: Accounting,
    /// Each attack.
    pub(crate) attacks: Vec<AttackReport>,
    /// What a person was told of.
    pub(crate) incidents: Incidents,
    /// Impact on the benign clients; none offline.
    pub(crate) clients: Option<ClientsReport>,
    /// Benign peers that were blocked, or would have been.
    pub(crate) benign_blocked: Vec<IpAddr>,
    /// Blocks made, and those that ended by themselves before the demo did.
    pub(crate) blocks: Blocks,
}

/// Setting of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub(crate) enum Setting {
    /// In a lab, with programs in the kernel.
    Live {
        /// Where the guard sat.
        guard: String,
    },
    /// On a capture: nothing was attached, and blocks are what would have been.
    Offline {
        /// The capture.
        capture: String,
        /// Why not live.
        because: String,
    },
}

/// The learning.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Learning {
    /// Time of listening, in seconds.
    pub(crate) seconds: f64,
    /// Windows and rows gathered.
    pub(crate) learnt: Learnt,
    /// Time of fitting and calibrating, in ms.
    pub(crate) fit_ms: f64,
    /// The smallest p-value the peer model can give.
    pub(crate) smallest_p: f64,
    /// Which error rates its calibration supports.
    pub(crate) support: Support,
    /// The model's digest.
    pub(crate) model: String,
}

/// Packets by outcome.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Accounting {
    /// Windows drained.
    pub(crate) windows: u64,
    /// Windows that lost flows.
    pub(crate) lossy_windows: u64,
    /// Windows made longer because a stage was slow.
    pub(crate) late_windows: u64,
    /// Packets the flow programs saw, by direction.
    pub(crate) packets: [u64; 2],
    /// Packets the guard dropped on ingress, before the flow programs.
    pub(crate) dropped: u64,
    /// Packets the interface counted meanwhile, by direction; none offline.
    pub(crate) interface: Option<[u64; 2]>,
    /// Packets in drained flows.
    pub(crate) packets_in_flows: u64,
    /// Packets in no flow, by cause.
    pub(crate) losses: Vec<(events::Text, u64)>,
    /// Packets in evicted flows.
    pub(crate) evicted_packets: u64,
    /// Packets seen less packets accounted for, summed without sign over the windows.
    pub(crate) imbalance: u64,
    /// Median time from a window's end to its last decision, in ms; none offline.
    pub(crate) decided_after_ms: Option<f64>,
}

/// An attack and its outcome.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct AttackReport {
    /// Its name in the scenario.
    pub(crate) name: String,
    /// Class of the attack.
    pub(crate) class: String,
    /// Its source, or the network its forged sources were drawn from.
    pub(crate) source: String,
    /// Its sources were forged: blocking one would hit a third party.
    pub(crate) spoofed: bool,
    /// The protected host opens its flows: to be told of, and nobody to be blocked.
    pub(crate) from_within: bool,
    /// Traffic sent: crafted packets, or connections where it used sockets.
    pub(crate) sent: String,
    /// Windows in which a source was called anomalous.
    pub(crate) anomalous_windows: u64,
    /// From the first packet to an alarm on the host's own side, in ms.
    pub(crate) alarmed_after_ms: Option<f64>,
    /// First action taken.
    pub(crate) outcome: Option<ActionTaken>,
    /// The guards that refused, each once.
    pub(crate) refusals: Vec<Refusal>,
    /// From the first attack packet to the entry in the kernel (offline: to the decision), in ms.
    pub(crate) to_block_ms: Option<f64>,
    /// From the first attack packet to the first one dropped, in ms.
    pub(crate) to_drop_ms: Option<f64>,
    /// Packets dropped.
    pub(crate) dropped: u64,
    /// Why: the features of the first anomaly that was acted on, else of the first.
    pub(crate) reasons: Vec<Reason>,
}

impl AttackReport {
    /// The attack was answered as it should be: a real source blocked, a forged one not, and what comes
    /// from within told of.
    #[must_use]
    pub(crate) fn answered(&self) -> bool {
        if self.from_within {
            return self.outcome.is_none() && self.is_told();
        }
        self.spoofed != self.outcome.is_some()
    }

    const fn is_told(&self) -> bool {
        self.anomalous_windows > 0 || self.alarmed_after_ms.is_some()
    }
}

/// Impact on the benign clients.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct ClientsReport {
    /// Requests made.
    pub(crate) requests: u64,
    /// Requests that failed.
    pub(crate) failed: u64,
    /// Median latency before the attacks, in ms.
    pub(crate) median_before_ms: f64,
    /// Median latency from the first attack on, in ms.
    pub(crate) median_during_ms: f64,
    /// 99th percentile before the attacks, in ms.
    pub p99_before_ms: f64,
    /// 99th percentile from the first attack on, in ms.
    pub p99_during_ms: f64,
}

/// Blocks and how they ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Blocks {
    /// Entries made (offline: that would have been).
    pub(crate) made: u64,
    /// Entries whose lease ran out by itself.
    pub(crate) expired: u64,
    /// Entries that stood when the demo ended.
    pub(crate) active: u64,
}

impl Report {
    /// Finds what is missing for the loop to be closed, and says so in `closed`.
    #[must_use]
    pub(crate) fn concluded(mut self) -> Self {
        let mut shortfalls = Vec::new();
        for attack in self.attacks.iter().filter(|attack| !attack.answered()) {
            let name = &attack.name;
            shortfalls.push(match (attack.from_within, attack.spoofed) {
                (true, _) if attack.outcome.is_some() => {
                    format!("somebody was blocked for `{name}`")
                }
                (true, _) => format!("nothing was told of `{name}`"),
                (_, true) => format!("a forged source of `{name}` was blocked"),
                (_, false) => format!("`{name}` was not blocked"),
            });
        }
        if !self.benign_blocked.is_empty() {
            shortfalls.push(format!("benign peers were blocked: {:?}", self.benign_blocked));
        }
        let accounting = &self.accounting;
        if accounting.imbalance != 0 {
            shortfalls.push(format!("{} packets unaccounted for", accounting.imbalance));
        }
        let seen = [accounting.packets[0] + accounting.dropped, accounting.packets[1]];
        if accounting.interface.is_some_and(|counted| counted != seen) {
            shortfalls.push("the interface counted other packets than weir".to_owned());
        }
        if self.clients.as_ref().is_some_and(|clients| clients.failed > 0) {
            shortfalls.push("benign requests failed".to_owned());
        }
        let live = matches!(self.setting, Setting::Live { .. });
        if live && self.blocks.made > 0 && self.blocks.expired == 0 {
            shortfalls.push("no block expired by itself".to_owned());
        }
        self.closed = shortfalls.is_empty();
        self.shortfalls = shortfalls;
        self
    }

    /// The report as a person reads it.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        let mut say = |line: String| {
            text.push_str(&line);
            text.push('\n');
        };
        let live = match &self.setting {
            Setting::Live { guard } => {
                say(format!("weir demo, live: flow programs at TC, guard at {guard}"));
                true
            }
            Setting::Offline { capture, because } => {
                say(format!("weir demo, offline on {capture}: {because}"));
                false
            }
        };
        let learning = &self.learning;
        say(format!(
            "\nLearnt    {} rows of peers and {} of the host's side in {:.0} s; detectors fitted and \
             calibrated in {:.0} ms\n          model {}, smallest p-value {:.4}\n          {}",
            learning.learnt.peer_rows,
            learning.learnt.site_rows,
            learning.seconds,
            learning.fit_ms,
            &learning.model[..learning.model.len().min(12)],
            learning.smallest_p,
            learning.support.wrong_blocks_text(),
        ));
        say(format!("\nCounted   {}", self.accounting.to_text()));
        say("\nAttacks, as they were".to_owned());
        say(self.attack_table(live).trim_end().to_owned());
        say(format!("\nIncidents, as weir told them: {}", self.incidents.to_text()));
        if let Some(clients) = &self.clients {
            say(format!("\nClients   {}", clients.to_text()));
        }
        say(format!("\nBlocks    {}", self.blocks.to_text(live)));
        say(if self.closed {
            "\nThe loop closed: every real attacker was stopped, what came from within was told, no \
             forged source and no benign client was blocked, every packet is accounted for."
                .to_owned()
        } else {
            format!("\nThe loop did NOT close: {}.", self.shortfalls.join("; "))
        });
        text
    }

    fn attack_table(&self, live: bool) -> String {
        let head = ["attack", "source", "sent", "answer", "after", "first drop", "dropped"];
        let mut rows = vec![head.map(str::to_owned).to_vec()];
        for attack in &self.attacks {
            let answer = match (attack.outcome, attack.alarmed_after_ms, attack.refusals.first()) {
                (Some(outcome), ..) => outcome.text(),
                (None, Some(_), _) => "alarm",
                (None, None, Some(_)) if attack.from_within => "told",
                (None, None, Some(_)) => "refused",
                (None, None, None) => "not seen",
            };
            rows.push(vec![
                attack.name.clone(),
                attack.source.clone(),
                attack.sent.clone(),
                answer.to_owned(),
                attack
                    .to_block_ms
                    .or(attack.alarmed_after_ms)
                    .map(milliseconds)
                    .unwrap_or_default(),
                attack.to_drop_ms.map(milliseconds).unwrap_or_default(),
                if live { attack.dropped.to_string() } else { String::new() },
            ]);
        }
        table(&rows)
    }
}

impl Accounting {
    fn to_text(&self) -> String {
        let mut text = format!(
            "{} packets in {} windows: {} in flows",
            self.packets[0] + self.packets[1],
            self.windows,
            self.packets_in_flows
        );
        for (cause, packets) in &self.losses {
            let _ = write!(text, ", {packets} {cause}");
        }
        let _ = write!(
            text,
            ", {} in evicted flows, {} unaccounted for",
            self.evicted_packets, self.imbalance
        );
        if let Some([received, sent]) = self.interface {
            let _ = write!(
                text,
                "\n          the interface counted {received} packets in and {sent} out; weir saw {} in, \
                 dropped {} before that, and saw {} out",
                self.packets[0], self.dropped, self.packets[1]
            );
        }
        if let Some(after) = self.decided_after_ms {
            let _ = write!(
                text,
                "\n          decided {after:.1} ms after a window's end (median), {} windows late",
                self.late_windows
            );
        }
        text
    }
}

impl ClientsReport {
    fn to_text(&self) -> String {
        format!(
            "{} requests, {} failed; median {:.2} ms before the attacks and {:.2} ms during them, \
             99th percentile {:.1} and {:.1} ms",
            self.requests,
            self.failed,
            self.median_before_ms,
            self.median_during_ms,
            self.p99_before_ms,
            self.p99_during_ms,
        )
    }
}

impl Blocks {
    fn to_text(self, live: bool) -> String {
        if live {
            format!(
                "{} made, {} expired by themselves, {} stood at the end",
                self.made, self.expired, self.active
            )
        } else {
            format!("{} would have been made", self.made)
        }
    }
}

fn milliseconds(value: f64) -> String {
    format!("{value:.0} ms")
}
