//! Many flows at once: as frames for the kernel's programs, and as windows.

use std::{net::Ipv6Addr, ops::Range};

use anyhow::{Context as _, ensure};
use datapath::{Kernel, SkbContext};
use engine::Detector;
use features::{Context, WARM_UP, Window};
use flows_common::{
    Direction,
    parse::{Frame, parse},
};
use forest::IsolationForest;
use linfa::ParamGuard as _;
use replay::Tables;
use training::{BEYOND, Learner};

use crate::traffic::{ACK, LOCAL_V6, SYN, Segment};

/// The length of each window.
pub const WINDOW_NS: u64 = 1_000_000_000;

/// Windows that a model is learnt from, beside those that warm the context up.
const LEARNT_WINDOWS: u64 = 12;

/// Flows that a window holds, each a handshake and a request, from some number of peers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Crowd {
    /// Flows.
    pub flows: u32,
    /// Peers they come from, one after the other.
    pub peers: u32,
}

impl Crowd {
    /// The packets of one flow, in order: SYN, SYN-ACK, then a request whose size differs from
    /// flow to flow and from `window` to window.
    ///
    /// The peers of different flows are `2001:db8:2::/48` by address, the flows of one peer by
    /// port.
    #[must_use]
    pub fn packets(&self, flow: u32, window: u64) -> [(Direction, Segment); 3] {
        let prefix = u128::from(Ipv6Addr::new(0x2001, 0xdb8, 2, 0, 0, 0, 0, 0));
        let peer = prefix | u128::from(flow % self.peers);
        let port = 1_024 + flow / self.peers % 64_000;
        let syn = Segment {
            source: Ipv6Addr::from(peer).into(),
            destination: LOCAL_V6.into(),
            source_port: u16::try_from(port).unwrap_or(u16::MAX),
            destination_port: 443,
            sequence: 1,
            flags: SYN,
            payload: 0,
        };
        let answer = Segment { flags: SYN | ACK, ..syn.answered() };
        let mixed = (u64::from(flow) + (window << 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let payload = u16::try_from(mixed >> 48).unwrap_or(0) % 1_200;
        let request = Segment { flags: ACK, sequence: 2, payload, ..syn };
        [(Direction::Ingress, syn), (Direction::Egress, answer), (Direction::Ingress, request)]
    }

    /// Window of all flows, as the host's tables count it, that starts at a multiple of
    /// [`WINDOW_NS`].
    ///
    /// # Errors
    /// A frame does not parse, which would be a mistake here.
    pub fn window(&self, number: u64) -> anyhow::Result<Window> {
        let mut tables = Tables::new(self.flows.max(self.peers) as usize);
        let start_ns = number * WINDOW_NS;
        for flow in 0..self.flows {
            for (at, (direction, segment)) in (0_u64..).zip(self.packets(flow, number)) {
                let frame = segment.frame();
                let shape = Frame::of_length(u32::try_from(frame.len())?);
                let parsed = parse(frame.as_slice(), &shape);
                ensure!(parsed.is_ok(), "a frame was rejected: {parsed:?}");
                let now_ns = start_ns + u64::from(flow) * 1_000 + at * 250_000;
                tables.count(&shape, &parsed, direction, 1, now_ns);
            }
        }
        Ok(tables.take(start_ns, start_ns + WINDOW_NS))
    }

    /// Has the kernel's programs count some of the flows, on the CPU this thread stays on.
    ///
    /// # Errors
    /// The kernel refuses a frame.
    pub fn count_in(
        &self,
        kernel: &mut Kernel,
        flows: Range<u32>,
        window: u64,
    ) -> anyhow::Result<()> {
        for flow in flows {
            for (direction, segment) in self.packets(flow, window) {
                kernel.test_run_tc(direction, &segment.frame(), &SkbContext::default(), 1)?;
            }
        }
        Ok(())
    }

    /// A detector that was taught such crowds, with models of the default size.
    ///
    /// # Errors
    /// Too few flows to learn from.
    pub fn teach(&self) -> anyhow::Result<Detector> {
        let mut learner = Learner::default();
        for number in 0..WARM_UP + LEARNT_WINDOWS {
            learner.take(&self.window(number)?);
        }
        let params = IsolationForest::params().beyond(BEYOND).check()?;
        let (model, _) = learner
            .finish(&params, "1970-01-01T00:00:00Z")
            .context("nothing was learnt from the crowd")?;
        Ok(Detector::new(model, Context::default(), std::time::Duration::from_nanos(WINDOW_NS)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crowd_has_as_many_flows_and_peers_as_it_says() {
        let window = Crowd { flows: 300, peers: 100 }.window(7).unwrap();
        assert_eq!((window.flows.len(), window.peers.len()), (300, 100));
        assert_eq!((window.imbalance(), window.is_lossy()), (0, false));
        assert_eq!(window.span().duration_ns(), WINDOW_NS);
    }
}
