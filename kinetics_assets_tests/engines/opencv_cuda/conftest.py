"""The interpreter with the stand-in that these tests share."""

from __future__ import annotations

import pytest

from kinetics_assets_tests import opencvs
from kinetics_assets_tests.opencvs import OpenCv


@pytest.fixture(scope="session")
def _installed(tmp_path_factory: pytest.TempPathFactory) -> OpenCv:
    """The interpreter, in a folder whose name wants quoting."""
    return opencvs.install(tmp_path_factory.mktemp("opencv") / "it's (an) OpenCV")


@pytest.fixture
def opencv(_installed: OpenCv) -> OpenCv:
    """A stand-in that works, without the notes of other tests."""
    _installed.behave("well")
    return _installed
