//! From the crates' errors to Python's exceptions, with the same text.

use std::error::Error;

use pyo3::{PyErr, create_exception, exceptions::PyValueError};

create_exception!(
    weir,
    ModelError,
    PyValueError,
    "A model file or a table that cannot be used; the text names what is wrong and the remedy."
);

create_exception!(
    weir,
    CaptureError,
    PyValueError,
    "A capture that cannot be used; the text names what is wrong and the remedy."
);

/// A model or a table that is refused.
pub(crate) fn refused(error: &dyn Error) -> PyErr {
    ModelError::new_err(text(error))
}

/// An argument that is refused.
pub(crate) fn unfit(error: &dyn Error) -> PyErr {
    PyValueError::new_err(text(error))
}

/// The error with its causes, each said once: some errors' text has their cause in it.
pub(crate) fn text(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let said = error.to_string();
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        cause = error.source();
    }
    text
}
