"""Captures as Arrow streams."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from os import PathLike, fspath

from ._weir import Capture, open_capture


def read_capture(
    path: str | PathLike[str] | Iterable[str | PathLike[str]],
    *,
    home_net: str | Iterable[str] | None = None,
    kind: str = "peer",
    window: str = "1s",
    progress: bool | Callable[[int, int | None], object] | None = None,
) -> Capture:
    """Rows of features of a capture, made by the code that runs on a node.

    Parameters
    ----------
    path : a capture of pcap or pcapng, also compressed by gzip or zstd; or several, whose frames
        are merged by time.
    home_net : the prefixes whose addresses are local, such as ``"192.0.2.0/24"``; private
        addresses if not given. A capture whose side is mostly a guess without is refused, with a
        proposal.
    kind : ``"flow"`` (a row for each flow in each window), ``"peer"`` (each remote address),
        ``"host"`` (each local address), ``"service"`` (each local service) or ``"net"`` (all local
        addresses); the latter four over horizons of a window, 10, 60 and 600 s.
        `weir.schema(kind)` has the columns with units and docs.
    window : length of a window, from ``"100ms"`` to ``"60s"``.
    progress : True for a bar of `tqdm`, or a function of the bytes read and of all bytes (None of a
        stream). If not given, there is a bar in notebooks that have `tqdm`.

    Returns
    -------
    `Capture`, an Arrow stream that polars, pandas, DuckDB and pyarrow read: ``pl.DataFrame(...)``.
    Rows are made as they are asked for.

    Raises
    ------
    CaptureError : the capture cannot be read, or its home side is a guess.
    """
    paths = [path] if isinstance(path, (str, PathLike)) else list(path)
    nets = [home_net] if isinstance(home_net, str) else home_net
    told = _bar() if progress is True or (progress is None and _in_notebook()) else progress
    return open_capture(
        [fspath(one) for one in paths],
        None if nets is None else list(nets),
        kind,
        window,
        told or None,
    )


def _in_notebook() -> bool:
    try:
        get_ipython  # noqa: B018  # pyright: ignore[reportUndefinedVariable]
    except NameError:
        return False
    try:
        import tqdm.auto  # noqa: F401
    except ModuleNotFoundError:
        return False
    return True


def _bar() -> Callable[[int, int | None], object]:
    try:
        from tqdm.auto import tqdm
    except ModuleNotFoundError as error:
        raise ImportError("a progress bar needs tqdm: pip install tqdm") from error
    bar = None

    def advance(read: int, size: int | None) -> None:
        nonlocal bar
        if bar is None:
            bar = tqdm(total=size, unit="B", unit_scale=True, desc="capture")
        bar.update(read - bar.n)
        if size is not None and read >= size:
            bar.close()

    return advance
