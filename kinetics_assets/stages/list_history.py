"""What a file list was made from, written beside it, so that a result can be traced and rebuilt.

The file is called ``<list>.history.json``; ``<list>.json`` is a form of the list itself. It has no
times, addresses or paths: equal lists made from equal things have equal histories. Where the
edition came from is in ``annotations/edition.json``.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

from kinetics_assets.core.filelists import REQUIRED_KINDS
from kinetics_assets.core.layout import HISTORY_SUFFIX, Layout
from kinetics_assets.core.stages import Stage, input_of
from kinetics_assets.io.annotation_store import read_current
from kinetics_assets.io.atomic import os_faults
from kinetics_assets.io.exclusions import read_exclusion
from kinetics_assets.stages.digests import recipe_facts

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from kinetics_assets.core.clips import Split
    from kinetics_assets.core.settings import Settings
    from kinetics_assets.stages.list_parts import ListParts


def list_history(
    settings: Settings,
    layout: Layout,
    split: Split,
    *,
    parts: ListParts,
    text: Iterable[bytes | memoryview],
    left_out: Mapping[str, int],
    excluded: Mapping[str, Any],
) -> bytes:
    """Return the history of one list as JSON.

    Args:
        settings: Under which it was written.
        layout: Of the dataset.
        split: The list's.
        parts: What is in it.
        text: Its ``.txt`` form.
        left_out: Rows that are not listed, by status and reason.
        excluded: Which clips were left out on purpose, and by which lists; empty without any.
    """
    edition = read_current(layout)[split]
    digest = hashlib.sha256()
    for piece in text:
        digest.update(piece)
    recipes: Counter[str] = Counter()
    engines: Counter[str] = Counter()
    for facts in parts.facts.values():
        for recipe, engine, profile, count in facts.makers:
            recipes[recipe] += count
            engines[f"{engine} ({profile})"] += count if engine else 0
    record = {
        "list": {"sha256": digest.hexdigest(), "lines": parts.listed, "left_out": dict(left_out)},
        "edition": {
            "sha256": edition.sha256,
            "name": edition.name,
            "rows": edition.rows,
            "rejected": edition.rejected,
        },
        "recipes": {
            stage.value: recipe_facts(stage, settings) for stage in _stages(parts.stage, settings)
        },
        "clips_by_recipe": dict(sorted(recipes.items())),
        "clips_by_engine": {name: count for name, count in sorted(engines.items()) if count},
        "order": {"shuffle": settings.filelists.shuffle, "seed": settings.filelists.seed},
        "package": _package_version(),
        **({"excluded": excluded} if excluded else {}),
    }
    return (json.dumps(record, indent=1, ensure_ascii=False) + "\n").encode()


def has_other_exclusion(settings: Settings, split: Split) -> bool:
    """Return whether a split's lists were written with other clips to leave out than are set now.

    Raises:
        AnnotationError: A list of clips to leave out cannot be used.
    """
    exclusion, layout = read_exclusion(settings, split), Layout.of(settings)
    wanted = exclusion.record() if exclusion else {}
    histories = (layout.filelist(split, kind, suffix=HISTORY_SUFFIX) for kind in REQUIRED_KINDS)
    return any(_recorded_exclusion(path) != wanted for path in histories)


def _recorded_exclusion(history: Path) -> dict[str, Any]:
    """Return what `Exclusion.record` gave when the list was written; empty if it cannot be told."""
    try:
        with os_faults(f"reading {history}"):
            excluded = json.loads(history.read_bytes()).get("excluded", {})
        return {key: value for key, value in excluded.items() if key != "rows_by_class"}
    except (OSError, ValueError, AttributeError):
        return {}


def _package_version() -> str:
    """Return the version of this package, or that it was not installed."""
    try:
        return version("kinetics-assets")
    except PackageNotFoundError:
        return "not installed"


def _stages(stage: Stage, settings: Settings) -> list[Stage]:
    """Return `stage` and those whose outputs it is made from, the first one first."""
    chain: list[Stage] = []
    at: Stage | None = stage
    while at is not None:
        chain.insert(0, at)
        at = input_of(at, frames_from=Stage(settings.rawframes.frames_from))
    return chain
