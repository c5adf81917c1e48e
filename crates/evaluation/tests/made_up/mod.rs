//! Detectors and rows that never were.

use std::net::IpAddr;

use evaluation::{
    Detector, Evaluation, Fact, FeatureDrift, Observation, Observations, Report, TimeSpan, Truth,
};

/// A name that wants to be more than a name.
pub(crate) const HOSTILE: &str = "</title><img src=x onerror=\"alert(1)\">'&\u{1b}[31m";

/// Deterministic noise in [0, 1).
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> f64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as f64 / (1_u64 << 31) as f64
    }

    /// About normal: the sum of twelve.
    fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.next()).sum::<f64>() - 6.0
    }
}

const SECOND: i64 = 1_000_000_000;
/// 2026-03-01 09:00 UTC.
const START: i64 = 1_772_355_600 * SECOND;

/// Attacks: class, name, first and last second, peers, how far above benign they score.
const ATTACKS: [(&str, &str, i64, i64, u8, f64); 7] = [
    ("syn_scan", "syn_scan-1", 300, 360, 2, 4.5),
    ("syn_flood", "syn_flood-1", 520, 580, 6, 6.0),
    ("slow_scan", "slow_scan-1", 700, 1_000, 1, 1.3),
    ("brute_force", "ssh-brute-1", 1_150, 1_250, 2, 2.6),
    ("udp_flood", "udp_flood-1", 1_400, 1_450, 4, 5.0),
    ("syn_scan", "syn_scan-2", 1_600, 1_640, 1, 3.5),
    ("exfiltration", "dns-tunnel", 1_750, 1_900, 1, 1.8),
];

/// A report of detectors with these names over about `benign` benign rows.
pub(crate) fn report(names: &[&str], benign: u32) -> Report {
    let evaluations: Vec<Evaluation> =
        (0..).zip(names).map(|(i, name)| one(name, benign, i)).collect();
    Report {
        format: evaluation::REPORT_FORMAT,
        title: format!("weir eval: {}", names.join(", ")),
        row: "peer-window".to_owned(),
        command: "weir eval --model model.weir --html report.html captures/".to_owned(),
        facts: vec![
            Fact::new("data", "captures/: 3 files, 44,310 rows, sha256 5f0c…"),
            Fact::new("schema", "weir.peer.v1 1d9a55c0e2f01b77"),
            Fact::new("software", "weir 0.1.0"),
        ],
        notes: vec!["2 of 2,000 windows lost flows, 0.1 %.".to_owned()],
        evaluations,
        features: Vec::new(),
    }
}

fn one(name: &str, benign: u32, detector: u64) -> Evaluation {
    let mut noise = Noise(11 + detector);
    let mut rows = Observations::new();
    let seconds = 2_000;
    let peers = (benign / 2_000).max(1);
    let skill = 1.0 - 0.15 * detector as f64;
    let mut push = |second: i64, peer: [u8; 4], value: f64, truth| {
        // The chance that a normal value is as high, by a logistic that is near it.
        let p = (1.0 / (1.0 + (1.702 * value).exp())).max(1.0 / 9_000.0);
        let row = Observation {
            start_ns: START + second * SECOND,
            end_ns: START + (second + 1) * SECOND,
            entity: IpAddr::from(peer).into(),
            score: 0.35 + 0.5 / (1.0 + (-0.6 * (value - 2.0)).exp()),
            p_value: Some(p),
            truth,
        };
        rows.push(row).unwrap();
    };
    for index in 0..benign {
        let second = i64::from(index) * seconds / i64::from(benign);
        let peer = u8::try_from(index % peers + 1).expect("few peers");
        push(second, [192, 0, 2, peer], noise.normal(), Truth::Benign);
    }
    for (index, (class, attack, first, last, peers, shift)) in (0_u8..).zip(ATTACKS) {
        let hostile = name == HOSTILE && index == 0;
        let (class, attack) = if hostile { (HOSTILE, HOSTILE) } else { (class, attack) };
        for second in first..last {
            for peer in 0..peers {
                let truth = Truth::Attack { class, name: Some(attack) };
                let value = noise.normal() + shift * skill;
                push(second, [203, 0, 113, 10 * index + peer + 1], value, truth);
            }
        }
    }
    let drift =
        ["packets_rate", "syn_ratio", "bytes_rate", "new_peers", "port_entropy", "rst_ratio"];
    let drift = (0..).zip(drift).map(|(index, feature)| {
        let feature = if name == HOSTILE { HOSTILE } else { feature };
        let test = [100 + 90 * index, 200, 300, 200 - 30 * index, 100];
        FeatureDrift::of(feature, &[1_000, 2_000, 3_000, 2_000, 1_000], &test).unwrap()
    });
    let detector = Detector {
        name: name.to_owned(),
        facts: vec![
            Fact::new("kind", "isolation forest, 100 trees"),
            Fact::new("file", "model.weir, sha256 90ab12…"),
        ],
        trained: Some(TimeSpan::of_ns(START - 7_200 * SECOND, START - 3_600 * SECOND)),
        same_source: true,
    };
    Evaluation::of(detector, &rows, drift.collect()).unwrap()
}
