"""The compiled part: what is public of it is imported from `weir`."""

from __future__ import annotations

from collections.abc import Callable
from os import PathLike
from typing import Any, Literal, Protocol, TypeAlias, TypedDict, final

import numpy as np
from numpy.typing import ArrayLike, NDArray

VERSION: str

class _ArrowStream(Protocol):
    def __arrow_c_stream__(self, requested_schema: object | None = None, /) -> object: ...

class _ArrowArray(Protocol):
    def __arrow_c_array__(
        self, requested_schema: object | None = None, /
    ) -> tuple[object, object]: ...

Table: TypeAlias = _ArrowStream | _ArrowArray
FeatureTable: TypeAlias = Literal["flow", "peer", "host", "service", "net"]
TableName: TypeAlias = FeatureTable | Literal["window"]
PValueKind: TypeAlias = Literal["conditional", "marginal"]

class Contribution(TypedDict):
    feature: str
    value: float
    unit: str | None
    benign_low: float
    benign_median: float
    benign_high: float
    place: Literal["below all", "low", "usual", "high", "above all"]
    amount: float
    share: float

class Scores(TypedDict):
    score: NDArray[np.float32]
    p_value: NDArray[np.float64]
    tail_score: NDArray[np.float32]
    tail_p_value: NDArray[np.float64]

class FeatureDescription(TypedDict):
    name: str
    unit: str
    natural_unit: str
    scale: Literal["linear", "log"]
    scored: bool
    doc: str

class Schema(TypedDict):
    name: str
    hash: str
    features: list[FeatureDescription]

class CaptureReport(TypedDict):
    windows: int
    rows: int
    frames: int
    lost: dict[str, int]

class ModelError(ValueError): ...
class CaptureError(ValueError): ...

@final
class Capture:
    @property
    def kind(self) -> TableName: ...
    @property
    def columns(self) -> list[str]: ...
    @property
    def report(self) -> CaptureReport: ...
    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object: ...

def open_capture(
    paths: list[str],
    home_net: list[str] | None,
    kind: TableName,
    window: str,
    progress: Callable[[int, int | None], object] | None,
) -> Capture: ...

def schema(kind: FeatureTable) -> Schema: ...

@final
class Model:
    @staticmethod
    def load(path: str | PathLike[str]) -> Model: ...
    @property
    def manifest(self) -> dict[str, Any]: ...
    @property
    def digest(self) -> str: ...
    @property
    def detectors(self) -> dict[str, Detector]: ...
    @property
    def peer(self) -> Detector: ...
    def score(self, table: Table, *, n_jobs: int | None = None) -> Scores: ...

@final
class Detector:
    @property
    def rows(self) -> str: ...
    @property
    def schema(self) -> str: ...
    @property
    def schema_hash(self) -> str: ...
    @property
    def features(self) -> list[str]: ...
    @property
    def inputs(self) -> list[str]: ...
    @property
    def kind(self) -> str: ...
    @property
    def smallest_p_value(self) -> float: ...
    @property
    def calibration(self) -> NDArray[np.float32]: ...
    def score(
        self, data: Table | ArrayLike, *, n_jobs: int | None = None
    ) -> NDArray[np.float32]: ...
    def tail_score(self, data: Table | ArrayLike) -> NDArray[np.float32]: ...
    def p_value(
        self, scores: ArrayLike, *, kind: PValueKind = "conditional"
    ) -> NDArray[np.float64]: ...
    def tail_p_value(
        self, tail_scores: ArrayLike, *, kind: PValueKind = "conditional"
    ) -> NDArray[np.float64]: ...
    def threshold(self, rate: float) -> float: ...
    def explain(
        self, row: ArrayLike | dict[str, float], *, top: int | None = None
    ) -> list[Contribution]: ...

@final
class Forest:
    @staticmethod
    def fit(
        rows: NDArray[np.float32],
        *,
        n_trees: int,
        max_samples: int,
        max_depth: int | None,
        extension_level: int,
        seed: int,
        n_jobs: int | None = None,
    ) -> Forest: ...
    @staticmethod
    def from_bytes(bytes: bytes) -> Forest: ...
    @property
    def n_features(self) -> int: ...
    @property
    def n_trees(self) -> int: ...
    @property
    def max_samples(self) -> int: ...
    @property
    def max_depth(self) -> int: ...
    def score(
        self, rows: NDArray[np.float32], *, n_jobs: int | None = None
    ) -> NDArray[np.float32]: ...
    def path_shortening(self, rows: NDArray[np.float32]) -> NDArray[np.float64]: ...
    def to_bytes(self) -> bytes: ...
    def to_onnx(self, feature_names: list[str] | None = None) -> bytes: ...
