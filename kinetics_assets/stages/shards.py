"""The shards stage: frames and flow of a class in tar files of many clips, for WebDataset.

A clip's shard follows from its place in the class's list, not from which clips are there: when one
clip comes or goes, its own shard is written anew and no other.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING

from kinetics_assets.core.classes import class_indices
from kinetics_assets.core.manifest import ManifestRow, Status
from kinetics_assets.core.settings import digest
from kinetics_assets.core.stages import Stage
from kinetics_assets.io.annotation_store import load_class_rows
from kinetics_assets.io.atomic import os_faults
from kinetics_assets.io.manifests import read_known
from kinetics_assets.readers import DamagedArchive, PackedFrames, PictureFiles
from kinetics_assets.stages.digests import output_digest, recipe_digest
from kinetics_assets.stages.files import is_newer
from kinetics_assets.stages.frame_index import in_pairs, picture_names
from kinetics_assets.stages.job import blocked_row, now_utc
from kinetics_assets.stages.shard_files import (
    Parts,
    Sample,
    ShardIndex,
    drop_samples,
    keys_in,
    read_parts,
    read_shard_index,
    sample_sha256,
    write_shard,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from kinetics_assets.core.clips import Clip, ClipId
    from kinetics_assets.stages.job import Desk
    from kinetics_assets.stages.order import ClassOrder


class ShardsJob:
    """Writes the shards of one class."""

    stage = Stage.SHARDS
    concurrency = None
    works_without_input = False

    def __init__(self, order: ClassOrder) -> None:
        """Work under the settings of `order`."""
        self._order = order
        self._settings = order.settings
        self._indexes: dict[Path, tuple[object, ShardIndex | None]] = {}

    @property
    def upstream(self) -> Stage:
        """The flow, which needs what the frames need; the frames where no flow is taken along."""
        return Stage.FLOW if self._settings.shards.flow else Stage.RAWFRAMES

    def is_current(self, row: ManifestRow, source: ManifestRow | None) -> bool:
        """Return whether the sample is in its shard, made from today's frames and flow."""
        return (
            row.digest == self._made_from(row.clip, source)
            and row.path == self._order.layout.relative(self._shard(row.clip))
            and self.is_there(row)
        )

    def is_there(self, row: ManifestRow) -> bool:
        """Return whether the row's sample is in its shard, unaltered as far as a look tells."""
        if self._sample(row) is None:
            return False
        shard = self._order.layout.base / row.path
        return not is_newer(shard.stat(), row) or self.is_intact(row)

    def is_intact(self, row: ManifestRow) -> bool:
        """Return whether the row's sample is in its shard with the recorded sha256."""
        sample = self._sample(row)
        if sample is None:
            return False
        return sample_sha256(read_parts(self._order.layout.base / row.path, sample)) == row.sha256

    def attempt_digest(self, row: ManifestRow, source: ManifestRow | None) -> str:
        """Return the digest of what a sample made now would be made from."""
        return self._made_from(row.clip, source)

    def objection(self, *_: object, at_start: bool) -> None:
        """Return None: what another recipe made is made anew."""

    def groups(self, due: Sequence[Clip]) -> list[list[Clip]]:
        """Return the clips that are due, those of one shard together.

        Samples that are in a shard which is not theirs by today's list are taken out first.
        """
        names = {clip.name: clip for clip in self._places}
        strays = {
            key
            for shard, key in keys_in(self._folder)
            if key not in names or self._shard(names[key]) != shard
        }
        drop_samples(self._folder, strays, stage=self.stage)
        by_shard: dict[Path, list[Clip]] = {}
        for one in due:
            by_shard.setdefault(self._shard(one.id), []).append(one)
        return [by_shard[shard] for shard in sorted(by_shard)]

    def make(self, group: Sequence[Clip], desk: Desk) -> None:
        """Write the shard of `group` with all its clips that are ready, then commit their rows."""
        shard = self._shard(group[0].id)
        made: dict[ClipId, ManifestRow] = {}
        own = [clip for clip in self._places if self._shard(clip) == shard]
        known = {clip for clip in own if desk.known[clip].status is Status.OK}

        def samples() -> Iterator[tuple[str, str, Parts]]:
            for clip in own:
                if desk.known[clip].status is Status.SKIPPED:
                    continue
                row = self._ready(desk.known[clip], desk.inputs)
                parts = self._parts(row, desk.inputs) if row is not None else None
                if row is not None and parts is not None:
                    made[clip] = row
                    yield clip.name, row.digest, parts

        # Rows come after the shard that many share: of a kill in between, the next run knows no
        # row, and writes the same bytes again.
        index = write_shard(shard, samples(), stage=self.stage)
        for clip, row in made.items():
            if index is not None:
                desk.commit(self._ok(row, shard, index.samples[clip.name]), lambda: None)
        # what was in the shard, and is not ready any more, is not in it now
        for lacking in ({one.id for one in group} | known) - made.keys():
            source, frames = desk.inputs.get(lacking), self._frames(lacking, desk.inputs)
            has_source = source is not None and source.status is Status.OK
            row = blocked_row(desk.known[lacking], frames if has_source else source)
            desk.commit(row, lambda: None)

    def remove(self, row: ManifestRow, *, into: Path | None) -> None:
        """Take the row's sample out; it is a copy, so nothing of it is kept in `into`.

        Others whose frames are not ok go with it, since to write a shard anew for each would take
        long.
        """
        del into
        sources = {
            r.clip: r
            for r in read_known(
                self._order.layout, self._order.split, self.upstream, self._order.label
            )
        }
        gone = {
            clip.name
            for clip in self._places
            if (source := sources.get(clip)) is None or source.status is not Status.OK
        }
        drop_samples(self._folder, gone | {row.clip.name}, stage=self.stage)

    def finish(self) -> None:
        """Nothing was put off."""

    @property
    def _folder(self) -> Path:
        order = self._order
        return order.layout.class_folder(order.split, self.stage, order.label)

    @cached_property
    def _places(self) -> dict[ClipId, int]:
        """Place of each clip in the class's list, by name: it says which shard is its own."""
        order = self._order
        annotated = load_class_rows(order.layout, order.split, order.label, edition=order.edition)
        clips = sorted((clip.id for clip in annotated.clips), key=lambda clip: clip.name)
        return {clip: place for place, clip in enumerate(clips)}

    @cached_property
    def _all_frames(self) -> dict[ClipId, ManifestRow]:
        """Rows of the frames, of which flow does not tell."""
        order = self._order
        rows = read_known(order.layout, order.split, Stage.RAWFRAMES, order.label)
        return {row.clip: row for row in rows}

    def _shard(self, clip: ClipId) -> Path:
        """Return the shard that is the clip's by today's list; one that is not in it has none."""
        number = self._places.get(clip, -1) // self._settings.shards.clips
        return self._order.layout.shard(self._order.split, self._order.label, number=number)

    def _sample(self, row: ManifestRow) -> Sample | None:
        """Return the sample of an ok row, None if it is not there or another one."""
        shard = self._order.layout.base / row.path
        try:
            stat = shard.stat()
        except FileNotFoundError:
            return None
        stamp = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
        known, index = self._indexes.get(shard, (None, None))
        if known != stamp:
            index = read_shard_index(shard)
            self._indexes[shard] = (stamp, index)
        sample = index.samples.get(row.clip.name) if index is not None else None
        if sample is None or (sample.sha256, sample.digest) != (row.sha256, row.digest):
            return None
        return sample

    def _frames(self, clip: ClipId, inputs: Mapping[ClipId, ManifestRow]) -> ManifestRow | None:
        """Return the row of the clip's frames."""
        return self._all_frames.get(clip) if self._settings.shards.flow else inputs.get(clip)

    def _made_from(self, clip: ClipId, source: ManifestRow | None) -> str:
        """Return the digest that a sample made now would have; of no input, if one is not ok."""
        frames = self._all_frames.get(clip) if self._settings.shards.flow else source
        inputs = (frames, source) if self._settings.shards.flow else (frames,)
        good = [row for row in inputs if row is not None and row.status is Status.OK]
        sha256 = digest(*(row.sha256 for row in good)) if len(good) == len(inputs) else ""
        return output_digest(recipe_digest(self.stage, self._settings), sha256)

    def _ready(self, row: ManifestRow, inputs: Mapping[ClipId, ManifestRow]) -> ManifestRow | None:
        """Return what is known of the row that a sample made now has; None if it is blocked."""
        frames, source = self._frames(row.clip, inputs), inputs.get(row.clip)
        if frames is None or frames.status is not Status.OK:
            return None
        if source is None or source.status is not Status.OK:
            return None
        return ManifestRow(
            clip=row.clip,
            label=row.label,
            edition=row.edition,
            status=Status.OK,
            attempts=row.attempts + 1,
            source=self.upstream,
            width_px=frames.width_px,
            height_px=frames.height_px,
            fps=frames.fps,
            duration_seconds=frames.duration_seconds,
            frames_decoded=frames.frames_decoded,
            digest=self._made_from(row.clip, source),
            start_index=frames.start_index,
        )

    def _ok(self, row: ManifestRow, shard: Path, sample: Sample) -> ManifestRow:
        """Return the row of a sample that is in its shard."""
        return replace(
            row,
            path=self._order.layout.relative(shard),
            size_bytes=sample.size_bytes,
            sha256=sample.sha256,
            finished_at=now_utc(),
        )

    def _parts(self, row: ManifestRow, inputs: Mapping[ClipId, ManifestRow]) -> Parts | None:
        """Return the members of a clip's sample; None where its pictures are not those recorded."""
        frames = self._frames(row.clip, inputs)
        flow = inputs.get(row.clip) if self._settings.shards.flow else None
        parts: Parts = []
        for stage, pictures in ((Stage.RAWFRAMES, frames), (Stage.FLOW, flow)):
            if pictures is not None:
                found = _pictures(self._order.layout.base, stage, pictures)
                if found is None:
                    return None
                parts += found
        index = class_indices(self._settings.dataset).get(row.label)
        label = [] if index is None else [("cls", str(index).encode())]
        return [("json", _description(row, index, flow)), *label, *parts]


def _pictures(base: Path, stage: Stage, row: ManifestRow) -> Parts | None:
    """Return the pictures of an ok row, None if they are not those that it records."""
    names = in_pairs(
        stage,
        picture_names(stage, count=row.frames_decoded or 0, start_index=row.start_index or 0),
    )
    path = base / row.path
    sha256, files = row.sha256, PictureFiles(open_archives=1)
    try:
        with os_faults(f"reading {path}"):
            if path.is_file():
                with PackedFrames(path) as archive:
                    sha256 = archive.index["sha256"]
            parts = [(name, files.get(path / name)) for name in names]
    except (FileNotFoundError, DamagedArchive, KeyError):
        return None
    lines = sorted(f"{name} {hashlib.sha256(data).hexdigest()}\n" for name, data in parts)
    return parts if hashlib.sha256("".join(lines).encode()).hexdigest() == sha256 else None


def _description(row: ManifestRow, index: int | None, flow: ManifestRow | None) -> bytes:
    """Return what a sample says of itself, as JSON without times."""
    said = {
        "key": row.clip.name,
        "youtube_id": row.clip.youtube_id,
        "start_seconds": row.clip.start_seconds,
        "end_seconds": row.clip.end_seconds,
        "label": row.label,
        "class_index": index,
        "frames": row.frames_decoded,
        "start_index": row.start_index,
        "width_px": row.width_px,
        "height_px": row.height_px,
        "fps": row.fps,
    }
    if flow is not None:
        said |= {
            "flow_pairs": flow.frames_decoded,
            "flow_engine": flow.engine,
            "flow_profile": flow.profile,
            "flow_bound_px": flow.bound_px,
        }
    return json.dumps(said, sort_keys=True).encode()
