"""What stages have in common that make one file from one file of the stage before."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, ClassVar

from kinetics_assets.core.errors import ClipError
from kinetics_assets.core.manifest import ManifestRow, Status
from kinetics_assets.io.atomic import publish_file, sha256_of, temp_path
from kinetics_assets.stages.digests import output_digest, recipe_digest
from kinetics_assets.stages.files import file_is_intact, file_is_there, remove_file
from kinetics_assets.stages.job import blocked_row, failed_row, now_utc

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from kinetics_assets.core.clips import Clip
    from kinetics_assets.core.stages import Stage
    from kinetics_assets.stages.job import Desk
    from kinetics_assets.stages.order import ClassOrder


class FileJob:
    """Makes one file per clip of one class."""

    stage: ClassVar[Stage]
    upstream: ClassVar[Stage]
    concurrency = None
    works_without_input = False

    def __init__(self, order: ClassOrder) -> None:
        """Work under the settings of `order`."""
        self._order = order
        self._settings = order.settings

    def _target(self, clip: Clip) -> Path:
        """Return the final path of a clip's file; its temporary name ends alike."""
        raise NotImplementedError

    def _made(
        self, row: ManifestRow, source: ManifestRow, *, desk: Desk, temp: Path
    ) -> ManifestRow:
        """Write the file to `temp` and return `row` with what is known of it, as far as it differs.

        Its sha256 may be left out.

        Raises:
            ClipError: The input cannot be used, or the output is not what was to be written.
        """
        raise NotImplementedError

    def is_current(self, row: ManifestRow, source: ManifestRow | None) -> bool:
        """Return whether the file is there, made from today's input by today's recipe.

        The frames that it stands for are not told by the input's bytes: sound of the same bytes may
        come of a video with more of them.
        """
        frames = source.frames_decoded if source is not None else None
        is_wanted = row.digest == self._made_from(source) and row.frames_decoded == frames
        return is_wanted and file_is_there(self._order.layout, row)

    def is_intact(self, row: ManifestRow) -> bool:
        """Return whether the file is there with its recorded sha256."""
        return file_is_intact(self._order.layout, row)

    def attempt_digest(self, row: ManifestRow, source: ManifestRow | None) -> str:
        """Return the digest of what an output made now would be made from."""
        del row
        return self._made_from(source)

    def objection(self, *_: object, at_start: bool) -> None:
        """Return None: what another recipe made is made anew."""

    def groups(self, due: Sequence[Clip]) -> list[list[Clip]]:
        """Return each clip by itself."""
        return [[clip] for clip in due]

    def make(self, group: Sequence[Clip], desk: Desk) -> None:
        """Make, verify by decoding and publish the file of each clip of `group`."""
        for clip in group:
            source, row = desk.inputs[clip.id], desk.known[clip.id]
            before = row if row.status is Status.OK and row.path else None
            if not file_is_there(self._order.layout, source):
                if before is not None:
                    self.remove(before, into=None)  # out of date, and nothing is put in its place
                desk.commit(blocked_row(row, source), lambda: None)
                continue
            final = self._target(clip)
            temp = temp_path(final, stage=self.stage)
            try:
                made = self._finished(row, source, desk=desk, temp=temp, final=final)
                desk.commit(made, partial(self._publish, temp, final, before=before))
            except ClipError as error:
                if before is not None:
                    self.remove(before, into=None)
                desk.commit(self._failed(row, source, error), lambda: None)
            finally:
                temp.unlink(missing_ok=True)

    def remove(self, row: ManifestRow, *, into: Path | None) -> None:
        """Take the clip's file away."""
        remove_file(self._order.layout, row, into=into)

    def finish(self) -> None:
        """Nothing was put off."""

    def _publish(self, temp: Path, final: Path, *, before: ManifestRow | None) -> None:
        """Give the file its name; take the one of `before` away if it has another."""
        publish_file(temp, final)
        if before is not None and before.path != self._order.layout.relative(final):
            self.remove(before, into=None)

    def _made_from(self, source: ManifestRow | None) -> str:
        """Return the digest that an output made from `source` now would have."""
        sha256 = source.sha256 if source is not None and source.status is Status.OK else ""
        return output_digest(recipe_digest(self.stage, self._settings), sha256)

    def _failed(self, row: ManifestRow, source: ManifestRow, error: ClipError) -> ManifestRow:
        return failed_row(
            row,
            error,
            may_heal=False,
            retry_hours=self._settings.sources.retry_hours,
            digest=self._made_from(source),
        )

    def _finished(
        self, row: ManifestRow, source: ManifestRow, *, desk: Desk, temp: Path, final: Path
    ) -> ManifestRow:
        """Return the ok row of the file in `temp`.

        Raises:
            ClipError: The input cannot be used, or the output is not what was to be written.
        """
        bare = ManifestRow(
            clip=row.clip,
            label=row.label,
            edition=row.edition,
            status=Status.OK,
            attempts=row.attempts + 1,
            source=self.upstream,
            path=self._order.layout.relative(final),
            frames_decoded=source.frames_decoded,
            digest=self._made_from(source),
        )
        made = self._made(bare, source, desk=desk, temp=temp)
        size_bytes, sha256 = temp.stat().st_size, made.sha256 or sha256_of(temp)
        return replace(made, size_bytes=size_bytes, sha256=sha256, finished_at=now_utc())
