"""The features of a table as a scikit-learn transformer."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin

from ._weir import schema


class Features(TransformerMixin, BaseEstimator):
    """Picks the scored features out of a table of weir's, in the order in which models read them.

    Nothing is learnt: `fit` looks at the columns' names only. Values stay as they are in the table,
    many of them log2(1 + natural); `weir.schema(kind)` has their units.

    Parameters
    ----------
    kind : {"peer", "host", "service", "net"}, default="peer"
        The table.

    Attributes
    ----------
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the features, which are those of the output too.
    n_features_in_ : int
        Features of a row.

    Notes
    -----
    A table is of polars, pandas or pyarrow. Rows of all its horizons are taken: choose one by the
    column `horizon`, for a feature over 10 s is no measure over 1 s.

    Examples
    --------
    >>> import polars as pl, weir
    >>> from sklearn.pipeline import make_pipeline
    >>> peers = pl.DataFrame(weir.read_capture("x.pcap", home_net="192.0.2.0/24"))
    >>> seconds = peers.filter(pl.col("horizon") == 1_000)
    >>> make_pipeline(weir.features("peer"), weir.IsolationForest()).fit(seconds)
    """

    def __init__(self, kind: str = "peer"):
        self.kind = kind

    def fit(self, X: Any, y: object = None) -> Features:
        """Looks whether the table has the features' columns."""
        names = self._names()
        self._columns(X, names)
        self.feature_names_in_ = np.array(names, dtype=object)
        self.n_features_in_ = len(names)
        return self

    def transform(self, X: Any) -> np.ndarray:
        """The features as float32 of shape (rows, features), in C order."""
        names = self._names()
        columns = self._columns(X, names)
        rows = np.empty((len(X), len(names)), dtype=np.float32)
        for at, column in enumerate(columns):
            rows[:, at] = column
        if not np.isfinite(rows).all():
            at = int(np.argmax(~np.isfinite(rows).all(axis=0)))
            raise ValueError(f"the column `{names[at]}` has null, NaN or infinite values")
        return rows

    def get_feature_names_out(self, input_features: object = None) -> np.ndarray:
        """Names of the output's columns."""
        return np.array(self._names(), dtype=object)

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def _names(self) -> list[str]:
        described = schema(self.kind)
        names = [feature["name"] for feature in described["features"] if feature["scored"]]
        if not names:
            raise ValueError(
                f"no feature of `{described['name']}` is scored: `kind` must be one of "
                '"peer", "host", "service", "net"'
            )
        return names

    def _columns(self, table: Any, names: list[str]) -> list[np.ndarray]:
        held = getattr(table, "column_names", None) or getattr(table, "columns", None)
        if held is None:
            raise ValueError(
                f"a table of polars, pandas or pyarrow has the columns, got {type(table).__name__}"
            )
        if missing := [name for name in names if name not in set(held)]:
            raise ValueError(
                f"no table of {self.kind} rows: it lacks {len(missing)} features, the first of them "
                f"`{missing[0]}`; make it with this weir's `read_capture` or `weir replay --out`"
            )
        return [np.asarray(table[name]) for name in names]
