//! Sums over a file's windows, in its footer.

use std::collections::BTreeMap;

use features::Window;
use features::schema::{ledger_names, ledger_values};
use parquet::file::metadata::KeyValue;

const FILE: &str = "weir.file.";
const WINDOW: &str = "weir.window.";
const LEDGER: &str = "weir.ledger.";

/// Sums over a number of windows; every sum stops at its largest value.
///
/// In a file's key-value metadata: `weir.file.windows`, `weir.file.lossy_windows`,
/// `weir.window.evicted_flows`, `weir.window.evicted_packets`, `weir.window.imbalance` and
/// `weir.ledger.…`, each a decimal number.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sums {
    /// Number of windows.
    pub windows: u64,
    /// Those that lost something; see [`Window::is_lossy`].
    pub lossy_windows: u64,
    /// Flows that were evicted before a drain.
    pub evicted_flows: u64,
    /// Packets in evicted flows.
    pub evicted_packets: u64,
    /// Packets that nothing accounts for, those counted twice taken off.
    pub imbalance: i64,
    /// The ledger's counts by their names; see
    /// [`ledger_counts`](features::schema::ledger_counts).
    pub ledger: BTreeMap<String, u64>,
}

impl Sums {
    /// Adds a window.
    pub fn add(&mut self, window: &Window) {
        let counts =
            [1, u64::from(window.is_lossy()), window.evicted_flows, window.evicted_packets];
        for (sum, one) in self.counts_mut().into_iter().zip(counts) {
            *sum = sum.saturating_add(one);
        }
        self.imbalance = self.imbalance.saturating_add(clamped(window.imbalance()));
        for (name, count) in ledger_names().iter().zip(ledger_values(&window.packet_counters)) {
            match self.ledger.get_mut(name) {
                Some(sum) => *sum = sum.saturating_add(count),
                None => drop(self.ledger.insert(name.clone(), count)),
            }
        }
    }

    /// Adds what other windows add up to.
    pub fn merge(&mut self, other: &Self) {
        for (sum, one) in self.counts_mut().into_iter().zip(other.counts()) {
            *sum = sum.saturating_add(one.1);
        }
        self.imbalance = self.imbalance.saturating_add(other.imbalance);
        for (name, count) in &other.ledger {
            let sum = self.ledger.entry(name.clone()).or_default();
            *sum = sum.saturating_add(*count);
        }
    }

    /// A count of the ledger, 0 where there is none of this name.
    #[must_use]
    pub fn count(&self, name: &str) -> u64 {
        self.ledger.get(name).copied().unwrap_or_default()
    }

    /// Packets seen, by direction: in, out.
    #[must_use]
    pub fn packets(&self) -> [u64; 2] {
        [self.count("segments.ingress"), self.count("segments.egress")]
    }

    /// Packets in no flow, with their causes, of the causes that occurred.
    pub fn losses(&self) -> impl Iterator<Item = (&str, u64)> {
        self.ledger.iter().filter_map(|(name, &count)| {
            name.strip_prefix("lost.").filter(|_| count > 0).map(|cause| (cause, count))
        })
    }

    fn counts(&self) -> [(String, u64); 4] {
        [
            (format!("{FILE}windows"), self.windows),
            (format!("{FILE}lossy_windows"), self.lossy_windows),
            (format!("{WINDOW}evicted_flows"), self.evicted_flows),
            (format!("{WINDOW}evicted_packets"), self.evicted_packets),
        ]
    }

    fn counts_mut(&mut self) -> [&mut u64; 4] {
        [
            &mut self.windows,
            &mut self.lossy_windows,
            &mut self.evicted_flows,
            &mut self.evicted_packets,
        ]
    }

    pub(crate) fn to_metadata(&self) -> Vec<KeyValue> {
        let ledger = self.ledger.iter().map(|(name, &count)| (format!("{LEDGER}{name}"), count));
        let counts = self.counts().into_iter().chain(ledger);
        let mut pairs: Vec<KeyValue> =
            counts.map(|(key, count)| KeyValue::new(key, count.to_string())).collect();
        pairs.push(KeyValue::new(format!("{WINDOW}imbalance"), self.imbalance.to_string()));
        pairs
    }

    /// Reads them back; what is absent or no number is 0.
    pub(crate) fn from_metadata(pairs: &[KeyValue]) -> Self {
        let mut sums = Self::default();
        let names = sums.counts().map(|(name, _)| name);
        for pair in pairs {
            let Some(value) = &pair.value else { continue };
            if pair.key == format!("{WINDOW}imbalance") {
                sums.imbalance = value.parse().unwrap_or_default();
            } else if let Some(at) = names.iter().position(|name| *name == pair.key) {
                *sums.counts_mut()[at] = value.parse().unwrap_or_default();
            } else if let (Some(name), Ok(count)) = (pair.key.strip_prefix(LEDGER), value.parse()) {
                sums.ledger.insert(name.to_owned(), count);
            }
        }
        sums
    }
}

/// An imbalance in 64 bits.
pub(crate) fn clamped(imbalance: i128) -> i64 {
    i64::try_from(imbalance.clamp(i64::MIN.into(), i64::MAX.into())).expect("clamped")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_come_back_from_a_footer() {
        let mut window = Window { evicted_flows: 3, evicted_packets: 5, ..Window::default() };
        window.packet_counters.segments = [7, 11];
        window.packet_counters.losses[0] = 2;
        let mut sums = Sums::default();
        sums.add(&window);
        sums.add(&window);
        assert_eq!((sums.windows, sums.lossy_windows, sums.packets()), (2, 2, [14, 22]));
        assert_eq!((sums.evicted_packets, sums.imbalance), (10, 22));
        assert_eq!(sums.losses().collect::<Vec<_>>(), [("not_ip", 4)]);
        assert_eq!(Sums::from_metadata(&sums.to_metadata()), sums);
    }

    #[test]
    fn a_footer_without_sums_is_zeros() {
        let foreign = [KeyValue::new("weir.file.windows".to_owned(), "many".to_owned())];
        assert_eq!(Sums::from_metadata(&foreign), Sums::default());
    }
}
