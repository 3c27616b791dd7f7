"""Archives that hold a clip's frames, or its flow: one uncompressed file each.

The first member is the stage's index file, which also says how large each picture is: a reader
knows from it where they all are. The two planes of a frame pair are neighbours, since whoever reads
one wants the other. The bytes of an archive depend on the pictures and the index alone.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kinetics_assets.core.errors import DiskFailing
from kinetics_assets.io.atomic import link_or_copy, os_faults, publish_file, sha256_of, sync
from kinetics_assets.io.packing import TarWriter, ZipWriter
from kinetics_assets.readers import DamagedArchive, PackedFrames
from kinetics_assets.stages.files import file_is_intact, file_is_there
from kinetics_assets.stages.frame_index import (
    INDEX_NAMES,
    FrameIndex,
    Held,
    frame_index,
    in_pairs,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from kinetics_assets.core.clips import ClipId
    from kinetics_assets.core.manifest import ManifestRow
    from kinetics_assets.core.settings import Packing
    from kinetics_assets.core.stages import Stage
    from kinetics_assets.stages.order import ClassOrder


@dataclass(frozen=True)
class ArchiveStore:
    """Keeps a stage's pictures of each clip in one archive."""

    stage: Stage
    order: ClassOrder
    packing: Packing

    def place(self, clip: ClipId) -> Path:
        """Return the clip's archive."""
        order = self.order
        return order.layout.packed_pictures(
            order.split, self.stage, order.label, clip, packing=self.packing
        )

    def is_there(self, row: ManifestRow) -> bool:
        """Return whether the archive is there, and was not altered as far as a look tells."""
        return file_is_there(self.order.layout, row)

    def is_intact(self, row: ManifestRow) -> bool:
        """Return whether the archive has the sha256 that `row` records."""
        return file_is_intact(self.order.layout, row)

    def looks_whole(self, row: ManifestRow) -> bool:
        """Return whether the archive is there, and was not altered as far as a look tells."""
        return self.is_there(row)

    def take_out(self, row: ManifestRow, folder: Path) -> FrameIndex | None:
        """Write the row's pictures into the empty `folder` and return what their index says.

        None, if they are not there or not those that were verified; the folder is empty then.
        """
        if not self.is_intact(row):
            return None
        path = self.order.layout.base / row.path
        with os_faults(f"unpacking {path}"), PackedFrames(path) as archive:
            index = frame_index(archive.index)
            if index is None or _content_sha256(archive) != index.sha256:
                return None
            for name in archive:
                (folder / name).write_bytes(archive.read(name))
        return index

    def hold(self, folder: Path, names: Sequence[str], *, final: Path, index: FrameIndex) -> Held:
        """Pack the pictures `names` in `folder`; read the archive back before it may be believed.

        Raises:
            DiskFailing: What can be read of the archive are not these pictures.
        """
        temp = folder / final.name
        with os_faults(f"packing {final}"):
            self._pack(folder, in_pairs(self.stage, names), temp, index)
            if not self._holds(temp, in_pairs(self.stage, names), index):
                msg = f"What is read back of {final} are not the pictures that were just packed."
                raise DiskFailing(msg)
            size_bytes = temp.stat().st_size
        return Held(
            path=final,
            size_bytes=size_bytes,
            sha256=sha256_of(temp),
            publish=lambda: publish_file(temp, final),
        )

    def _pack(self, folder: Path, ordered: Sequence[str], temp: Path, index: FrameIndex) -> None:
        """Write the pictures `ordered` of `folder`, and before them their index, to `temp`."""
        members = [(name, (folder / name).stat().st_size) for name in ordered]
        text = json.dumps(index.plain() | {"members": members}, separators=(",", ":"))
        writer = TarWriter if self.packing == "tar" else ZipWriter
        with writer(temp) as archive:
            archive.add(INDEX_NAMES[self.stage], text.encode())
            for name in ordered:
                archive.add(name, (folder / name).read_bytes())

    def _holds(self, temp: Path, ordered: Sequence[str], index: FrameIndex) -> bool:
        """Return whether what can be read of an archive is what was to be written."""
        try:
            with PackedFrames(temp) as packed:
                return (
                    packed.names == tuple(ordered)
                    and frame_index(packed.index) == index
                    and _content_sha256(packed) == index.sha256
                )
        except DamagedArchive:
            return False

    def remove(self, path: Path, *, into: Path | None) -> None:
        """Delete the archive at `path`, or move it to the folder `into`, on another disk if so."""
        if not path.is_file():
            return
        with os_faults(f"moving {path}"):
            if into is not None:
                into.mkdir(parents=True, exist_ok=True)
                (into / path.name).unlink(missing_ok=True)
                link_or_copy(path, into / path.name)
                sync(into / path.name)
                sync(into)
            path.unlink()
            sync(path.parent)


def _content_sha256(archive: PackedFrames) -> str:
    """Return the sha256 of the sorted lines ``<name> <sha256>`` of an archive's pictures."""
    lines = [f"{name} {hashlib.sha256(archive.read(name)).hexdigest()}\n" for name in archive]
    return hashlib.sha256("".join(sorted(lines)).encode()).hexdigest()
