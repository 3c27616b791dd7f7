"""The manifest: one row per annotation row, with a status, always.

A manifest is one Parquet file per split, stage and class. Page checksums and the sha256 of all rows
are written and checked, because a flipped bit would otherwise be read as wrong data without an
error (Parquet has no checksum of its footer, where the column names are).
"""

from __future__ import annotations

import hashlib
import io
import json
from collections import Counter
from dataclasses import dataclass, fields, replace
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from kinetics_assets.core.clips import Clip, ClipId
from kinetics_assets.core.errors import InternalError
from kinetics_assets.core.evidence import Trial, decode_trials, encode_trials
from kinetics_assets.core.parquet import read_table
from kinetics_assets.core.reasons import Kind, Reason

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence


WHOLE = "whole"
"""Digest of a clip whose bytes are the source's own."""


class Status(StrEnum):
    """State of one annotation row in one stage."""

    OK = "ok"
    """Complete and verified by decoding."""
    PENDING = "pending"
    """Will be tried again after `not_before`."""
    UNAVAILABLE = "unavailable"
    """Permanently gone at every source."""
    CORRUPT = "corrupt"
    """The bytes are there and are no good."""
    SKIPPED = "skipped"
    """Filtered by the user."""
    BLOCKED = "blocked"
    """The stage's input is not ok."""


@dataclass(frozen=True, slots=True)
class ManifestRow:
    """What is known of one clip in one stage; fields that do not apply are None."""

    clip: ClipId
    label: str
    edition: str
    """sha256 of the annotation edition the row belongs to."""
    status: Status
    reason: Reason | None = None
    """Why the row is not ok."""
    reason_text: str = ""
    """The cause in the words of the tool that met it, secrets taken out."""
    attempts: int = 0
    not_before: datetime | None = None
    """A pending row is left alone until then (UTC)."""
    source: str = ""
    """Name of the source that gave the clip."""
    source_address: str = ""
    """Where exactly it came from."""
    tried: tuple[Trial, ...] = ()
    """What failed before, source by source."""
    path: str = ""
    """File or folder, relative to the dataset folder."""
    size_bytes: int | None = None
    sha256: str = ""
    """Of the file, or of the sorted (name, sha256) lines of a folder's own files."""
    width_px: int | None = None
    height_px: int | None = None
    fps: float | None = None
    """Average frames per second as the container says."""
    duration_seconds: float | None = None
    """From the decoded frames' timestamps."""
    frames_decoded: int | None = None
    """Frames that were decoded; for flow, the number of frame pairs; for sound and features, the
    frames of the clip, which readers of sound ask for."""
    digest: str = ""
    """Of (input digest, recipe, tools): what the output would be made from now."""
    engine: str = ""
    """Flow only: the engine that computed it."""
    profile: str = ""
    """Flow only: the numerical profile of the engine."""
    bound_px: float | None = None
    """Flow only: displacement that the largest grey level stands for."""
    start_index: int | None = None
    """Frames and flow: number of the first picture."""
    samples: int | None = None
    """Sound: samples of a channel. Features: time steps."""
    sample_rate_hz: float | None = None
    """Sound and features: `samples` per second."""
    tools: str = ""
    """Names and versions of the tools that made the output."""
    finished_at: datetime | None = None
    """When the verdict was reached (UTC)."""

    @property
    def annotation(self) -> Clip:
        """The annotation row this belongs to."""
        return Clip(self.clip, self.label)

    @property
    def is_untried(self) -> bool:
        """Whether no step has looked at it."""
        return self.status is Status.PENDING and self.reason is None

    @property
    def is_permanent_loss(self) -> bool:
        """Whether no rerun will bring the clip."""
        return self.status in {Status.UNAVAILABLE, Status.CORRUPT}

    def is_due(self, now: datetime) -> bool:
        """Return whether a step should try this row at time `now`."""
        if self.status is Status.BLOCKED:
            return True
        return self.status is Status.PENDING and (self.not_before is None or self.not_before <= now)


_TIME = pa.timestamp("us", tz="UTC")
SCHEMA = pa.schema(
    [  # type: ignore[arg-type] # the stubs cannot join fields of several types
        pa.field("youtube_id", pa.string(), nullable=False),
        pa.field("start_seconds", pa.int32(), nullable=False),
        pa.field("end_seconds", pa.int32(), nullable=False),
        pa.field("label", pa.string(), nullable=False),
        pa.field("edition", pa.string(), nullable=False),
        pa.field("status", pa.string(), nullable=False),
        pa.field("reason", pa.string()),
        pa.field("reason_text", pa.string(), nullable=False),
        pa.field("attempts", pa.int32(), nullable=False),
        pa.field("not_before", _TIME),
        pa.field("source", pa.string(), nullable=False),
        pa.field("source_address", pa.string(), nullable=False),
        pa.field("tried", pa.string(), nullable=False),
        pa.field("path", pa.string(), nullable=False),
        pa.field("size_bytes", pa.int64()),
        pa.field("sha256", pa.string(), nullable=False),
        pa.field("width_px", pa.int32()),
        pa.field("height_px", pa.int32()),
        pa.field("fps", pa.float64()),
        pa.field("duration_seconds", pa.float64()),
        pa.field("frames_decoded", pa.int32()),
        pa.field("digest", pa.string(), nullable=False),
        pa.field("engine", pa.string(), nullable=False),
        pa.field("profile", pa.string(), nullable=False),
        pa.field("bound_px", pa.float64()),
        pa.field("start_index", pa.int32()),
        pa.field("samples", pa.int64()),
        pa.field("sample_rate_hz", pa.float64()),
        pa.field("tools", pa.string(), nullable=False),
        pa.field("finished_at", _TIME),
    ]
)
"""Columns of a manifest file."""
LATER_COLUMNS = frozenset({"samples", "sample_rate_hz"})
"""Columns that older files lack; their rows have the defaults."""

_ROWS_SHA256 = b"rows_sha256"
_PLAIN = [
    f.name for f in fields(ManifestRow) if f.name not in {"clip", "status", "reason", "tried"}
]


def to_record(row: ManifestRow) -> dict[str, Any]:
    """Return `row` as a flat record with the columns of `SCHEMA`."""
    record = {name: getattr(row, name) for name in _PLAIN}
    return record | {
        "youtube_id": row.clip.youtube_id,
        "start_seconds": row.clip.start_seconds,
        "end_seconds": row.clip.end_seconds,
        "status": row.status.value,
        "reason": row.reason.value if row.reason else None,
        "tried": encode_trials(row.tried),
    }


def from_record(record: Mapping[str, Any]) -> ManifestRow:
    """Return the row that `to_record` made; columns added since have their defaults."""
    plain = {name: record[name] for name in _PLAIN if name in record}
    return ManifestRow(
        clip=ClipId(record["youtube_id"], record["start_seconds"], record["end_seconds"]),
        status=Status(record["status"]),
        reason=Reason(record["reason"]) if record["reason"] else None,
        tried=decode_trials(record.get("tried", "")),
        **plain,
    )


def encode_manifest(rows: Iterable[ManifestRow]) -> bytes:
    """Return the Parquet bytes of `rows`, sorted by clip; equal rows give equal bytes."""
    records = [to_record(row) for row in sorted(rows, key=lambda row: row.annotation)]
    table = pa.Table.from_pylist(records, schema=SCHEMA)
    table = table.replace_schema_metadata({_ROWS_SHA256: _rows_sha256(table)})
    sink = io.BytesIO()
    pq.write_table(table, sink, compression="zstd", write_page_checksum=True)
    return sink.getvalue()


def decode_manifest(data: bytes) -> list[ManifestRow]:
    """Return the rows in the Parquet bytes `data`.

    Raises:
        InternalError: the file is damaged (a bad page checksum, a missing footer).
    """
    try:
        table = read_table(data)
        written, found = (table.schema.metadata or {}).get(_ROWS_SHA256), _rows_sha256(table)
    except (pa.ArrowException, OSError, ValueError) as error:
        msg = f"The manifest is damaged: {error}"
        raise InternalError(msg) from error
    if found != written:
        raise InternalError("The manifest is damaged: its rows are not those that were written.")
    return [from_record(record) for record in table.to_pylist()]


def decode_columns(data: bytes, names: Sequence[str]) -> pa.Table:
    """Return the columns `names` of the rows in `data`, in the order of `SCHEMA`, as it has them.

    Many times faster than `decode_manifest`, for it makes no rows: the checksums of the pages it
    reads are checked, and that the file has no column but ours. A file for which that does not
    hold, or that is older than one of `names`, is read, and checked, as a whole.

    Raises:
        InternalError: the file is damaged.
    """
    wanted = [name for name in SCHEMA.names if name in names]
    try:
        with pq.ParquetFile(
            io.BytesIO(data), page_checksum_verification=True, pre_buffer=False
        ) as file:
            schema = file.schema_arrow
            ours = pa.schema([field for field in SCHEMA if field.name in schema.names])
            is_sound = schema.equals(ours) and _ROWS_SHA256 in (schema.metadata or {})
            if is_sound and set(wanted) <= set(ours.names):
                return file.read(columns=wanted, use_threads=False).replace_schema_metadata()
    except (pa.ArrowException, OSError, ValueError):
        pass  # it is damaged, and the other way of reading says so
    records = [to_record(row) for row in decode_manifest(data)]
    return pa.Table.from_pylist(records, schema=SCHEMA).select(wanted)


def _rows_sha256(table: pa.Table) -> bytes:
    """Return the sha256 of all values of `table` with their column names, as hex digits."""
    text = json.dumps(table.to_pylist(), default=str, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest().encode()


def reconcile(
    expected: Sequence[Clip], known: Iterable[ManifestRow], *, edition: str
) -> dict[ClipId, ManifestRow]:
    """Return exactly one row per expected clip, in the order of `expected`.

    Rows that are known are carried over to `edition`; clips that are not get a pending row. Known
    rows without an expected clip are left out; the caller retires them.
    """
    by_clip = {row.clip: row for row in known}
    rows: dict[ClipId, ManifestRow] = {}
    for clip in expected:
        row = by_clip.get(clip.id)
        if row is None:
            row = ManifestRow(clip.id, clip.label, edition, Status.PENDING)
        rows[clip.id] = replace(row, label=clip.label, edition=edition)
    return rows


@dataclass(frozen=True, slots=True)
class Summary:
    """Counts of one manifest."""

    rows: int
    counts: dict[Status, int]
    reasons: dict[Reason, int]
    permanent: int
    skipped: int
    size_bytes: int
    frames: int

    @property
    def ok(self) -> int:
        """Rows that are complete and verified."""
        return self.counts.get(Status.OK, 0)

    @property
    def wanted(self) -> int:
        """Rows that can be had: neither lost for good nor skipped."""
        return self.rows - self.permanent - self.skipped

    @property
    def completeness(self) -> float:
        """Share of the rows that can be had and are: ok / (rows - permanent - skipped)."""
        return self.ok / self.wanted if self.wanted else 1.0


def summarise(rows: Iterable[ManifestRow], *, upstream: Iterable[ManifestRow] = ()) -> Summary:
    """Return the counts of `rows`.

    A row that is blocked by a permanent loss in `upstream` counts as permanent too, so that a dead
    link does not hold back the stages after it; one that is blocked by a skipped row as skipped.
    """
    upstream = list(upstream)
    lost = {row.clip for row in upstream if row.is_permanent_loss}
    left_out = {row.clip for row in upstream if row.status is Status.SKIPPED}
    rows = list(rows)
    return Summary(
        rows=len(rows),
        counts=dict(Counter(row.status for row in rows)),
        reasons=dict(Counter(row.reason for row in rows if row.reason)),
        permanent=sum(
            row.is_permanent_loss or (row.status is Status.BLOCKED and row.clip in lost)
            for row in rows
        ),
        skipped=sum(
            row.status is Status.SKIPPED or (row.status is Status.BLOCKED and row.clip in left_out)
            for row in rows
        ),
        size_bytes=sum(row.size_bytes or 0 for row in rows if row.status is Status.OK),
        frames=sum(row.frames_decoded or 0 for row in rows if row.status is Status.OK),
    )


def data_version(rows: Iterable[ManifestRow]) -> str:
    """Return the sha256 of the sorted (clip, output sha256) of ok rows, and of nothing else."""
    lines = sorted(f"{row.clip.name} {row.sha256}\n" for row in rows if row.status is Status.OK)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def status_of(reason: Reason, *, source_may_heal: bool) -> Status:
    """Return the status of a row that failed for `reason`.

    Args:
        reason: Of kind permanent, retryable or credentials.
        source_may_heal: Whether asking the source again may give other bytes (a download may, a
            file in a local folder does not).

    Raises:
        InternalError: an environment reason, which must never reach a row.
    """
    if reason.kind is Kind.ENVIRONMENT:
        msg = f"{reason} is no verdict on a clip; the step must fail instead."
        raise InternalError(msg)
    if reason.kind is Kind.POLICY:
        return Status.BLOCKED if reason is Reason.UPSTREAM else Status.SKIPPED
    if reason in BAD_BYTES:
        heals = source_may_heal and reason.kind is Kind.RETRYABLE
        return Status.PENDING if heals else Status.CORRUPT
    return Status.UNAVAILABLE if reason.kind is Kind.PERMANENT else Status.PENDING


BAD_BYTES = frozenset(
    {
        Reason.EMPTY_FILE,
        Reason.NOT_MEDIA,
        Reason.TRUNCATED,
        Reason.UNDECODABLE,
        Reason.NO_VIDEO_STREAM,
        Reason.NO_FRAMES,
        Reason.TOO_SHORT,
        Reason.OVER_LIMIT,
        Reason.DECODER_CRASHED,
        Reason.ENCODE_FAILED,
    }
)
"""Reasons that speak of bytes we had in hand."""
