"""Grey frames for flow: denseflow's order of steps, and the size of the pictures beside them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import av
import numpy as np
import pytest

from kinetics_assets.core import errors
from kinetics_assets.core.settings import FrameRecipe, Limits
from kinetics_assets.media.client import FrameFacts, MediaWorker
from kinetics_assets_tests.resources import media

cv2 = pytest.importorskip("cv2", exc_type=ImportError, reason="cv2 lacks libGL here")

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.mark.parametrize("size", ["original", "33", "51x37"])
@pytest.mark.parametrize(
    "make",
    [
        media.plain,
        media.odd_size,
        media.wide_samples,
        media.ten_bit,
        lambda path: media.rotated(path, 90),
        lambda path: media.rotated(path, 180),
    ],
)
def test_grey_frames_and_pictures_agree_in_number_and_size(
    make: Callable[[Path], Path], size: str, worker: MediaWorker, tmp_path: Path
) -> None:
    """Flow lies exactly over the frames."""
    source = make(tmp_path / "clip")
    (tmp_path / "frames").mkdir()
    recipe = FrameRecipe(size=size)
    pictures = worker.rawframes(source, tmp_path / "frames", recipe=recipe)
    facts = worker.gray(source, tmp_path / "gray.npy", recipe=recipe)
    assert facts == pictures
    frames = np.load(tmp_path / "gray.npy")
    assert frames.dtype == np.uint8
    assert frames.shape == (facts.frames, facts.height_px, facts.width_px)


@pytest.mark.parametrize("make", [media.plain, media.odd_size, media.with_audio])
def test_the_pixels_are_what_opencv_makes(
    make: Callable[[Path], Path], worker: MediaWorker, tmp_path: Path
) -> None:
    """Within one level of: BGR, cvtColor to grey, then resize with INTER_LINEAR."""
    source = make(tmp_path / "clip")
    worker.gray(source, tmp_path / "gray.npy", recipe=FrameRecipe(size="33"))
    ours = np.load(tmp_path / "gray.npy").astype(int)
    with av.open(str(source)) as clip:
        bgr = [frame.to_ndarray(format="bgr24") for frame in clip.decode(video=0)]
    assert len(bgr) == len(ours)
    for pixels, seen in zip(bgr, ours, strict=True):
        small = cv2.resize(cv2.cvtColor(pixels, cv2.COLOR_BGR2GRAY), seen.shape[::-1])
        assert np.abs(small.astype(int) - seen).max() <= 1


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_turned_videos_give_upright_frames(
    degrees: int, worker: MediaWorker, tmp_path: Path
) -> None:
    """The red quadrant is darker than the green one and the yellow one is brightest."""
    source = media.rotated(tmp_path / "clip", degrees)
    worker.gray(source, tmp_path / "gray.npy", recipe=FrameRecipe(size="original"))
    frame = np.load(tmp_path / "gray.npy")[0]
    height, width = frame.shape
    corners = [frame[h, w] for h in (height // 6, -height // 6) for w in (width // 4, -width // 4)]
    red, green, blue, yellow = (int(value) for value in corners)
    assert blue < red < green < yellow


def test_one_frame_is_an_array_of_one(worker: MediaWorker, tmp_path: Path) -> None:
    """Too short for flow, but that is for others to say."""
    facts = worker.gray(
        media.one_frame(tmp_path / "clip"), tmp_path / "gray.npy", recipe=FrameRecipe()
    )
    assert facts == FrameFacts(1, 96, 64)
    assert np.load(tmp_path / "gray.npy").shape == (1, 64, 96)


def test_the_array_is_bounded(tmp_path: Path) -> None:
    """A clip whose array would pass max_output_bytes is OverLimit, not a full disk."""
    source = media.plain(tmp_path / "clip")
    with (
        MediaWorker(Limits(max_output_bytes=10_000)) as small,
        pytest.raises(errors.OverLimit, match="one file"),
    ):
        small.gray(source, tmp_path / "gray.npy", recipe=FrameRecipe())


def test_a_full_disk_is_the_machines_fault(worker: MediaWorker, tmp_path: Path) -> None:
    """ENOSPC aborts the step."""
    target = tmp_path / "gray.npy"
    target.symlink_to("/dev/full")
    with pytest.raises(errors.DiskFull):
        worker.gray(media.plain(tmp_path / "clip"), target, recipe=FrameRecipe())
