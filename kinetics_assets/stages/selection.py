"""What is asked to be refilled, and what was chosen for it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

from kinetics_assets.core.clips import Split
from kinetics_assets.core.needs import USUAL_NEEDS, Need
from kinetics_assets.core.reasons import Kind, Reason
from kinetics_assets.core.stages import CLASS_STAGES, Stage

Target = tuple[Split, Stage]
_MAY_HEAL = frozenset(r for r in Reason if r.kind in {Kind.RETRYABLE, Kind.CREDENTIALS})
_ASKED_FOR = "asked for by a backfill that is under way"


@dataclass(frozen=True, slots=True)
class Choice:
    """What is asked for."""

    splits: tuple[Split, ...] = tuple(Split)
    labels: tuple[str, ...] | None = None
    """Class names; None means all that have annotation rows."""
    stages: tuple[Stage, ...] = CLASS_STAGES
    """Each with the stages it reads."""
    needs: frozenset[Need] = frozenset(USUAL_NEEDS)
    reasons: frozenset[Reason] = frozenset()
    """Clips count as retryable for these reasons only, permanent ones included; none means every
    reason that may heal."""
    older_than: timedelta = timedelta(0)
    """Verdicts younger than this are left alone."""
    retry_now: bool = False
    """Also choose clips whose pause is not over, or that failed for good."""
    check_files: bool = False
    """Hash every output; else only files that were written to since they were made."""

    @property
    def retry_reasons(self) -> frozenset[Reason]:
        """Reasons whose clips are tried before their time with `retry_now`."""
        return self.reasons or _MAY_HEAL


@dataclass(frozen=True, slots=True)
class Finding:
    """What is the matter with one class in one stage."""

    split: Split
    stage: Stage
    label: str
    needs: Mapping[Need, int] = field(default_factory=dict)
    """How many clips, by what is the matter with them."""
    reasons: Mapping[Reason, int] = field(default_factory=dict)
    """Retryable clips by reason."""
    follows: Stage | None = None
    """The stage it reads, if that is made again."""
    waits_for: str = ""
    """Why it is not chosen now, empty when it is."""

    @property
    def why(self) -> str:
        """What is the matter, in one line."""
        parts = [f"{count} {need}" if count else str(need) for need, count in self.needs.items()]
        if self.reasons:
            counts = ", ".join(f"{count} {reason}" for reason, count in self.reasons.items())
            parts = [f"{p} ({counts})" if p.endswith(Need.RETRYABLE) else p for p in parts]
        if self.follows:
            parts.append(f"follows {self.follows}")
        return ", ".join(parts)

    def to_json(self) -> dict[str, Any]:
        """Return the finding as plain values."""
        return {
            "split": self.split,
            "stage": self.stage,
            "class": self.label,
            "needs": {need.value: count for need, count in self.needs.items()},
            "reasons": {reason.value: count for reason, count in self.reasons.items()},
            "follows": self.follows,
            "waits_for": self.waits_for,
        }


@dataclass(frozen=True, slots=True)
class Selection:
    """What was chosen, class by class in index order and stages in graph order."""

    choice: Choice
    chosen: tuple[Finding, ...]
    waiting: tuple[Finding, ...]

    @property
    def targets(self) -> dict[Target, tuple[str, ...]]:
        """Classes to run, by split and stage."""
        targets: dict[Target, tuple[str, ...]] = {}
        for found in self.chosen:
            key = (found.split, found.stage)
            targets[key] = (*targets.get(key, ()), found.label)
        return targets

    @property
    def classes(self) -> dict[tuple[Split, str], list[Finding]]:
        """What was found, by split and class."""
        classes: dict[tuple[Split, str], list[Finding]] = {}
        for found in self.chosen:
            classes.setdefault((found.split, found.label), []).append(found)
        return classes

    @property
    def chains(self) -> dict[tuple[Split, tuple[Stage, ...]], Selection]:
        """The classes by split and by what has to be run of them; each part stands for itself."""
        parts: dict[tuple[Split, tuple[Stage, ...]], list[Finding]] = {}
        for (split, _), findings in self.classes.items():
            parts.setdefault((split, tuple(one.stage for one in findings)), []).extend(findings)
        return {key: Selection(self.choice, tuple(found), ()) for key, found in parts.items()}

    @property
    def needs(self) -> Counter[Need]:
        """Classes by what is the matter with them."""
        classes = [{n for one in found for n in one.needs} for found in self.classes.values()]
        counts = Counter({need: sum(need in needs for needs in classes) for need in Need})
        return +counts

    @property
    def must_check_files(self) -> bool:
        """Whether the runs have to hash their outputs to see the damage that was seen here."""
        pictures = {Stage.RAWFRAMES, Stage.FLOW}
        return self.choice.check_files or any(
            Need.DAMAGED in found.needs and found.stage in pictures for found in self.chosen
        )

    def without(self, asked: Collection[tuple[Split, str]]) -> Selection:
        """Return the selection less the classes (split, label) that are asked for already."""
        left: list[Finding] = []
        gone: list[Finding] = []
        for found in self.chosen:
            if (found.split, found.label) in asked:
                gone.append(replace(found, waits_for=_ASKED_FOR))
            else:
                left.append(found)
        return Selection(self.choice, tuple(left), (*self.waiting, *gone))
