"""Finding a clip's bytes in a long file, and not being led astray by a strange one."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kinetics_assets.core.settings import Limits, VideoRecipe
from kinetics_assets.media.client import MediaWorker
from kinetics_assets.sources.mp4_ranges import read_index
from kinetics_assets_tests.resources import media

FAST = VideoRecipe(trim_preset="ultrafast")


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """40 seconds of pictures in 20 fragments with an index."""
    folder = tmp_path_factory.mktemp("long")
    return media.in_fragments(media.plain(folder / "plain", frames=1000, gop=50), "video")


def test_a_part_gives_the_same_clip_as_the_whole(long: bytes, tmp_path: Path) -> None:
    """Every packet of a clip cut from the part is that of a clip cut from the whole file."""
    index = read_index(long[: 1 << 16], file_bytes=len(long))
    assert index is not None
    assert len(index.fragments) == 20
    whole = tmp_path / "whole.mp4"
    whole.write_bytes(long)
    with MediaWorker(Limits(clip_wall_seconds=60, clip_cpu_seconds=60)) as worker:
        for start, end in ((0, 2), (25, 27), (11, 21), (38, 45)):
            row = index.holding(start, end)
            assert row is not None
            assert row.size_bytes < 0.5 * len(long)
            part = tmp_path / "part.mp4"
            part.write_bytes(index.head + long[row.offset : row.offset + row.size_bytes])
            cuts = []
            for source, begin in ((part, row.start_seconds), (whole, 0)):
                cut = tmp_path / "cut.mp4"
                worker.trim(
                    source, cut, start_seconds=start - begin, end_seconds=end - begin, recipe=FAST
                )
                cuts.append(media.packets_of(cut, "video"))
            assert cuts[0] == cuts[1]
            assert len(cuts[0]) == 25 * (min(end, 40) - start)
        assert index.holding(50, 60) is None


def _changed(data: bytes, at: int, new: bytes) -> bytes:
    place = data.index(b"sidx") + 4 + at
    return data[:place] + new + data[place + len(new) :]


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data[:200],  # the index is not there as a whole
        lambda data: data.replace(b"sidx", b"free", 1),
        lambda data: data.replace(b"ftyp", b"junk", 1),
        lambda data: _changed(data, 8, bytes(4)),  # no ticks in a second
        lambda data: _changed(data, 28, b"\0\0\xff\xff"),  # more fragments than are listed
        lambda data: _changed(data, 24, b"\0\0\0\7"),  # the first one is somewhere else
        lambda data: data[:24] + bytes(3000),
        lambda data: data[:0],
    ],
)
def test_a_strange_index_is_none(long: bytes, change: object) -> None:
    """A file without an index, or with one that cannot be right, is fetched as a whole."""
    assert callable(change)
    assert read_index(change(long)[: 1 << 16], file_bytes=len(long)) is None


def test_a_file_that_is_shorter_than_its_index_says_is_refused(long: bytes) -> None:
    """The index must fit in the file that the server announces."""
    assert read_index(long[: 1 << 16], file_bytes=len(long) // 2) is None


@given(at=st.integers(0, 400), new=st.binary(min_size=1, max_size=12))
def test_no_damage_leads_out_of_the_file(long: bytes, at: int, new: bytes) -> None:
    """Whatever the bytes are, there is an index within the file or none, and never an exception."""
    place = 700 + at
    damaged = long[:place] + new + long[place + len(new) :]
    index = read_index(damaged[: 1 << 16], file_bytes=len(long))
    if index is not None:
        row = index.holding(25, 27)
        assert row is None or 0 < row.offset < row.offset + row.size_bytes <= len(long)


@given(st.binary(max_size=200))
def test_any_bytes_are_survived(data: bytes) -> None:
    """Noise after a good beginning is no index."""
    start = struct.pack(">I4s8s", 16, b"ftyp", b"mp42....") + struct.pack(">I4s", 8, b"moov")
    sidx = struct.pack(">I4s", 8 + len(data), b"sidx") + data
    index = read_index(start + sidx + struct.pack(">I4s", 8, b"moof"), file_bytes=10**6)
    assert index is None or index.fragments
