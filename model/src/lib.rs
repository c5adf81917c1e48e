//! model

pub mod calibration;
pub mod context;
pub mod detector;
pub mod explain;
pub mod feature;
pub mod file;
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
pub use detector::{DetectorError, DetectorModel, SchemaMismatch, Training};
pub use explain::{Contribution, Explanation, FeatureHistogram, FeatureRange, Place};
pub use file::{DetectorManifest, Manifest, ModelFile, ModelFileError, ModelFormatError};
pub use forest::{
    IsolationForest, IsolationForestError, IsolationForestParams, IsolationForestValidParams,
    PathShortening, TreeNode,
};
