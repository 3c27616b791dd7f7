"""Annotated clips that a split's lists leave out on purpose, class by class."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as arrow_compute

from kinetics_assets.core.exclusions import Exclusion
from kinetics_assets.core.filelists import clip_names
from kinetics_assets.io.annotation_store import load_rows
from kinetics_assets.io.exclusions import read_exclusion

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kinetics_assets.core.clips import Split
    from kinetics_assets.core.layout import Layout
    from kinetics_assets.core.settings import Settings

pc: Any = arrow_compute  # its stubs know few of the types that it takes


@dataclass(frozen=True, slots=True)
class LeftOut:
    """What is left out of the lists of a split."""

    exclusion: Exclusion = field(default_factory=Exclusion)
    names: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """Class -> names of its annotated clips that are left out, had or not; none without any."""

    @property
    def counts(self) -> dict[str, int]:
        """Annotation rows that are left out, by class."""
        return {label: len(names) for label, names in self.names.items()}

    def record(self) -> dict[str, Any]:
        """Return it in plain values; empty if no list of clips to leave out is named."""
        if not self.exclusion:
            return {}
        return {**self.exclusion.record(), "rows_by_class": self.counts}


def left_out_of(settings: Settings, layout: Layout, split: Split) -> LeftOut:
    """Return what the lists of `split` leave out by the settings.

    Raises:
        AnnotationError: There is no annotation list of the split, or a list of clips to leave out
            cannot be used.
    """
    exclusion = read_exclusion(settings, split)
    if not exclusion:
        return LeftOut()
    # only rows of videos that are named become Python values: most lists share few
    rows = load_rows(layout, split)
    videos = pa.array(sorted(exclusion.videos), pa.string())
    rows = rows.filter(pc.is_in(rows["youtube_id"], value_set=videos))
    by_class: dict[str, list[str]] = {}
    for label, name in zip(rows["label"].to_pylist(), clip_names(rows), strict=True):
        by_class.setdefault(str(label), []).append(name)
    covered = {label: exclusion.covered(names) for label, names in by_class.items()}
    return LeftOut(exclusion, {label: names for label, names in covered.items() if names})
