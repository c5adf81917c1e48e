"""The forest as a scikit-learn estimator."""

from __future__ import annotations

import os
import tempfile
import warnings
from numbers import Integral, Real
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, OutlierMixin, _fit_context
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted, validate_data

from ._weir import Forest

# Rows a tree is grown from with `max_samples="auto"`, as in scikit-learn and Liu et al. 2008.
_AUTO_SAMPLES = 256
# The average row's score, where `contamination="auto"` puts the offset; as in scikit-learn.
_AVERAGE_SCORE = -0.5
# Seeds are drawn below this where `random_state` is not an integer.
_SEED_BOUND = 2**31 - 1


class IsolationForest(OutlierMixin, BaseEstimator):
    """Isolation forest: how easily is a row set apart from those it was fitted on?

    The forest that `weir` runs, with scikit-learn's interface. Signs are scikit-learn's:
    **lower is more abnormal**; `score_samples` is the negative of the score that weir's tables
    and `weir.Model` show.

    Values are float32. Arrays of float32 in C order are not copied, anything else once. Work
    is done without the interpreter's lock: other threads go on, and must not write to the array.

    Parameters
    ----------
    n_estimators : int, default=100
        Number of trees, 1 to 1000.
    max_samples : int, float or "auto", default=256
        Rows each tree is grown from, drawn without replacement: a number of rows, at least 2; a
        share of them in (0, 1]; "auto" is 256. Where there are fewer rows, all of them.
    max_depth : int or None, default=None
        Depth at which growing stops, 1 to 24; None is ⌈log₂ max_samples⌉, as in scikit-learn.
    extension_level : int, default=0
        Features beyond the first along which a split may lean: 0 is the standard forest (Liu,
        Ting, Zhou 2008), 1 to n_features − 1 the extended one (Hariri et al. 2019).
    contamination : "auto" or float, default="auto"
        The share of outliers in the training rows, in (0, 0.5], which sets `offset_`; "auto"
        sets it to −0.5, the average row's score.
    random_state : int, RandomState instance or None, default=0
        An integer from 0 is the forest's own seed: the same rows and seed give the same forest,
        to the bit, and the same one that `weir train` grows.
    n_jobs : int or None, default=None
        Threads: None is 1, −1 all processors. Never changes a result.

    Attributes
    ----------
    offset_ : float
        `decision_function` is `score_samples` less this.
    max_samples_ : int
        Rows each tree was grown from.
    n_features_in_ : int
        Features of a row.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the features, where the training rows had names that are all strings.
    forest_ : weir._weir.Forest
        The trees.

    Notes
    -----
    Unlike scikit-learn's: thresholds are binned to at most 255 per feature; there is no
    `max_features`, `bootstrap` or `warm_start`; sparse matrices, NaN and `sample_weight` are
    refused (trees draw their rows evenly).

    Examples
    --------
    >>> import numpy as np
    >>> from weir import IsolationForest
    >>> rows = np.random.default_rng(1).normal(size=(1000, 4)).astype(np.float32)
    >>> forest = IsolationForest(random_state=1).fit(rows)
    >>> forest.predict(np.array([[0, 0, 0, 0], [9, 9, 9, 9]], dtype=np.float32))
    array([ 1, -1])
    """

    _parameter_constraints: dict[str, list[Any]] = {
        "n_estimators": [Interval(Integral, 1, None, closed="left")],
        "max_samples": [
            StrOptions({"auto"}),
            Interval(Integral, 2, None, closed="left"),
            Interval(Real, 0, 1, closed="right"),
        ],
        "max_depth": [Interval(Integral, 1, None, closed="left"), None],
        "extension_level": [Interval(Integral, 0, None, closed="left")],
        "contamination": [StrOptions({"auto"}), Interval(Real, 0, 0.5, closed="right")],
        "random_state": ["random_state"],
        "n_jobs": [Integral, None],
    }

    def __init__(
        self,
        n_estimators=100,
        *,
        max_samples=256,
        max_depth=None,
        extension_level=0,
        contamination="auto",
        random_state=0,
        n_jobs=None,
    ):
        self.n_estimators = n_estimators
        self.max_samples = max_samples
        self.max_depth = max_depth
        self.extension_level = extension_level
        self.contamination = contamination
        self.random_state = random_state
        self.n_jobs = n_jobs

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y=None):
        """Grows the trees.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            The training rows; at least 2.
        y : ignored

        Returns
        -------
        self : IsolationForest
        """
        X = validate_data(self, X, dtype=np.float32, order="C", ensure_min_samples=2)
        self.forest_ = Forest.fit(
            X,
            n_trees=self.n_estimators,
            max_samples=self._sample_of(len(X)),
            max_depth=self.max_depth,
            extension_level=self.extension_level,
            seed=self._seed(),
            n_jobs=self.n_jobs,
        )
        self.max_samples_ = self.forest_.max_samples
        if self.contamination == "auto":
            self.offset_ = _AVERAGE_SCORE
        else:
            scores = self._score(X)
            self.offset_ = float(np.percentile(scores, 100.0 * self.contamination))
        return self

    def score_samples(self, X):
        """Scores rows.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        scores : ndarray of shape (n_samples,)
            In [−1, 0), lower is more abnormal, −0.5 is the average row's.
        """
        return self._score(self._checked(X))

    def decision_function(self, X):
        """`score_samples` less `offset_`: below 0 for outliers.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        scores : ndarray of shape (n_samples,)
        """
        return self.score_samples(X) - self.offset_

    def predict(self, X):
        """Tells inliers from outliers.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        labels : ndarray of shape (n_samples,)
            −1 for outliers, 1 for all others.
        """
        return np.where(self.decision_function(X) < 0, -1, 1)

    def path_shortening(self, X):
        """By how many levels each feature shortened each row's mean path.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        levels : ndarray of shape (n_samples, n_features)
            Above 0 is what set the row apart. A row's values add up to the usual path's length
            less the row's (Saabas's method, with path length in the place of the prediction).
        """
        return self._fitted().path_shortening(self._checked(X))

    def to_onnx(self) -> bytes:
        """The forest as an ONNX model that takes float32 rows and gives their scores.

        The one output has weir's sign: higher is more anomalous, as −`score_samples`. Only
        standard forests (`extension_level=0`) can be written: ONNX's trees cut one feature.
        """
        names = getattr(self, "feature_names_in_", None)
        return self._fitted().to_onnx(None if names is None else list(names))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes `to_onnx` to a file, whole or not at all."""
        model = self.to_onnx()
        path = Path(path)
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".weir-", delete=False) as file:
            try:
                file.write(model)
                file.flush()
                os.fsync(file.fileno())
                os.chmod(file.name, 0o644)
                os.replace(file.name, path)
            except BaseException:
                os.unlink(file.name)
                raise

    def _checked(self, X) -> np.ndarray:
        check_is_fitted(self)
        return validate_data(self, X, dtype=np.float32, order="C", reset=False)

    def _fitted(self) -> Forest:
        check_is_fitted(self)
        return self.forest_

    def _score(self, X: np.ndarray) -> np.ndarray:
        # float64 is what scikit-learn's detectors return.
        return -self.forest_.score(X, n_jobs=self.n_jobs).astype(np.float64)

    def _sample_of(self, rows: int) -> int:
        if self.max_samples == "auto":
            return min(_AUTO_SAMPLES, rows)
        if isinstance(self.max_samples, Integral):
            return int(self.max_samples)
        sample = int(self.max_samples * rows)
        if sample < 2:
            warnings.warn(
                f"max_samples={self.max_samples} of {rows} rows is {sample}: 2 are used",
                stacklevel=3,
            )
        return max(sample, 2)

    def _seed(self) -> int:
        if isinstance(self.random_state, Integral):
            return int(self.random_state)
        return int(check_random_state(self.random_state).randint(_SEED_BOUND))
