"""Captures as Arrow streams."""

from __future__ import annotations

import gzip
import struct
import subprocess

import polars as pl
import pyarrow as pa
import pytest
from conftest import CAPTURES, HOST

import weir

HOME = HOST[1::2]
DEMO = CAPTURES / "demo.pcap.zst"


@pytest.fixture(scope="module")
def demo() -> pl.DataFrame:
    return pl.DataFrame(weir.read_capture(DEMO, home_net=HOME))


@pytest.mark.parametrize("kind", ["flow", "peer", "host", "service", "net", "window"])
def test_the_rows_are_those_that_weir_replay_writes(kind, features):
    read = pl.DataFrame(weir.read_capture(DEMO, home_net=HOME, kind=kind))
    written = pl.read_parquet(features / kind, hive_partitioning=False)
    key = [name for name in read.columns if read.schema[name] not in (pl.Float32, pl.Float64)]
    assert len(read) == len(written) > 0
    assert read.sort(key).equals(written.select(read.columns).sort(key))


def test_every_library_takes_the_stream():
    capture = weir.read_capture(DEMO, home_net=HOME)
    assert "not read yet" in repr(capture)
    table = pa.table(capture)
    assert table.column_names == capture.columns
    assert capture.report["rows"] == table.num_rows > 0
    assert capture.report["frames"] > 0
    assert set(capture.report["lost"].values()) == {0}
    assert table.schema.metadata[b"weir.schema"].startswith(b"weir.peer.v")
    with pytest.raises(RuntimeError, match="call weir.read_capture again"):
        pa.table(capture)


def test_several_captures_are_merged_by_time(demo):
    twice = pl.DataFrame(weir.read_capture([DEMO, DEMO], home_net=HOME))
    assert len(twice) == len(demo)


def test_a_home_side_that_is_a_guess_is_refused_with_a_proposal():
    with pytest.raises(weir.CaptureError, match="guess for 100 % .*prefixes as `home_net`"):
        weir.read_capture(DEMO)


def test_a_home_side_that_no_packet_has_is_refused():
    with pytest.raises(weir.CaptureError, match="no address of `home_net` is at one end of the"):
        weir.read_capture(DEMO, home_net="10.0.0.0/8")


def test_a_home_side_that_many_packets_do_not_have_is_warned_of():
    with pytest.warns(UserWarning, match='is a guess for .* pass "192.0.2.1/32"'):
        weir.read_capture(DEMO, home_net="2001:db8::1")


def test_a_window_of_another_length_gives_other_rows(demo):
    minute = pl.DataFrame(weir.read_capture(DEMO, home_net=HOME, window="60s"))
    assert 0 < len(minute) < len(demo)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"kind": "packet"}, '`kind` must be one of "flow", "peer", .*"window", got "packet"'),
        ({"window": "1h"}, "`window`: must be between 100ms and 60s, got 1h"),
        ({"window": "soon"}, "`window`: .* a length is like"),
        ({"home_net": ["192.0.2.300"]}, "`home_net`: .*192.0.2.300"),
    ],
)
def test_bad_arguments_are_named(arguments, text):
    with pytest.raises(ValueError, match=text):
        weir.read_capture(DEMO, **{"home_net": HOME} | arguments)


def test_a_file_that_is_no_capture_is_named(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("nothing of the kind")
    with pytest.raises(weir.CaptureError, match="notes.txt"):
        weir.read_capture(path)
    with pytest.raises(weir.CaptureError, match="absent.pcap"):
        weir.read_capture(tmp_path / "absent.pcap")


def test_a_cut_file_is_warned_of_behind_its_rows(tmp_path):
    plain = subprocess.run(["zstd", "-dc", DEMO], check=True, capture_output=True).stdout
    path = tmp_path / "cut.pcap.gz"
    path.write_bytes(gzip.compress(plain[: len(plain) // 2 - 7]))
    capture = weir.read_capture(path, home_net=HOME)
    with pytest.warns(UserWarning, match="1 cut_file"):
        table = pa.table(capture)
    assert table.num_rows > 0
    assert capture.report["lost"]["cut_file"] == 1


def written(path, times_ms, damage=b""):
    """A capture of a datagram of 192.0.2.9 to 192.0.2.1 at each of these times."""
    addresses = bytes([192, 0, 2, 9, 192, 0, 2, 1])
    packet = struct.pack(">BBHHHBBH", 0x45, 0, 36, 0, 0, 64, 17, 0) + addresses
    packet += struct.pack(">HHHH", 40_000, 53, 16, 0) + bytes(8)
    frame = bytes(12) + b"\x08\x00" + packet
    with path.open("wb") as file:
        file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65_535, 1))
        for time in times_ms:
            at = 1_700_000_000_000 + time
            file.write(struct.pack("<IIII", at // 1000, at % 1000 * 1000, len(frame), len(frame)))
            file.write(frame)
        file.write(damage)
    return path


def test_rows_are_made_as_they_are_asked_for(tmp_path):
    path = written(tmp_path / "long.pcap", range(0, 1_000_000, 100))
    capture = weir.read_capture(path, home_net="192.0.2.1", window="100ms", kind="window")
    reader = pa.RecordBatchReader.from_stream(capture)
    assert capture.report["windows"] == 0
    first = reader.read_next_batch()
    assert capture.report["windows"] == first.num_rows < 5_000
    assert first.num_rows + reader.read_all().num_rows == 10_000
    assert capture.report["windows"] == capture.report["frames"] == 10_000


def test_a_capture_out_of_order_gives_the_rows_of_the_one_in_order(tmp_path):
    times = list(range(0, 60_000, 50))
    shuffled = times[400:] + times[:400]
    rows = [
        pl.DataFrame(weir.read_capture(written(tmp_path / name, order), home_net="192.0.2.1"))
        for name, order in (("sorted.pcap", times), ("shuffled.pcap", shuffled))
    ]
    assert len(rows[0]) > 60
    assert rows[0].equals(rows[1])


def test_damage_is_told_behind_the_rows_before_it(tmp_path):
    path = written(tmp_path / "damaged.pcap", range(0, 20_000, 100), damage=b"\xff" * 64)
    capture = weir.read_capture(path, home_net="192.0.2.1", kind="window")
    reader = pa.RecordBatchReader.from_stream(capture)
    assert reader.read_next_batch().num_rows == 20
    with pytest.raises(pa.ArrowException, match="damaged.pcap.* at byte"):
        reader.read_next_batch()


def test_progress_is_told_in_bytes():
    told = []
    weir_rows = weir.read_capture(
        DEMO, home_net=HOME, progress=lambda read, size: told.append((read, size))
    )
    pa.table(weir_rows)
    assert told[-1] == (DEMO.stat().st_size,) * 2
