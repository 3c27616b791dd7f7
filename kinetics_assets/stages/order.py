"""What a step is asked to do: one class of one split, under one dataset's settings."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property

from kinetics_assets.core.clips import Split
from kinetics_assets.core.layout import Layout
from kinetics_assets.core.settings import Settings


@dataclass(frozen=True)
class ClassOrder:
    """One class of one split."""

    settings: Settings
    split: Split
    label: str
    """Class name; empty for the test rows that have none."""
    edition: str = ""
    """sha256 of the list whose rows are meant; empty for the current one."""

    @cached_property
    def layout(self) -> Layout:
        """Paths of the dataset."""
        return Layout.of(self.settings)

    @property
    def cores(self) -> int:
        """How many cores of this machine all steps together should use."""
        return self.settings.limits.workers or len(os.sched_getaffinity(0))
