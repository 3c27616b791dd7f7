"""Frames as JPEG pictures: all of them, upright, in the right size, number and colour."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np
import pytest
import simplejpeg

from kinetics_assets.core import errors
from kinetics_assets.core.settings import FrameRecipe, Limits
from kinetics_assets.io.atomic import folder_sha256
from kinetics_assets.media.client import FrameFacts, MediaWorker
from kinetics_assets.media.jpeg import encode_bgr
from kinetics_assets_tests.resources import media
from kinetics_assets_tests.resources.pictures import is_upright, number_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray


def extract(
    worker: MediaWorker, source: Path, **recipe: object
) -> tuple[FrameFacts, dict[str, NDArray[np.uint8]]]:
    """Return the facts and the pictures (RGB) by name."""
    folder = source.with_name(f"{source.name}.frames")
    folder.mkdir()
    facts = worker.rawframes(source, folder, recipe=FrameRecipe(**recipe))  # type: ignore[arg-type]
    return facts, {
        path.name: simplejpeg.decode_jpeg(path.read_bytes(), "RGB")
        for path in sorted(folder.iterdir())
    }


@pytest.mark.parametrize(
    ("make", "size"),
    [
        (media.plain, (48, 32)),
        (media.portrait, (32, 48)),
        (media.odd_size, (48, 32)),
        (media.wide_samples, (64, 32)),
        (media.variable_rate, (48, 32)),
        (media.late_start, (48, 32)),
        (media.ten_bit, (48, 32)),
        (media.full_chroma, (48, 32)),
        (media.vp8, (48, 32)),
        (media.mirrored, (48, 32)),
        (lambda path: media.rotated(path, 90), (32, 48)),
        (lambda path: media.rotated(path, 180), (48, 32)),
        (lambda path: media.rotated(path, 270), (32, 48)),
    ],
)
def test_every_kind_gives_all_its_frames_upright(
    make: Callable[[Path], Path], size: tuple[int, int], worker: MediaWorker, tmp_path: Path
) -> None:
    """Twelve frames in, twelve pictures out, in order, each quadrant in place."""
    facts, pictures = extract(worker, make(tmp_path / "clip"), size="32")
    assert facts == FrameFacts(12, *size)
    assert list(pictures) == [f"img_{number:05d}.jpg" for number in range(1, 13)]
    for number, pixels in enumerate(pictures.values()):
        assert pixels.shape == (size[1], size[0], 3)
        assert is_upright(pixels)
        assert number_of(pixels) == number


@pytest.mark.parametrize(
    ("recipe", "size"),
    [
        ({"size": "original"}, (95, 63)),
        ({"size": "256"}, (95, 63)),
        ({"size": "126", "upscale": True}, (190, 126)),
        ({"size": "31"}, (47, 31)),
        ({"size": "51x37"}, (51, 37)),
        ({"size": "200x100"}, (200, 100)),
    ],
)
def test_sizes_follow_the_setting(
    recipe: dict[str, object], size: tuple[int, int], worker: MediaWorker, tmp_path: Path
) -> None:
    """Odd sizes included; nothing grows unless that was asked for."""
    facts, pictures = extract(worker, media.odd_size(tmp_path / "clip"), **recipe)
    assert (facts.width_px, facts.height_px) == size
    assert all(is_upright(pixels) for pixels in pictures.values())


def test_numbering_can_start_at_zero(worker: MediaWorker, tmp_path: Path) -> None:
    """As denseflow numbers."""
    _, pictures = extract(worker, media.one_frame(tmp_path / "clip"), start_index=0)
    assert list(pictures) == ["img_00000.jpg"]


@pytest.mark.parametrize(
    "recipe",
    [
        {"size": "original"},
        {"size": "32"},
        {"size": "32", "scaling": "bicubic"},
        {"size": "32", "scaling": "denseflow"},
    ],
)
@pytest.mark.parametrize("full_range", [False, True])
@pytest.mark.parametrize("matrix", ["601", "709"])
def test_colours_are_right(
    matrix: str,
    full_range: bool,
    recipe: dict[str, object],
    worker: MediaWorker,
    tmp_path: Path,
) -> None:
    """Within 4 levels for both matrices and ranges; ignoring the matrix costs 33."""
    source = media.colour_bars(tmp_path / "clip", matrix=matrix, full_range=full_range)
    _, pictures = extract(worker, source, **recipe)
    pixels = pictures["img_00002.jpg"].astype(int)
    width = pixels.shape[1] / len(media.BARS)
    for index, colour in enumerate(media.BARS):
        seen = pixels[pixels.shape[0] // 2, int((index + 0.5) * width)]
        assert np.abs(seen - colour).max() <= 4


@pytest.mark.parametrize("recipe", [{"size": "original"}, {"size": "20"}, {"size": "144x96"}])
def test_grey_stays_grey(recipe: dict[str, object], worker: MediaWorker, tmp_path: Path) -> None:
    """A video without colour gets no tint, scaled or not."""
    _, pictures = extract(worker, media.grey(tmp_path / "clip"), **recipe)
    means = pictures["img_00001.jpg"].reshape(-1, 3).mean(0)
    assert np.ptp(means) < 0.3


def test_the_pictures_of_opencv_can_be_had(worker: MediaWorker, tmp_path: Path) -> None:
    """`scaling = "denseflow"` scales as OpenCV does: what it makes smaller encodes to the same."""
    cv2 = pytest.importorskip("cv2", exc_type=ImportError, reason="cv2 lacks libGL here")
    source = media.plain(tmp_path / "clip", frames=3)
    _, pictures = extract(worker, source, size="30x20", scaling="denseflow")
    for pixels, ours in zip(media.decoded(source), pictures.values(), strict=True):
        small = cv2.resize(pixels[:, :, ::-1], (30, 20), interpolation=cv2.INTER_LINEAR)
        theirs = simplejpeg.decode_jpeg(encode_bgr(small, quality=95), "RGB")
        assert np.abs(ours.astype(int) - theirs).max() <= 3


def test_the_pictures_say_what_they_were_when_made(worker: MediaWorker, tmp_path: Path) -> None:
    """The facts hold the sha256 of what the encoder gave, as the folder's is computed."""
    source = media.plain(tmp_path / "clip")
    facts, pictures = extract(worker, source, size="32")
    folder = source.with_name(f"{source.name}.frames")
    assert facts.sha256 == folder_sha256(folder, sorted(pictures))


def test_quality_reaches_the_encoder(worker: MediaWorker, tmp_path: Path) -> None:
    """Less quality, fewer bytes; colour is stored at half size."""
    source = media.plain(tmp_path / "clip")
    sizes = []
    for quality in (30, 95):
        folder = tmp_path / str(quality)
        folder.mkdir()
        worker.rawframes(source, folder, recipe=FrameRecipe(jpeg_quality=quality))
        data = (folder / "img_00001.jpg").read_bytes()
        assert simplejpeg.decode_jpeg_header(data)[3] == "420"
        sizes.append(len(data))
    assert sizes[0] < sizes[1]


@pytest.mark.parametrize("make", [media.truncated, media.zeroed_tail, media.damaged_middle])
def test_a_broken_source_gives_an_error(
    make: Callable[[Path], Path], worker: MediaWorker, tmp_path: Path
) -> None:
    """The caller never gets a count of what was there."""
    with pytest.raises((errors.Truncated, errors.Undecodable)):
        extract(worker, make(tmp_path / "clip"))


def test_a_full_disk_is_the_machines_fault(worker: MediaWorker, tmp_path: Path) -> None:
    """ENOSPC while writing a picture aborts the step and names the file."""
    (tmp_path / "frames").mkdir()
    (tmp_path / "frames" / "img_00003.jpg").symlink_to("/dev/full")
    source = media.plain(tmp_path / "clip")
    with pytest.raises(errors.DiskFull, match=r"img_00003\.jpg"):
        worker.rawframes(source, tmp_path / "frames", recipe=FrameRecipe())


def test_a_missing_folder_is_an_error_of_the_caller(worker: MediaWorker, tmp_path: Path) -> None:
    """The clip is not to blame."""
    with pytest.raises(FileNotFoundError):
        worker.rawframes(media.plain(tmp_path / "clip"), tmp_path / "no", recipe=FrameRecipe())


def test_absurd_samples_are_refused(tmp_path: Path) -> None:
    """Squaring cannot be used to fill memory."""
    source = media.plain(tmp_path / "clip", sample_aspect=Fraction(20, 1))
    with MediaWorker(Limits(max_side_px=500)) as small, pytest.raises(errors.OverLimit):
        extract(small, source)
