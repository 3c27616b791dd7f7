"""The videos stage: every clip of a class from the first source that has it, cut and verified."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from kinetics_assets.core.errors import (
    ClipError,
    DownloadFailed,
    MassFailure,
    OutOfRange,
    TooShort,
)
from kinetics_assets.core.evidence import Trial
from kinetics_assets.core.manifest import WHOLE, ManifestRow, Status
from kinetics_assets.core.settings import digest
from kinetics_assets.core.stages import Stage
from kinetics_assets.io.atomic import link_or_copy, os_faults, publish_file, sha256_of, temp_path
from kinetics_assets.media.tools import versions
from kinetics_assets.sources.base import Closing, Found
from kinetics_assets.sources.breaker import SOURCE_FAULTS, Breaker
from kinetics_assets.sources.registry import sources_of
from kinetics_assets.stages.digests import recipe_digest
from kinetics_assets.stages.files import file_is_intact, file_is_there, remove_file
from kinetics_assets.stages.job import now_utc
from kinetics_assets.stages.video_verdicts import Failure, tried_for, verdict_on

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from kinetics_assets.core.clips import Clip, ClipId
    from kinetics_assets.media.client import MediaFacts, MediaWorker
    from kinetics_assets.sources.base import Source
    from kinetics_assets.stages.job import Desk
    from kinetics_assets.stages.order import ClassOrder

_SAME_LENGTH_SECONDS = 1.0
"""A file this close to the annotated length is taken for the clip itself."""


@dataclass(frozen=True, slots=True)
class _Held:
    """A permanent verdict that waits for the end of the step."""

    row: ManifestRow
    desk: Desk
    sources: frozenset[str]
    """Sources it comes from that were not seen to work."""


class VideosJob:
    """Gets the clips of one class."""

    stage = Stage.VIDEOS
    upstream = None
    works_without_input = False

    def __init__(self, order: ClassOrder) -> None:
        """Work under the settings of `order`."""
        self._order = order
        self._settings = order.settings
        self._cut_digest = recipe_digest(Stage.VIDEOS, order.settings)
        self._held: list[_Held] = []
        self._lacks_verdict = False

    @cached_property
    def _sources(self) -> list[tuple[Source, Breaker]]:
        sources = sources_of(self._settings, self._order.split, cut_digest=self._cut_digest)
        return [(source, Breaker(source, self._settings.sources)) for source in sources]

    @property
    def concurrency(self) -> int | None:
        """Groups at a time: this stage waits for the network more than for a core."""
        return self._settings.sources.connections

    def is_current(self, row: ManifestRow, source: ManifestRow | None) -> bool:
        """Return whether the clip is there, uncut or cut by today's recipe."""
        del source
        return row.digest in {WHOLE, self._cut_digest} and file_is_there(self._order.layout, row)

    def is_intact(self, row: ManifestRow) -> bool:
        """Return whether the clip is there with its recorded sha256."""
        return file_is_intact(self._order.layout, row)

    def attempt_digest(self, row: ManifestRow, source: ManifestRow | None) -> str:
        """Return the digest of what the sources' answers depend on beside the clip."""
        del source
        states = [(source.name, source.state_of(row.clip)) for source, _ in self._sources]
        return digest(states)

    def objection(self, *_: object, at_start: bool) -> None:
        """Return None: clips of any source may stand side by side."""

    def groups(self, due: Sequence[Clip]) -> list[list[Clip]]:
        """Return the clips by video, so that each video is fetched once."""
        ordered = sorted(due)
        return [list(clips) for _, clips in groupby(ordered, key=lambda c: c.id.youtube_id)]

    def make(self, group: Sequence[Clip], desk: Desk) -> None:
        """Get the clips of one video, asking each source only for what is still wanted."""
        wanted = {clip.id: clip for clip in group}
        failures: dict[ClipId, list[Failure]] = {clip.id: [] for clip in group}
        for clip in list(wanted.values()):
            if self._take_in_place(clip, desk):
                del wanted[clip.id]
        for source, breaker in self._sources:
            answers = self._ask(source, breaker, list(wanted), scratch=desk.scratch)
            joined: dict[Path, Path] = {}
            for clip_id, answer in answers.items():
                try:
                    if isinstance(answer, ClipError):
                        raise answer
                    tried = tried_for(desk.known[clip_id], failures[clip_id])
                    found = _with_sound(answer, desk=desk, joined=joined)
                    self._take(wanted[clip_id], found, source=source, desk=desk, tried=tried)
                    del wanted[clip_id]
                    breaker.succeeded()
                except ClipError as error:
                    failures[clip_id].append(Failure(source.name, source.may_heal, error))
                    breaker.failed(error)
        if any(breaker.fault for _, breaker in self._sources):
            # a source that could not be asked may have the clip: no verdict
            self._lacks_verdict = self._lacks_verdict or bool(wanted)
            return
        for clip in wanted.values():
            self._commit_failure(desk.known[clip.id], failures[clip.id], desk)

    def remove(self, row: ManifestRow, *, into: Path | None) -> None:
        """Take the clip's file away."""
        remove_file(self._order.layout, row, into=into)

    def finish(self) -> None:
        """Settle the verdicts that were held back, or raise what stopped a source.

        The other sources gave what they have before this is raised; if that was everything, a
        source that is down is no failure.

        Raises:
            EnvironmentFault: A source could not be asked; its clips have no verdict.
        """
        made = self._sources if "_sources" in self.__dict__ else []
        for source, _ in made:
            if isinstance(source, Closing):
                source.close()
        for _, breaker in made:
            lacks = self._lacks_verdict or self._held or isinstance(breaker.fault, MassFailure)
            if breaker.fault and lacks:
                raise breaker.fault
        dead = {source.name for source, breaker in made if self._is_dead(source, breaker)}
        for held in self._held:
            row = held.row
            if dead & held.sources:
                again = now_utc() + timedelta(hours=self._settings.sources.retry_hours)
                row = replace(row, status=Status.PENDING, not_before=again)
            held.desk.commit(row, lambda: None)

    def _is_dead(self, source: Source, breaker: Breaker) -> bool:
        """Return whether a source that held verdicts come from is known not to work.

        Raises:
            EnvironmentFault: Asking its canary met a bot check or the like.
        """
        if not any(source.name in held.sources for held in self._held):
            return False
        try:
            return source.is_alive() is False
        except SOURCE_FAULTS as fault:
            breaker.trip(fault)
            raise

    def _ask(
        self, source: Source, breaker: Breaker, wanted: list[ClipId], *, scratch: Path
    ) -> Mapping[ClipId, Found | ClipError]:
        """Return what the source has; nothing when it is down, or when nothing is wanted."""
        if not wanted or breaker.fault:
            return {}
        folder = temp_path(scratch / "fetch", stage=source.name)
        with os_faults(f"creating {folder}"):
            folder.mkdir()
        try:
            return source.fetch(wanted, label=self._order.label, scratch=folder)
        except SOURCE_FAULTS as fault:
            breaker.trip(fault)
            return {}

    def _commit_failure(self, known: ManifestRow, failures: Sequence[Failure], desk: Desk) -> None:
        """Commit the verdict on a clip that no source gave.

        A permanent one is held back until the end of the step, unless its source was seen to work:
        should nearly everything fail, it was the source. What was heard is kept at once.
        """
        verdict = verdict_on(
            known,
            failures,
            retry_hours=self._settings.sources.retry_hours,
            digest=self.attempt_digest(known, None),
        )
        row, unproven = verdict.row, verdict.unproven
        if row.is_permanent_loss and unproven:
            self._held.append(_Held(row, desk, unproven))
            row = replace(row, status=Status.PENDING, not_before=None)
        desk.commit(row, lambda: None)

    def _take_in_place(self, clip: Clip, desk: Desk) -> bool:
        """Accept a good file that stands under the clip's own name without a row; return if so.

        A tree of MMAction2 becomes ours this way without moving a byte.
        """
        path = self._order.layout.video(self._order.split, clip.label, clip.id)
        if desk.known[clip.id].status is Status.OK or not path.is_file() or path.is_symlink():
            return False
        try:
            facts = desk.worker.verify(path)
            self._check(clip, facts)
        except ClipError:
            return False  # left where it is; a source's good file replaces it
        row = self._row(desk.known[clip.id], facts, path=path, file=path)
        desk.commit(replace(row, source="in_place", digest=WHOLE), lambda: None)
        return True

    def _take(
        self,
        clip: Clip,
        found: Found,
        *,
        source: Source,
        desk: Desk,
        tried: tuple[Trial, ...],
    ) -> None:
        """Cut if needed, verify and publish what a source found.

        Raises:
            ClipError: The file is no good for this clip.
        """
        layout, worker, before = self._order.layout, desk.worker, desk.known[clip.id]
        cut = self._must_cut(clip, found, worker=worker)
        suffix = ".mp4" if cut else (found.path.suffix.lower() or ".mp4")
        final = layout.video(self._order.split, clip.label, clip.id, suffix=suffix)
        temp = temp_path(final, stage=Stage.VIDEOS)
        try:
            if cut:
                facts = worker.trim(
                    found.path,
                    temp,
                    start_seconds=clip.id.start_seconds - found.starts_at_seconds,
                    end_seconds=clip.id.end_seconds - found.starts_at_seconds,
                    recipe=self._settings.videos,
                )
            else:
                link_or_copy(
                    found.path, temp, copy=self._settings.sources.local_copy and not found.is_ours
                )
                facts = worker.verify(temp)
            self._check(clip, facts)
            row = self._row(before, facts, path=final, file=temp)
            if found.sha256 not in {"", row.sha256} and not cut:
                raise DownloadFailed(f"{found.address} is not the file that was recorded there.")
            row = replace(
                row,
                source=found.source or source.name,
                source_address=found.address,
                digest=self._cut_digest if cut else found.cut_digest or WHOLE,
                tried=tried,
            )
            desk.commit(row, lambda: self._publish(temp, final, before=before))
        finally:
            temp.unlink(missing_ok=True)

    def _publish(self, temp: Path, final: Path, *, before: ManifestRow) -> None:
        """Publish a clip; a former file of it under another extension goes away."""
        publish_file(temp, final)
        if before.path and before.path != self._order.layout.relative(final):
            remove_file(self._order.layout, before, into=None)

    def _must_cut(self, clip: Clip, found: Found, *, worker: MediaWorker) -> bool:
        """Return whether the file is longer than the clip and has to be cut.

        Raises:
            OutOfRange: The file is neither the clip nor long enough to hold it.
        """
        if found.is_whole_video is False:
            return False
        duration = found.starts_at_seconds + worker.length_seconds(found.path)
        is_clip_length = duration <= clip.id.duration_seconds + _SAME_LENGTH_SECONDS
        if found.is_whole_video is None and is_clip_length:
            return False
        if duration <= clip.id.start_seconds:
            msg = (
                f"The source lasts {duration:.2f} s, the clip begins at {clip.id.start_seconds} s."
            )
            raise OutOfRange(msg)
        return not (clip.id.start_seconds == 0 and duration <= clip.id.end_seconds + 0.1)

    def _check(self, clip: Clip, facts: MediaFacts) -> None:
        """Raise `TooShort` for a clip below the settings' minimum."""
        recipe = self._settings.videos
        least_seconds = recipe.min_duration_share * clip.id.duration_seconds
        if facts.frames_decoded < recipe.min_frames or facts.duration_seconds < least_seconds:
            msg = (
                f"{facts.frames_decoded} frames in {facts.duration_seconds:.2f} s; wanted are"
                f" {recipe.min_frames} frames and {least_seconds:.2f} s."
            )
            raise TooShort(msg)

    def _row(self, row: ManifestRow, facts: MediaFacts, *, path: Path, file: Path) -> ManifestRow:
        """Return the ok row of a verified file."""
        return ManifestRow(
            clip=row.clip,
            label=row.label,
            edition=row.edition,
            status=Status.OK,
            attempts=row.attempts + 1,
            path=self._order.layout.relative(path),
            size_bytes=file.stat().st_size,
            sha256=sha256_of(file),
            width_px=facts.width_px,
            height_px=facts.height_px,
            fps=facts.fps,
            duration_seconds=facts.duration_seconds,
            frames_decoded=facts.frames_decoded,
            tools=versions("av", "yt-dlp"),
            finished_at=now_utc(),
        )


def _with_sound(found: Found, *, desk: Desk, joined: dict[Path, Path]) -> Found:
    """Return what was found as one file, after joining pictures and sound if they came as two.

    Args:
        found: As the source gave it.
        desk: With the child that joins.
        joined: Pictures -> what they were joined to; one file may feed several clips.
    """
    if found.sound is None:
        return found
    if found.path not in joined:
        temp = temp_path(found.path.with_name("joined"), stage=Stage.VIDEOS)
        suffix = desk.worker.join(found.path, found.sound, temp)
        joined[found.path] = temp.rename(temp.with_name(temp.name + suffix))
    return replace(found, path=joined[found.path], sound=None)
