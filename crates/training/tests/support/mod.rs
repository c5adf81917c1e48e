//! A stream of rows made up as it is read: benign peers, and attackers among them.

#![allow(dead_code, unreachable_pub, reason = "each test uses its part")]

use std::net::{IpAddr, Ipv4Addr};

use features::SchemaId;
use forest::Draws;
use model::DetectorModel;
use training::{Mark, RowBlock, RowSource, TrainingError};

pub const FEATURES: [&str; 5] = ["rate", "size", "ratio", "age", "constant"];

pub fn schema() -> SchemaId {
    SchemaId {
        name: "weir.peer.v1".to_owned(),
        hash: "0123456789abcdef".to_owned(),
        features: FEATURES.map(str::to_owned).to_vec(),
    }
}

/// Windows of a second; every benign peer has one row in each.
#[derive(Clone)]
pub struct Stream {
    pub windows: u32,
    pub peers: u8,
    pub windows_a_block: usize,
    pub attack: Option<Attack>,
    pub lossy_windows: Vec<u32>,
    pub nan_in_window: Option<u32>,
    pub seed: u64,
}

/// Attackers in every window from one on.
#[derive(Clone, Copy)]
pub struct Attack {
    pub peers: u8,
    pub from: u32,
    pub labelled: bool,
}

impl Default for Stream {
    fn default() -> Self {
        Self {
            windows: 100,
            peers: 40,
            windows_a_block: 10,
            attack: None,
            lossy_windows: Vec::new(),
            nan_in_window: None,
            seed: 1,
        }
    }
}

impl Stream {
    pub fn rows(&self) -> u64 {
        (0..self.windows).map(|window| self.rows_of(window) + self.attackers(window)).sum()
    }

    /// Benign rows of a window.
    pub fn rows_of(&self, _window: u32) -> u64 {
        self.peers.into()
    }

    fn attackers(&self, window: u32) -> u64 {
        self.attack.filter(|attack| window >= attack.from).map_or(0, |attack| attack.peers.into())
    }

    fn push(&self, window: u32, block: &mut RowBlock) {
        let mut draws = Draws::new(self.seed, window as usize);
        let lossy = self.lossy_windows.contains(&window);
        let mut add = |peer: IpAddr, row: [f32; 5], mark: Mark| {
            block.starts_ns.push(i64::from(window) * 1_000_000_000);
            block.ends_ns.push(i64::from(window + 1) * 1_000_000_000);
            block.peers.push(peer);
            block.marks.push(if lossy { Mark::Lossy } else { mark });
            block.rows.extend(row);
        };
        for peer in 0..self.peers {
            let mut row = benign(&mut draws);
            if peer == 0 && self.nan_in_window == Some(window) {
                row[1] = f32::NAN;
            }
            add(Ipv4Addr::new(192, 0, 2, peer).into(), row, Mark::Unlabelled);
        }
        for attacker in 0..self.attackers(window) {
            let labelled = self.attack.is_some_and(|attack| attack.labelled);
            let mark = if labelled { Mark::Attack } else { Mark::Unlabelled };
            let peer = Ipv4Addr::new(203, 0, 113, u8::try_from(attacker).unwrap());
            add(peer.into(), malicious(&mut draws), mark);
        }
    }
}

impl RowSource for Stream {
    fn read(
        &self,
        visit: &mut dyn FnMut(&RowBlock) -> Result<(), TrainingError>,
    ) -> Result<(), TrainingError> {
        let windows: Vec<u32> = (0..self.windows).collect();
        for windows in windows.chunks(self.windows_a_block) {
            let mut block = RowBlock::default();
            for window in windows {
                self.push(*window, &mut block);
            }
            visit(&block)?;
        }
        Ok(())
    }
}

/// Size follows rate; the last feature never varies.
fn benign(draws: &mut Draws) -> [f32; 5] {
    let rate = draws.normal();
    let size = 0.8 * rate + 0.4 * draws.normal();
    [rate, size, draws.unit(), draws.unit().powi(3) * 4.0, 2.0].map(narrow)
}

/// Odd in rate and in what size it goes with.
fn malicious(draws: &mut Draws) -> [f32; 5] {
    let rate = 3.0 + 0.8 * draws.normal();
    [rate, -1.5 + 0.6 * draws.normal(), 0.9 + 0.3 * draws.unit(), 0.5, 2.0].map(narrow)
}

#[expect(clippy::cast_possible_truncation, reason = "rounding to the feature's own type")]
fn narrow(value: f64) -> f32 {
    value as f32
}

/// AUROC of a detector's scores on 2,000 benign and 200 attack rows that it has not seen.
pub fn auroc(detector: &DetectorModel, seed: u64) -> f64 {
    let mut draws = Draws::new(seed, usize::MAX);
    let benign: Vec<f32> = (0..2_000).map(|_| detector.score_row(&benign(&mut draws))).collect();
    let attacks: Vec<f32> = (0..200).map(|_| detector.score_row(&malicious(&mut draws))).collect();
    let mut wins = 0.0;
    for attack in &attacks {
        for benign in &benign {
            wins += if attack > benign {
                1.0
            } else if attack < benign {
                0.0
            } else {
                0.5
            };
        }
    }
    wins / (attacks.len() * benign.len()) as f64
}
