"""Pictures are checked by decoding them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from kinetics_assets.core import errors
from kinetics_assets.core.settings import Limits
from kinetics_assets.media.client import FrameFacts, MediaWorker
from kinetics_assets.media.jpeg import encode_bgr, encode_gray

if TYPE_CHECKING:
    from pathlib import Path

NAMES = ["a.jpg", "b.jpg", "c.jpg"]
NOISE = np.random.default_rng(3).integers(0, 255, (40, 50, 3), np.uint8)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three sound pictures of 50x40, one of them grey."""
    for name in NAMES:
        (tmp_path / name).write_bytes(encode_bgr(NOISE, quality=95))
    (tmp_path / "b.jpg").write_bytes(encode_gray(NOISE[:, :, 0], quality=95))
    return tmp_path


def test_sound_pictures_are_counted(folder: Path, worker: MediaWorker) -> None:
    """Number and size, colour or grey."""
    assert worker.check_pictures(folder, NAMES) == FrameFacts(3, 50, 40)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 0.999])
def test_a_cut_picture_is_found(share: float, folder: Path, worker: MediaWorker) -> None:
    """Wherever it is cut, its name is in the message."""
    whole = (folder / "c.jpg").read_bytes()
    (folder / "c.jpg").write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(errors.Undecodable, match=r"c\.jpg"):
        worker.check_pictures(folder, NAMES)


@pytest.mark.parametrize("kind", ["rubbish", "zeros", "foreign"])
def test_a_damaged_picture_is_found(kind: str, folder: Path, worker: MediaWorker) -> None:
    """Damage that no decoder can pass over is found, although nobody looks at the pixels."""
    whole = bytearray((folder / "c.jpg").read_bytes())
    middle = slice(len(whole) // 2, len(whole) // 2 + 200)
    whole[middle] = {
        "rubbish": np.random.default_rng(8).bytes(200),
        "zeros": bytes(200),
        "foreign": (folder / "b.jpg").read_bytes()[:200],
    }[kind]
    (folder / "c.jpg").write_bytes(whole)
    with pytest.raises(errors.Undecodable, match=r"c\.jpg"):
        worker.check_pictures(folder, NAMES)


def test_a_missing_picture_is_found(folder: Path, worker: MediaWorker) -> None:
    """A gap in the numbering is damage."""
    (folder / "b.jpg").unlink()
    with pytest.raises(errors.Undecodable, match=r"b\.jpg is missing"):
        worker.check_pictures(folder, NAMES)


def test_a_picture_of_another_size_is_found(folder: Path, worker: MediaWorker) -> None:
    """Frames of one clip have one size."""
    (folder / "b.jpg").write_bytes(encode_bgr(NOISE[:20], quality=95))
    with pytest.raises(errors.Undecodable, match=r"b\.jpg has 50x20"):
        worker.check_pictures(folder, NAMES)


def test_no_pictures_are_no_frames(folder: Path, worker: MediaWorker) -> None:
    """An empty folder is not a sound one."""
    with pytest.raises(errors.NoFrames):
        worker.check_pictures(folder, [])


def test_a_huge_picture_is_not_decoded(folder: Path) -> None:
    """The header's size is checked first."""
    with MediaWorker(Limits(max_side_px=49)) as small, pytest.raises(errors.OverLimit):
        small.check_pictures(folder, NAMES)
