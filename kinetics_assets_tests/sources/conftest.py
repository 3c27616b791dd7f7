"""Fixtures of several tests of sources: a video site, replicas of the mirror, a seeder."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kinetics_assets.core.clips import Split
from kinetics_assets.core.errors import EnvironmentFault, KineticsError
from kinetics_assets.sources import youtube
from kinetics_assets.sources.base import Found
from kinetics_assets.sources.youtube import YouTubeSource
from kinetics_assets_tests import mirrors
from kinetics_assets_tests.mirrors import HEAD, OURS, Replica
from kinetics_assets_tests.range_server import RangeServer
from kinetics_assets_tests.swarms import FILES, Seeder, put_files
from kinetics_assets_tests.video_site import CLIPS, Fetch, VideoSite, know_the_site


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[VideoSite]:
    """A site whose extractor is known, and no pause before another try."""
    know_the_site(monkeypatch)
    monkeypatch.setattr(youtube, "_BACKOFF_SECONDS", 0.0)
    with VideoSite() as running:
        yield running


@pytest.fixture
def fetch(tmp_path: Path) -> Fetch:
    """A function that fetches two clips of one video and returns their answer, raised or not."""

    def fetch_one(source: YouTubeSource) -> Found | KineticsError:
        try:
            answers = list(source.fetch(CLIPS, label="", scratch=tmp_path).values())
        except EnvironmentFault as fault:
            return fault
        assert answers[0] is answers[1]
        return answers[0]

    return fetch_one


@pytest.fixture
def server() -> Iterator[RangeServer]:
    """A server with no file yet."""
    with RangeServer() as running:
        yield running


@pytest.fixture
def make(server: RangeServer, tmp_path: Path) -> Callable[[str], Replica]:
    """Return a function that makes a replica for a dataset with two clips of a class."""
    return lambda dataset: mirrors.replica(server, tmp_path, dataset, {(Split.TRAIN, HEAD): OURS})


@pytest.fixture
def seeder(tmp_path: Path) -> Iterator[Seeder]:
    """A seeder of `FILES`."""
    with Seeder(put_files(tmp_path / "seeder" / "k400", FILES)) as running:
        yield running
