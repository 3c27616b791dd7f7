"""Pictures of pages of the UI, where Chromium is."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def take_pictures(folder: Path, pages: Mapping[str, str]) -> str:
    """Return in words what came of taking a picture of each page.

    Args:
        folder: Where ``<name>.png`` is put.
        pages: Name -> address.
    """
    browser = shutil.which("chromium") or shutil.which("chromium-browser")
    if browser is None:
        return "no pictures: there is no chromium on the PATH"
    folder.mkdir(parents=True, exist_ok=True)
    lacking = [name for name in pages if not _take(browser, folder / f"{name}.png", pages[name])]
    if lacking:
        return f"no picture of {', '.join(lacking)}: chromium gave none"
    return f"pictures of {', '.join(pages)} are in {folder}"


def _take(browser: str, target: Path, address: str) -> bool:
    """Return whether a picture of the page is there now."""
    target.unlink(missing_ok=True)
    argv = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run"]
    argv += ["--disable-background-networking", "--disable-component-update", "--hide-scrollbars"]
    argv += ["--window-size=1500,1600", "--virtual-time-budget=30000", f"--screenshot={target}"]
    try:
        subprocess.run([*argv, address], capture_output=True, check=False, timeout=180)
    except subprocess.TimeoutExpired:
        return False
    return target.is_file()
