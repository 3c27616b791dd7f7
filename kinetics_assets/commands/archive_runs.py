"""Which archives of the mirror a preparation gets before its classes, and what it tells of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from kinetics_assets.assets.partitions import ARCHIVES
from kinetics_assets.core.clips import Split
from kinetics_assets.core.settings import Settings, SourceSettings
from kinetics_assets.sources.mirror_archives import has_parts, is_mirrored, known_parts
from kinetics_assets.stages.archives import files_without_row, parts_due, refused_parts

if TYPE_CHECKING:
    from kinetics_assets.runs import RunRequest


def archive_requests(
    settings: Settings, splits: Sequence[Split], *, with_refused: bool, at_once: bool = False
) -> list[RunRequest]:
    """Return a run for each archive of mixed classes that is due; one for all of a test split.

    Where folders of the user come before the mirror, nothing is due for clips that were not looked
    for in them yet.

    Args:
        settings: Of the dataset; without the mirror in its order nothing is due.
        splits: For which clips are wanted.
        with_refused: Also for archives that were refused before.
        at_once: Do not wait for the user's folders.
    """
    from kinetics_assets.runs import RunRequest

    if "mirror" not in settings.sources.order:
        return []
    requests = []
    tried_only = not at_once and _folders_come_first(settings.sources)
    for split in splits:
        if not has_parts(settings.dataset, split):
            continue
        refused = refused_parts(settings, split) if with_refused else {}
        due = parts_due(settings, split, tried_only=tried_only)
        parts = dict.fromkeys([*due, *refused])
        target = ((split, ARCHIVES),)
        if known_parts(settings.dataset, split):
            requests += [RunRequest(settings.dataset, None, target, part=part) for part in parts]
        elif parts:
            requests.append(RunRequest(settings.dataset, None, target))
    return requests


def name_of(request: RunRequest) -> str:
    """Return what a run makes, for a person."""
    if request.targets[0][1] == ARCHIVES:
        split = request.targets[0][0]
        return f"archive {split} {request.part}" if request.part else f"archives of {split}"
    return request.label or request.dataset


def unused_archives(settings: Settings, splits: Sequence[Split]) -> list[tuple[str, str]]:
    """Return the archives that were refused, now or earlier, and why."""
    if not is_mirrored(settings.dataset):
        return []
    return [
        (f"archive {split} {name}", why)
        for split in splits
        for name, why in refused_parts(settings, split).items()
    ]


def strangers_text(settings: Settings) -> str:
    """Return a line on files of the mirror that no list has a row for, empty if there are none."""
    if not is_mirrored(settings.dataset):
        return ""
    found = files_without_row(settings)
    count = sum(map(len, found.values()))
    if not count:
        return ""
    shown = ", ".join(f"{split} {name}" for split, name in list(found)[:3])
    more = f" and {len(found) - 3} more" if len(found) > 3 else ""
    return (
        f"{count} files of the mirror have no annotation row; they are kept in mirror/files"
        f" ({shown}{more})."
    )


def _folders_come_first(sources: SourceSettings) -> bool:
    """Return whether folders of the user may make the mirror's archives needless."""
    before = sources.order[: sources.order.index("mirror")]
    return "local" in before and bool(sources.local_folders or sources.adopt_folders)
