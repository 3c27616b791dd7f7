"""One decode for many products: the same bytes as alone, and one failure costs one product."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from kinetics_assets.core.errors import EncodeFailed, OverLimit, Truncated
from kinetics_assets.core.settings import FrameRecipe, ResizeRecipe
from kinetics_assets.media.client import FrameFacts, MediaFacts, MediaWorker, Products, Wishes
from kinetics_assets_tests.resources import media

SMALL = ResizeRecipe(short_side_px=32)
FRAMES = FrameRecipe(size="24")

CLIPS: dict[str, Callable[[Path], Path]] = {
    "h264 with sound": media.with_audio,
    "vp9": media.vp9,
    "turned": lambda path: media.rotated(path, 90),
    "mirrored": media.mirrored,
    "709": lambda path: media.colour_bars(path, matrix="709"),
    "odd": media.odd_size,
    "ten bit": media.ten_bit,
    "late": media.late_start,
    "one frame": media.one_frame,
}


def wishes(folder: Path, **changes: object) -> Wishes:
    """Return wishes for all three products in the new `folder`."""
    (folder / "pictures").mkdir(parents=True)
    made = Wishes(
        resized=(folder / "small.mp4", SMALL),
        rawframes=(folder / "pictures", FRAMES),
        gray=(folder / "gray.npy", FRAMES),
    )
    return replace(made, **changes)  # type: ignore[arg-type] # named by the caller


def contents(folder: Path) -> dict[str, bytes]:
    """Return all files below a folder."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def alone(
    worker: MediaWorker, source: Path, folder: Path, *, from_resized: bool = False
) -> Products:
    """Make the three products one after another, as the stages do."""
    (folder / "pictures").mkdir(parents=True)
    small = folder / "small.mp4"
    resized = worker.resize(source, small, recipe=SMALL)
    of = small if from_resized else source
    return Products(
        resized=resized,
        rawframes=worker.rawframes(of, folder / "pictures", recipe=FRAMES),
        gray=worker.gray(of, folder / "gray.npy", recipe=FRAMES),
    )


@pytest.mark.parametrize("from_resized", [False, True])
@pytest.mark.parametrize("name", CLIPS)
def test_products_of_one_decode_are_those_of_each_alone(
    worker: MediaWorker, tmp_path: Path, name: str, from_resized: bool
) -> None:
    """Facts and every byte are equal, whatever the source is and wherever frames come from."""
    source = CLIPS[name](tmp_path / "source")
    together = worker.products(source, wishes(tmp_path / "a", from_resized=from_resized))
    assert together == alone(worker, source, tmp_path / "b", from_resized=from_resized)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    assert len(contents(tmp_path / "a")) == 2 + together.rawframes.frames  # type: ignore[union-attr]


@pytest.mark.parametrize("from_resized", [False, True])
def test_pictures_of_the_source_s_own_size_are_the_same_too(
    worker: MediaWorker, tmp_path: Path, from_resized: bool
) -> None:
    """Where nothing is scaled the writers share frames, and still none sees the work of another."""
    source = media.plain(tmp_path / "source.mp4")
    same = FrameRecipe(size="original")
    big = ResizeRecipe(short_side_px=64)
    folder = tmp_path / "a"
    asked = wishes(folder, resized=(folder / "small.mp4", big), from_resized=from_resized)
    asked = replace(asked, rawframes=(folder / "pictures", same), gray=(folder / "gray.npy", same))
    assert isinstance(worker.products(source, asked).resized, MediaFacts)
    other = tmp_path / "b"
    (other / "pictures").mkdir(parents=True)
    worker.resize(source, other / "small.mp4", recipe=big)
    of = other / "small.mp4" if from_resized else source
    worker.rawframes(of, other / "pictures", recipe=same)
    worker.gray(of, other / "gray.npy", recipe=same)
    assert contents(folder) == contents(other)


def test_any_product_may_be_left_out(worker: MediaWorker, tmp_path: Path) -> None:
    """What was not wished for is not made, and nothing is said of it."""
    source = media.plain(tmp_path / "source.mp4")
    made = worker.products(source, wishes(tmp_path / "a", resized=None, gray=None))
    assert made == Products(rawframes=FrameFacts(12, 36, 24))
    assert {Path(name).parent.name for name in contents(tmp_path / "a")} == {"pictures"}


def test_a_product_that_fails_costs_the_others_nothing(worker: MediaWorker, tmp_path: Path) -> None:
    """Pictures beyond the limits, an encoder that refuses and a lost folder are told one by one."""
    source = media.plain(tmp_path / "source.mp4")
    whole = wishes(tmp_path / "whole")
    worker.products(source, whole)
    huge = FrameRecipe(size="9000", upscale=True)
    asked = wishes(tmp_path / "a", rawframes=(tmp_path / "a" / "pictures", huge))
    made = worker.products(source, asked)
    assert isinstance(made.rawframes, OverLimit)
    assert isinstance(made.resized, MediaFacts)
    assert isinstance(made.gray, FrameFacts)
    refused = ResizeRecipe(short_side_px=32, preset="no such preset")
    asked = wishes(tmp_path / "b", resized=(tmp_path / "b" / "small.mp4", refused))
    shutil.rmtree(tmp_path / "b" / "pictures")
    made = worker.products(source, asked)
    assert isinstance(made.resized, EncodeFailed)
    assert isinstance(made.rawframes, FileNotFoundError)
    assert isinstance(made.gray, FrameFacts)
    gray = (tmp_path / "whole" / "gray.npy").read_bytes()
    assert (tmp_path / "a" / "gray.npy").read_bytes() == gray
    assert (tmp_path / "b" / "gray.npy").read_bytes() == gray


def test_frames_of_a_resized_video_that_failed_are_not_made(
    worker: MediaWorker, tmp_path: Path
) -> None:
    """They would have to come from it; only its own error is told."""
    source = media.plain(tmp_path / "source.mp4")
    refused = ResizeRecipe(short_side_px=32, preset="no such preset")
    small = (tmp_path / "a" / "small.mp4", refused)
    made = worker.products(source, wishes(tmp_path / "a", resized=small, from_resized=True))
    assert isinstance(made.resized, EncodeFailed)
    assert (made.rawframes, made.gray) == (None, None)


def test_damage_of_the_source_ends_all(worker: MediaWorker, tmp_path: Path) -> None:
    """A cut file has no product; the verdict is that of each product alone."""
    source = media.truncated(tmp_path / "source.mp4")
    with pytest.raises(Truncated):
        worker.products(source, wishes(tmp_path / "a"))
    with pytest.raises(Truncated):
        worker.products(source, wishes(tmp_path / "b", from_resized=True))
