"""Captures as Arrow streams."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from os import PathLike, fspath
from typing import TYPE_CHECKING

from ._weir import Capture, open_capture

if TYPE_CHECKING:
    from ._weir import TableName


def read_capture(
    path: str | PathLike[str] | Iterable[str | PathLike[str]],
    *,
    home_net: str | Iterable[str] | None = None,
    kind: TableName = "peer",
    window: str = "1s",
    progress: bool | Callable[[int, int | None], object] | None = None,
) -> Capture:
    """Rows of features of a capture, made by the code that runs on a node.

    Parameters
    ----------
    path : a capture of pcap or pcapng, also compressed by gzip or zstd; or several, whose frames
        are merged by time.
    home_net : the prefixes whose addresses are local, such as ``"192.0.2.0/24"``; private
        addresses if not given. Refused, with a proposal: prefixes that no packet has, and, without
        any, a capture of which more than a tenth of the packets do not tell their local side.
        Warned of: prefixes that as many packets do not have.
    kind : ``"flow"`` (a row for each flow in each window), ``"peer"`` (each remote address),
        ``"host"`` (each local address), ``"service"`` (each local service), ``"net"`` (all local
        addresses), these four over horizons of a window, 10, 60 and 600 s; or ``"window"`` (each
        window: what was seen and lost). `weir.schema(kind)` has the features with units and docs.
    window : length of a window, from ``"100ms"`` to ``"60s"``, as ``window`` of a node has it.
    progress : True for a bar of `tqdm`, or a function of the bytes read and of all bytes (None of a
        stream). If not given, there is a bar in notebooks that have `tqdm`.

    Returns
    -------
    `Capture`, an Arrow stream that polars, pandas, DuckDB and pyarrow read: ``pl.DataFrame(...)``.
    The frames' times and sides are looked through at once, which reads the file a first time;
    rows are made as they are asked for. Times are in ns of UTC. A file that is damaged ends the
    stream with an error behind the rows before the damage; one that is cut warns.

    Raises
    ------
    CaptureError : the capture cannot be read, is farther out of order than 64 MiB of frames can be
        sorted, or its home side is a guess or that of no packet.
    ValueError : an argument is none of these.
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
