"""The sources that the settings ask for."""

from __future__ import annotations

from kinetics_assets.core.clips import Split
from kinetics_assets.core.errors import SettingsError
from kinetics_assets.core.settings import Settings
from kinetics_assets.sources.base import Source
from kinetics_assets.sources.local import LocalSource
from kinetics_assets.sources.youtube import YouTubeSource

NAMES = ("local", "youtube")
"""Names that `sources.order` may hold."""


def sources_of(settings: Settings, split: Split) -> list[Source]:
    """Return the sources of clips of `split`, in the order that is set.

    ``local`` is left out when no folder is set.

    Raises:
        SettingsError: An unknown name, a local folder that is not there (a disk that is not
            mounted would otherwise look like missing clips), or an address that may not be asked.
    """
    sources: list[Source] = []
    for name in dict.fromkeys(settings.sources.order):
        if name == "local":
            folders = (*settings.sources.local_folders, *settings.sources.adopt_folders)
            for folder in folders:
                if not folder.is_dir():
                    raise SettingsError(
                        f"The folder {folder} (sources.local_folders, adopt_folders) is not there.",
                        remedy="Mount it, or take it out of the settings.",
                    )
            if folders:
                sources.append(LocalSource(tuple(dict.fromkeys(folders)), split))
        elif name == "youtube":
            sources.append(YouTubeSource(settings.sources))
        else:
            raise SettingsError(
                f"sources.order has an unknown source {name!r}.",
                remedy=f"Use any of: {', '.join(NAMES)}.",
            )
    return sources
