"""What a step has to say when it is done."""

from __future__ import annotations

from dataclasses import dataclass

from kinetics_assets.core.manifest import ManifestRow, Status, Summary
from kinetics_assets.core.stages import Stage
from kinetics_assets.stages.order import ClassOrder


@dataclass(frozen=True, slots=True)
class StageReport:
    """Outcome of one stage on one class."""

    stage: Stage
    order: ClassOrder
    edition: str
    """sha256 of the annotation list the rows come from."""
    rows: tuple[ManifestRow, ...]
    """Exactly one row per annotation row."""
    summary: Summary
    data_version: str
    """sha256 of the sorted (clip, output sha256) of ok rows."""
    changed: int
    """Rows that got a new verdict in this step."""
    retired: int
    """Rows that are no longer in the list and were moved out."""
    returned: int
    """Rows that are in the list again, and whose outputs were put back."""
    relabelled: int
    """Rows that stood in another class, and whose outputs were taken over from there; videos are
    taken over as from a source, and are not counted."""
    degraded: tuple[str, ...]
    """Protections of the sandbox that this machine does not give."""
    elapsed_seconds: float

    @property
    def is_complete_enough(self) -> bool:
        """Whether the class reaches the settings' smallest completeness."""
        return self.summary.completeness >= self.order.settings.thresholds.min_completeness

    @property
    def failures(self) -> tuple[ManifestRow, ...]:
        """Rows that are wanted and not ok, with their reasons."""
        return tuple(
            row for row in self.rows if row.reason is not None and row.status is not Status.SKIPPED
        )
