"""What is read off a JPEG's header, and division without dividing."""

from __future__ import annotations

import numpy as np
import pytest

from kinetics_assets.engines.jpeg_tables import END, division, scan_tables
from kinetics_assets.media.jpeg import encode_gray, encode_planes


def test_division_is_rounded_half_up() -> None:
    """For each number that the transform can give, and divisors of all kinds."""
    numbers = np.arange(1 << 15, dtype=np.uint64)
    for divisor in (*range(3, 130), 255, 256, 257, 1000, 4096, 9999, 32767, 32768, 65535):
        factor, add, shift = division(divisor)
        assert max(factor, add, shift) < 1 << 16
        quotients = ((numbers + add) % (1 << 16) * factor >> 16) * shift >> 16
        assert np.array_equal(quotients, (numbers + divisor // 2) // divisor), divisor


@pytest.mark.parametrize("divisor", [0, 1, 2])
def test_what_cannot_be_divided_by_is_refused(divisor: int) -> None:
    """There is no 16-bit factor for it."""
    with pytest.raises(ValueError, match="Cannot divide"):
        division(divisor)


def test_the_header_is_that_of_the_picture() -> None:
    """It ends where the scan begins, and its codes are prefix codes."""
    noise = np.random.default_rng(1).integers(0, 256, (3, 32, 32), dtype=np.uint8)
    picture = encode_planes(noise[0], noise[1, :16, :16], noise[2, :16, :16], quality=90)
    tables = scan_tables(picture)
    assert picture.startswith(tables.header)
    assert tables.header[-10:-8] == bytes([3, 1])  # three components, the first of them
    for codes in tables.codes.reshape(4, 256):
        used = codes[codes > 0]
        assert sum(2.0 ** -float(entry & 255) for entry in used) < 1
    # no zeros, value -1: one bit, 0, behind the code of run 0 and size 1
    code, whole = int(tables.codes[0, 1, 0x01]), int(tables.entries[0, -1 - END, 1])
    assert whole == ((code >> 8) << 1) << 8 | (code & 255) + 1


@pytest.mark.parametrize(
    "content", [b"", b"no picture", b"\xff\xd8\xff", b"\xff\xd8\xff\xda\x00\x02"]
)
def test_what_is_no_colour_jpeg_is_refused(content: bytes) -> None:
    """The error says so; nothing is made up."""
    with pytest.raises(ValueError, match=r"No marker|missing"):
        scan_tables(content)


def test_a_grey_jpeg_is_refused() -> None:
    """It lacks the tables of colour."""
    with pytest.raises(ValueError, match="missing"):
        scan_tables(encode_gray(np.zeros((16, 16), np.uint8), quality=95))
