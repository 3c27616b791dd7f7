"""What is there of a dataset, what is missing and why: read from manifests and journals.

Reading takes no lock and may be done while steps run: a manifest is replaced in one step, and a
journal only grows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

from kinetics_assets.core.clips import Split
from kinetics_assets.core.filelists import ListKind
from kinetics_assets.core.layout import Layout
from kinetics_assets.core.manifest import ManifestRow, Status, Summary, summarise
from kinetics_assets.core.reasons import Reason
from kinetics_assets.core.settings import Settings
from kinetics_assets.core.stages import CLASS_STAGES, OPTIONAL_STAGES, Stage
from kinetics_assets.io.annotation_store import (
    EditionInfo,
    class_versions,
    load_class_rows,
    read_current,
    splits_present,
)
from kinetics_assets.io.manifests import read_known
from kinetics_assets.stages.lineage import stages_above
from kinetics_assets.stages.pace import Pace


@dataclass(frozen=True)
class ClassStatus:
    """One class of one split in one stage."""

    split: Split
    stage: Stage
    label: str
    annotated: int
    """Rows of the annotation list."""
    rows: tuple[ManifestRow, ...]
    """Rows of the manifest, and of the journal of a step that runs or was killed."""
    upstream: tuple[ManifestRow, ...]
    """Rows of the stages that it hangs on."""
    is_running: bool
    """Whether a step works on it, or was killed while it did."""

    @cached_property
    def summary(self) -> Summary:
        """Counts of the rows."""
        return summarise(self.rows, upstream=self.upstream)

    @property
    def missing(self) -> int:
        """Annotation rows that no step has looked at."""
        return max(0, self.annotated - len(self.rows))


@dataclass(frozen=True)
class StageTotal:
    """All classes of one split in one stage, added up."""

    split: Split
    stage: Stage
    classes: tuple[ClassStatus, ...]

    @property
    def annotated(self) -> int:
        """Rows of the annotation list."""
        return sum(status.annotated for status in self.classes)

    @property
    def decided(self) -> int:
        """Rows that a step has looked at; pending ones that were never tried are not."""
        return sum(not row.is_untried for status in self.classes for row in status.rows)

    @property
    def counts(self) -> Counter[Status]:
        """Rows by status; annotation rows without one count as pending."""
        counts: Counter[Status] = Counter()
        for status in self.classes:
            counts.update(status.summary.counts)
            counts[Status.PENDING] += status.missing
        return +counts

    @property
    def reasons(self) -> Counter[str]:
        """Rows that are not ok, by reason; those never tried under ``not run``."""
        reasons: Counter[str] = Counter()
        for status in self.classes:
            reasons.update({reason.value: n for reason, n in status.summary.reasons.items()})
            untried = sum(row.is_untried for row in status.rows)
            reasons["not run"] += status.missing + untried
        return +reasons

    def pace(self, now: datetime) -> Pace:
        """Return what was decided in the hour before `now`, and what is left."""
        since = now - timedelta(hours=1)
        times = [row.finished_at for status in self.classes for row in status.rows]
        recent = sum(time is not None and time >= since for time in times)
        return Pace(clips_last_hour=recent, untried=self.annotated - self.decided)

    @property
    def completeness(self) -> float:
        """Share of the rows that can be had and are."""
        lost = sum(status.summary.permanent + status.summary.skipped for status in self.classes)
        wanted = self.annotated - lost
        return self.counts[Status.OK] / wanted if wanted > 0 else 1.0

    @property
    def size_bytes(self) -> int:
        """Bytes of the ok rows."""
        return sum(status.summary.size_bytes for status in self.classes)

    @property
    def started(self) -> int:
        """Classes with annotation rows that a step has looked at."""
        return sum(bool(status.rows) for status in self.classes)

    @property
    def is_running(self) -> bool:
        """Whether a step works on one of the classes, or was killed while it did."""
        return any(status.is_running for status in self.classes)


@dataclass(frozen=True)
class DatasetStatus:
    """A dataset, or the chosen part of it."""

    settings: Settings
    editions: dict[Split, EditionInfo]
    """Current annotation lists."""
    totals: tuple[StageTotal, ...]
    """By split and stage, in graph order."""
    lists: dict[Split, dict[ListKind, int]]
    """Lines of the file lists that are there."""

    reasons: frozenset[Reason] = frozenset()
    """Reasons it was narrowed to; none means all."""

    def holding(self, reasons: frozenset[Reason]) -> DatasetStatus:
        """Return the part of the status that holds clips with one of `reasons`; all for none."""
        if not reasons:
            return self
        totals = [
            replace(
                total,
                classes=tuple(c for c in total.classes if reasons & c.summary.reasons.keys()),
            )
            for total in self.totals
        ]
        return replace(self, totals=tuple(totals), reasons=reasons)

    def failures(self, *stages: Stage) -> list[tuple[Split, Stage, ManifestRow]]:
        """Return the rows that failed by themselves, in `stages` or all; skipped ones did not."""
        return [
            (total.split, total.stage, row)
            for total in self.totals
            if not stages or total.stage in stages
            for status in total.classes
            for row in status.rows
            if row.reason is not None and row.status not in {Status.BLOCKED, Status.SKIPPED}
            if not self.reasons or row.reason in self.reasons
        ]

    def to_json(self) -> dict[str, Any]:
        """Return the status as plain values."""
        return {
            "dataset": self.settings.dataset,
            "root": str(self.settings.root),
            "editions": {
                split: {"sha256": info.sha256, "rows": info.rows, "rejected": info.rejected}
                for split, info in self.editions.items()
            },
            "stages": [_total_json(total) for total in self.totals],
            "failures": [
                {
                    "split": split,
                    "stage": stage,
                    "class": row.label,
                    "clip": row.clip.name,
                    "status": row.status,
                    "reason": row.reason,
                    "text": row.reason_text,
                    "attempts": row.attempts,
                    "not_before": row.not_before.isoformat() if row.not_before else None,
                }
                for split, stage, row in self.failures()
            ],
            "lists": self.lists,
        }


@dataclass
class StatusReader:
    """Reads the status of a dataset again and again, parsing only what has changed."""

    settings: Settings
    _rows: dict[tuple[Path, Path], tuple[object, tuple[ManifestRow, ...]]] = field(
        default_factory=dict, init=False
    )
    _annotated: dict[tuple[str, str], int] = field(default_factory=dict, init=False)

    def read(
        self,
        *,
        splits: Iterable[Split] = tuple(Split),
        labels: Iterable[str] | None = None,
        stages: Iterable[Stage] | None = None,
    ) -> DatasetStatus:
        """Return the present status of the chosen splits, classes and stages.

        Args:
            splits: Splits that have no list yet are left out.
            labels: Class names; None means all that have annotation rows.
            stages: Class stages; None means all but optional ones that the split has nothing of.

        Raises:
            InputError: The stored annotations are damaged.
            InternalError: A manifest is damaged; the message names it and the remedy.
        """
        layout = Layout.of(self.settings)
        editions = read_current(layout) if splits_present(layout) else {}
        chosen = [split for split in Split if split in set(splits) and split in editions]
        wanted = None if labels is None else set(labels)
        named = None if stages is None else tuple(stages)
        totals = []
        for split in chosen:
            counted = list(self._counts(layout, split, editions[split], wanted))
            totals += [
                StageTotal(
                    split,
                    stage,
                    tuple(self._class(layout, split, stage, *item) for item in counted),
                )
                for stage in (named or stages_begun(layout, split))
            ]
        lists = {split: dict(_list_lines(layout, split)) for split in chosen}
        return DatasetStatus(self.settings, editions, tuple(totals), lists)

    def _counts(
        self, layout: Layout, split: Split, edition: EditionInfo, wanted: set[str] | None
    ) -> Iterator[tuple[str, int]]:
        """Yield (label, annotation rows) of the classes that have rows."""
        for label in class_versions(layout, split):
            if wanted is not None and label not in wanted:
                continue
            key = (edition.sha256, label)
            if key not in self._annotated:
                self._annotated[key] = len(load_class_rows(layout, split, label).clips)
            if self._annotated[key]:
                yield label, self._annotated[key]

    def _class(
        self, layout: Layout, split: Split, stage: Stage, label: str, annotated: int
    ) -> ClassStatus:
        """Return the status of one class in one stage."""
        return ClassStatus(
            split=split,
            stage=stage,
            label=label,
            annotated=annotated,
            rows=self._known(layout, split, stage, label),
            upstream=tuple(
                row
                for above in stages_above(self.settings, stage)
                for row in self._known(layout, split, above, label)
            ),
            is_running=layout.journal(split, stage, label).exists(),
        )

    def _known(
        self, layout: Layout, split: Split, stage: Stage, label: str
    ) -> tuple[ManifestRow, ...]:
        """Return the rows of a manifest and its journal, parsed again only after a change."""
        paths = (layout.manifest(split, stage, label), layout.journal(split, stage, label))
        stamp = tuple(_stamp(path) for path in paths)
        if self._rows.get(paths, (None,))[0] != stamp:
            self._rows[paths] = (stamp, tuple(read_known(layout, split, stage, label)))
        return self._rows[paths][1]


def read_status(
    settings: Settings,
    *,
    splits: Iterable[Split] = tuple(Split),
    labels: Iterable[str] | None = None,
    stages: Iterable[Stage] | None = None,
) -> DatasetStatus:
    """Return the present status once; see `StatusReader.read`."""
    return StatusReader(settings).read(splits=splits, labels=labels, stages=stages)


def stages_begun(layout: Layout, split: Split) -> tuple[Stage, ...]:
    """Return the class stages, those that are optional only if the split has manifests of them."""
    optional = (s for s in OPTIONAL_STAGES if layout.manifests(split, s).is_dir())
    return (*CLASS_STAGES, *optional)


def _total_json(total: StageTotal) -> dict[str, Any]:
    """Return one split and stage as plain values, its classes included."""
    return {
        "split": total.split,
        "stage": total.stage,
        "annotated": total.annotated,
        "counts": dict(total.counts),
        "reasons": dict(total.reasons),
        "completeness": round(total.completeness, 6),
        "size_bytes": total.size_bytes,
        "classes": {
            status.label: {
                "annotated": status.annotated,
                "counts": {key.value: n for key, n in status.summary.counts.items()},
                "reasons": {key.value: n for key, n in status.summary.reasons.items()},
                "missing": status.missing,
                "completeness": round(status.summary.completeness, 6) if status.rows else 0.0,
                "frames": status.summary.frames,
                "size_bytes": status.summary.size_bytes,
                "is_running": status.is_running,
            }
            for status in total.classes
        },
    }


def _list_lines(layout: Layout, split: Split) -> Iterator[tuple[ListKind, int]]:
    """Yield the number of lines of each file list that is there."""
    for kind in ListKind:
        path = layout.filelist(split, kind)
        if path.is_file():
            yield kind, path.read_bytes().count(b"\n")


def _stamp(path: Path) -> tuple[int, int, int] | None:
    """Return what tells whether a file has changed, None when there is none."""
    try:
        stat = path.stat()
    except FileNotFoundError:
        return None
    return stat.st_mtime_ns, stat.st_size, stat.st_ino
