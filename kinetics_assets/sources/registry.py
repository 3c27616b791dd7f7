"""The sources that the settings ask for."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from kinetics_assets.core.clips import Split
from kinetics_assets.core.errors import SettingsError
from kinetics_assets.core.layout import Layout
from kinetics_assets.core.settings import Settings
from kinetics_assets.sources.base import Source
from kinetics_assets.sources.local import LocalSource
from kinetics_assets.sources.mirror import mirror_source
from kinetics_assets.sources.sibling import SiblingSource
from kinetics_assets.sources.torrent import torrent_source
from kinetics_assets.sources.youtube import YouTubeSource

NAMES = ("siblings", "local", "mirror", "torrent", "youtube")
"""Names that `sources.order` may hold."""
_Maker = Callable[[Settings, Split], Source | None]


def sources_of(settings: Settings, split: Split, *, cut_digest: str = "") -> list[Source]:
    """Return the sources of clips of `split`, in the order that is set.

    A source that is not set up (no folder, no mirror of this dataset, no torrent) is left out.

    Args:
        settings: Of the dataset.
        split: Which part.
        cut_digest: Of the recipe by which clips are cut now; siblings cut otherwise are not taken.

    Raises:
        SettingsError: An unknown name, a local folder that is not there (a disk that is not
            mounted would otherwise look like missing clips), or an address that may not be asked.
    """
    makers: dict[str, _Maker] = {**_SOURCES, "siblings": partial(_siblings, cut_digest=cut_digest)}
    sources: list[Source] = []
    for name in dict.fromkeys(settings.sources.order):
        if name not in NAMES:
            raise SettingsError(
                f"sources.order has an unknown source {name!r}.",
                remedy=f"Use any of: {', '.join(NAMES)}.",
            )
        make = makers.get(name)
        source = make(settings, split) if make else None
        if source is not None:
            sources.append(source)
    return sources


def _siblings(settings: Settings, split: Split, *, cut_digest: str) -> Source | None:
    """Return the datasets under the root as a source."""
    return SiblingSource(Layout.of(settings), split, cut_digest)


def _local(settings: Settings, split: Split) -> Source | None:
    """Return the local folders as a source, None if there are none."""
    folders = (*settings.sources.local_folders, *settings.sources.adopt_folders)
    for folder in folders:
        if not folder.is_dir():
            raise SettingsError(
                f"The folder {folder} (sources.local_folders, adopt_folders) is not there.",
                remedy="Mount it, or take it out of the settings.",
            )
    return LocalSource(tuple(dict.fromkeys(folders)), split) if folders else None


def _youtube(settings: Settings, split: Split) -> Source | None:
    """Return YouTube as a source."""
    del split
    return YouTubeSource(settings.sources)


_SOURCES: dict[str, _Maker] = {
    "local": _local,
    "mirror": mirror_source,
    "torrent": torrent_source,
    "youtube": _youtube,
}
