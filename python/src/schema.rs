//! The features, for people and programs.

use features::{
    Feature, FlowFeature, HostFeature, Kind, PeerFeature, Scale, SchemaId, ServiceFeature,
    schema as tables,
};
use pyo3::{
    exceptions::PyValueError,
    prelude::*,
    types::{PyDict, PyList},
};

/// The schema of weir's tables: `"flow"`, `"peer"`, `"host"`, `"service"` or `"net"`.
///
/// Returns a dict: `name`, `hash`, and `features`, a list of dicts with `name`, `unit` (of the
/// values in a table), `natural_unit`, `scale` (`"linear"`, or `"log"` for log2(1 + natural)),
/// `scored` (false for columns that no detector reads, all those of flows among them) and `doc`.
/// Those that are scored stand first, in the order of a row's values.
#[pyfunction]
pub(crate) fn schema<'py>(py: Python<'py>, kind: &str) -> PyResult<Bound<'py, PyDict>> {
    let Some(kind) = Kind::from_name(kind) else {
        let kinds = Kind::ALL.map(|kind| format!("\"{kind}\"")).join(", ");
        let text = format!("`kind` must be one of {kinds}, got \"{kind}\"");
        return Err(PyValueError::new_err(text));
    };
    let id = tables::schema_id(kind);
    match kind {
        Kind::Flow => described::<FlowFeature>(py, &id),
        Kind::Peer => described::<PeerFeature>(py, &id),
        Kind::Host | Kind::Net => described::<HostFeature>(py, &id),
        Kind::Service => described::<ServiceFeature>(py, &id),
    }
}

fn described<'py, F: Feature>(py: Python<'py>, id: &SchemaId) -> PyResult<Bound<'py, PyDict>> {
    let features = PyList::empty(py);
    for feature in F::ALL {
        let dict = PyDict::new(py);
        dict.set_item("name", feature.name())?;
        dict.set_item("unit", feature.unit())?;
        dict.set_item("natural_unit", feature.natural_unit())?;
        let scale = match feature.scale() {
            Scale::Linear => "linear",
            Scale::Log => "log",
        };
        dict.set_item("scale", scale)?;
        dict.set_item("scored", feature.is_scored())?;
        dict.set_item("doc", feature.doc())?;
        features.append(dict)?;
    }
    let schema = PyDict::new(py);
    schema.set_item("name", &id.name)?;
    schema.set_item("hash", &id.hash)?;
    schema.set_item("features", features)?;
    Ok(schema)
}
