"""What rawframes and flow have in common: pictures of a clip, made, verified and kept together."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from kinetics_assets.core.errors import ClipError, EncodeFailed
from kinetics_assets.core.manifest import ManifestRow, Status
from kinetics_assets.core.stages import Stage
from kinetics_assets.io.atomic import folder_sha256, link_or_copy, os_faults, temp_path
from kinetics_assets.sources.found_trees import find_frames
from kinetics_assets.stages.digests import output_digest, recipe_digest
from kinetics_assets.stages.files import file_is_there
from kinetics_assets.stages.frame_index import FrameIndex, picture_names
from kinetics_assets.stages.job import blocked_row, failed_row, now_utc
from kinetics_assets.stages.picture_checks import verified_pictures
from kinetics_assets.stages.picture_stores import PictureStores
from kinetics_assets.stages.storage import place_rawframes

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from pathlib import Path

    from kinetics_assets.core.clips import Clip, ClipId
    from kinetics_assets.core.errors import KineticsError
    from kinetics_assets.media.client import FrameFacts, MediaWorker
    from kinetics_assets.sources.found_trees import FoundFrames
    from kinetics_assets.stages.job import Desk
    from kinetics_assets.stages.order import ClassOrder

ADOPTED = "adopted"
"""Source of rows whose pictures were taken over from an existing tree."""
UNKNOWN_ENGINE = "unknown"


@dataclass(frozen=True, slots=True)
class Made:
    """Pictures that a stage has put into a folder."""

    facts: FrameFacts
    """Their number (frames or pairs) and size."""
    tools: str
    engine: str = ""
    profile: str = ""
    are_checked: bool = False
    """Whether the stage has decoded each of them already."""


class PicturesJob:
    """Base of the two jobs; a subclass says how pictures are made and how many there must be."""

    stage: Stage

    def __init__(self, order: ClassOrder) -> None:
        """Work under the settings of `order`."""
        self._order = order
        self._settings = order.settings
        self._recipe = order.settings.rawframes
        self._stores = PictureStores(self.stage, order)
        place_rawframes(order)

    # what a subclass adds
    def produce(self, clip: Clip, source: ManifestRow, folder: Path, desk: Desk) -> Made:
        """Put the clip's pictures into the empty `folder`.

        Raises:
            ClipError: The input is no good for this stage.
        """
        raise NotImplementedError

    def engine_digest(self) -> tuple[str, ...]:
        """Return what besides input and recipe decides the bytes."""
        return ()

    def expected_count(self, frames: int) -> int:
        """Return how many pictures (or pairs) a clip of `frames` frames has."""
        raise NotImplementedError

    def found_names(self, found: FoundFrames) -> Sequence[Path]:
        """Return the stage's pictures in a found folder, in the order of `picture_names`."""
        raise NotImplementedError

    @property
    def bound_px(self) -> float | None:
        """Displacement of the largest grey level; None for frames."""
        return None

    @property
    def concurrency(self) -> int | None:
        """Clips worked on at a time; None means as many as CPU slots can be had."""
        return None

    # what both do alike
    @property
    def upstream(self) -> Stage:
        """The stage whose videos are read, by setting."""
        return Stage(self._recipe.frames_from)

    @property
    def works_without_input(self) -> bool:
        """Whether pictures may be taken over although the video is not there."""
        return bool(self._settings.sources.adopt_folders)

    def is_current(self, row: ManifestRow, source: ManifestRow | None) -> bool:
        """Return whether the pictures are what would be made, and kept as the settings ask."""
        return self._stores.is_as_wanted(row) and self.is_up_to_date(row, source)

    def is_up_to_date(self, row: ManifestRow, source: ManifestRow | None) -> bool:
        """Return whether the pictures are there, adopted or made from today's input and recipe."""
        wanted = self._adopted_digest() if row.source == ADOPTED else self._made_from(source)
        return row.digest == wanted and self._stores.of(row).is_there(row)

    def is_to_convert(self, row: ManifestRow, source: ManifestRow | None) -> bool:
        """Return whether nothing is the matter with the pictures but how they are kept."""
        is_ok = row.status is Status.OK and not self._stores.is_as_wanted(row)
        return is_ok and self.is_up_to_date(row, source)

    def is_intact(self, row: ManifestRow) -> bool:
        """Return whether the pictures are there with their recorded sha256."""
        return self._stores.of(row).is_intact(row)

    def attempt_digest(self, row: ManifestRow, source: ManifestRow | None) -> str:
        """Return the digest of what an output made now would be made from."""
        del row
        return self._made_from(source)

    def objection(
        self,
        due: Collection[Clip],
        rows: Mapping[ClipId, ManifestRow],
        inputs: Mapping[ClipId, ManifestRow],
        *,
        at_start: bool,
    ) -> KineticsError | None:
        """Return None: what another recipe made is made anew."""
        del due, rows, inputs, at_start
        return None

    def groups(self, due: Sequence[Clip]) -> list[list[Clip]]:
        """Return each clip by itself."""
        return [[clip] for clip in due]

    def make(self, group: Sequence[Clip], desk: Desk) -> None:
        """Convert, take over or make, verify and publish the pictures of each clip of `group`."""
        for clip in group:
            source, row = desk.inputs.get(clip.id), desk.known[clip.id]
            folder = self._order.layout.frames(self._order.split, clip.label, clip.id)
            temp = temp_path(folder, stage=self.stage)
            try:
                with os_faults(f"creating {temp}"):
                    temp.mkdir()
                if self.is_to_convert(row, source) and self._convert(row, temp, desk=desk):
                    continue
                made = self._adopt(clip, source, temp, worker=desk.worker)
                adopted = made is not None
                if made is None:
                    if (
                        source is None
                        or source.status is not Status.OK
                        or not file_is_there(self._order.layout, source)
                    ):
                        # out of date, with nothing in its place; what was taken over may be the
                        # only one there is
                        if row.status is Status.OK and row.source != ADOPTED:
                            self.remove(row, into=None)
                        desk.commit(blocked_row(row, source), lambda: None)
                        continue
                    made = self.produce(clip, source, temp, desk)
                self._publish(
                    row,
                    source,
                    made,
                    temp=temp,
                    adopted=adopted,
                    desk=desk,
                )
            except ClipError as error:
                if row.status is Status.OK:
                    self.remove(row, into=None)
                hours = self._settings.sources.retry_hours
                digest_now = self._made_from(source)
                failed = failed_row(
                    row, error, may_heal=False, retry_hours=hours, digest=digest_now
                )
                desk.commit(failed, lambda: None)
            finally:
                shutil.rmtree(temp, ignore_errors=True)

    def remove(self, row: ManifestRow, *, into: Path | None) -> None:
        """Take the stage's pictures away."""
        if row.path:
            self._stores.of(row).remove(self._order.layout.base / row.path, into=into)

    def finish(self) -> None:
        """Nothing was put off."""

    def _made_from(self, source: ManifestRow | None) -> str:
        """Return the digest that pictures made from `source` now would have."""
        sha256 = source.sha256 if source is not None and source.status is Status.OK else ""
        recipe = recipe_digest(self.stage, self._settings, *self.engine_digest())
        return output_digest(recipe, sha256)

    def _adopted_digest(self) -> str:
        return f"{ADOPTED}-from-{self._recipe.start_index}"

    def _found(self, clip: Clip, source: ManifestRow | None) -> Sequence[Path]:
        """Return the clip's pictures in the folders to take over; none when they are not whole.

        Counts must be whole, and equal to the video's where the video is there: pictures that
        another decoder made with other frames are not taken for those of this clip.
        """
        folders = self._settings.sources.adopt_folders
        if not folders:
            return ()
        found = find_frames(folders, self._order.split, label=clip.label, clip=clip.id)
        pictures = self.found_names(found) if found is not None else ()
        count = len(pictures) // len(picture_names(self.stage, count=1, start_index=0))
        frames = source.frames_decoded if source is not None else None
        if frames is not None and count != self.expected_count(frames):
            return ()
        return pictures

    def _adopt(
        self, clip: Clip, source: ManifestRow | None, temp: Path, *, worker: MediaWorker
    ) -> Made | None:
        """Link existing pictures into `temp` under our numbering; None when there are none."""
        pictures = self._found(clip, source)
        if not pictures:
            return None
        count = len(pictures) // len(picture_names(self.stage, count=1, start_index=0))
        names = picture_names(self.stage, count=count, start_index=self._recipe.start_index)
        for path, name in zip(pictures, names, strict=True):
            link_or_copy(path, temp / name, copy=self._settings.sources.local_copy)
        try:
            facts = worker.check_pictures(temp, names)
        except ClipError:
            for name in names:
                (temp / name).unlink()
            return None
        engine = UNKNOWN_ENGINE if self.stage is Stage.FLOW else ""
        made = type(facts)(frames=count, width_px=facts.width_px, height_px=facts.height_px)
        return Made(facts=made, tools="", engine=engine, profile=engine)

    def _convert(self, row: ManifestRow, temp: Path, *, desk: Desk) -> bool:
        """Keep the pictures of `row` as the settings ask for; return whether they were good.

        They were verified by decoding when they were made, and their sha256 says that they are
        still the same: nothing is decoded.
        """
        index = self._stores.of(row).take_out(row, temp)
        if index is None:
            return False
        self._keep(row, index, temp=temp, desk=desk)
        return True

    def _publish(
        self,
        row: ManifestRow,
        source: ManifestRow | None,
        made: Made,
        *,
        temp: Path,
        adopted: bool,
        desk: Desk,
    ) -> None:
        """Verify the pictures in `temp`, then commit and publish.

        Raises:
            ClipError: Pictures are missing or do not decode.
        """
        facts = made.facts
        start = self._recipe.start_index
        names = picture_names(self.stage, count=facts.frames, start_index=start)
        frames = source.frames_decoded if source is not None else None
        if frames is not None and facts.frames != self.expected_count(frames):
            msg = f"{facts.frames} pictures came of a clip of {frames} frames."
            raise EncodeFailed(msg)
        if adopted or made.are_checked:
            sha256, also = folder_sha256(temp, names), None
        else:
            final = self._order.layout.frames(self._order.split, row.label, row.clip)
            with os_faults(f"checking the pictures for {final}"):
                verified = verified_pictures(temp, names, facts=facts, worker=desk.worker)
            sha256, also = verified.sha256, verified.also
        made_digest = self._adopted_digest() if adopted else self._made_from(source)
        index = FrameIndex(
            count=facts.frames,
            start_index=start,
            width_px=facts.width_px,
            height_px=facts.height_px,
            digest=made_digest,
            sha256=sha256,
            engine=made.engine,
            profile=made.profile,
            bound_px=self.bound_px,
            also=also,
        )
        ok = ManifestRow(
            clip=row.clip,
            label=row.label,
            edition=row.edition,
            status=Status.OK,
            attempts=row.attempts + 1,
            source=ADOPTED if adopted else self.upstream,
            width_px=facts.width_px,
            height_px=facts.height_px,
            fps=source.fps if source is not None else None,
            duration_seconds=source.duration_seconds if source is not None else None,
            frames_decoded=facts.frames,
            digest=made_digest,
            engine=made.engine,
            profile=made.profile,
            bound_px=self.bound_px,
            start_index=start,
            tools=made.tools,
        )
        self._keep(ok, index, temp=temp, desk=desk)

    def _keep(self, ok: ManifestRow, index: FrameIndex, *, temp: Path, desk: Desk) -> None:
        """Commit `ok` and publish the verified pictures in `temp`, in the form that is wanted."""
        names = picture_names(self.stage, count=index.count, start_index=index.start_index)
        store = self._stores.wanted
        held = store.hold(temp, names, final=store.place(ok.clip), index=index)
        row = replace(
            ok,
            path=self._order.layout.relative(held.path),
            size_bytes=held.size_bytes,
            sha256=held.sha256,
            finished_at=now_utc(),
        )

        def publish() -> None:
            held.publish()
            self._stores.remove_others(row)

        desk.commit(row, publish)
