"""The resized stage: every good clip of a class, made smaller."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from kinetics_assets.core.errors import ClipError, EncodeFailed
from kinetics_assets.core.manifest import ManifestRow, Status
from kinetics_assets.core.stages import Stage
from kinetics_assets.io.atomic import publish_file, sha256_of, temp_path
from kinetics_assets.media.product_facts import Wishes
from kinetics_assets.media.tools import versions
from kinetics_assets.stages.decode_once import clip_ahead
from kinetics_assets.stages.digests import output_digest, recipe_digest
from kinetics_assets.stages.files import file_is_intact, file_is_there, remove_file
from kinetics_assets.stages.job import blocked_row, failed_row, now_utc

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from kinetics_assets.core.clips import Clip
    from kinetics_assets.media.client import MediaFacts, MediaWorker
    from kinetics_assets.stages.decode_once import ClipAhead
    from kinetics_assets.stages.job import Desk
    from kinetics_assets.stages.order import ClassOrder


class ResizedJob:
    """Resizes the clips of one class."""

    stage = Stage.RESIZED
    upstream = Stage.VIDEOS
    concurrency = None
    works_without_input = False

    def __init__(self, order: ClassOrder) -> None:
        """Work under the settings of `order`."""
        self._order = order
        self._settings = order.settings

    def is_current(self, row: ManifestRow, source: ManifestRow | None) -> bool:
        """Return whether the file is there, made from today's input by today's recipe."""
        return row.digest == self._made_from(source) and file_is_there(self._order.layout, row)

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
        """Resize, verify by decoding and publish each clip of `group`."""
        for clip in group:
            source, row = desk.inputs[clip.id], desk.known[clip.id]
            final = self._order.layout.resized_video(self._order.split, clip.label, clip.id)
            if not file_is_there(self._order.layout, source):
                desk.commit(blocked_row(row, source), lambda: None)
                continue
            temp = temp_path(final, stage=Stage.RESIZED)
            try:
                made = self._resize(clip, source, desk=desk, temp=temp, final=final)
                desk.commit(made, partial(publish_file, temp, final))
            except ClipError as error:
                if row.status is Status.OK:
                    self.remove(row, into=None)
                desk.commit(self._failed(row, source, error), lambda: None)
            finally:
                temp.unlink(missing_ok=True)

    def remove(self, row: ManifestRow, *, into: Path | None) -> None:
        """Take the clip's file away."""
        remove_file(self._order.layout, row, into=into)

    def finish(self) -> None:
        """Nothing was put off."""

    def _made_from(self, source: ManifestRow | None) -> str:
        """Return the digest that an output made from `source` now would have."""
        sha256 = source.sha256 if source is not None and source.status is Status.OK else ""
        return output_digest(recipe_digest(Stage.RESIZED, self._settings), sha256)

    def _failed(self, row: ManifestRow, source: ManifestRow, error: ClipError) -> ManifestRow:
        return failed_row(
            row,
            error,
            may_heal=False,
            retry_hours=self._settings.sources.retry_hours,
            digest=self._made_from(source),
        )

    def _resize(
        self, clip: Clip, source: ManifestRow, *, desk: Desk, temp: Path, final: Path
    ) -> ManifestRow:
        """Return the ok row of the resized clip in `temp`.

        Raises:
            ClipError: The input cannot be decoded or the output does not hold all its frames.
        """
        layout, row = self._order.layout, desk.known[clip.id]
        with clip_ahead(desk.ahead, clip, source) as ahead:
            facts = self._write(layout.base / source.path, temp, worker=desk.worker, ahead=ahead)
            sha256 = sha256_of(temp)
            if ahead is not None:
                ahead.hand_over(source.sha256, made_sha256=sha256)
        if facts.frames_decoded != source.frames_decoded:
            msg = f"{facts.frames_decoded} of {source.frames_decoded} frames came out."
            raise EncodeFailed(msg)
        return ManifestRow(
            clip=row.clip,
            label=row.label,
            edition=row.edition,
            status=Status.OK,
            attempts=row.attempts + 1,
            source=Stage.VIDEOS,
            path=layout.relative(final),
            size_bytes=temp.stat().st_size,
            sha256=sha256,
            width_px=facts.width_px,
            height_px=facts.height_px,
            fps=facts.fps,
            duration_seconds=facts.duration_seconds,
            frames_decoded=facts.frames_decoded,
            digest=self._made_from(source),
            tools=versions("av"),
            finished_at=now_utc(),
        )

    def _write(
        self, video: Path, temp: Path, *, worker: MediaWorker, ahead: ClipAhead | None
    ) -> MediaFacts:
        """Write the resized video to `temp`, and what is wanted `ahead`; return its facts.

        Raises:
            ClipError: The input cannot be decoded or the output does not hold all its frames.
        """
        recipe = self._settings.resized
        if ahead is not None:
            made = ahead.make(video, Wishes(resized=(temp, recipe)), worker=worker).resized
            if made is not None and not isinstance(made, Exception):
                return made
        return worker.resize(video, temp, recipe=recipe)
