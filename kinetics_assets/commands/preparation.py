"""From settings to a finished dataset: lists, one run per class, file lists; shown as it goes."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from kinetics_assets.commands.archive_runs import (
    archive_requests,
    name_of,
    strangers_text,
    unused_archives,
)
from kinetics_assets.commands.progress import StageProgress
from kinetics_assets.core.classes import class_names
from kinetics_assets.core.clips import Split
from kinetics_assets.core.errors import (
    AnnotationError,
    DiskFull,
    EnvironmentFault,
    InputError,
    KineticsError,
    RootError,
    leaves,
)
from kinetics_assets.core.filelists import REQUIRED_KINDS, ListKind
from kinetics_assets.core.layout import Layout
from kinetics_assets.core.settings import Settings
from kinetics_assets.core.stages import SOUND_STAGES, Stage
from kinetics_assets.io.annotation_store import annotated_labels, class_versions, splits_present
from kinetics_assets.io.atomic import write_file
from kinetics_assets.io.exclusions import read_exclusion
from kinetics_assets.sources.breaker import end_pauses
from kinetics_assets.sources.registry import sources_of
from kinetics_assets.stages.filelists import stage_of
from kinetics_assets.stages.lineage import with_inputs
from kinetics_assets.stages.list_history import has_other_exclusion
from kinetics_assets.stages.plan_runs import ClassPlan, Target, plan_class
from kinetics_assets.stages.status import DatasetStatus, read_status
from kinetics_assets.verify import verify_dataset
from kinetics_assets.verify.findings import Problem

if TYPE_CHECKING:
    from kinetics_assets import runs

_SHOWN_CHARACTERS = 300
LISTED_STAGES = frozenset({Stage.VIDEOS, Stage.RAWFRAMES, Stage.FLOW})
"""Stages that the file lists of a split name."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a verb was asked to make."""

    settings: Settings
    splits: tuple[Split, ...]
    stages: tuple[Stage, ...]
    labels: tuple[str, ...] | None = None
    """None means every class that has annotation rows."""
    retry_now: bool = False
    new_annotations: bool = False
    """Get the lists anew although there are some."""
    jobs: int = 2
    """Class runs at a time."""
    archives: bool | None = None
    """Whether archives of mixed classes are got first; None: unless classes were named."""


@dataclass(slots=True)
class Outcome:
    """What came of it."""

    status: DatasetStatus
    class_runs: int = 0
    """Class runs that were launched."""
    other_runs: int = 0
    """Runs for annotations and file lists."""
    failed: list[tuple[str, str]] = field(default_factory=list)
    """(what, why) of runs that failed."""
    held_back: list[ClassPlan] = field(default_factory=list)
    """Classes with stages that are too incomplete and have nothing to try now."""
    lists_skipped: str = ""
    """Why no file lists were asked for, empty when they were."""
    unused_archives: list[tuple[str, str]] = field(default_factory=list)
    """(what, why) of archives of the mirror that were refused."""
    strangers: str = ""
    """A word on files of the mirror without an annotation row, empty if there are none."""

    @property
    def is_complete(self) -> bool:
        """Whether everything that was asked for is there, permanent losses aside."""
        return not self.failed and not self.held_back


def prepare(wanted: Wanted, console: Console) -> Outcome:
    """Make what is `wanted` and return what came of it; a rerun does only what is needed.

    Raises:
        InputError: The lists cannot be used, or lack a split that was asked for.
        EnvironmentFault: The root cannot be written, or the disk is full.
    """
    preflight(wanted.settings)
    if wanted.retry_now:
        asked = [s for split in wanted.splits for s in sources_of(wanted.settings, split)]
        for host in end_pauses(asked):
            console.print(f"{host} was left alone; it is asked again now")
    from kinetics_assets.runs import RunNursery

    with RunNursery(wanted.settings) as nursery:
        session = _Session(wanted, console, nursery=nursery)
        session.annotations()
        session.archives()
        session.classes()
        session.lists()
    return session.outcome()


def preflight(settings: Settings) -> None:
    """Make the root and try to write to it, before anything is started.

    Raises:
        AnnotationError: A list of clips to leave out of file lists cannot be used.
        RootError: It cannot be made.
        PermissionDenied: It cannot be written.
        DiskFull: There is less free space than the settings want.
    """
    for split in Split:
        read_exclusion(settings, split)
    root = settings.root
    probe = root / ".kinetics-write-test"
    try:
        write_file(probe, b"")
    except OSError as error:
        raise RootError(
            f"{root} cannot be made: {error.strerror}.",
            remedy="Point --root or KINETICS_ROOT at a folder that can.",
        ) from error
    probe.unlink()
    free, least = shutil.disk_usage(root).free, settings.limits.min_free_bytes
    if free < least:
        raise DiskFull(
            f"{root} has {free >> 20} MiB free, less than the {least >> 20} MiB a step wants.",
            remedy="Free space, or lower limits.min_free_bytes in kinetics.toml.",
        )


class _Session:
    """One preparation, step by step."""

    def __init__(self, wanted: Wanted, console: Console, *, nursery: runs.RunNursery) -> None:
        from kinetics_assets import runs

        self._nursery = nursery
        self._wanted, self._console, self._runs = wanted, console, runs
        self._settings = wanted.settings
        self._layout = Layout.of(wanted.settings)
        self._stages = with_inputs(wanted.settings, wanted.stages)
        self._failed: list[tuple[str, str]] = []
        self._held_back: list[ClassPlan] = []
        self._class_runs = self._other_runs = 0
        self._lists_skipped = ""

    def annotations(self) -> None:
        """Get the lists, if there are none yet or new ones are wanted."""
        present = splits_present(self._layout)
        if self._wanted.new_annotations or not set(self._wanted.splits) <= set(present):
            self._console.print(f"{self._settings.dataset}: getting the annotation lists")
            # The lists of all splits come together; the split named here does not matter.
            request = self._request(None, ((Split.TRAIN, Stage.ANNOTATIONS),))
            self._other_runs += 1
            (outcome,) = self._run([request])
            if not outcome.succeeded:
                raise self._as_error(outcome)
        present = splits_present(self._layout)
        lacking = [split for split in self._wanted.splits if split not in present]
        if lacking:
            raise AnnotationError(
                str(self._layout.current_edition),
                f"there is no list of {', '.join(lacking)}.",
                remedy=f"The lists have: {', '.join(present)}; choose with --split.",
            )

    def archives(self) -> None:
        """Get the mirror's archives of mixed classes, which the classes then look into.

        One that cannot be used stops nothing: its clips may be elsewhere.
        """
        wants = self._wanted.archives
        if not (self._wanted.labels is None if wants is None else wants):
            return
        requests = archive_requests(
            self._settings,
            self._wanted.splits,
            with_refused=self._wanted.retry_now,
            at_once=bool(wants),
        )
        if requests:
            self._console.print(
                f"{self._settings.dataset}: getting {len(requests)} archives of the mirror"
                " (--no-archives goes on without them)"
            )
            self._other_runs += len(requests)
            self._run(requests)

    def classes(self) -> None:
        """Launch one run for each class that needs one."""
        plans = self._plans()
        self._held_back = [plan for plan in plans if plan.held_back]
        needed = [plan for plan in plans if plan.targets]
        if not needed:
            self._console.print(f"{self._settings.dataset}: no class needs a run")
            return
        self._console.print(
            f"{self._settings.dataset}: {len(needed)} of {len(plans)} classes need a run"
        )
        requests = [self._request(plan.label, plan.targets) for plan in needed]
        self._class_runs = len(requests)
        with StageProgress(
            self._console,
            self._settings,
            splits=self._wanted.splits,
            labels=[plan.label for plan in needed],
            stages=self._stages,
        ):
            self._run(requests)

    def lists(self) -> None:
        """Write the file lists of the splits whose lists are not those of the manifests."""
        asks_for_sound = any(stage in SOUND_STAGES for stage in self._stages)
        if not set(self._stages) >= LISTED_STAGES and not (asks_for_sound and self._has_lists()):
            self._lists_skipped = "not all of videos, rawframes and flow were asked for"
            return
        lacking = self._annotated_labels() - set(self._labels())
        if lacking:
            self._lists_skipped = f"{len(lacking)} classes were not asked for"
            return
        requests = [
            self._request(None, ((split, Stage.FILELISTS),))
            for split in self._wanted.splits
            if self._lists_are_stale(split)
        ]
        if requests:
            self._runs.observe_exclusions(self._settings)
            self._console.print(f"{self._settings.dataset}: writing the file lists")
            self._other_runs += len(requests)
            self._run(requests)

    def outcome(self) -> Outcome:
        """Return what came of it."""
        status = read_status(self._settings, splits=self._wanted.splits, labels=self._wanted.labels)
        return Outcome(
            status=status,
            class_runs=self._class_runs,
            other_runs=self._other_runs,
            failed=self._failed,
            held_back=self._held_back,
            lists_skipped=self._lists_skipped,
            unused_archives=unused_archives(self._settings, self._wanted.splits),
            strangers=strangers_text(self._settings) if self._class_runs else "",
        )

    def _plans(self) -> list[ClassPlan]:
        """Return what each class needs."""
        now = datetime.now(UTC)
        labels = self._labels()
        recorded = self._recorded(labels)
        return [
            plan_class(
                self._settings,
                label,
                splits=self._wanted.splits,
                stages=self._stages,
                now=now,
                is_materialised=lambda label, split, stage: label in recorded[split, stage],
                retry_now=self._wanted.retry_now,
            )
            for label in labels
        ]

    def _recorded(self, labels: Sequence[str]) -> dict[Target, set[str]]:
        """Return the classes that Dagster has recorded, by split and stage."""
        dataset, home = self._settings.dataset, self._runs.dagster_home(self._settings.root)
        with self._runs.open_instance(home) as instance:
            self._runs.reap_dead_runs(instance)
            return {
                (split, stage): self._runs.is_materialised(instance, dataset, split, stage, labels)
                for split in self._wanted.splits
                for stage in self._stages
            }

    def _request(self, label: str | None, targets: tuple[Target, ...]) -> runs.RunRequest:
        """Return a run of `targets`."""
        retry_now = self._wanted.retry_now and label is not None
        return self._runs.RunRequest(self._settings.dataset, label, targets, retry_now)

    def _run(self, requests: Sequence[runs.RunRequest]) -> list[runs.RunOutcome]:
        """Return how the runs ended, after all have; remember those that failed."""
        outcomes = self._runs.run_all(
            requests,
            settings=self._settings,
            max_parallel=self._wanted.jobs,
            on_event=self._tell_failure,
            nursery=self._nursery,
        )
        self._failed += [
            (name_of(outcome.request), outcome.failure)
            for outcome in outcomes
            if not outcome.succeeded
        ]
        return outcomes

    def _tell_failure(self, event: runs.RunEvent) -> None:
        """Print at once that a step failed or is tried again."""
        if event.kind in {"step_failed", "step_retried"}:
            what = name_of(event.request)
            verb = "failed" if event.kind == "step_failed" else "is tried again"
            words = " ".join(event.text.split())[:_SHOWN_CHARACTERS]
            self._console.print(Text(f"{what}: {event.split} {event.stage} {verb}: {words}"))

    def _as_error(self, outcome: runs.RunOutcome) -> KineticsError:
        """Return the failure of a run as the kind of error that it was in the run's process."""
        kind = self._failure_kind(outcome.run_id)
        for base in (InputError, EnvironmentFault):
            if kind in {leaf.__name__ for leaf in leaves(base)}:
                return base(outcome.failure)
        return KineticsError(outcome.failure)

    def _labels(self) -> Sequence[str]:
        """Return the classes that were asked for."""
        if self._wanted.labels is not None:
            return self._wanted.labels
        wanted: set[str] = set()
        for split in self._wanted.splits:
            wanted.update(annotated_labels(self._layout, split))
            # a class that lost its last row still has files to retire
            wanted.update(
                label
                for label in class_versions(self._layout, split)
                if self._layout.manifest(split, Stage.VIDEOS, label).exists()
            )
        return tuple(
            label for label in [*class_names(self._settings.dataset), ""] if label in wanted
        )

    def _failure_kind(self, run_id: str | None) -> str:
        """Return the name of the error that a failed step recorded, empty if it did not."""
        import dagster as dg

        home = self._runs.dagster_home(self._settings.root)
        with self._runs.open_instance(home) as instance:
            failures = instance.get_records_for_run(
                run_id or "", of_type=dg.DagsterEventType.STEP_FAILURE
            )
        for record in failures.records:
            event = record.event_log_entry.dagster_event
            told = event.step_failure_data.user_failure_data if event else None
            if told is not None and "kind" in told.metadata:
                return str(told.metadata["kind"].value)
        return ""

    def _annotated_labels(self) -> set[str]:
        """Return the classes that have annotation rows in the chosen splits."""
        status = read_status(self._settings, splits=self._wanted.splits)
        return {one.label for total in status.totals for one in total.classes}

    def _has_lists(self) -> bool:
        """Return whether the lists that every split has are there."""
        return all(
            self._layout.filelist(split, kind).exists()
            for split in self._wanted.splits
            for kind in REQUIRED_KINDS
        )

    def _lists_are_stale(self, split: Split) -> bool:
        """Return whether a list of `split` is absent or says something else than the manifests."""
        kinds = [
            kind
            for kind in ListKind
            if kind in REQUIRED_KINDS
            or self._layout.manifests(split, stage_of(kind, self._settings)).is_dir()
        ]
        if not all(self._layout.filelist(split, kind).exists() for kind in kinds):
            return True
        if has_other_exclusion(self._settings, split):
            return True
        report = verify_dataset(self._settings, splits=[split], hash_content=False)
        return any(finding.problem is Problem.FILELIST for finding in report.findings)
