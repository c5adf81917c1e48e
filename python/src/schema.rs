//! The features, for people and programs.

use features::{Feature, FlowFeature, PeerFeature, Scale, SchemaId, schema as tables};
use pyo3::{
    exceptions::PyValueError,
    prelude::*,
    types::{PyDict, PyList},
};

/// The schema of weir's tables: `"flow"` or `"peer"`.
///
/// Returns a dict: `name`, `hash`, and `features`, a list of dicts with `name`, `unit` (of the
/// values in a table), `natural_unit`, `scale` (`"linear"`, or `"log"` for log2(1 + natural)) and
/// `doc`, in the order of a row's values.
#[pyfunction]
pub(crate) fn schema<'py>(py: Python<'py>, kind: &str) -> PyResult<Bound<'py, PyDict>> {
    match kind {
        "flow" => described::<FlowFeature>(py, &tables::flow_schema_id()),
        "peer" => described::<PeerFeature>(py, &tables::peer_schema_id()),
        other => {
            let text = format!("`kind` must be \"flow\" or \"peer\", got \"{other}\"");
            Err(PyValueError::new_err(text))
        }
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
        dict.set_item("doc", feature.doc())?;
        features.append(dict)?;
    }
    let schema = PyDict::new(py);
    schema.set_item("name", &id.name)?;
    schema.set_item("hash", &id.hash)?;
    schema.set_item("features", features)?;
    Ok(schema)
}
