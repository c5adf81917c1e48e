"""A forest goes out as ONNX, and onnxruntime scores rows with it as weir does."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pandas as pd
import pytest

from weir import IsolationForest


def session(model: bytes) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])


@pytest.mark.parametrize("max_depth", [None, 3, 12])
def test_onnxruntime_scores_alike(rows, max_depth):
    forest = IsolationForest(random_state=5, max_depth=max_depth).fit(rows)
    generator = np.random.default_rng(1)
    # Also far outside of what the forest has seen.
    scored = np.vstack([rows, generator.normal(scale=100, size=(500, 5)).astype(np.float32)])
    onnx = session(forest.to_onnx())
    (scores,) = onnx.run(None, {onnx.get_inputs()[0].name: scored})
    assert np.abs(scores.ravel() + forest.score_samples(scored)).max() <= 1e-6


def test_the_file_has_the_names_and_the_same_bytes_each_time(rows, tmp_path):
    frame = pd.DataFrame(rows, columns=["a", "b", "c", "d", "e"])
    forest = IsolationForest().fit(frame)
    assert forest.feature_names_in_.tolist() == ["a", "b", "c", "d", "e"]
    model = forest.to_onnx()
    assert model == forest.to_onnx()
    assert model != IsolationForest().fit(rows).to_onnx()
    path = tmp_path / "forest.onnx"
    path.write_text("an older file")
    forest.save(path)
    assert path.read_bytes() == model
    assert [file.name for file in tmp_path.iterdir()] == ["forest.onnx"]


def test_a_file_that_cannot_be_written_leaves_nothing_behind(rows, tmp_path):
    forest = IsolationForest(n_estimators=2).fit(rows)
    (tmp_path / "taken").mkdir()
    with pytest.raises(OSError):
        forest.save(tmp_path / "taken")
    assert [file.name for file in tmp_path.iterdir()] == ["taken"]


def test_an_extended_forest_is_refused_with_a_way_out(rows):
    forest = IsolationForest(extension_level=1).fit(rows)
    with pytest.raises(ValueError, match="extended isolation forest.*extension_level"):
        forest.to_onnx()
