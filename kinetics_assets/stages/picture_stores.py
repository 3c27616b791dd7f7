"""How a clip's pictures are kept: loose in a folder, or packed in one archive.

A row's path tells the form it was made in, the settings the form that is wanted now. Jobs make
pictures in a temporary folder and do not know the difference.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from kinetics_assets.core.layout import packing_of
from kinetics_assets.core.stages import Stage
from kinetics_assets.stages.frame_archives import ArchiveStore
from kinetics_assets.stages.frame_folders import FolderStore
from kinetics_assets.stages.frame_sizes import SizedFolderStore

if TYPE_CHECKING:
    from kinetics_assets.core.clips import ClipId
    from kinetics_assets.core.manifest import ManifestRow
    from kinetics_assets.core.settings import Packing
    from kinetics_assets.stages.frame_index import FrameIndex, Held
    from kinetics_assets.stages.order import ClassOrder


class PictureStore(Protocol):
    """One form of keeping the pictures that a stage makes of the clips of a class."""

    def place(self, clip: ClipId) -> Path:
        """Return the folder or file that holds the clip's pictures."""
        ...

    def is_there(self, row: ManifestRow) -> bool:
        """Return whether the pictures of an ok row are there, from one look."""
        ...

    def is_intact(self, row: ManifestRow) -> bool:
        """Return whether the pictures of an ok row have the sha256 that it records."""
        ...

    def looks_whole(self, row: ManifestRow) -> bool:
        """Return whether the pictures are those of the row, from all names, sizes and times."""
        ...

    def take_out(self, row: ManifestRow, folder: Path) -> FrameIndex | None:
        """Put the row's pictures into the empty `folder` and return what their index says.

        None, if they are not there or not those that were verified; the folder is empty then.
        """
        ...

    def hold(self, folder: Path, names: Sequence[str], *, final: Path, index: FrameIndex) -> Held:
        """Make the pictures `names` in `folder` ready to appear as `final`, in one step.

        Args:
            folder: Temporary folder beside `final`, with nothing else in it.
            names: Pictures, verified by decoding.
            final: Where they shall be: `place` of their clip.
            index: What their index will say.
        """
        ...

    def remove(self, path: Path, *, into: Path | None) -> None:
        """Take the stage's pictures at `path` away; keep them in the folder `into` if given."""
        ...


@dataclass(frozen=True)
class PictureStores:
    """Both forms, for one stage of one class."""

    stage: Stage
    order: ClassOrder

    @property
    def wanted(self) -> PictureStore:
        """The form that the settings ask for."""
        return self._form(self.order.settings.storage.packing)

    def of(self, row: ManifestRow) -> PictureStore:
        """Return the form that `row` was made in."""
        return self._form(packing_of(row.path))

    def is_as_wanted(self, row: ManifestRow) -> bool:
        """Return whether `row` was made in the form that the settings ask for."""
        return packing_of(row.path) == self.order.settings.storage.packing

    def remove_others(self, row: ManifestRow) -> None:
        """Take away what there is of the row's clip in other forms than the row's."""
        for packing in _PACKINGS:
            store = self._form(packing)
            if packing != packing_of(row.path):
                store.remove(store.place(row.clip), into=None)

    def _form(self, packing: Packing) -> PictureStore:
        if packing == "none":
            store = SizedFolderStore if self.stage is Stage.RAWFRAMES else FolderStore
            return store(self.stage, self.order)
        return ArchiveStore(self.stage, self.order, packing)


_PACKINGS: tuple[Packing, ...] = ("none", "tar", "zip")
