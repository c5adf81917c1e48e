"""Runs one notebook from its first cell to its last: `cargo xtask notebooks [--write]` runs all.

Without `--write` a notebook must have been committed with its outputs, and must run again without
an error; nothing is written. With it, the outputs are kept, tidied so that a second run changes
as little as possible. `weir` must be in PATH and its Python package installed.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

FOLDER = Path(__file__).resolve().parent
# Seconds that one cell may take; a whole notebook takes less on the slowest machine it ran on.
CELL_TIMEOUT = 300
# What would tell whose machine a notebook ran on.
LOCAL_PATH = re.compile(r"(?<![\w./])/(?:home|root|Users|tmp|var|work|workspace|mnt)/[\w.-]+")


def main() -> int:
    *options, name = sys.argv[1:] or [""]
    if options not in ([], ["--write"]) or not name.endswith(".ipynb"):
        print(f"usage: {Path(sys.argv[0]).name} [--write] NAME.ipynb", file=sys.stderr)
        return 2
    wrong = run(FOLDER / name, bool(options))
    if wrong:
        print(wrong)
    return 1 if wrong else 0


def run(path: Path, write: bool) -> str | None:
    """What is wrong with a notebook, or nothing."""
    notebook = nbformat.read(path, as_version=4)
    if not write and (wrong := not_committed_whole(notebook)):
        return f"{path.name}: {wrong}: run `cargo xtask notebooks --write` and commit it"
    client = NotebookClient(
        notebook,
        timeout=CELL_TIMEOUT,
        kernel_name="python3",
        record_timing=False,
        resources={"metadata": {"path": str(FOLDER)}},
    )
    try:
        client.execute()
    except (CellExecutionError, CellTimeoutError, DeadKernelError) as error:
        return f"{path.name}: {error}"
    if write:
        tidy(notebook)
        if wrong := not_committed_whole(notebook):
            return f"{path.name}: {wrong}"
        nbformat.validate(notebook)
        nbformat.write(notebook, path)
    return None


def not_committed_whole(notebook: nbformat.NotebookNode) -> str | None:
    """Why what is in the file is not one whole run, or nothing."""
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    for number, cell in enumerate(cells, start=1):
        if cell.execution_count != number:
            return f"code cell {number} has the count {cell.execution_count}"
        for output in cell.outputs:
            if output.output_type == "error":
                return f"code cell {number} ended in {output.ename}"
            if output.output_type == "stream" and output.name == "stderr":
                return f"code cell {number} warned: {output.text.strip()[:200]}"
            if found := LOCAL_PATH.search(text_of(output)):
                return f"code cell {number} shows a local path, {found.group()}"
    if not any(cell.outputs for cell in cells):
        return "it has no outputs"
    return None


def text_of(output: nbformat.NotebookNode) -> str:
    data = output.get("data", {})
    parts = [output.get("text", ""), *(data.get(kind, "") for kind in ("text/plain", "text/html"))]
    return "\n".join(part if isinstance(part, str) else "".join(part) for part in parts)


def tidy(notebook: nbformat.NotebookNode) -> None:
    """Takes out what differs from run to run without meaning anything."""
    notebook.metadata = nbformat.from_dict(
        {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        }
    )
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    for number, cell in enumerate(notebook.cells, start=1):
        cell.id = f"cell-{number:02}"
        cell.metadata = nbformat.from_dict({})
        for output in cell.get("outputs", []):
            output.get("metadata", {}).clear()


if __name__ == "__main__":
    sys.exit(main())
