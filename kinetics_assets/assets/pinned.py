"""The edition of the lists that a run works with: the one that was current when it began.

It is a tag of the run, one for each split, set by the run's first step of the split. Later steps
read the rows of that edition, should the lists be replaced under way; the class then shows as
unsynced, and its next run takes the new ones. The videos alone always begin with the current rows:
Dagster takes down which version of the rows they were made from when their step begins, and a step
that is tried again must not be made from older ones than that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kinetics_assets.core.layout import Layout
from kinetics_assets.core.stages import Stage

if TYPE_CHECKING:
    import dagster as dg

    from kinetics_assets.core.clips import Split
    from kinetics_assets.core.settings import Settings


def edition_tag(split: Split) -> str:
    """Return the name of the tag that pins the edition of a split."""
    return f"kinetics/edition-{split}"


def pinned_edition(
    instance: dg.DagsterInstance, run_id: str, settings: Settings, split: Split, *, stage: Stage
) -> str:
    """Return the sha256 of the list that a step of a run works with, pinning it if it is the first.

    The tag names the run beside the edition, since a run that is launched again gets the tags of
    the one before: it begins with the current list, as any new run does.

    Raises:
        AnnotationError: There is no list of the split.
    """
    from kinetics_assets.io.annotation_store import class_hashes, current_edition

    layout, tag = Layout.of(settings), edition_tag(split)
    run = instance.get_run_by_id(run_id)
    sha256, _, owner = (run.tags.get(tag, "") if run else "").partition(" ")
    if sha256 and owner == run_id and stage is not Stage.VIDEOS:
        class_hashes(layout, sha256)  # says so if the edition is no longer stored
        return sha256
    sha256 = current_edition(layout, split)
    if run:
        instance.add_run_tags(run_id, {tag: f"{sha256} {run_id}"})
    return sha256
