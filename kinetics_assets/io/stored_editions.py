"""Lists that were current once, by the first digits of their sha256."""

from __future__ import annotations

import re
from pathlib import Path

from kinetics_assets.core.annotations import edition_sha256
from kinetics_assets.core.errors import AnnotationError
from kinetics_assets.core.layout import EDITION_DIGITS, Layout
from kinetics_assets.io.annotation_store import read_current, stored_list

_HEX = re.compile(r"[0-9a-f]{4,64}", re.ASCII)


def stored_edition(layout: Layout, digits: str) -> Path:
    """Return the list whose edition begins with `digits`, as it was published.

    Raises:
        AnnotationError: None is stored, several are, or the one is damaged; names those there are.
    """
    digits = digits.lower()
    folders = sorted(layout.editions.iterdir()) if layout.editions.is_dir() else []
    found = [folder for folder in folders if folder.name.startswith(digits[:EDITION_DIGITS])]
    if not _HEX.fullmatch(digits) or len(found) != 1:
        what = "several begin so" if len(found) > 1 else "there is none"
        names = ", ".join(folder.name for folder in folders[:20]) or "none at all"
        raise AnnotationError(
            str(layout.editions),
            f"no one edition is called {digits[:64]!r}: {what}. Stored are: {names}.",
            remedy="Give at least four digits of one of them.",
        )
    for path in sorted(found[0].glob("*.csv")):
        sha256 = edition_sha256(path.read_bytes())
        if sha256.startswith(digits) and stored_list(layout, sha256) is not None:
            return path
    raise AnnotationError(
        str(found[0]), "its list is missing or damaged.", remedy="Fetch it from where it came."
    )


def has_older_editions(layout: Layout) -> bool:
    """Return whether a list is stored that is not the current one of its split.

    Raises:
        AnnotationError: There are no lists yet, or their record is damaged.
    """
    current = {layout.edition(edition.sha256).name for edition in read_current(layout).values()}
    return any(folder.name not in current for folder in layout.editions.iterdir())
