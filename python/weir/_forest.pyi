from __future__ import annotations

from os import PathLike
from typing import Literal

import numpy as np
from numpy.random import RandomState
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, OutlierMixin

from ._weir import Forest

class IsolationForest(OutlierMixin, BaseEstimator):
    n_estimators: int
    max_samples: int | float | Literal["auto"]
    max_depth: int | None
    extension_level: int
    contamination: float | Literal["auto"]
    random_state: int | RandomState | None
    n_jobs: int | None
    offset_: float
    max_samples_: int
    n_features_in_: int
    feature_names_in_: NDArray[np.object_]
    forest_: Forest
    def __init__(
        self,
        n_estimators: int = 100,
        *,
        max_samples: int | float | Literal["auto"] = 256,
        max_depth: int | None = None,
        extension_level: int = 0,
        contamination: float | Literal["auto"] = "auto",
        random_state: int | RandomState | None = 0,
        n_jobs: int | None = None,
    ) -> None: ...
    def fit(self, X: ArrayLike, y: object = None) -> IsolationForest: ...
    def score_samples(self, X: ArrayLike) -> NDArray[np.float64]: ...
    def decision_function(self, X: ArrayLike) -> NDArray[np.float64]: ...
    def predict(self, X: ArrayLike) -> NDArray[np.int64]: ...
    def path_shortening(self, X: ArrayLike) -> NDArray[np.float64]: ...
    def to_onnx(self) -> bytes: ...
    def save(self, path: str | PathLike[str]) -> None: ...
