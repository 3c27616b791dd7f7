"""Frames of further sizes, which lie beside those of the first size and share their row.

They are in ``rawframes_<split>_<size>``, a folder a clip, with an index file of their own. The
index file of the first size names them with their sha256; it appears last, so whoever finds it
finds them. They have no flow, hence no folder that two stages share.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from kinetics_assets.core.geometry import is_size
from kinetics_assets.io.atomic import (
    folder_sha256,
    link_or_copy,
    os_faults,
    publish_folder,
    sync,
    temp_path,
)
from kinetics_assets.stages.frame_folders import FolderStore, keep_files, read_index
from kinetics_assets.stages.frame_index import INDEX_NAMES, FrameIndex, Held, picture_names

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence
    from pathlib import Path

    from kinetics_assets.core.manifest import ManifestRow


@dataclass(frozen=True)
class SizedFolderStore(FolderStore):
    """Keeps frames loose, those of further sizes in folders of their own."""

    def is_there(self, row: ManifestRow) -> bool:
        """Return whether the index files of all sizes are there and say what `row` says."""
        first = FolderStore.is_there(self, row)
        return first and all(FolderStore.is_there(self, other) for other in self._others(row))

    def is_intact(self, row: ManifestRow) -> bool:
        """Return whether the pictures of all sizes have the sha256 that is recorded."""
        first = FolderStore.is_intact(self, row)
        return first and all(FolderStore.is_intact(self, other) for other in self._others(row))

    def looks_whole(self, row: ManifestRow) -> bool:
        """Return whether the pictures of all sizes are those that `row` records, from a look."""
        first = FolderStore.looks_whole(self, row)
        return first and all(FolderStore.looks_whole(self, other) for other in self._others(row))

    def take_out(self, row: ManifestRow, folder: Path) -> FrameIndex | None:
        """Link the pictures of all sizes into `folder`, further ones below it; None as for one.

        They are found whether `row` tells of a public folder or of a retired one.
        """
        index = FolderStore.take_out(self, row, folder)
        if index is None:
            return None
        first = self._folder(row)
        names = picture_names(self.stage, count=index.count, start_index=index.start_index)
        for size, facts in (index.also or {}).items():
            kept = first / size if (first / size).is_dir() else self._beside(first, size)
            if not _link_all(kept, names, folder / size, sha256=str(facts.get("sha256"))):
                shutil.rmtree(folder)
                folder.mkdir()
                return None
        return index

    def hold(self, folder: Path, names: Sequence[str], *, final: Path, index: FrameIndex) -> Held:
        """Make the pictures ready; those of further sizes are in folders below `folder`."""
        held = FolderStore.hold(self, folder, names, final=final, index=index)
        also = index.also or {}

        def publish() -> None:
            for size, facts in also.items():
                if (folder / size).is_dir():
                    said = _index_of_size(index, facts)
                    self._publish_size(folder / size, self._beside(final, size), said)
            held.publish()
            self._remove_sizes(final, into=None, but=also)

        return replace(held, publish=publish)

    def remove(self, path: Path, *, into: Path | None) -> None:
        """Take the pictures of all sizes away; keep them in ``<into>/<clip>[/<size>]`` if given."""
        self._remove_sizes(path, into=into)
        FolderStore.remove(self, path, into=into)

    def _others(self, row: ManifestRow) -> Iterator[ManifestRow]:
        """Yield what `row` would be for each further size that its index file names."""
        path = self.order.layout.base / row.path
        index = read_index(self.stage, path) if row.path else None
        for size, facts in ((index and index.also) or {}).items():
            yield replace(
                row,
                path=self.order.layout.relative(self._beside(path, size)),
                sha256=str(facts.get("sha256")),
                size_bytes=facts.get("size_bytes"),
            )

    def _beside(self, path: Path, size: str) -> Path:
        """Return where the clip's frames of another size are, given those of the first."""
        root = path.parent.parent
        return root.with_name(f"{root.name}_{size}") / path.parent.name / path.name

    def _publish_size(self, temp: Path, final: Path, index: FrameIndex) -> None:
        """Give the frames in `temp` their name, with an index file of their own."""
        with os_faults(f"publishing {final}"):
            text = json.dumps(index.plain(), indent=1, sort_keys=True) + "\n"
            (temp / INDEX_NAMES[self.stage]).write_text(text, encoding="utf-8")
            final.parent.mkdir(parents=True, exist_ok=True)
            publish_folder(temp, final)

    def _remove_sizes(self, first: Path, *, into: Path | None, but: Collection[str] = ()) -> None:
        """Take away what there is of a clip in further sizes.

        Args:
            first: Folder of its frames of the first size.
            into: Folder to keep them in; None keeps nothing.
            but: Sizes that stay.
        """
        layout, split = self.order.layout, self.order.split
        name = layout.rawframes_of_size(split, "").name
        for root in sorted(layout.base.glob(f"{name}*")):
            size, folder = root.name.removeprefix(name), root / first.parent.name / first.name
            if size in but or not is_size(size) or read_index(self.stage, folder) is None:
                continue  # wanted, or nothing of ours
            with os_faults(f"moving {folder}"):
                if into is not None:
                    names = [path.name for path in folder.iterdir()]
                    keep_files(folder, names, into / first.name / size)
                aside = temp_path(first, stage=self.stage)  # where steps sweep what dead ones left
                folder.rename(aside)
                sync(folder.parent)
                shutil.rmtree(aside)


def _link_all(folder: Path, names: list[str], target: Path, *, sha256: str) -> bool:
    """Link the pictures `names` of `folder` into the new `target`; return whether they are good."""
    target.mkdir()
    try:
        for name in names:
            link_or_copy(folder / name, target / name)
    except FileNotFoundError:
        return False
    return folder_sha256(target, names) == sha256


def _index_of_size(index: FrameIndex, facts: Mapping[str, Any]) -> FrameIndex:
    """Return the index of the frames of a further size, given that of the first."""
    return replace(
        index,
        width_px=facts["width_px"],
        height_px=facts["height_px"],
        sha256=facts["sha256"],
        also=None,
    )
