"""The captures of training-data/, and the program `weir` that reads them."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from pathlib import Path

import polars as pl

CAPTURES = Path("..") / "training-data"
# The protected host of every capture: what is local.
HOST = ("--home-net", "192.0.2.1/32", "--home-net", "2001:db8::1/128")
# What the notebooks write, gone when the kernel ends.
_SCRATCH = tempfile.TemporaryDirectory(prefix="weir-notebook-")
SCRATCH = Path(_SCRATCH.name)


def weir(*arguments: object, env: dict[str, str] | None = None) -> str:
    """Runs `weir` and returns what it printed, without the scratch folder's name."""
    finished = subprocess.run(
        ["weir", *map(str, arguments)],
        capture_output=True,
        text=True,
        env={**os.environ, **(env or {})},
    )
    if finished.returncode != 0:
        raise RuntimeError(f"weir {arguments[0]}: {finished.stderr.strip()}")
    return finished.stdout.replace(f"{SCRATCH}/", "")


def capture(name: str) -> Path:
    """The capture of that name."""
    return CAPTURES / f"{name}.pcap.zst"


def truth(name: str) -> Path:
    """Its ground truth."""
    return CAPTURES / f"{name}.truth.json"


def table(folder: Path, kind: str) -> pl.DataFrame:
    """All rows of a table of a folder, such as `peer`, in time order."""
    files = sorted((folder / kind).rglob("*.parquet"))
    return pl.concat([pl.read_parquet(file) for file in files]).sort("time", maintain_order=True)


def attacks(name: str) -> pl.DataFrame:
    """The attacks of a capture: name, class, sources, and when, as seconds from the first one's
    beginning and as times."""
    rows = [
        {
            "attack": attack["name"],
            "class": attack["class"],
            "source": attack["sources"].get("address") or attack["sources"]["network"] + "/25",
            "began": attack["began"]["unix_ns"],
            "ended": attack["ended"]["unix_ns"],
        }
        for attack in json.loads(truth(name).read_text())["attacks"]
    ]
    times = [pl.col(column).cast(pl.Datetime("ns", "UTC")) for column in ("began", "ended")]
    return pl.DataFrame(rows).with_columns(times).sort("began")
