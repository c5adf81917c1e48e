//! Network namespaces with a protected host, benign clients and attackers.

mod capture;
mod documentation;
mod error;
mod lab;
mod moment;
mod net;
mod plan;
mod registry;
mod report;
mod run;
mod scenario;
mod stop;
mod topology;
mod traffic;
mod truth;

pub use capture::{Capture, CaptureReport, DEFAULT_CAPTURE_BYTES, Tap};
pub use documentation::is_documentation;
pub use error::LabError;
pub use lab::Lab;
pub use moment::{Moment, boot_ns};
pub use plan::{Family, Interface, Node, Role};
pub use registry::Registration;
pub use report::{ClientReport, RequestStats, Sample};
pub use run::{RunEvent, TrafficReport};
pub use scenario::{
    Attack, AttackClass, AttackPlan, BUILTIN, Benign, BenignKind, BenignPlan, Channel, Clients,
    Scenario,
};
pub use stop::Stop;
pub use topology::{MAX_ATTACKERS, MAX_CLIENTS, Topology};
pub use traffic::{RunningAttack, RunningBenign};
pub use truth::{AttackTruth, GroundTruth, Sent, Sources, Transport};
