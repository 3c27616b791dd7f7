"""The step that decodes makes what later steps of its run want of the same clips.

Resized makes frames and grey frames: from the original, or, with ``frames_from = "resized"``, from
its own result while that is checked. Rawframes makes grey frames. Flow makes nothing, and an engine
that reads video files itself is made nothing for.
"""

from __future__ import annotations

import shutil
import threading
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from kinetics_assets.core.errors import (
    ClipError,
    DiskFull,
    EnvironmentFault,
    InputError,
    KineticsError,
    environment_fault,
)
from kinetics_assets.core.geometry import Size, frame_size, parse_size
from kinetics_assets.core.manifest import ManifestRow, Status
from kinetics_assets.core.stages import Stage, later_decoders
from kinetics_assets.engines.registry import FILE_ENGINE_NAMES, signature
from kinetics_assets.io.manifests import read_known
from kinetics_assets.media.facts import FrameFacts
from kinetics_assets.media.product_facts import Products, Wishes
from kinetics_assets.media.tools import versions
from kinetics_assets.stages.choices import settled_engine
from kinetics_assets.stages.digests import output_digest, recipe_digest, recipe_of
from kinetics_assets.stages.job import now_utc
from kinetics_assets.stages.made_ahead import (
    HandOver,
    ahead_digest,
    begin,
    complete,
    content_of,
    remove_all,
)
from kinetics_assets.stages.storage import place_rawframes

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping
    from pathlib import Path

    from kinetics_assets.core.clips import Clip, ClipId
    from kinetics_assets.media.client import MediaWorker
    from kinetics_assets.stages.order import ClassOrder

_BYTES_PER_PIXEL: Final = {Stage.RAWFRAMES: 0.6, Stage.FLOW: 1.0}
"""About what pictures of quality 95 take, and exactly what grey frames do."""


@contextmanager
def clip_ahead(ahead: Ahead | None, clip: Clip, source: ManifestRow) -> Iterator[ClipAhead | None]:
    """Yield what is to be made ahead of a clip, None for nothing; what is not handed over goes."""
    made = ahead.of(clip, source) if ahead is not None else None
    try:
        yield made
    finally:
        if made is not None:
            made.close()


def sweep_ahead(order: ClassOrder, stage: Stage, *, beside: Collection[Stage]) -> None:
    """Delete what nobody will take any more, now that a step of `stage` is done.

    Args:
        order: The class.
        stage: Of the step; what it has not taken does not fit.
        beside: Stages whose steps come later in the same run, and take what was made for them.
    """
    for later in {stage, *later_decoders(stage)} & {*_BYTES_PER_PIXEL} - set(beside):
        remove_all(order, later)


class Ahead:
    """What one step makes for the other steps of its run; can be shared between threads."""

    def __init__(self, order: ClassOrder, stage: Stage, beside: Collection[Stage]) -> None:
        """Look what the steps `beside` have yet to make.

        Args:
            order: The class, and the settings to work under.
            stage: Of the step that decodes.
            beside: Stages of the same class whose steps come later in the same run.
        """
        self._order, self._stage = order, stage
        settings = order.settings
        self._from_resized = (
            stage is Stage.RESIZED and settings.rawframes.frames_from == Stage.RESIZED
        )
        self._wants: dict[Stage, _Want] = {}
        for later in later_decoders(stage):
            # what is wrong with the later step's settings or records costs that step alone
            with suppress(KineticsError, OSError, ValueError):
                if later in beside and (want := _want(later, order)) is not None:
                    place_rawframes(order)
                    self._wants[later] = want
        self._lock = threading.Lock()
        self._bytes = 0

    def of(self, clip: Clip, source: ManifestRow) -> ClipAhead | None:
        """Return what is to be made of a clip beside the step's own product; None for nothing."""
        folders: dict[Stage, Path] = {}
        for stage, want in self._wants.items():
            is_wanted = want.includes(clip.id, source, sha_is_known=not self._from_resized)
            with suppress(OSError, EnvironmentFault):
                if is_wanted and self._reserve(self._forecast(stage, source)):
                    folders[stage] = begin(self._order, stage, clip)
        if not folders:
            return None
        return ClipAhead(self, self._order, clip, folders, from_resized=self._from_resized)

    def give_up(self) -> None:
        """Make nothing more, and delete what was handed over: the disk is full."""
        wants, self._wants = self._wants, {}
        for stage in wants:
            remove_all(self._order, stage)

    def _reserve(self, size_bytes: int) -> bool:
        """Return whether so much more may be made ahead, and count it if so."""
        layout, limits = self._order.layout, self._order.settings.limits
        folder = layout.rawframes(self._order.split)
        free = shutil.disk_usage(folder if folder.is_dir() else layout.base).free
        with self._lock:
            total = self._bytes + size_bytes
            if total > limits.ahead_bytes or free - size_bytes < limits.min_free_bytes:
                return False
            self._bytes = total
        return True

    def _forecast(self, stage: Stage, source: ManifestRow) -> int:
        """Return about how many bytes a hand-over of the clip for `stage` takes."""
        recipe = self._order.settings.rawframes
        given = Size(source.width_px or 1, source.height_px or 1)
        wanted = [recipe.size, *(recipe.also_sizes if stage is Stage.RAWFRAMES else ())]
        sizes = [frame_size(given, parse_size(one), upscale=recipe.upscale) for one in wanted]
        area = sum(size.width_px * size.height_px for size in sizes)
        pixels = (source.frames_decoded or 1) * area
        return int(pixels * _BYTES_PER_PIXEL[stage])


class ClipAhead:
    """The hand-overs of one clip, being made."""

    def __init__(
        self,
        ahead: Ahead,
        order: ClassOrder,
        clip: Clip,
        folders: Mapping[Stage, Path],
        *,
        from_resized: bool,
    ) -> None:
        """Make them in temporary `folders`."""
        self._ahead, self._order, self._clip, self._folders = ahead, order, clip, dict(folders)
        self._from_resized = from_resized
        self._facts: dict[Stage, FrameFacts] = {}

    def make(self, source: Path, own: Wishes, *, worker: MediaWorker) -> Products:
        """Make the hand-overs and the step's `own` product of the video at `source`.

        Returns:
            What became of them. Where the own product failed, or nothing came at all, the step has
            to make it alone, so that its verdict, its limits and its room on the disk are its own:
            the hand-overs are gone then.
        """
        recipe = self._order.settings.rawframes
        wishes = replace(own, from_resized=self._from_resized)
        if Stage.RAWFRAMES in self._folders:
            pictures = content_of(self._folders[Stage.RAWFRAMES], Stage.RAWFRAMES)
            wishes = replace(wishes, rawframes=(pictures, recipe))
        if Stage.FLOW in self._folders:
            wishes = replace(
                wishes, gray=(content_of(self._folders[Stage.FLOW], Stage.FLOW), recipe)
            )
        try:
            products = worker.products(source, wishes)
        except (ClipError, EnvironmentFault, OSError) as error:
            self._make_room(error)
            return Products()
        own_made = products.rawframes if own.resized is None else products.resized
        if own_made is None or isinstance(own_made, Exception):
            self._make_room(own_made)
        for stage, made in ((Stage.RAWFRAMES, products.rawframes), (Stage.FLOW, products.gray)):
            if stage in self._folders and isinstance(made, FrameFacts):
                self._facts[stage] = made
        return products

    def hand_over(self, source_sha256: str, *, made_sha256: str = "") -> None:
        """Let the later steps find what was made.

        Args:
            source_sha256: Of the video that was decoded.
            made_sha256: Of the resized video that was made of it.
        """
        sha256 = made_sha256 if self._from_resized else source_sha256
        for stage, facts in self._facts.items():
            handed = HandOver(
                digest=ahead_digest(stage, self._order.settings, sha256),
                facts=facts,
                tools=versions("av", "simplejpeg"),
            )
            with suppress(OSError, EnvironmentFault):  # the later step decodes itself
                complete(self._folders[stage], stage, self._clip, handed)

    def close(self) -> None:
        """Delete what was not handed over."""
        for folder in self._folders.values():
            shutil.rmtree(folder, ignore_errors=True)
        self._folders.clear()

    def _make_room(self, error: Exception | None) -> None:
        """Delete the hand-overs; those of all clips where the disk is full."""
        self.close()
        fault = environment_fault(error, doing="") if isinstance(error, OSError) else error
        if isinstance(fault, DiskFull):
            self._ahead.give_up()


@dataclass(frozen=True, slots=True)
class _Want:
    """Which clips a later step has yet to make."""

    rows: Mapping[ClipId, ManifestRow]
    recipe: str
    """Digest of what decides its bytes beside the input."""

    def includes(self, clip: ClipId, source: ManifestRow, *, sha_is_known: bool) -> bool:
        """Return whether the clip will be made, as far as manifests tell.

        Args:
            clip: A clip that is made by the step that decodes.
            source: Its input.
            sha_is_known: Whether the later step has the same input.
        """
        row = self.rows.get(clip)
        if row is None or row.status is Status.BLOCKED:
            return True
        if row.status is Status.SKIPPED:
            return False
        if not sha_is_known:
            return row.status is not Status.OK or recipe_of(row.digest) != self.recipe
        is_same = row.digest == output_digest(self.recipe, source.sha256)
        return not is_same or (row.status is not Status.OK and row.is_due(now_utc()))


def _want(stage: Stage, order: ClassOrder) -> _Want | None:
    """Return what a later step of `stage` has yet to make; None if it is made nothing for."""
    if order.settings.sources.adopt_folders:
        return None  # it may take pictures over
    extra: tuple[str, ...] = ()
    if stage is Stage.FLOW:
        try:
            engine = settled_engine(order)
            if engine in FILE_ENGINE_NAMES:
                return None
            extra = signature(engine) if engine is not None else ()
        except InputError:
            return None  # its step will say so
    rows = {row.clip: row for row in read_known(order.layout, order.split, stage, order.label)}
    recipe = recipe_digest(stage, order.settings, *extra)
    others = (row for row in rows.values() if row.status is Status.OK)
    is_mixed = stage is Stage.FLOW and any((row.engine, row.profile) != extra for row in others)
    if is_mixed and order.settings.flow.mixed == "refuse":
        return None  # it will refuse to work
    return _Want(rows, recipe)
