"""Names and versions of the libraries that make outputs."""

from __future__ import annotations

from functools import cache
from importlib.metadata import PackageNotFoundError, version

from kinetics_assets.core.errors import ToolMissing


def versions(*names: str) -> str:
    """Return the installed versions of the distributions, ``"av 18.1.0, simplejpeg 1.9.0"``.

    Raises:
        ToolMissing: One of them is not installed.
    """
    return ", ".join(f"{name} {_version(name)}" for name in names)


@cache
def _version(name: str) -> str:
    """Return the installed version of one distribution."""
    try:
        return version(name)
    except PackageNotFoundError as error:
        raise ToolMissing(
            f"The Python package {name}", f"Install it: pip install {name}"
        ) from error
