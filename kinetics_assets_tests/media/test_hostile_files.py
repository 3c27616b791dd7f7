"""Files that lie or break off: the same verdict from every operation, and a worker that goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest

from kinetics_assets.core.settings import FrameRecipe, Limits, ResizeRecipe, VideoRecipe
from kinetics_assets.media.client import MediaWorker
from kinetics_assets.media.product_facts import Wishes
from kinetics_assets_tests.resources import hostile
from kinetics_assets_tests.resources.hostile import CASES, Hostile

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

LIMITS: Final = Limits(
    max_side_px=1024, memory_bytes=2**30, clip_wall_seconds=120, clip_cpu_seconds=60
)
SMALL: Final = ResizeRecipe(short_side_px=32)
FRAMES: Final = FrameRecipe(size="32")


def _resize(worker: MediaWorker, source: Path, made: Path) -> int:
    return worker.resize(source, made / "small.mp4", recipe=SMALL).frames_decoded


def _cut(worker: MediaWorker, source: Path, made: Path) -> int:
    facts = worker.trim(
        source, made / "cut.mp4", start_seconds=0, end_seconds=9, recipe=VideoRecipe()
    )
    return facts.frames_decoded


def _frames(worker: MediaWorker, source: Path, made: Path) -> int:
    return worker.rawframes(source, made, recipe=FRAMES).frames


def _gray(worker: MediaWorker, source: Path, made: Path) -> int:
    return worker.gray(source, made / "gray.npy", recipe=FRAMES).frames


def _count(worker: MediaWorker, source: Path, _: Path) -> int:
    return worker.count_frames(source, recipe=FRAMES).frames


def _all_at_once(worker: MediaWorker, source: Path, made: Path) -> int:
    wishes = Wishes(
        resized=(made / "small.mp4", SMALL),
        rawframes=(made, FRAMES),
        gray=(made / "gray.npy", FRAMES),
    )
    products = worker.products(source, wishes)
    counts = {
        getattr(products.resized, "frames_decoded", None),
        getattr(products.rawframes, "frames", None),
        getattr(products.gray, "frames", None),
    }
    (count,) = counts
    assert isinstance(count, int)
    return count


OPERATIONS: Final[tuple[Callable[[MediaWorker, Path, Path], int], ...]] = (
    lambda worker, source, _: worker.verify(source).frames_decoded,
    _resize,
    _cut,
    _frames,
    _gray,
    _count,
    _all_at_once,
)


@pytest.fixture(scope="session")
def bounded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MediaWorker]:
    """A worker with a GiB of memory, for pictures of at most 1024 pixels a side."""
    with MediaWorker(LIMITS, writable=[tmp_path_factory.getbasetemp()]) as worker:
        yield worker


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_every_operation_says_the_same(case: Hostile, bounded: MediaWorker, tmp_path: Path) -> None:
    """Damage and lies cost the clip, with their reason; what only lies in its index is read.

    A sound file that follows is read as ever.
    """
    source = case.make(tmp_path / "clip.mp4")
    made = tmp_path / "made"
    made.mkdir()
    counts = set()
    for operation in OPERATIONS:
        error = case.error or (case.encoded if operation is _cut else None)
        if error is None:
            counts.add(operation(bounded, source, made))
        else:
            with pytest.raises(error):
                operation(bounded, source, made)
    assert counts == ({case.frames} if case.error is None else set())
    assert bounded.verify(hostile.sound(tmp_path / "next")).frames_decoded == hostile.FRAMES
