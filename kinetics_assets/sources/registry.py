"""The sources that the settings ask for."""

from __future__ import annotations

from collections.abc import Callable

from kinetics_assets.core.clips import Split
from kinetics_assets.core.errors import SettingsError
from kinetics_assets.core.settings import Settings
from kinetics_assets.sources.base import Source
from kinetics_assets.sources.local import LocalSource
from kinetics_assets.sources.youtube import YouTubeSource

NAMES = ("siblings", "local", "mirror", "torrent", "youtube")
"""Names that `sources.order` may hold."""


def sources_of(settings: Settings, split: Split) -> list[Source]:
    """Return the sources of clips of `split`, in the order that is set.

    A source that is not set up (no folder, no mirror of this dataset, no torrent) is left out.

    Raises:
        SettingsError: An unknown name, a local folder that is not there (a disk that is not
            mounted would otherwise look like missing clips), or an address that may not be asked.
    """
    sources: list[Source] = []
    for name in dict.fromkeys(settings.sources.order):
        if name not in NAMES:
            raise SettingsError(
                f"sources.order has an unknown source {name!r}.",
                remedy=f"Use any of: {', '.join(NAMES)}.",
            )
        make = _SOURCES.get(name)
        source = make(settings, split) if make else None
        if source is not None:
            sources.append(source)
    return sources


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


_SOURCES: dict[str, Callable[[Settings, Split], Source | None]] = {
    "local": _local,
    "youtube": _youtube,
}
