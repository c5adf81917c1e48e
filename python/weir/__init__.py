"""weir's features of captures, isolation forest, model files and scoring of flow tables.

- `read_capture(path)`: a capture's rows as an Arrow stream for polars, pandas, DuckDB.
- `IsolationForest`: a scikit-learn estimator; needs scikit-learn when it is first used.
- `Model.load(path)`: a `.weir` file and its detectors, `model.detectors` and `model.peer`.
- `schema(kind)`: the features of a table, with units and docs.

Tables are what `weir replay --out` and `weir capture` write, read by any library that speaks
Arrow. A model or a table that cannot be used is a `ModelError`, a capture a `CaptureError`; the
text names the remedy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ._capture import read_capture
from ._weir import VERSION as __version__
from ._weir import Capture, CaptureError, Detector, Model, ModelError, schema

if TYPE_CHECKING:
    from ._forest import IsolationForest

__all__ = [
    "Capture",
    "CaptureError",
    "Detector",
    "IsolationForest",
    "Model",
    "ModelError",
    "__version__",
    "read_capture",
    "schema",
]


def __getattr__(name: str) -> Any:
    """Imports scikit-learn only for those who ask for the estimator."""
    if name != "IsolationForest":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        from ._forest import IsolationForest
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] != "sklearn":
            raise
        raise ImportError(
            "weir.IsolationForest is a scikit-learn estimator and scikit-learn is not installed: "
            "pip install scikit-learn"
        ) from error
    globals()[name] = IsolationForest
    return IsolationForest


def __dir__() -> list[str]:
    return sorted(__all__)
