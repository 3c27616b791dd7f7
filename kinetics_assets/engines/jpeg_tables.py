"""What a baseline JPEG's header says of quantising and coding, as tables for an encoder.

Read from a picture that libjpeg-turbo made, so that an encoder with these tables can give the bytes
that it gives. Formats: ITU-T T.81, annex B and C.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import cos, pi, sqrt
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    Codes = NDArray[np.uint32]

END: Final = -128
"""Stands for the end of a block among coefficients, which are larger."""
ROW: Final = 64
"""Entries of a coefficient, by the places that it lies behind the one before."""
TOO_LONG: Final = 60
"""Instead of an entry's length, where there are more zeros before it than codes have; as a length
it would not go with any other, so nobody has to ask twice."""
_ZEROS: Final = 16
_QUANTISER, _HUFFMAN, _SCAN = 0xDB, 0xC4, 0xDA
_SIDE: Final = 8
_UNIT_BITS, _DROPPED_BITS = 14, 11
_LEAST_DIVISOR: Final = 3


@dataclass(frozen=True, slots=True)
class ScanTables:
    """All that the scan of a 4:2:0 picture is written with; luma before colour everywhere."""

    header: bytes
    """Of the file, up to the scan's first byte."""
    steps: NDArray[np.uint16]
    """(2, 3, 64): see `division`."""
    codes: Codes
    """(2, 2, 256): codes of DC and AC symbols, their length in the low byte; 0 has none."""
    entries: Codes
    """(2, 256, 64): code and value together of AC coefficients, from `END` on, by the number of
    places that they lie behind the one before; the length in the low byte, or `TOO_LONG`. The
    places of `END` go on in the next row: there are 65."""


def scan_tables(picture: bytes) -> ScanTables:
    """Return the tables of a baseline JPEG in colour.

    Raises:
        ValueError: It is none.
    """
    quantisers: dict[int, NDArray[np.int64]] = {}
    codes: dict[int, Codes] = {}
    segments = list(_segments(picture))
    for marker, body, _ in segments:
        if marker == _QUANTISER:
            quantisers |= dict(_quantisers(body))
        elif marker == _HUFFMAN:
            codes |= dict(_codes(body))
    try:
        steps = np.stack([_all_divisions(quantisers[table]) for table in (0, 1)])
        # the class is in the high half of a byte, the table's number in the low
        ordered = np.stack([np.stack([codes[table], codes[0x10 | table]]) for table in (0, 1)])
    except KeyError as error:
        raise ValueError(f"A table is missing: {error}.") from error
    end = segments[-1][2]
    return ScanTables(picture[:end], steps, ordered, np.stack([_entries(c[1]) for c in ordered]))


def division(divisor: int) -> tuple[int, int, int]:
    """Return a factor, what to add, and a shift as a factor, that divide 16-bit numbers.

    ``((n + add) * factor >> 16) * shift >> 16`` is n / divisor rounded half up. The factor is the
    reciprocal to 16 bits (Fog, Optimizing subroutines in assembly language, on division).

    Raises:
        ValueError: The divisor is below 3, for which there are none of 16 bits.
    """
    if divisor < _LEAST_DIVISOR:
        raise ValueError(f"Cannot divide by {divisor}.")
    bits = 15 + divisor.bit_length()
    factor, rest = divmod(1 << bits, divisor)
    add = divisor // 2
    if rest == 0:
        factor, bits = factor >> 1, bits - 1
    elif rest <= divisor // 2:
        add += 1
    else:
        factor += 1
    return factor, add, 1 << (32 - bits)


def _segments(picture: bytes) -> Iterator[tuple[int, bytes, int]]:
    """Yield marker, content and end of each segment of the header."""
    at, marker = 2, 0
    while marker != _SCAN:
        if picture[at : at + 1] != b"\xff" or len(picture) < at + 4:
            raise ValueError(f"No marker at byte {at} of a JPEG.")
        marker, size = picture[at + 1], int.from_bytes(picture[at + 2 : at + 4], "big")
        yield marker, picture[at + 4 : at + 2 + size], at + 2 + size
        at += 2 + size


def _quantisers(body: bytes) -> Iterator[tuple[int, NDArray[np.int64]]]:
    """Yield number and 64 steps, in natural order, of each table of 8-bit steps."""
    for at in range(0, len(body), 65):
        steps = np.zeros(_SIDE * _SIDE, np.int64)
        steps[_zigzag()] = np.frombuffer(body[at + 1 : at + 65], np.uint8)
        yield body[at], steps


def _codes(body: bytes) -> Iterator[tuple[int, Codes]]:
    """Yield class and number in one byte, and the codes by symbol, of each table."""
    while body:
        counts = body[1:17]
        symbols = iter(body[17 : 17 + sum(counts)])
        codes = np.zeros(256, np.uint32)
        code = 0
        for length, count in enumerate(counts, 1):
            for _ in range(count):
                codes[next(symbols)] = code << 8 | length
                code += 1
            code <<= 1
        yield body[0], codes
        body = body[17 + sum(counts) :]


def _zigzag() -> list[int]:
    """Return the natural places of 64 coefficients in the order of a file."""
    places = [(x + y, y if (x + y) % 2 else x, _SIDE * y + x) for y in range(8) for x in range(8)]
    return [place for _, _, place in sorted(places)]


def _all_divisions(steps: NDArray[np.int64]) -> NDArray[np.uint16]:
    """Return `division` of each of the 64 steps, scaled as the fast transform needs it."""
    scale = [1.0, *(cos(k * pi / 16) * sqrt(2) for k in range(1, _SIDE))]
    found = np.empty((3, len(steps)), np.uint16)
    for place, step in enumerate(steps):
        unit = round(scale[place // _SIDE] * scale[place % _SIDE] * (1 << _UNIT_BITS))
        half = 1 << (_DROPPED_BITS - 1)
        found[:, place] = division((int(step) * unit + half) >> _DROPPED_BITS)
    return found


def _entries(codes: Codes) -> Codes:
    """Return the whole entries of coefficients from -126 to 126, and those of a block's end."""
    found = np.full((2 * -END, ROW), TOO_LONG, np.uint32)
    zeros = np.arange(ROW - 1)
    for value in range(END + 2, -END - 1):
        size = abs(value).bit_length()
        low = (value - (value < 0)) & ((1 << size) - 1)
        entries = codes[(zeros & 15) << 4 | size].astype(np.int64)
        whole = ((entries >> 8) << size | low) << 8 | ((entries & 255) + size)
        found[value - END, 1:] = np.where(zeros < _ZEROS, whole, TOO_LONG)
    # no mark is needed behind the last place of a block, nor behind a mark
    found.reshape(-1)[:2] = 0
    found.reshape(-1)[2 : ROW + 1] = codes[0]
    return found
