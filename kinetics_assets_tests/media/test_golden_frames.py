"""Every form of video that docs/media-policies.md has a rule for: what becomes of its pictures.

What is made is compared with the scene's formula, picture by picture.
"""

from __future__ import annotations

import re
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import av
import numpy as np
import pytest
import simplejpeg

from kinetics_assets.core.settings import FrameRecipe, ResizeRecipe, VideoRecipe
from kinetics_assets.media.decode import display_matrix
from kinetics_assets.media.product_facts import Wishes
from kinetics_assets_tests.resources import golden
from kinetics_assets_tests.resources.golden import CASES, Case

if TYPE_CHECKING:
    from collections.abc import Callable

    from kinetics_assets.media.client import MediaWorker

    Videos = Callable[[Case], Path]

TESTS: Final = Path(__file__).parents[1]
POLICIES: Final = TESTS.parent / "docs" / "media-policies.md"
SHORT_PX: Final = 32
SMALL: Final = ResizeRecipe(short_side_px=SHORT_PX)
FRAMES: Final = FrameRecipe(size=str(SHORT_PX))
LIKE_DB: Final = 34.0
"""A picture is the one meant: encoders and rounding leave 35 dB and more."""
UNLIKE_DB: Final = 28.0
"""The next frame, or a picture turned or drawn in another matrix or range, is below that."""
ELSEWHERE: Final = {
    "exactly the clip": ("stages/test_videos.py", "test_a_local_clip_is_hard_linked"),
    "more than the clip": ("media/test_trim.py", "test_the_span_is_exact_to_the_frame"),
    "a smaller picture than asked for": (
        "media/test_resize.py",
        "test_a_smaller_video_is_not_enlarged_unless_asked",
    ),
    "sound": ("media/test_resize.py", "test_sound_is_copied"),
}
"""Rows of the table that are no forms of a picture, and a test that holds each."""

each_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


@pytest.fixture(scope="session")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Videos:
    """Return a function from a case to its video, written once."""
    folder = tmp_path_factory.mktemp("golden")
    made: dict[str, Path] = {}

    def video(case: Case) -> Path:
        if case.name not in made:
            made[case.name] = case.write(folder / str(len(made)))
        return made[case.name]

    return video


def small_size(case: Case) -> tuple[int, int]:
    """Return the upright size with a short side of `SHORT_PX`, the long one even."""
    width, height = case.upright
    short = min(case.upright)
    return (
        round(width * SHORT_PX / short / 2) * 2,
        round(height * SHORT_PX / short / 2) * 2,
    )


def check_video(path: Path, case: Case, *, size: tuple[int, int]) -> None:
    """Assert that a resized video shows the scene, upright, at the right times, without tags."""
    with av.open(str(path)) as clip:
        stream = clip.streams.video[0]
        assert stream.sample_aspect_ratio in {None, Fraction(1)}
        assert stream.codec_context.pix_fmt in {"yuv420p", "yuvj420p"}
        frames = list(clip.decode(stream))
    assert not any(map(display_matrix, frames))
    check_pictures([golden.rgb_of(frame) for frame in frames], case, size=size)
    assert [frame.time for frame in frames] == pytest.approx(case.seconds(), abs=2e-4)


def check_pictures(pictures: list[Any], case: Case, *, size: tuple[int, int]) -> None:
    """Assert that pictures, RGB or grey, are those of the frames shown, and of no other."""
    assert len(pictures) == len(case.shown)
    for number, pixels in zip(case.shown, pictures, strict=True):
        assert pixels.shape[1::-1] == size
        meant, other = case.scene(number, size), case.scene(number + 1, size)
        if pixels.ndim == 2:
            meant, other = golden.luma(meant), golden.luma(other)
        assert golden.psnr(pixels, meant) > LIKE_DB
        assert golden.psnr(pixels, other) < UNLIKE_DB


def jpegs(folder: Path) -> list[Any]:
    """Return the pictures in a folder, in the order of their names."""
    return [simplejpeg.decode_jpeg(p.read_bytes(), "RGB") for p in sorted(folder.glob("*.jpg"))]


def contents(folder: Path) -> dict[str, bytes]:
    """Return the bytes of all files below a folder."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


@each_case
def test_resized_videos(case: Case, videos: Videos, worker: MediaWorker, tmp_path: Path) -> None:
    """Upright, squared, the right size and number, at the right times, the same colours."""
    facts = worker.resize(videos(case), tmp_path / "small.mp4", recipe=SMALL)
    size = small_size(case)
    assert (facts.width_px, facts.height_px, facts.frames_decoded) == (*size, len(case.shown))
    check_video(tmp_path / "small.mp4", case, size=size)


@pytest.mark.parametrize("size", [str(SHORT_PX), "original"])
@each_case
def test_frames(case: Case, size: str, videos: Videos, worker: MediaWorker, tmp_path: Path) -> None:
    """One JPEG for each frame shown, upright and squared, whatever its matrix, range and bits."""
    facts = worker.rawframes(videos(case), tmp_path, recipe=FrameRecipe(size=size))
    meant = case.upright if size == "original" else small_size(case)
    assert (facts.width_px, facts.height_px) == pytest.approx(meant, abs=1)
    check_pictures(jpegs(tmp_path), case, size=(facts.width_px, facts.height_px))


@each_case
def test_grey_frames(case: Case, videos: Videos, worker: MediaWorker, tmp_path: Path) -> None:
    """What flow is computed of lies exactly over the frames."""
    facts = worker.gray(videos(case), tmp_path / "gray.npy", recipe=FRAMES)
    pictures = list(np.load(tmp_path / "gray.npy"))
    check_pictures(pictures, case, size=(facts.width_px, facts.height_px))


@each_case
def test_all_in_one_decode(case: Case, videos: Videos, worker: MediaWorker, tmp_path: Path) -> None:
    """One decode makes the same pictures, and each byte is that of a product made alone."""
    one, alone = tmp_path / "one", tmp_path / "alone"
    for folder in (one, alone):
        (folder / "frames").mkdir(parents=True)
    wishes = Wishes(
        resized=(one / "small.mp4", SMALL),
        rawframes=(one / "frames", FRAMES),
        gray=(one / "gray.npy", FRAMES),
    )
    worker.products(videos(case), wishes)
    check_video(one / "small.mp4", case, size=small_size(case))
    pictures, grey = jpegs(one / "frames"), list(np.load(one / "gray.npy"))
    size = pictures[0].shape[1::-1]
    check_pictures(pictures, case, size=size)
    check_pictures(grey, case, size=size)
    worker.resize(videos(case), alone / "small.mp4", recipe=SMALL)
    worker.rawframes(videos(case), alone / "frames", recipe=FRAMES)
    worker.gray(videos(case), alone / "gray.npy", recipe=FRAMES)
    assert contents(one) == contents(alone)


@each_case
def test_cut_videos(case: Case, videos: Videos, worker: MediaWorker, tmp_path: Path) -> None:
    """As stored, with the tags that turn and square it, from the third frame shown on."""
    begin, end = case.seconds()[2], 60
    facts = worker.trim(
        videos(case),
        tmp_path / "cut.mp4",
        start_seconds=begin,
        end_seconds=end,
        recipe=VideoRecipe(trim_crf=10),
    )
    assert facts.frames_decoded == len(case.shown) - 2
    with av.open(str(videos(case))) as clip:
        tag = display_matrix(next(clip.decode(video=0)))
    with av.open(str(tmp_path / "cut.mp4")) as clip:
        frames = list(clip.decode(video=0))
        assert clip.streams.video[0].sample_aspect_ratio in {None, case.sample_aspect or 1}
    width, height = (side // 2 * 2 for side in case.stored)
    upright = (height, width) if case.rotation in {90, 270} else (width, height)
    for number, time, frame in zip(case.shown[2:], case.seconds()[2:], frames, strict=True):
        assert display_matrix(frame) == tag
        assert frame.time == pytest.approx(time - begin, abs=2e-4)
        meant = case.as_stored(case.scene(number, upright))
        assert golden.psnr(golden.rgb_of(frame), meant) > LIKE_DB


def test_every_rule_has_a_case() -> None:
    """A row of the table in docs/media-policies.md without a test is a promise nobody keeps."""
    lines = POLICIES.read_text(encoding="utf-8").splitlines()
    rows = {line.split("|")[1].strip() for line in lines if line.startswith("|")}
    rows -= {"the source has", "---"}
    assert rows == {case.policy for case in CASES} | set(ELSEWHERE)
    for file, name in ELSEWHERE.values():
        text = (TESTS / file).read_text(encoding="utf-8")
        assert re.search(rf"^def {name}\(", text, re.MULTILINE)
