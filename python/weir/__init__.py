"""weir's features of captures, isolation forest, model files and scoring of flow tables.

- `read_capture(path)`: a capture's rows as an Arrow stream for polars, pandas, DuckDB.
- `features(kind)`: a scikit-learn transformer of tables; `IsolationForest`: an estimator. Both need
  scikit-learn when they are first used.
- `Model.load(path)`: a `.weir` file and its detectors, `model.detectors` and `model.peer`.
- `schema(kind)`: the features of a table, with units and docs.

Tables are what `weir replay --out` and `weir capture` write, read by any library that speaks
Arrow. A model or a table that cannot be used is a `ModelError`, a capture a `CaptureError`; the
text names the remedy.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ._capture import read_capture
from ._weir import VERSION as __version__
from ._weir import Capture, CaptureError, Detector, Model, ModelError, schema

if TYPE_CHECKING:
    from types import ModuleType

    from ._features import Features
    from ._forest import IsolationForest

__all__ = [
    "Capture",
    "CaptureError",
    "Detector",
    "IsolationForest",
    "Model",
    "ModelError",
    "__version__",
    "features",
    "read_capture",
    "schema",
]


def features(kind: str = "peer") -> Features:
    """A scikit-learn transformer: the scored features of a table, as rows that models read.

    Needs scikit-learn. `kind` is ``"peer"``, ``"host"``, ``"service"`` or ``"net"``.
    """
    return _of_scikit_learn("_features", "features").Features(kind)


def __getattr__(name: str) -> Any:
    """Imports scikit-learn only for those who ask for the estimator."""
    if name != "IsolationForest":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = found = _of_scikit_learn("_forest", name).IsolationForest
    return found


def _of_scikit_learn(module: str, wanted: str) -> ModuleType:
    try:
        return import_module(f".{module}", __name__)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] != "sklearn":
            raise
        raise ImportError(
            f"weir.{wanted} is of scikit-learn and scikit-learn is not installed: "
            "pip install scikit-learn"
        ) from error


def __dir__() -> list[str]:
    return sorted(__all__)
