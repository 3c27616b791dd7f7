"""JPEG pictures are quantised like OpenCV's and are as good."""

from __future__ import annotations

import numpy as np
import pytest
import simplejpeg
from numpy.typing import NDArray

from kinetics_assets.media import jpeg

cv2 = pytest.importorskip("cv2", exc_type=ImportError, reason="cv2 lacks libGL here")

SMOOTH: NDArray[np.uint8] = np.asarray(
    cv2.GaussianBlur(np.random.default_rng(5).integers(0, 255, (61, 83, 3), np.uint8), (0, 0), 3),
    np.uint8,
)
FAST_DCT = 0.25
"""Squared grey levels that libjpeg-turbo's fast transform, used below quality 96, may cost."""


def tables(data: bytes) -> list[bytes]:
    """Return the quantisation tables of a JPEG, each with its number, sorted."""
    found, at = [], 2
    while data[at : at + 2] != b"\xff\xda":
        length = int.from_bytes(data[at + 2 : at + 4])
        if data[at + 1] == 0xDB:
            body = data[at + 4 : at + 2 + length]
            found += [body[i : i + 65] for i in range(0, len(body), 65)]
        at += 2 + length
    return sorted(found)


def error(data: bytes, original: NDArray[np.uint8], colours: str) -> float:
    """Return the mean squared error of a JPEG against its original."""
    pixels = simplejpeg.decode_jpeg(data, colours).astype(float).reshape(original.shape)
    return float(((pixels - original) ** 2).mean())


@pytest.mark.parametrize("quality", [60, 95])
def test_grey_pictures_are_like_opencvs(quality: int) -> None:
    """One channel, same tables, about as good, from a plane that need not be contiguous."""
    plane = SMOOTH[:, :, 1]
    ours = jpeg.encode_gray(plane, quality=quality)
    ok, coded = cv2.imencode(".jpg", plane, [cv2.IMWRITE_JPEG_QUALITY, quality])
    theirs = coded.tobytes()
    assert ok
    assert simplejpeg.decode_jpeg_header(ours) == (61, 83, "Gray", "Gray")
    assert tables(ours) == tables(theirs)
    assert error(ours, plane, "GRAY") <= error(theirs, plane, "GRAY") + FAST_DCT


def test_colour_pictures_are_like_opencvs() -> None:
    """Colour at half size, same tables, about as good."""
    ours = jpeg.encode_bgr(SMOOTH, quality=95)
    ok, coded = cv2.imencode(".jpg", SMOOTH)
    theirs = coded.tobytes()
    assert ok
    assert simplejpeg.decode_jpeg_header(ours) == (61, 83, "YCbCr", "420")
    assert tables(ours) == tables(theirs)
    assert error(ours, SMOOTH, "BGR") <= error(theirs, SMOOTH, "BGR") + FAST_DCT


def test_planes_become_a_picture() -> None:
    """Neutral colour planes, rounded up, give a grey picture."""
    luma = np.ascontiguousarray(SMOOTH[:, :, 0])
    neutral = np.full((31, 42), 128, np.uint8)
    data = jpeg.encode_planes(luma, neutral, neutral, quality=95)
    pixels = simplejpeg.decode_jpeg(data, "RGB").astype(int)
    assert pixels.shape == (61, 83, 3)
    assert np.abs(pixels - luma[:, :, None]).max() <= 8
