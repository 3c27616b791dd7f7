"""Walks disk, manifests and lists, and reports every disagreement.

Nothing here is shared with the code that wrote them but the vocabulary in `kinetics_assets.core`:
lists are counted again, Parquet is read and judged field by field, digests are computed anew.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kinetics_assets.core.clips import Split
from kinetics_assets.core.layout import HISTORY_SUFFIX, TEMP_PREFIX, Layout
from kinetics_assets.core.stages import Stage
from kinetics_assets.verify.annotated import read_annotated
from kinetics_assets.verify.files import check_files
from kinetics_assets.verify.findings import Finding, Problem, Report
from kinetics_assets.verify.lists import LISTS, check_lists
from kinetics_assets.verify.rows import read_rows
from kinetics_assets.verify.sizes import size_roots
from kinetics_assets.verify.tree import tree_digest, tree_lines

if TYPE_CHECKING:
    from collections.abc import Collection

    from kinetics_assets.core.settings import Settings

__all__ = ["Finding", "Problem", "Report", "tree_digest", "tree_lines", "verify_dataset"]


def verify_dataset(
    settings: Settings,
    *,
    splits: Collection[Split] = tuple(Split),
    labels: Collection[str] | None = None,
    hash_content: bool = True,
) -> Report:
    """Return everything on the disk of a dataset that contradicts something else on it.

    Args:
        settings: Of the dataset; they say which resized folder and which lists there are.
        splits: Which parts to look at.
        labels: Which classes to look at; None means all. Lists are compared only for all.
        hash_content: Read every byte. Without it names, counts and sizes are compared.
    """
    layout = Layout.of(settings)
    report = Report(settings.dataset)
    if not layout.base.is_dir():
        report.note(f"{layout.base} does not exist: nothing was prepared yet")
        return report
    chosen = None if labels is None else set(labels)
    for split in splits:
        annotated = read_annotated(layout, split, report)
        if annotated is None:
            _find_orphans(layout, split, report)
            continue
        frames_from = Stage(settings.rawframes.frames_from)
        rows = read_rows(layout, annotated, report, labels=chosen, frames_from=frames_from)
        check_files(layout, split, rows, report, labels=chosen, hash_content=hash_content)
        if chosen is None:
            check_lists(layout, annotated, rows, report, lists=settings.filelists)
    _note_strangers(layout, report)
    report.findings.sort()
    return report


def _find_orphans(layout: Layout, split: Split, report: Report) -> None:
    """Report the manifests of a split that has no list; note a split that was never asked for."""
    manifests = layout.base / "manifests" / split
    if manifests.is_dir() and any(manifests.rglob("*.parquet")):
        report.find(Problem.ANNOTATION_LIST, layout.relative(manifests), "manifests without a list")
    else:
        report.note(f"{split}: no annotation list")


def _note_strangers(layout: Layout, report: Report) -> None:
    """Note names at the top of the dataset that are none of ours; they are left alone."""
    ours = {"annotations", "manifests", "retired", "mirror", layout.torrents.name}
    for split in Split:
        ours |= {
            layout.videos(split).name,
            layout.resized(split).name,
            layout.rawframes(split).name,
            layout.audio(split).name,
            layout.audio_features(split).name,
            layout.shards(split).name,
        }
        ours |= {
            layout.filelist(split, kind, suffix=suffix).name
            for kind in LISTS
            for suffix in (".txt", ".json", HISTORY_SUFFIX)
        }
        ours |= {root.name for root in size_roots(layout, split)}
    for entry in sorted(path.name for path in layout.base.iterdir()):
        if entry not in ours and not entry.startswith(TEMP_PREFIX):
            report.note(f"{entry}: not looked at (not part of the layout under these settings)")
