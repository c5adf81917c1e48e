//! Captures as windows, seen from what is protected.

use std::{
    collections::{HashMap, HashSet},
    net::{IpAddr, Ipv6Addr},
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use features::Window;
use flows_common::{Direction, parse};
use ipnet::IpNet;
use replay::{CaptureError, CaptureReader, HomeNet, Replay, ReplayOptions};

use super::corpus::BenignSource;

/// Folder of the captures.
#[derive(Clone, Debug)]
pub struct Roots {
    /// Captures that the project does not ship.
    pub shared: PathBuf,
    /// `training-data/`.
    pub shipped: PathBuf,
}

impl Roots {
    /// The captures of a source, sorted by path.
    ///
    /// # Errors
    /// As [`BenignSource::captures`].
    pub fn captures(&self, source: &BenignSource) -> anyhow::Result<Vec<PathBuf>> {
        source.captures(if source.shipped { &self.shipped } else { &self.shared })
    }

    /// A path as the report shows it.
    #[must_use]
    pub fn shown(&self, path: &Path) -> String {
        let short = path.strip_prefix(&self.shared).or_else(|_| path.strip_prefix(&self.shipped));
        short.unwrap_or(path).display().to_string()
    }
}

/// The windows of a capture, of one second each, up to where it is damaged if it is.
///
/// Frames neither from nor to the home prefixes, and no broadcast, are left out: a host does not
/// see what passes by, and a capture made on a gateway holds it.
///
/// # Errors
/// The capture cannot be opened.
pub fn windows(path: &Path, home: &HomeNet) -> anyhow::Result<Vec<Window>> {
    let replay = Replay::open(path, ReplayOptions::default().home(home.clone()))
        .with_context(|| format!("cannot replay {}", path.display()))?;
    let mut windows: Vec<Window> = replay.map_while(Result::ok).collect();
    for window in &mut windows {
        leave_out_passers_by(window, home);
    }
    Ok(windows)
}

/// Their packets are taken off what the window saw too: else it would count as one that lost them, of
/// which no row is learnt or decided on.
fn leave_out_passers_by(window: &mut Window, home: &HomeNet) {
    let segments = &mut window.packet_counters.segments;
    window.flows.retain(|(key, counters)| {
        let is_seen =
            home.contains(&key.local) || !is_host(Ipv6Addr::from(key.local).to_canonical());
        if !is_seen {
            for (seen, way) in segments.iter_mut().zip(&counters.directions) {
                *seen = seen.saturating_sub(way.packets);
            }
        }
        is_seen
    });
    let heard: HashSet<[u8; 16]> = window.flows.iter().map(|(key, _)| key.remote).collect();
    window.peers.retain(|(key, _)| heard.contains(&key.address));
}

/// Protected addresses of a benign capture; none where it cannot be read, or is too small or too
/// long to count.
///
/// # Errors
/// The file is not there or not readable.
pub fn home_of(source: &BenignSource, path: &Path) -> anyhow::Result<Option<HomeNet>> {
    let survey = match Survey::of(path) {
        Ok(survey) => survey,
        // Another link type, or no capture at all: the corpus has such for the parser's sake.
        Err(error) if path.is_file() => {
            eprintln!("left out: {error}");
            return Ok(None);
        }
        Err(error) => return Err(error.into()),
    };
    if survey.frames < source.least_frames || survey.seconds() > source.longest_s {
        return Ok(None);
    }
    if !source.home.is_empty() {
        return Ok(Some(HomeNet::new(source.home.iter().copied())));
    }
    Ok(survey.busiest().map(|address| HomeNet::new([IpNet::from(address)])))
}

/// A first look at a capture.
#[derive(Default)]
struct Survey {
    frames: u64,
    span_ns: Option<(u64, u64)>,
    frames_by_address: HashMap<[u8; 16], u64>,
}

impl Survey {
    fn of(path: &Path) -> Result<Self, CaptureError> {
        let mut survey = Self::default();
        let mut reader = CaptureReader::open(path)?;
        while let Ok(Some(frame)) = reader.next_frame() {
            survey.frames += 1;
            let (first, last) = survey.span_ns.unwrap_or((frame.time_ns, frame.time_ns));
            survey.span_ns = Some((first.min(frame.time_ns), last.max(frame.time_ns)));
            for direction in Direction::ALL {
                if let Ok(address) = parse::remote_address(frame.bytes, frame.link, None, direction)
                {
                    *survey.frames_by_address.entry(address.to_16()).or_default() += 1;
                }
            }
        }
        Ok(survey)
    }

    fn seconds(&self) -> f64 {
        self.span_ns.map_or(0.0, |(first, last)| (last - first) as f64 / 1e9)
    }

    /// The host address with the most frames, a private one where there is any.
    fn busiest(&self) -> Option<IpAddr> {
        let private = HomeNet::default();
        self.frames_by_address
            .iter()
            .map(|(bytes, frames)| (Ipv6Addr::from(*bytes).to_canonical(), bytes, frames))
            .filter(|(address, ..)| is_host(*address))
            .max_by_key(|(_, bytes, frames)| (private.contains(bytes), **frames, **bytes))
            .map(|(address, ..)| address)
    }
}

fn is_host(address: IpAddr) -> bool {
    let is_broadcast = matches!(address, IpAddr::V4(v4) if v4.is_broadcast());
    !(address.is_multicast() || address.is_unspecified() || is_broadcast)
}

#[cfg(test)]
mod tests {
    use flows_common::{FlowCounters, FlowKey, PeerCounters, PeerKey, map_v4};

    use super::*;

    #[test]
    fn what_passes_by_is_not_seen_and_a_broadcast_is() {
        let home = HomeNet::new(["192.0.2.1/32".parse().expect("a prefix")]);
        let key = |local: [u8; 4], remote: u8| FlowKey {
            local: map_v4(local),
            remote: map_v4([198, 51, 100, remote]),
            ..FlowKey::default()
        };
        let locals = [[192, 0, 2, 1], [192, 0, 2, 9], [255; 4]];
        let mut window = Window::default();
        for (remote, local) in (1..).zip(locals) {
            let mut counters = FlowCounters::default();
            counters.directions[0].packets = 5;
            window.packet_counters.segments[0] += 5;
            window.flows.push((key(local, remote), counters));
            let peer = PeerKey { address: key(local, remote).remote };
            window.peers.push((peer, PeerCounters::default()));
        }
        leave_out_passers_by(&mut window, &home);
        let remotes: Vec<u8> = window.flows.iter().map(|(key, _)| key.remote[15]).collect();
        assert_eq!(remotes, [1, 3]);
        assert_eq!(window.peers.len(), 2);
        assert!(!window.is_lossy(), "what passed by is not lost: {} packets", window.imbalance());
    }
}
