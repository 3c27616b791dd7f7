"""What the class stages have in common, and the one thing each does in its own way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Protocol

from kinetics_assets.core.manifest import ManifestRow, Status, status_of
from kinetics_assets.core.reasons import Reason

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from pathlib import Path

    from kinetics_assets.core.clips import Clip, ClipId
    from kinetics_assets.core.errors import ClipError, KineticsError
    from kinetics_assets.core.stages import Stage
    from kinetics_assets.media.client import MediaWorker
    from kinetics_assets.stages.decode_once import Ahead

Commit = Callable[[ManifestRow, Callable[[], None]], None]
"""``commit(row, publish)``: journal the verdict, then make the output visible."""


@dataclass(frozen=True, slots=True)
class Desk:
    """What a job has at hand while it works on a group."""

    worker: MediaWorker
    """Sandboxed children, shared by all threads of the step."""
    scratch: Path
    """Folder for temporary files that goes away with the step."""
    inputs: Mapping[ClipId, ManifestRow]
    """Rows of the stage's input."""
    known: Mapping[ClipId, ManifestRow]
    """What is known of the clips in this stage."""
    commit: Commit
    """Takes each verdict, with what makes its output visible."""
    ahead: Ahead | None = None
    """What to make for later steps of the run in the same decode; None for nothing."""


_LONGEST_PAUSE = timedelta(days=7)


class StageJob(Protocol):
    """One stage's way of turning input clips into outputs."""

    @property
    def stage(self) -> Stage:
        """The stage whose outputs are made."""
        ...

    @property
    def upstream(self) -> Stage | None:
        """The stage whose outputs are the inputs; None for the first."""
        ...

    @property
    def concurrency(self) -> int | None:
        """Groups worked on at a time; None means as many as CPU slots can be had."""
        ...

    @property
    def works_without_input(self) -> bool:
        """Whether an output may be had (adopted) although the input is not ok."""
        ...

    def is_current(self, row: ManifestRow, source: ManifestRow | None) -> bool:
        """Return whether an ok `row` still is what would be made from `source`, and is there."""
        ...

    def is_intact(self, row: ManifestRow) -> bool:
        """Return whether the output of an ok `row` is there with the recorded sha256."""
        ...

    def attempt_digest(self, row: ManifestRow, source: ManifestRow | None) -> str:
        """Return the digest of what an attempt for `row` depends on.

        A row that failed under another digest is due.
        """
        ...

    def objection(
        self,
        due: Collection[Clip],
        rows: Mapping[ClipId, ManifestRow],
        inputs: Mapping[ClipId, ManifestRow],
        *,
        at_start: bool,
    ) -> KineticsError | None:
        """Return why the clips that are `due` must not be made beside the other `rows`, if so.

        Args:
            due: Clips that would be tried.
            rows: What is known of all clips of the class.
            inputs: Rows of the stage's input.
            at_start: A step is about to begin, so the folders of others are worth a look.
        """
        ...

    def groups(self, due: Sequence[Clip]) -> list[list[Clip]]:
        """Return the clips that are due as units of work."""
        ...

    def make(self, group: Sequence[Clip], desk: Desk) -> None:
        """Make the outputs of `group` and commit exactly one row for each clip.

        Raises:
            EnvironmentFault: The machine is at fault; clips without a row stay as they were.
        """
        ...

    def remove(self, row: ManifestRow, *, into: Path | None) -> None:
        """Take the output of `row` away; keep its files in the folder `into` if given."""
        ...

    def finish(self) -> None:
        """Called when all groups were worked on.

        Raises:
            EnvironmentFault: Clips were left as they were, because the machine failed for them.
        """
        ...


def now_utc() -> datetime:
    """Return the present time as manifests store it."""
    return datetime.now(UTC)


def failed_row(
    row: ManifestRow, error: ClipError, *, may_heal: bool, retry_hours: float, digest: str = ""
) -> ManifestRow:
    """Return `row` with the verdict that `error` stands for.

    Args:
        row: What was known before; its attempts are counted on.
        error: The clip's failure.
        may_heal: Whether asking again may give other bytes.
        retry_hours: First pause before a retryable clip is due again; doubles up to a week.
        digest: Of the settings under which it failed; other settings make the row due at once.
    """
    status = status_of(error.reason, source_may_heal=may_heal)
    attempts = row.attempts + 1
    now = now_utc()
    pause = min(timedelta(hours=retry_hours) * 2 ** min(attempts - 1, 16), _LONGEST_PAUSE)
    return ManifestRow(
        clip=row.clip,
        label=row.label,
        edition=row.edition,
        status=status,
        reason=error.reason,
        reason_text=error.message,
        attempts=attempts,
        not_before=now + pause if status is Status.PENDING else None,
        digest=digest,
        finished_at=now,
    )


def blocked_row(row: ManifestRow, source: ManifestRow | None) -> ManifestRow:
    """Return `row` as blocked by its input; the same row when it already says so."""
    if source is None:
        text = "the input has not been tried"
    elif source.status is Status.OK:
        text = f"the input file {source.path} is gone: run its stage again"
    else:
        text = f"the input is {source.status}: {source.reason or 'not tried'}"
    blocked = ManifestRow(
        clip=row.clip,
        label=row.label,
        edition=row.edition,
        status=Status.BLOCKED,
        reason=Reason.UPSTREAM,
        reason_text=text,
        finished_at=row.finished_at,
    )
    return row if blocked == row else replace(blocked, finished_at=now_utc())
