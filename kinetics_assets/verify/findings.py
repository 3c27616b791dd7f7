"""What a verification has to say: findings, notes, and how much was looked at."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any


class Problem(StrEnum):
    """Kind of a disagreement between disk, manifests and lists."""

    ANNOTATION_LIST = "annotation_list"
    """A list cannot be read, or its rows and rejected lines do not add up."""
    MANIFEST = "manifest"
    """A manifest is damaged or belongs to no class of the list."""
    ROW_MISSING = "row_missing"
    """An annotation row has no manifest row."""
    ROW_EXTRA = "row_extra"
    """A manifest row has no annotation row, or is there twice."""
    ROW_INVALID = "row_invalid"
    """A manifest row contradicts itself, its list or the row of another stage."""
    FILE_MISSING = "file_missing"
    """An ok row's file is not there."""
    FILE_SIZE = "file_size"
    """A file's size is not the recorded one."""
    FILE_CONTENT = "file_content"
    """A file's sha256 is not the recorded one, or a picture is incomplete."""
    FRAMES = "frames"
    """Pictures of a clip are missing, too many or wrongly numbered."""
    FILE_UNKNOWN = "file_unknown"
    """A public folder holds something that no row accounts for."""
    FILELIST = "filelist"
    """A file list does not say what the manifests say."""


@dataclass(frozen=True, order=True, slots=True)
class Finding:
    """One disagreement."""

    problem: Problem
    where: str
    """Path relative to the dataset folder, or split/stage/class/clip."""
    text: str
    """What was got and what was expected."""


@dataclass(slots=True)
class Report:
    """Outcome of a verification; a sink that the checks write into."""

    dataset: str
    findings: list[Finding] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """What is worth knowing and no disagreement: not started, interrupted, temporary names."""
    rows: int = 0
    """Manifest rows that were checked."""
    files: int = 0
    """Files that were checked."""
    size_bytes: int = 0
    """Bytes that were read and hashed."""

    @property
    def is_clean(self) -> bool:
        """Whether everything agrees."""
        return not self.findings

    def find(self, problem: Problem, where: str, text: str) -> None:
        """Add a disagreement."""
        self.findings.append(Finding(problem, where, text))

    def note(self, text: str) -> None:
        """Add a remark, once."""
        if text not in self.notes:
            self.notes.append(text)

    def to_json(self) -> dict[str, Any]:
        """Return the report as plain values."""
        return asdict(self) | {"is_clean": self.is_clean}
