"""Manifest rows for tests: a plain one to vary, and any that the schema allows."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import strategies as st

from kinetics_assets.core.clips import ClipId
from kinetics_assets.core.evidence import Trial
from kinetics_assets.core.manifest import ManifestRow, Status
from kinetics_assets.core.reasons import Reason

NOW = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)


def clip(number: int) -> ClipId:
    """Return the clip with this number; other numbers give other clips."""
    return ClipId(f"{number:011d}", 0, 10)


def row(number: int = 0, status: Status = Status.OK, **changes: Any) -> ManifestRow:  # noqa: ANN401 - any field
    """Return a row of clip `number` with `changes`."""
    plain = ManifestRow(clip(number), "zumba", "e" * 64, status, sha256=f"{number:064x}")
    return replace(plain, **changes)


_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MOMENTS = st.integers(0, 2**52).map(lambda n: _EPOCH + timedelta(microseconds=n))
_TIMES = st.none() | _MOMENTS
_COUNTS = st.none() | st.integers(0, 2**31 - 1)
_NUMBERS = st.none() | st.floats(allow_nan=False, allow_infinity=False)

TRIALS = st.builds(
    Trial,
    source=_TEXT,
    reason=st.sampled_from(Reason),
    text=_TEXT,
    count=st.integers(1, 1000),
    first_at=_MOMENTS,
    last_at=_MOMENTS,
    source_works=st.booleans(),
)

ROWS = st.builds(
    ManifestRow,
    clip=st.builds(clip, st.integers(0, 99_999_999_999)),
    label=_TEXT,
    edition=_TEXT,
    status=st.sampled_from(Status),
    reason=st.none() | st.sampled_from(Reason),
    reason_text=_TEXT,
    attempts=st.integers(0, 1000),
    tried=st.lists(TRIALS, max_size=3).map(tuple),
    not_before=_TIMES,
    source=_TEXT,
    source_address=_TEXT,
    path=_TEXT,
    size_bytes=st.none() | st.integers(0, 2**63 - 1),
    sha256=_TEXT,
    width_px=_COUNTS,
    height_px=_COUNTS,
    fps=_NUMBERS,
    duration_seconds=_NUMBERS,
    frames_decoded=_COUNTS,
    digest=_TEXT,
    engine=_TEXT,
    profile=_TEXT,
    bound_px=_NUMBERS,
    start_index=_COUNTS,
    tools=_TEXT,
    finished_at=_TIMES,
)
"""Any row that the schema can hold."""
