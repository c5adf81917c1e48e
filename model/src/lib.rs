//! model

pub mod calibration;
pub mod context;
pub mod explain;
pub mod feature;
pub mod forest;
pub mod record;
pub mod schema;
mod window;

pub use context::{Context, ContextCount, ContextError, ContextLimits, Observed};
pub use feature::{Feature, FlowFeature, PeerFeature};
pub use record::{FlowRecord, Handshake, PeerRecord};
pub use schema::SchemaId;
pub use window::{Span, Window};

pub use calibration::{Calibration, CalibrationError, PValue};
pub use explain::{Contribution, Explanation, FeatureHistogram, FeatureRange, Place};
pub use forest::{
    IsolationForest, IsolationForestError, IsolationForestParams, IsolationForestValidParams,
    PathShortening, TreeNode,
};
