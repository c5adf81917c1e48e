"""What the tests share: rows, and a model and tables that the program `weir` made."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

CAPTURES = Path(__file__).resolve().parents[2] / "training-data"
# The protected host of the captures.
HOST = ["--home-net", "192.0.2.1/32", "--home-net", "2001:db8::1/128"]


@pytest.fixture(scope="session")
def rows() -> np.ndarray:
    """2,000 rows of 5 features around the origin, the last 20 of them far away."""
    generator = np.random.default_rng(7)
    rows = generator.normal(size=(2_000, 5)).astype(np.float32)
    rows[-20:] += 6.0
    return rows


@pytest.fixture(scope="session")
def weir_program() -> str:
    program = shutil.which("weir")
    if program is None:
        pytest.skip("`weir` is not in PATH; `cargo xtask test` puts it there")
    return program


@pytest.fixture(scope="session")
def model_path(weir_program, tmp_path_factory) -> Path:
    """A model of the benign traffic in training-data."""
    path = tmp_path_factory.mktemp("model") / "benign.weir"
    capture = CAPTURES / "benign-train.pcap.zst"
    subprocess.run(
        [weir_program, "learn", "--pcap", capture, *HOST, "--out", path],
        check=True,
        capture_output=True,
    )
    return path


@pytest.fixture(scope="session")
def features(weir_program, tmp_path_factory) -> Path:
    """The tables of a capture with attacks in it."""
    folder = tmp_path_factory.mktemp("features")
    capture = CAPTURES / "demo.pcap.zst"
    subprocess.run(
        [weir_program, "replay", capture, *HOST, "--out", folder], check=True, capture_output=True
    )
    return folder
