"""The features of a table, in scikit-learn."""

from __future__ import annotations

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from conftest import CAPTURES, HOST
from sklearn.base import clone
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import weir


@pytest.fixture(scope="module")
def peers() -> pl.DataFrame:
    rows = pl.DataFrame(weir.read_capture(CAPTURES / "demo.pcap.zst", home_net=HOST[1::2]))
    return rows.filter(pl.col("horizon") == 1_000)


def test_every_table_gives_the_same_rows(peers):
    picked = weir.features("peer").fit(peers)
    rows = picked.transform(peers)
    names = list(picked.get_feature_names_out())
    assert rows.dtype == np.float32 and rows.flags.c_contiguous
    assert rows.shape == (len(peers), picked.n_features_in_)
    assert np.array_equal(rows, peers.select(names).to_numpy())
    for table in (peers.to_pandas(), peers.to_arrow(), pa.table(peers)):
        assert np.array_equal(clone(picked).fit_transform(table), rows)


def test_they_are_what_a_detector_reads(model_path, peers):
    model = weir.Model.load(model_path)
    rows = weir.features("peer").fit_transform(peers)
    assert list(weir.features("peer").get_feature_names_out()) == model.peer.features
    assert np.array_equal(model.peer.score(rows), model.score(peers)["score"])


def test_a_pipeline_takes_a_table(peers):
    pipeline = make_pipeline(weir.features(), StandardScaler(), weir.IsolationForest()).fit(peers)
    scores = pl.Series(pipeline.score_samples(peers))
    scans = peers["remote_address"].str.starts_with("2001:db8:1:")
    assert scores.filter(scans).mean() < scores.filter(~scans).mean()


def test_what_is_no_such_table_is_named(peers):
    with pytest.raises(ValueError, match="no table of service rows: it lacks 10 features, .* `failed`"):
        weir.features("service").fit(peers)
    with pytest.raises(ValueError, match="no feature of `weir.flow.v2` is scored"):
        weir.features("flow").fit(peers)
    with pytest.raises(ValueError, match="polars, pandas or pyarrow has the columns, got ndarray"):
        weir.features().fit(np.zeros((2, 2)))
    holes = peers.with_columns(targets=pl.when(pl.col("targets") > 1).then("targets"))
    with pytest.raises(ValueError, match="`targets` has null"):
        weir.features().transform(holes)
