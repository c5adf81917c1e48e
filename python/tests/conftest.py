"""What the tests share: a folder of rows, and a model that the Rust code made."""

from __future__ import annotations

import numpy as np
import pytest


@pytest.fixture(scope="session")
def rows() -> np.ndarray:
    """2,000 rows of 5 features around the origin, the last 20 of them far away."""
    generator = np.random.default_rng(7)
    rows = generator.normal(size=(2_000, 5)).astype(np.float32)
    rows[-20:] += 6.0
    return rows
