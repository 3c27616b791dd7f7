"""What happens in a run, read from Dagster's event log while it goes on."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import dagster as dg

from kinetics_assets.core.stages import Stage
from kinetics_assets.runs.requests import RunRequest, target_key

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kinetics_assets.core.clips import Split

Kind = Literal["step_started", "step_done", "step_failed", "step_retried"]
_KINDS: dict[dg.DagsterEventType, Kind] = {
    dg.DagsterEventType.STEP_START: "step_started",
    dg.DagsterEventType.STEP_SUCCESS: "step_done",
    dg.DagsterEventType.STEP_FAILURE: "step_failed",
    dg.DagsterEventType.STEP_UP_FOR_RETRY: "step_retried",
}
_WATCHED = {*_KINDS, dg.DagsterEventType.ASSET_MATERIALIZATION}


@dataclass(frozen=True, slots=True)
class RunEvent:
    """One thing that happened in a run."""

    request: RunRequest
    run_id: str
    kind: Kind
    split: Split
    stage: Stage | str
    text: str = ""
    """Why, for a step that failed."""
    metadata: dict[str, int | float | str] = field(default_factory=dict)
    """Plain values of the materialisation, for a step that is done."""


class RunLog:
    """The event log of one run, read bit by bit."""

    def __init__(
        self, instance: dg.DagsterInstance, *, request: RunRequest, tag: tuple[str, str]
    ) -> None:
        """Watch the run that has `tag`, whenever it begins."""
        self._instance = instance
        self._request = request
        self._tag = tag
        self._cursor: str | None = None
        self._metadata: dict[str, dict[str, int | float | str]] = {}
        self._steps = {
            target_key(request.dataset, *target).to_python_identifier(): target
            for target in request.targets
        }
        self.run_id: str | None = None
        self.failures: list[str] = []
        """Why steps failed, in order."""

    def news(self) -> Iterator[RunEvent]:
        """Yield what happened since the last call."""
        if self.run_id is None:
            wanted = dg.RunsFilter(tags=dict([self._tag]))
            runs = self._instance.get_runs(filters=wanted, limit=1)
            if not runs:
                return
            self.run_id = runs[0].run_id
        found = self._instance.get_records_for_run(self.run_id, self._cursor, of_type=_WATCHED)
        self._cursor = found.cursor
        for record in found.records:
            event = record.event_log_entry.dagster_event
            if event is None or event.step_key not in self._steps:
                continue
            if event.event_type is dg.DagsterEventType.ASSET_MATERIALIZATION:
                self._metadata[event.step_key] = _plain(event.materialization)
                continue
            split, stage = self._steps[event.step_key]
            kind = _KINDS[event.event_type]
            text = why_failed(event) if kind in {"step_failed", "step_retried"} else ""
            if kind == "step_failed":
                self.failures.append(f"{stage} ({split}): {text}")
            metadata = self._metadata.get(event.step_key, {}) if kind == "step_done" else {}
            yield RunEvent(self._request, self.run_id, kind, split, stage, text, metadata)


def _plain(materialization: dg.AssetMaterialization) -> dict[str, int | float | str]:
    """Return the numbers and short texts of a materialisation."""
    values = {name: value.value for name, value in materialization.metadata.items()}
    return {name: value for name, value in values.items() if isinstance(value, (int, float, str))}


def why_failed(event: dg.DagsterEvent) -> str:
    """Return why a step failed or is tried again, without a traceback where we know the cause."""
    data = (
        event.step_retry_data
        if event.event_type is dg.DagsterEventType.STEP_UP_FOR_RETRY
        else event.step_failure_data
    )
    told = getattr(data, "user_failure_data", None)
    if told is not None and told.description:
        return str(told.description)
    return first_cause(data.error) if data.error else str(event.message)


def first_cause(error: Any) -> str:  # noqa: ANN401 - Dagster does not export its error record
    """Return the message of the error that began a chain, not of Dagster's wrappers around it."""
    while error.cause is not None:
        error = error.cause
    return str(error.message).strip()
