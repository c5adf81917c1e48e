//! Streams for tests: peers with a hundred packets of sixty bytes in each of their windows.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr},
    ops::Range,
};

use dataset::Label;
use policy::{Evidence, PolicyConfig, ProtectedHosts, Service, Standing, WindowFacts};

use super::{
    grid::Grid,
    report::{Origin, Report, Source},
    run_all,
    stream::{Row, Stream},
};

pub(crate) const SECOND: u64 = 1_000_000_000;

pub(crate) fn peer(last: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(198, 51, 100, last))
}

/// Windows of a second from 0 on, by number.
#[derive(Clone, Debug)]
pub(crate) struct Sample {
    windows: BTreeMap<u64, BTreeMap<IpAddr, (Evidence, Label)>>,
    attack: &'static str,
}

impl Sample {
    pub(crate) fn new() -> Self {
        Self { windows: BTreeMap::new(), attack: "first" }
    }

    /// Name of the attacks added from here on.
    pub(crate) fn named(mut self, name: &'static str) -> Self {
        self.attack = name;
        self
    }

    /// A verified attacker.
    pub(crate) fn attack(self, last: u8, windows: Range<u64>, surprise: f64) -> Self {
        let label = Label::of(Some("syn_flood"), Some(self.attack));
        self.with(&evidence(last, surprise, Standing::Proven), windows, &label)
    }

    /// A decisive attacker that completes no handshake.
    pub(crate) fn unverified(self, last: u8, windows: Range<u64>) -> Self {
        let label = Label::of(Some("spoofed_syn_flood"), Some("forged"));
        self.with(&evidence(last, 9.0, Standing::Unproven), windows, &label)
    }

    /// Sources of a forged flood at one service, none of them odd.
    pub(crate) fn strangers(mut self, count: u8, windows: Range<u64>) -> Self {
        let label = Label::of(Some("spoofed_syn_flood"), Some("forged"));
        for last in 0..count {
            let service = Some(Service { protocol: 6, port: 80 });
            let evidence = Evidence { service, ..evidence(last, 0.0, Standing::Unproven) };
            self = self.with(&evidence, windows.clone(), &label);
        }
        self
    }

    /// A benign client.
    pub(crate) fn benign(self, last: u8, windows: Range<u64>, surprise: f64) -> Self {
        self.with(&evidence(last, surprise, Standing::Proven), windows, &Label::Benign)
    }

    fn with(mut self, evidence: &Evidence, windows: Range<u64>, label: &Label) -> Self {
        for window in windows {
            let rows = self.windows.entry(window).or_default();
            rows.insert(evidence.address, (evidence.clone(), label.clone()));
        }
        self
    }

    pub(crate) fn first_end_ns(&self) -> u64 {
        self.windows.keys().next().map_or(0, |window| (window + 1) * SECOND)
    }

    pub(crate) fn stream(&self) -> Stream {
        let mut stream = Stream::default();
        for (window, rows) in &self.windows {
            let start_ns = window * SECOND;
            let facts = WindowFacts::ending_at(start_ns + SECOND);
            let rows = rows
                .values()
                .map(|(evidence, label)| Row {
                    evidence: evidence.clone(),
                    first_ns: start_ns,
                    label: stream.label(label),
                })
                .collect();
            stream.push(facts, rows).expect("few");
        }
        stream
    }
}

fn evidence(last: u8, surprise: f64, standing: Standing) -> Evidence {
    let p_value = if surprise >= 2.0 { 0.001 } else { 0.5 };
    Evidence {
        address: peer(last),
        p_value,
        conditional_p_value: p_value,
        peer_score: 0.8,
        horizon_ms: 1_000,
        tail_score: 12.5,
        surprise,
        packets: 100,
        bytes: 6_000,
        new_or_large: false,
        failed_log_ins: 0,
        log_ins_alike: 0,
        row_packets: 0,
        standing,
        flows: 3,
        service: None,
    }
}

/// A report on a strong attack, a weak one, and a benign peer that is a little odd, of the settings
/// that these assignments make.
pub(crate) fn report(sets: &[&str]) -> Report {
    let sample = Sample::new().attack(1, 0..10, 9.0).named("weak").attack(2, 0..10, 4.5).benign(
        9,
        0..10,
        3.5,
    );
    report_on(&sample, sets)
}

pub(crate) fn report_on(sample: &Sample, sets: &[&str]) -> Report {
    let stream = sample.stream();
    let mut configured = PolicyConfig::default();
    configured.expert.early_release = 0.0;
    configured.expert.decisive_surprise = 7.5;
    let mut grid = Grid::around(&configured);
    for set in sets {
        grid.set(set).expect("valid");
    }
    let settings = grid.settings(1_000).expect("valid");
    let policy = |at: usize| settings[at].policy(ProtectedHosts::default());
    let effects = run_all(&stream, settings.len(), policy, 2);
    let origin = Origin {
        source: Source::Captures,
        inputs: Vec::new(),
        model_sha256: None,
        seed: None,
        has_truth: true,
    };
    Report::of(origin, &stream, &grid, &settings, &effects)
}
