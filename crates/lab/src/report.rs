//! Service as benign clients noticed it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use flows_common::clock::boot_ns;
use serde::Serialize;

use crate::{BenignKind, Stop};

/// The most requests that are kept apart for one client; later ones are only counted.
const MAX_SAMPLES: usize = 200_000;

/// A request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Sample {
    /// Kind of traffic.
    pub kind: BenignKind,
    /// Beginning, in ns of the boot clock.
    pub began_ns: u64,
    /// Duration in µs: from asking to the last byte of the answer, with the connection's
    /// handshake where one was made. For bulk transfers: how much longer than its rate made it.
    pub latency_us: u32,
    /// Answered in full and in time.
    pub succeeded: bool,
}

/// Counts and latencies of some requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RequestStats {
    /// Requests that ended, one way or the other.
    pub attempted: u64,
    /// Those answered in full and in time.
    pub succeeded: u64,
    /// Those that were not.
    pub failed: u64,
    /// Least latency of the succeeded ones, in µs; 0 if there are none, as below.
    pub min_us: u32,
    /// Median latency, in µs.
    pub median_us: u32,
    /// 99th percentile of the latency, in µs (nearest rank).
    pub p99_us: u32,
    /// Greatest latency, in µs.
    pub max_us: u32,
}

impl RequestStats {
    /// The statistics of some samples.
    pub fn of<'a>(samples: impl IntoIterator<Item = &'a Sample>) -> Self {
        let mut stats = Self::default();
        let mut latencies = Vec::new();
        for sample in samples {
            stats.attempted += 1;
            if sample.succeeded {
                stats.succeeded += 1;
                latencies.push(sample.latency_us);
            } else {
                stats.failed += 1;
            }
        }
        latencies.sort_unstable();
        let rank = |hundredths: usize| {
            let place = (latencies.len() * hundredths).div_ceil(100).saturating_sub(1);
            latencies.get(place).copied().unwrap_or(0)
        };
        Self {
            min_us: latencies.first().copied().unwrap_or(0),
            median_us: rank(50),
            p99_us: rank(99),
            max_us: latencies.last().copied().unwrap_or(0),
            ..stats
        }
    }
}

/// Requests of one client.
#[derive(Clone, Debug, Serialize)]
pub struct ClientReport {
    /// The client's name.
    pub client: String,
    /// Its addresses.
    pub addresses: Vec<std::net::IpAddr>,
    /// All requests of all kinds.
    pub total: RequestStats,
    /// By kind, those that occurred.
    pub kinds: BTreeMap<BenignKind, RequestStats>,
    /// Requests beyond the bound of samples, which are in no statistics.
    pub uncounted: u64,
    /// Each request in the order in which they ended.
    #[serde(skip)]
    pub samples: Vec<Sample>,
}

impl ClientReport {
    /// The requests that began from one time to just before another, in ns of the boot clock.
    #[must_use]
    pub fn between(&self, from_ns: u64, until_ns: u64) -> RequestStats {
        let window = from_ns..until_ns;
        RequestStats::of(self.samples.iter().filter(|sample| window.contains(&sample.began_ns)))
    }

    pub(crate) fn new(node: &crate::Node, notebook: &Notebook) -> Self {
        let (samples, uncounted) = notebook.read();
        let kinds = BenignKind::ALL
            .into_iter()
            .map(|kind| {
                (kind, RequestStats::of(samples.iter().filter(|sample| sample.kind == kind)))
            })
            .filter(|(_, stats)| stats.attempted > 0)
            .collect();
        Self {
            client: node.name.clone(),
            addresses: node.addresses(),
            total: RequestStats::of(&samples),
            kinds,
            uncounted,
            samples,
        }
    }
}

/// Notes of a client's tasks about their requests; clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Notebook {
    pages: Arc<Mutex<(Vec<Sample>, u64)>>,
    stop: Stop,
}

impl Notebook {
    /// An empty notebook that is closed when the traffic is stopped.
    pub(crate) fn new(stop: &Stop) -> Self {
        Self { pages: Arc::default(), stop: stop.clone() }
    }

    /// Runs one request and notes how it went. `unhurried` is the part of its time that is of
    /// the client's own making and not counted as latency.
    pub(crate) async fn measure<T>(
        &self,
        kind: BenignKind,
        patience: Duration,
        unhurried: Duration,
        request: impl Future<Output = std::io::Result<T>>,
    ) -> Option<T> {
        let began_ns = boot_ns();
        let began = Instant::now();
        let answer = tokio::time::timeout(patience, request).await.ok().and_then(Result::ok);
        let latency = began.elapsed().saturating_sub(unhurried);
        let latency_us = u32::try_from(latency.as_micros()).unwrap_or(u32::MAX);
        if answer.is_none() && self.stop.is_stopped() {
            // The other end was stopped first, which is no one's failure.
            return None;
        }
        self.note(Sample { kind, began_ns, latency_us, succeeded: answer.is_some() });
        answer
    }

    fn note(&self, sample: Sample) {
        let mut pages = self.pages.lock().unwrap_or_else(PoisonError::into_inner);
        if pages.0.len() < MAX_SAMPLES {
            pages.0.push(sample);
        } else {
            pages.1 += 1;
        }
    }

    fn read(&self) -> (Vec<Sample>, u64) {
        self.pages.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(latency_us: u32, succeeded: bool) -> Sample {
        Sample { kind: BenignKind::Web, began_ns: 0, latency_us, succeeded }
    }

    #[test]
    fn percentiles_are_nearest_ranks_of_the_succeeded_requests() {
        let mut samples: Vec<_> = (1..=100).map(|us| sample(us, true)).collect();
        samples.push(sample(9_999, false));
        let stats = RequestStats::of(&samples);
        assert_eq!((stats.attempted, stats.succeeded, stats.failed), (101, 100, 1));
        assert_eq!((stats.min_us, stats.median_us, stats.p99_us, stats.max_us), (1, 50, 99, 100));
    }

    #[test]
    fn no_requests_make_zeroes() {
        assert_eq!(RequestStats::of(&[]), RequestStats::default());
    }
}
