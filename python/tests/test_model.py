"""`weir.Model` reads what `weir` writes, and scores tables of any library alike."""

from __future__ import annotations

import hashlib

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

import weir


@pytest.fixture(scope="module")
def model(model_path) -> weir.Model:
    return weir.Model.load(model_path)


@pytest.fixture(scope="module", params=["peer-1s", "peer-10s", "host-1s", "service-1s"])
def channel(request) -> str:
    return request.param


@pytest.fixture(scope="module")
def kind(channel) -> str:
    return channel.split("-")[0]


@pytest.fixture(scope="module")
def detector(model, channel) -> weir.Detector:
    return model.detectors[channel]


@pytest.fixture(scope="module")
def files(features, kind) -> list:
    return sorted((features / kind).rglob("*.parquet"))


@pytest.fixture(scope="module")
def whole(files) -> pa.Table:
    return pa.concat_tables([pq.read_table(file) for file in files])


@pytest.fixture(scope="module")
def table(whole, channel) -> pa.Table:
    """The rows that the detector measures."""
    ms = int(channel.split("-")[1].removesuffix("s")) * 1_000
    return whole.filter(pc.equal(whole["horizon"], ms))


@pytest.fixture(scope="module")
def frame(table) -> pl.DataFrame:
    return pl.DataFrame(table)


@pytest.fixture(scope="module")
def array(frame, detector) -> np.ndarray:
    return np.ascontiguousarray(frame.select(detector.features).to_numpy())


def test_a_model_says_what_it_is(model, model_path, channel, kind, detector):
    assert model.digest == hashlib.sha256(model_path.read_bytes()).hexdigest()
    manifest = model.manifest["detectors"][channel]
    assert manifest["schema"] == detector.schema == weir.schema(kind)["name"]
    assert manifest["schema_hash"] == detector.schema_hash
    scored = [feature["name"] for feature in weir.schema(kind)["features"] if feature["scored"]]
    assert detector.features == scored and detector.rows == channel
    assert model.peer.rows == "peer-1s"
    assert set(detector.inputs) <= set(detector.features)
    assert detector.kind == "isolation forest"
    assert model.digest[:12] in repr(model)


@pytest.mark.parametrize(
    ("spoil", "text"),
    [
        (lambda content: b"PK" + content[2:100], "copy it again|not a weir model|train again"),
        (lambda content: content[:-5], "copy it again"),
        (lambda content: content[:900] + b"\x00" + content[901:], "corrupt"),
        (lambda content: b"", "not a weir model"),
    ],
)
def test_a_file_that_is_no_whole_model_is_refused_with_its_name(
    model_path, tmp_path, spoil, text
):
    path = tmp_path / "spoilt.weir"
    path.write_bytes(spoil(model_path.read_bytes()))
    with pytest.raises(weir.ModelError, match=text) as refused:
        weir.Model.load(path)
    assert str(path) in str(refused.value)


def test_a_missing_file_is_refused_with_its_name(tmp_path):
    with pytest.raises(weir.ModelError, match="no-such.weir.*No such file"):
        weir.Model.load(tmp_path / "no-such.weir")


def test_every_library_gives_the_same_scores(detector, table, frame, array):
    expected = detector.score(array)
    assert expected.dtype == np.float32 and len(expected) == len(frame) > 5
    assert expected.min() >= 0 and expected.max() <= 1
    tables = {
        "polars": frame,
        "polars, other column order": frame.select(sorted(frame.columns)),
        "pyarrow": table,
        "pyarrow, a batch": table.combine_chunks().to_batches()[0],
        "pyarrow, a stream": table.to_reader(max_chunksize=100),
        "pandas": frame.to_pandas(),
        "duckdb": duckdb.sql("select * from frame"),
    }
    for library, one in tables.items():
        assert np.array_equal(detector.score(one), expected), library
    assert np.array_equal(detector.score(array, n_jobs=2), expected)
    assert np.array_equal(detector.score(array.astype(np.float64)), expected)
    doubles = frame.with_columns(pl.col(detector.features).cast(pl.Float64))
    assert np.array_equal(detector.score(doubles), expected)


def test_each_row_is_scored_by_the_detector_of_its_horizon(model, detector, table, frame, whole, array):
    mine = pl.DataFrame(whole)["horizon"].to_numpy() == frame["horizon"][0]
    for of_all, mine in ((frame, slice(None)), (table, slice(None)), (whole, mine)):
        scored = model.score(of_all, n_jobs=-1)
        assert list(scored) == ["score", "p_value", "tail_score", "tail_p_value"]
        scored = {name: column[mine] for name, column in scored.items()}
        assert np.array_equal(scored["score"], detector.score(array))
        assert np.array_equal(scored["p_value"], detector.p_value(scored["score"]))
        assert np.array_equal(scored["tail_score"], detector.tail_score(array))
        tail_p = detector.tail_p_value(scored["tail_score"])
        assert np.array_equal(scored["tail_p_value"], tail_p)
    assert pl.DataFrame(scored).height == frame.height


def test_rows_over_a_horizon_without_a_detector_have_no_score(model, frame):
    unknown = frame.with_columns(horizon=pl.lit(7_000, pl.UInt32))
    assert np.isnan(model.score(unknown)["score"]).all()


def test_rows_over_another_horizon_are_refused(detector, channel, frame):
    own = channel.split("-")[1]
    unknown = frame.with_columns(horizon=pl.lit(7_000, pl.UInt32))
    with pytest.raises(weir.ModelError, match=f"rows over 7s, this detector measures rows over {own}"):
        detector.score(unknown)


def test_a_table_of_other_features_is_refused(model, detector, kind, table):
    assert table.schema.metadata[b"weir.schema.hash"].decode() == detector.schema_hash
    metadata = {**table.schema.metadata, b"weir.schema.hash": b"0123456789abcdef"}
    with pytest.raises(weir.ModelError, match="hash 0123456789abcdef.*make it again"):
        detector.score(table.replace_schema_metadata(metadata))
    other = model.detectors["host-1s" if kind == "peer" else "peer-1s"]
    with pytest.raises(weir.ModelError, match=f"`{weir.schema(kind)['name']}`, this detector reads"):
        other.score(table)
    metadata[b"weir.schema"] = b"weir.other.v1"
    with pytest.raises(weir.ModelError, match="`weir.other.v1`, expected one of"):
        model.score(table.replace_schema_metadata(metadata))


def test_a_column_that_is_missing_null_or_no_number_is_named(model, detector, frame):
    name = detector.features[3]
    with pytest.raises(weir.ModelError, match=f"no Float32 column `{name}`"):
        detector.score(frame.drop(name))
    with pytest.raises(weir.ModelError, match=f"no Float32 column `{name}`"):
        detector.score(frame.with_columns(pl.lit("x").alias(name)))
    with pytest.raises(weir.ModelError, match=f"column `{name}` has nulls"):
        detector.score(frame.with_columns(pl.lit(None, pl.Float32).alias(name)))
    with pytest.raises(weir.ModelError, match="the features of none of the model's detectors"):
        model.score(frame.select("window_start"))


def test_an_array_of_another_width_is_refused(model, detector, array):
    width = array.shape[1]
    with pytest.raises(ValueError, match=f"rows have {width - 1} values, and {width} features"):
        detector.score(array[:, 1:])
    with pytest.raises(ValueError, match="an Arrow table or a two-dimensional array"):
        detector.score(array[0])
    with pytest.raises(ValueError, match="expected an Arrow table; arrays are scored by"):
        model.score(array)


def test_p_values_fall_as_scores_rise_and_hold_on_benign_rows(detector):
    scores = np.linspace(0, 1, 101, dtype=np.float32)
    for kind in ("conditional", "marginal"):
        p_values = detector.p_value(scores, kind=kind)
        assert (np.diff(p_values) <= 0).all() and p_values[0] == 1
    assert detector.p_value(1.0)[0] == detector.smallest_p_value
    assert (detector.p_value(scores) >= detector.p_value(scores, kind="marginal") - 1e-12).all()
    assert np.isnan(scores).sum() == 0 and detector.p_value(np.nan)[0] == 1
    held_out = detector.calibration
    assert (np.diff(held_out) >= 0).all()
    threshold = detector.threshold(0.1)
    assert (detector.p_value(held_out) <= 0.1).tolist() == (held_out > threshold).tolist()
    with pytest.raises(ValueError, match="needs .* held-out rows, this model has"):
        detector.threshold(1e-9)
    with pytest.raises(ValueError, match='`kind` must be "conditional" or "marginal"'):
        detector.p_value(scores, kind="other")


def test_an_explanation_names_each_input_once_with_its_natural_value(detector, kind, array):
    worst = array[detector.score(array).argmax()]
    parts = detector.explain(worst)
    assert sorted(part["feature"] for part in parts) == sorted(detector.inputs)
    assert sum(part["share"] for part in parts) == pytest.approx(1)
    amounts = [part["amount"] for part in parts]
    assert amounts == sorted(amounts, reverse=True) and amounts[0] > 0
    described = {feature["name"]: feature for feature in weir.schema(kind)["features"]}
    for part in parts:
        feature = described[part["feature"]]
        value = worst[detector.features.index(part["feature"])]
        natural = np.exp2(value) - 1 if feature["scale"] == "log" else value
        assert part["unit"] == feature["natural_unit"]
        assert part["value"] == pytest.approx(natural, rel=1e-4, abs=1e-4)
        assert part["benign_low"] <= part["benign_median"] <= part["benign_high"]
    named = dict(zip(detector.features, worst.tolist(), strict=True))
    assert detector.explain(named, top=2) == parts[:2]
    with pytest.raises(ValueError, match="the row has no value for"):
        detector.explain({})


def test_attacks_stand_out(model, features):
    """Each of the demo's attackers has a row that benign traffic hardly ever has; rows of the
    others over a window are ordinary, whatever their standing."""
    paths = sorted((features / "peer").rglob("*.parquet"))
    peers = pl.concat([pl.read_parquet(path) for path in paths])
    scored = pl.DataFrame(model.score(peers)).with_columns(
        peers.select("remote_address", "standing", "horizon"),
        p=pl.min_horizontal("p_value", "tail_p_value"),
    )
    attacks = r"^198\.51\.100\.|^203\.0\.113\.|^2001:db8:1:"
    is_attacker = pl.col("remote_address").str.contains(attacks)
    attackers = scored.filter(is_attacker).group_by("remote_address").agg(pl.col("p").min())
    assert attackers.height > 100
    assert attackers["p"].max() < 0.002
    others = scored.filter(~is_attacker & (pl.col("horizon") == 1_000))
    assert (others["p"] <= 0.01).mean() < 0.1
    medians = others.group_by("standing").agg(pl.col("p").median())
    assert set(medians["standing"]) == {"proven", "initiated", "unproven"}
    assert medians["p"].min() > 0.25
