"""Counting frames for programs that are not to be believed, and a video known to be good."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from kinetics_assets.core import errors
from kinetics_assets.core.settings import FrameRecipe
from kinetics_assets_tests.resources import media

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from kinetics_assets.media.client import MediaWorker


@pytest.mark.parametrize("size", ["original", "33", "51x37"])
@pytest.mark.parametrize("make", [media.plain, media.wide_samples, media.portrait])
def test_number_and_size_are_those_of_the_grey_frames(
    make: Callable[[Path], Path], size: str, worker: MediaWorker, tmp_path: Path
) -> None:
    """What is counted is what the flow engines would be given."""
    source, recipe = make(tmp_path / "clip"), FrameRecipe(size=size)
    counted = worker.count_frames(source, recipe=recipe)
    gray = worker.gray(source, tmp_path / "gray.npy", recipe=recipe)
    assert (counted.frames, counted.width_px, counted.height_px) == (
        *(gray.frames, gray.width_px, gray.height_px),
    )
    assert counted.is_upright


@pytest.mark.parametrize("degrees", [90, 180])
def test_turned_frames_are_told(degrees: float, worker: MediaWorker, tmp_path: Path) -> None:
    """Frames that are stored otherwise than shown are known, whatever their size."""
    source = media.rotated(tmp_path / "clip", degrees)
    assert not worker.count_frames(source, recipe=FrameRecipe()).is_upright


def test_damage_is_no_shorter_count(worker: MediaWorker, tmp_path: Path) -> None:
    """A video that breaks off has no number of frames."""
    with pytest.raises(errors.ClipError):
        worker.count_frames(media.truncated(tmp_path / "clip"), recipe=FrameRecipe())


def test_the_canary_is_good(worker: MediaWorker, tmp_path: Path) -> None:
    """The video that engines are tried with decodes to the frames it is said to have."""
    facts = worker.write_canary(tmp_path / "canary.mp4")
    found = worker.verify(tmp_path / "canary.mp4")
    assert (found.frames_decoded, found.width_px, found.height_px) == (
        *(facts.frames, facts.width_px, facts.height_px),
    )
