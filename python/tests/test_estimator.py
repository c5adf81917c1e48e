"""`weir.IsolationForest` is a scikit-learn estimator, and the forest that weir runs."""

from __future__ import annotations

import pickle
import threading

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.ensemble import IsolationForest as ScikitForest
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from weir import IsolationForest

# None: each check of scikit-learn's that applies to an outlier detector of dense rows holds.
EXPECTED_FAILURES: dict[str, str] = {}


@parametrize_with_checks(
    [
        IsolationForest(n_estimators=20),
        IsolationForest(n_estimators=20, contamination=0.1, n_jobs=2),
        IsolationForest(n_estimators=20, max_samples="auto", max_depth=4),
    ],
    expected_failed_checks=lambda _: EXPECTED_FAILURES,
)
def test_scikit_learns_checks_hold(estimator, check):
    check(estimator)


def is_outlier(rows: np.ndarray) -> np.ndarray:
    return np.arange(len(rows)) >= len(rows) - 20


def test_it_finds_what_scikit_learn_finds(rows):
    ours = [-IsolationForest(random_state=seed).fit(rows).score_samples(rows) for seed in range(5)]
    theirs = [-ScikitForest(random_state=seed).fit(rows).score_samples(rows) for seed in range(5)]
    areas = [roc_auc_score(is_outlier(rows), scores) for scores in [*ours, *theirs]]
    assert min(areas) > 0.999
    # As far from each other as two seeds of scikit-learn's own.
    own = np.abs(theirs[0] - theirs[1]).mean()
    assert np.abs(np.mean(ours, axis=0) - np.mean(theirs, axis=0)).mean() < own


def test_lower_is_more_abnormal_and_the_offset_splits_them(rows):
    forest = IsolationForest(contamination=0.01).fit(rows)
    scores = forest.score_samples(rows)
    assert scores.min() >= -1 and scores.max() < 0
    assert scores[is_outlier(rows)].max() < scores[~is_outlier(rows)].min()
    assert np.array_equal(forest.decision_function(rows), scores - forest.offset_)
    assert np.array_equal(forest.predict(rows) == -1, is_outlier(rows))
    assert IsolationForest().fit(rows).offset_ == -0.5


def test_the_same_seed_is_the_same_forest_whatever_the_threads(rows):
    forests = [IsolationForest(random_state=3, n_jobs=jobs).fit(rows) for jobs in (None, 2, -1)]
    assert len({forest.forest_.to_bytes() for forest in forests}) == 1
    large = np.tile(rows, (20, 1))
    scores = [forest.score_samples(large) for forest in forests]
    assert np.array_equal(scores[0], scores[1]) and np.array_equal(scores[0], scores[2])
    other = IsolationForest(random_state=4).fit(rows)
    assert other.forest_ != forests[0].forest_


def test_a_seed_may_be_drawn(rows):
    drawn = [
        IsolationForest(random_state=state).fit(rows).forest_
        for state in (np.random.RandomState(1), np.random.RandomState(1), np.random.RandomState(2))
    ]
    assert drawn[0] == drawn[1] != drawn[2]


@pytest.mark.parametrize("extension_level", [0, 1, 4])
def test_a_pickle_is_the_same_forest(rows, extension_level):
    forest = IsolationForest(extension_level=extension_level, contamination=0.05).fit(rows)
    again = pickle.loads(pickle.dumps(forest))
    assert again.forest_ == forest.forest_
    assert np.array_equal(again.decision_function(rows), forest.decision_function(rows))


def test_a_clone_has_the_parameters_and_no_trees(rows):
    forest = IsolationForest(n_estimators=7, extension_level=2).fit(rows)
    again = clone(forest)
    assert again.get_params() == forest.get_params()
    assert not hasattr(again, "forest_")
    assert again.set_params(n_estimators=8).fit(rows).forest_.n_trees == 8


def test_it_stands_at_the_end_of_a_pipeline(rows):
    pipeline = make_pipeline(StandardScaler(), IsolationForest(contamination=0.01)).fit(rows)
    assert np.array_equal(pipeline.predict(rows) == -1, is_outlier(rows))


def test_float32_rows_are_read_in_place_and_left_alone(rows):
    locked = rows.copy()
    locked.flags.writeable = False
    forest = IsolationForest().fit(locked)
    # A strided or float64 array is copied once, and scores the same.
    expected = forest.score_samples(locked)
    assert np.array_equal(forest.score_samples(np.asfortranarray(rows)), expected)
    assert np.array_equal(forest.score_samples(rows.astype(np.float64)), expected)
    assert np.array_equal(forest.score_samples(np.repeat(rows, 2, axis=0)[::2]), expected)
    assert np.array_equal(locked, rows)


def test_other_threads_go_on_while_it_scores(rows):
    forest = IsolationForest(n_estimators=500).fit(rows)
    large = np.tile(rows, (200, 1))
    started, ended = threading.Event(), threading.Event()

    def score():
        started.set()
        forest.forest_.score(large)
        ended.set()

    thread = threading.Thread(target=score)
    thread.start()
    started.wait()
    turns = 0
    while not ended.is_set():
        turns += 1
        ended.wait(0.0005)
    thread.join()
    # With the lock held there would be one, or two if the thread was slow to begin.
    assert turns > 5


def test_contributions_add_up_and_name_the_feature_that_is_odd(rows):
    forest = IsolationForest(random_state=2).fit(rows)
    odd = np.zeros((1, 5), dtype=np.float32)
    odd[0, 3] = 30.0
    assert forest.path_shortening(odd)[0].argmax() == 3


@pytest.mark.parametrize(
    ("parameters", "text"),
    [
        ({"n_estimators": 1_001}, "`n_trees` must be between 1 and 1000, got 1001"),
        ({"max_depth": 25}, "`max_depth` must be between 1 and 24, got 25"),
        ({"n_estimators": 0}, "The 'n_estimators' parameter"),
        ({"max_samples": 1}, "The 'max_samples' parameter|max_samples"),
        ({"extension_level": 5}, "extension"),
        ({"n_jobs": 0}, "`n_jobs` must not be 0"),
        ({"random_state": -1}, "random_state"),
    ],
)
def test_a_parameter_out_of_bounds_is_refused_by_name(rows, parameters, text):
    with pytest.raises(ValueError, match=text):
        IsolationForest(**parameters).fit(rows)


def test_what_it_cannot_do_is_refused_by_name(rows):
    with pytest.raises(TypeError, match="sample_weight"):
        IsolationForest().fit(rows, sample_weight=np.ones(len(rows)))
    with pytest.raises(ValueError, match="NaN"):
        IsolationForest().fit([[1.0, 2.0], [np.nan, 3.0]])
    forest = IsolationForest().fit(rows)
    with pytest.raises(ValueError, match="infinity"):
        forest.score_samples(np.full((1, 5), np.inf))
    with pytest.raises(ValueError, match="4 features"):
        forest.score_samples(rows[:, :4])


def test_a_share_of_the_rows_is_a_sample(rows):
    assert IsolationForest(max_samples=0.1).fit(rows).max_samples_ == 200
    assert IsolationForest(max_samples=5_000).fit(rows).max_samples_ == 2_000
    with pytest.warns(UserWarning, match="2 are used"):
        assert IsolationForest(max_samples=0.0001).fit(rows).max_samples_ == 2
