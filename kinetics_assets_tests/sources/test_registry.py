"""Which sources the settings mean."""

from __future__ import annotations

from pathlib import Path

import pytest

from kinetics_assets.core.clips import Split
from kinetics_assets.core.errors import SettingsError
from kinetics_assets.core.settings import Settings, SourceSettings
from kinetics_assets.sources.local import LocalSource
from kinetics_assets.sources.registry import sources_of


def _settings(root: Path, sources: SourceSettings) -> Settings:
    """Return settings with `sources`."""
    return Settings(root=root, dataset="demo", sources=sources)


def test_sources_come_in_the_order_that_is_set(tmp_path: Path) -> None:
    """The order is that of the settings; folders to adopt are local folders too, each once."""
    folders = (tmp_path / "a", tmp_path / "b")
    for folder in folders:
        folder.mkdir()
    sources = SourceSettings(
        order=("youtube", "local"), local_folders=folders, adopt_folders=folders[:1]
    )
    youtube, local = sources_of(_settings(tmp_path, sources), Split.VAL)
    assert (youtube.name, youtube.may_heal) == ("youtube", True)
    assert (local.name, local.may_heal) == ("local", False)
    assert isinstance(local, LocalSource)
    assert (local.folders, local.split) == (folders, Split.VAL)


def test_local_without_folders_is_left_out(tmp_path: Path) -> None:
    """The default order needs no folder."""
    sources = sources_of(_settings(tmp_path, SourceSettings()), Split.TRAIN)
    assert [source.name for source in sources] == ["siblings", "youtube"]


def test_a_folder_that_is_not_mounted_is_refused(tmp_path: Path) -> None:
    """A missing folder is an error before the first clip, not a thousand missing clips."""
    sources = SourceSettings(local_folders=(tmp_path / "nowhere",))
    with pytest.raises(SettingsError, match="nowhere"):
        sources_of(_settings(tmp_path, sources), Split.TRAIN)


def test_an_unknown_source_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    """A typing error in the order names what may stand there."""
    with pytest.raises(SettingsError, match="siblings, local, mirror, torrent, youtube"):
        sources_of(_settings(tmp_path, SourceSettings(order=("locla",))), Split.TRAIN)
