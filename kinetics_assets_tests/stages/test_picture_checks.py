"""Pictures are published only when they are known to be whole."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from kinetics_assets.core import errors
from kinetics_assets.core.settings import Limits
from kinetics_assets.io.atomic import folder_sha256
from kinetics_assets.media.client import FrameFacts, MediaWorker
from kinetics_assets.media.jpeg import encode_gray
from kinetics_assets.stages.picture_checks import DECODED_EVERY, Verified, verified_pictures

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NAMES = [f"img_{number:05d}.jpg" for number in range(1, 2 * DECODED_EVERY + 4)]
PLANE = np.random.default_rng(6).integers(0, 255, (24, 32), np.uint8)


@pytest.fixture(scope="module")
def worker() -> Iterator[MediaWorker]:
    """A child process that decodes."""
    with MediaWorker(Limits()) as made:
        yield made


@pytest.fixture
def facts(tmp_path: Path) -> FrameFacts:
    """What is known of the pictures that are in the folder now."""
    for name in NAMES:
        (tmp_path / name).write_bytes(encode_gray(PLANE, quality=95))
    return FrameFacts(len(NAMES), 32, 24, folder_sha256(tmp_path, NAMES))


def test_sound_pictures_pass(tmp_path: Path, facts: FrameFacts, worker: MediaWorker) -> None:
    """With or without knowledge of what they were, the folder's sha256 is returned."""
    unknown = replace(facts, sha256="")
    wanted = Verified(facts.sha256, None)
    assert verified_pictures(tmp_path, NAMES, facts=facts, worker=worker) == wanted
    assert verified_pictures(tmp_path, NAMES, facts=unknown, worker=worker) == wanted


@pytest.mark.parametrize("number", [0, 5, len(NAMES) - 1])
@pytest.mark.parametrize("at", [30, -3])
def test_one_changed_bit_is_found(
    number: int, at: int, tmp_path: Path, facts: FrameFacts, worker: MediaWorker
) -> None:
    """Also where the picture would still decode; the machine is to blame, not the clip."""
    data = bytearray((tmp_path / NAMES[number]).read_bytes())
    data[at] ^= 1
    (tmp_path / NAMES[number]).write_bytes(data)
    with pytest.raises(OSError, match="not those that were written"):
        verified_pictures(tmp_path, NAMES, facts=facts, worker=worker)


def test_a_lost_end_is_found(tmp_path: Path, facts: FrameFacts, worker: MediaWorker) -> None:
    """A picture that was cut on the way to the disk is not published."""
    with (tmp_path / NAMES[7]).open("r+b") as file:
        file.truncate(200)
    with pytest.raises(OSError, match="not those that were written"):
        verified_pictures(tmp_path, NAMES, facts=facts, worker=worker)


def test_an_encoder_that_is_broken_is_found(
    tmp_path: Path, facts: FrameFacts, worker: MediaWorker
) -> None:
    """Pictures that are what the encoder gave and still no pictures are the encoder's fault."""
    for name in NAMES:
        (tmp_path / name).write_bytes((tmp_path / name).read_bytes()[:-40])
    broken = replace(facts, sha256=folder_sha256(tmp_path, NAMES))
    with pytest.raises(errors.Undecodable, match=NAMES[0]):
        verified_pictures(tmp_path, NAMES, facts=broken, worker=worker)


def test_pictures_of_unknown_origin_are_decoded_one_by_one(
    tmp_path: Path, facts: FrameFacts, worker: MediaWorker
) -> None:
    """Where nobody saw the encoder's bytes, no picture is taken on trust."""
    cut = (tmp_path / NAMES[3]).read_bytes()[:-40]
    (tmp_path / NAMES[3]).write_bytes(cut)
    with pytest.raises(errors.Undecodable, match=NAMES[3]):
        verified_pictures(tmp_path, NAMES, facts=replace(facts, sha256=""), worker=worker)
