"""Frames in batches: all of them, in order, and never too many in memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from kinetics_assets.core.errors import Truncated
from kinetics_assets.media.decode import batches

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True)
class Picture:
    """What counts of a frame."""

    number: int
    width: int
    height: int


def _sizes(count: int, width: int, height: int) -> list[int]:
    """Return the sizes of the batches that so many frames come in, which are whole."""
    pictures = [Picture(number, width, height) for number in range(count)]
    found: list[Picture] = []
    sizes = []
    for batch in batches(iter(pictures)):
        found.extend(batch)
        sizes.append(len(batch))
    assert found == pictures
    return sizes


@pytest.mark.parametrize(
    ("count", "width", "height", "expected"),
    [
        (0, 340, 256, []),
        (1, 340, 256, [1]),
        (40, 340, 256, [16, 16, 8]),
        (32, 340, 256, [16, 16]),
        (20, 1280, 720, [9, 9, 2]),
        (3, 3840, 2160, [1, 1, 1]),
    ],
)
def test_batches_are_whole_and_bounded(
    count: int, width: int, height: int, expected: list[int]
) -> None:
    """No frame is lost, none comes twice, and a batch has an end."""
    assert _sizes(count, width, height) == expected


def test_frames_that_grow_are_bounded_too() -> None:
    """A size that changes in the middle of a video counts."""
    pictures = [Picture(0, 340, 256), Picture(1, 4000, 2000), Picture(2, 340, 256)]
    assert [[p.number for p in batch] for batch in batches(pictures)] == [[0, 1], [2]]


def test_a_batch_is_let_go_before_the_next_is_decoded() -> None:
    """Its memory is free when the decoder wants some again."""
    held: list[int] = []

    def decoded() -> Iterator[Picture]:
        for number in range(20):
            held.append(len(batch))
            yield Picture(number, 1280, 720)

    batch: list[Picture] = []
    for batch in batches(decoded()):  # type: ignore[assignment]
        assert batch
    assert [number for number, count in enumerate(held) if not count][9:] == [9, 18]


def test_damage_is_told_at_once() -> None:
    """A batch that was not completed is nobody's."""

    def decoded() -> Iterator[Picture]:
        yield Picture(0, 340, 256)
        msg = "nothing follows"
        raise Truncated(msg)

    found = batches(decoded())
    with pytest.raises(Truncated, match="nothing follows"):
        next(found)
