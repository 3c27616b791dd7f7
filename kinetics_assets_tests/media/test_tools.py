"""Versions of tools, as manifests store them."""

from __future__ import annotations

import av
import pytest

from kinetics_assets.core.errors import ToolMissing
from kinetics_assets.media.tools import versions


def test_versions_are_those_installed() -> None:
    """In the order asked for."""
    text = versions("av", "simplejpeg")
    assert text.startswith(f"av {av.__version__}, simplejpeg ")


def test_a_missing_package_is_a_missing_tool() -> None:
    """The message has the command that mends it."""
    with pytest.raises(ToolMissing, match="pip install no-such-package"):
        versions("no-such-package")
