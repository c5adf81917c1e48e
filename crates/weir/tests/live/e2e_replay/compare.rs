//! Equality of live and replayed values: to the bit, or within a bound.

use std::{
    collections::BTreeMap,
    fmt::{self, Debug},
};

use flows_common::{EtherClass, Fact, FlowCounters, FlowKey, Loss, PeerCounters, PeerKey};
use model::{Feature, Window};

use super::watched::Captured;

/// The most that lies between the two stamps of one packet, in ns: both are taken on its way
/// through one interface, some µs apart, or as long as the CPU was taken away between them.
const APART_NS: u64 = 50_000_000;
/// The most that lies between the stamps of most packets, in ns.
const MOSTLY_APART_NS: u64 = 1_000_000;

/// Where the two differ.
#[derive(Debug)]
pub(crate) struct Difference(String);

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// All that is no time, no socket of the host and no memory of accounting.
pub(crate) fn timeless(counters: &FlowCounters) -> FlowCounters {
    let mut counters = *counters;
    (counters.syn_ns, counters.syn_ack_ns) = ([0; 2], [0; 2]);
    counters.facts &= !Fact::Socket.bit();
    counters.memory = 0;
    for way in &mut counters.directions {
        (way.first_ns, way.last_ns) = (0, 0);
        (way.iat_min_us, way.iat_max_us) = (0, 0);
        (way.iat_sum_us, way.iat_sum_sq) = (0, 0);
    }
    counters
}

/// All that is no time and adds up over windows. A window knows nothing of the sequence numbers
/// before it, so that what is out of sequence right at its start shows in neither of the two.
pub(crate) fn additive(counters: &FlowCounters) -> FlowCounters {
    let mut counters = timeless(counters);
    for way in &mut counters.directions {
        (way.retransmissions, way.out_of_order) = (0, 0);
    }
    counters
}

/// Where flows differ, in what `part` takes of them.
pub(crate) fn flows(
    live: &[(FlowKey, FlowCounters)],
    replayed: &[(FlowKey, FlowCounters)],
    part: fn(&FlowCounters) -> FlowCounters,
) -> Vec<Difference> {
    entries(live, replayed, part)
}

/// Where peers differ, but for times.
pub(crate) fn peers(
    live: &[(PeerKey, PeerCounters)],
    replayed: &[(PeerKey, PeerCounters)],
) -> Vec<Difference> {
    entries(live, replayed, |counters| PeerCounters { first_ns: 0, last_ns: 0, ..*counters })
}

fn entries<K: Copy + Ord + Debug, V: PartialEq + Debug>(
    live: &[(K, V)],
    replayed: &[(K, V)],
    part: fn(&V) -> V,
) -> Vec<Difference> {
    let map = |entries: &[(K, V)]| -> BTreeMap<K, V> {
        entries.iter().map(|(key, value)| (*key, part(value))).collect()
    };
    let (live, mut replayed) = (map(live), map(replayed));
    let mut differences = Vec::new();
    for (key, one) in &live {
        match replayed.remove(key) {
            Some(other) if other == *one => {}
            Some(other) => differences
                .push(Difference(format!("{key:?}\n  live     {one:?}\n  replayed {other:?}"))),
            None => differences.push(Difference(format!("only live: {key:?} {one:?}"))),
        }
    }
    let only = replayed.iter().map(|(key, one)| format!("only replayed: {key:?} {one:?}"));
    differences.extend(only.map(Difference));
    differences
}

/// Sums over all windows. A capture does not tell the direction of a frame that is in no flow, so
/// both directions count as one; and it holds the packets that the stack cuts a super-packet into
/// behind TC egress, so packets are compared and not frames.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Ledgers {
    packets: u64,
    losses: Vec<(&'static str, u64)>,
    not_ip: Vec<(&'static str, u64)>,
    imbalance: i128,
}

impl Ledgers {
    pub(crate) fn of(windows: &[Window]) -> Self {
        let sum = |count: &dyn Fn(&Window) -> u64| windows.iter().map(count).sum::<u64>();
        let both = |pair: [u64; 2]| pair[0] + pair[1];
        Self {
            packets: sum(&|window| both(window.packet_counters.segments)),
            losses: Loss::ALL
                .iter()
                .map(|loss| {
                    (loss.name(), sum(&|window| window.packet_counters.losses[loss.index()]))
                })
                .collect(),
            not_ip: EtherClass::ALL
                .iter()
                .map(|class| {
                    (class.name(), sum(&|window| window.packet_counters.not_ip[class.index()]))
                })
                .collect(),
            imbalance: windows.iter().map(Window::imbalance).sum(),
        }
    }
}

/// Differences between the times of packets.
#[derive(Debug, Default)]
pub(crate) struct Times {
    /// Of the stamps of first and last packets, in ns.
    apart_ns: Vec<u64>,
}

impl Times {
    fn at(&self, share: f64) -> u64 {
        let mut apart = self.apart_ns.clone();
        apart.sort_unstable();
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a share of a length is a place"
        )]
        let place = ((apart.len() - 1) as f64 * share) as usize;
        apart[place]
    }

    pub(crate) fn assert_within_bounds(&self) {
        assert!(self.at(1.0) <= APART_NS && self.at(0.9) <= MOSTLY_APART_NS, "{self}");
    }
}

impl fmt::Display for Times {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [half, most, all] = [0.5, 0.9, 1.0].map(|share| self.at(share) / 1_000);
        let stamps = self.apart_ns.len();
        write!(f, "{stamps} stamps, half within {half} us, 90 % {most} us, all {all} us")
    }
}

/// Adds how far the stamps of a window's flows lie apart.
pub(crate) fn compare_times(live: &Window, replayed: &Window, clock: &Captured, times: &mut Times) {
    for ((_, one), (_, other)) in live.flows.iter().zip(&replayed.flows) {
        for (one, other) in one.directions.iter().zip(&other.directions) {
            if one.packets > 0 {
                for (boot_ns, unix_ns) in
                    [(one.first_ns, other.first_ns), (one.last_ns, other.last_ns)]
                {
                    times.apart_ns.push(clock.unix_ns(boot_ns).abs_diff(unix_ns));
                }
            }
        }
    }
}

/// Features that were compared.
#[derive(Debug, Default)]
pub(crate) struct Features {
    /// Values that are computed from no time, and were the same to the bit.
    pub(crate) exact: u64,
    /// Values that are computed from times, and were within their bound.
    pub(crate) timed: u64,
    /// Those of them that were the same to the bit all the same.
    timed_but_same: u64,
    pub(crate) beyond: Vec<Difference>,
}

impl fmt::Display for Features {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} values the same to the bit; {} values from times within bounds, {} of them the \
             same to the bit",
            self.exact, self.timed, self.timed_but_same
        )
    }
}

/// Tolerance of a feature that is computed from times, in its natural unit; `None` for one that is
/// not.
pub(crate) fn tolerance(name: &str, value: f64) -> Option<f64> {
    let apart_s = APART_NS as f64 / 1e9;
    Some(match name {
        // A difference of two times.
        "ingress_iat_mean" | "ingress_iat_std" | "ingress_iat_min" | "ingress_iat_max"
        | "egress_iat_mean" | "egress_iat_std" | "egress_iat_min" | "egress_iat_max"
        | "handshake_time" => 2e6 * apart_s,
        "active_time" => 2e3 * apart_s,
        "age" => apart_s,
        // Over an age of a second or more.
        "lifetime_byte_rate" => 1e-3 + apart_s * value.abs(),
        // Starts that keep a rhythm, of those behind the third.
        "regularity" => 0.1 + 0.5 * value.abs(),
        _ => return None,
    })
}

/// Compares the features of the same records, in the same order.
pub(crate) fn compare_features<F: Feature + Copy + 'static>(
    live: &[F::Record],
    replayed: &[F::Record],
    features: &mut Features,
) {
    assert_eq!(live.len(), replayed.len(), "as many records");
    for (row, (one, other)) in live.iter().zip(replayed).enumerate() {
        for feature in F::ALL {
            let (one, other) = (feature.value(one), feature.value(other));
            let natural = |value| f64::from(feature.natural(value));
            let is_same = one.to_bits() == other.to_bits();
            let within = match tolerance(feature.name(), natural(one)) {
                None => {
                    features.exact += u64::from(is_same);
                    is_same
                }
                Some(bound) => {
                    features.timed += 1;
                    features.timed_but_same += u64::from(is_same);
                    (natural(one) - natural(other)).abs() <= bound
                }
            };
            if !within {
                let (name, unit) = (feature.name(), feature.natural_unit());
                let (one, other) = (natural(one), natural(other));
                features.beyond.push(Difference(format!(
                    "{name} of row {row}: live {one} {unit}, replayed {other} {unit}"
                )));
            }
        }
    }
}
