//! A lab: network namespaces with a protected host, benign clients and attackers, for weir's
//! demo and its end-to-end tests; and captures that are made up.
//!
//! ```text
//!   client0 ... clientN        attacker0 ... attackerM      (a namespace each, eth0)
//!        │  192.0.2.0/25            │  198.51.100.0/25
//!        └───────────┬──────────────┘
//!               br0 (switch) ── drops what is sent to 203.0.113.0/25, the spoofed sources
//!                    │
//!                  eth0
//!                  host      weir runs here; servers on 22, 53, 80, 443 and 873
//! ```
//!
//! and the same over IPv6 in `2001:db8::/32`. With a second interface there are two of everything
//! around the one host.
//!
//! Never here: aya, weir's own measurements and verdicts, and a way out. A lab has no
//! uplink and no default route, touches no interface that it did not make, uses documentation
//! addresses only, and bounds each attack in rate, frames and time.
//!
//! Order of calls:
//!
//! 1. [`Scenario::builtin`], [`Scenario::load`]: who does what, read and checked;
//! 2. [`Lab::build`]: the namespaces, gone again when the [`Lab`] is dropped;
//! 3. [`Lab::enter`], [`Lab::spawn`]: whatever shall run inside the protected host;
//! 4. [`Lab::capture`]: what passes the host's interface, into a pcap file;
//! 5. [`Lab::start_benign`], then [`Lab::start_attack`] for one attack after another, or
//!    [`Lab::run`] for all of it in the scenario's own time;
//! 6. [`RunningAttack::wait`] or [`RunningAttack::finish`] for the ground truth,
//!    [`RunningBenign::finish`] for what the clients noticed, [`Capture::finish`] for what was
//!    written, [`GroundTruth::write`] for what is kept beside it.
//!
//! ```no_run
//! use std::time::Duration;
//!
//! # fn main() -> Result<(), lab::LabError> {
//! let scenario = lab::Scenario::builtin("demo")?;
//! let lab = lab::Lab::build(&scenario.topology)?;
//! let benign = lab.start_benign(&scenario)?;
//! std::thread::sleep(Duration::from_secs(5));
//! let attack = lab.start_attack(scenario.attack("scan")?)?;
//! println!("first frame at {} ns of the boot clock", attack.began().boot_ns);
//! let truth = attack.wait()?;
//! for client in benign.finish()? {
//!     let before = client.between(0, truth.began.boot_ns);
//!     let during = client.between(truth.began.boot_ns, truth.ended.boot_ns);
//!     println!("{}: {} then {} failed", client.client, before.failed, during.failed);
//! }
//! lab.remove()
//! # }
//! ```
//!
//! Without any of this, [`Synthesis`] makes up captures in virtual time: a random benign network and
//! an attack of a class, with their truth, or a [`Strategy`] drawn from a grammar.
//!
//! A process that is killed leaves its lab behind; [`Lab::leftovers`] and
//! [`Lab::remove_leftovers`] find it by its registration under `/run/weir-lab`.
//!
//! Building a lab takes `CAP_SYS_ADMIN` and `CAP_NET_ADMIN`, and crafted frames and captures
//! `CAP_NET_RAW`; in practice, root.

mod capture;
mod class;
mod documentation;
mod draw;
mod error;
mod frame;
mod lab;
mod members;
mod moment;
mod net;
mod payload;
mod plan;
mod registry;
mod report;
mod run;
mod scenario;
mod stop;
mod synthesis;
mod topology;
mod traffic;
mod truth;

pub use capture::{Capture, CaptureBounds, CaptureReport, Tap};
pub use class::AttackClass;
pub use documentation::is_documentation;
pub use error::LabError;
pub use lab::Lab;
pub use moment::Moment;
pub use plan::{Family, Interface, Node, Role};
pub use registry::Registration;
pub use report::{ClientReport, RequestStats, Sample};
pub use run::{RunEvent, TrafficReport};
pub use scenario::{
    Attack, AttackPlan, BUILTIN, Benign, BenignKind, BenignPlan, Channel, Clients, ScanGuise,
    Scenario,
};
pub use stop::Stop;
pub use synthesis::{
    Author, Episode, Guise, HOME, Move, Pace, Phase, Stage, Strategy, Synthesis, Synthetic,
    SyntheticFrame, Targets,
};
pub use topology::{MAX_ATTACKERS, MAX_CLIENTS, Topology};
pub use traffic::{RunningAttack, RunningBenign};
pub use truth::{AttackTruth, GroundTruth, Sent, Sources, Transport};
