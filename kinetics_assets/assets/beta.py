"""Features that Dagster marks as beta or preview and that the graph rests on, knowingly.

- `multi_observable_source_asset`: the one observable asset that shows what it depends on
- `AssetCheckSpec(partitions_def=...)`: a check per class

Tests run the graph, so that a change of Dagster's is met there.
"""

from __future__ import annotations

import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING

import dagster as dg

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def accepted_betas() -> Iterator[None]:
    """Keep Dagster's warnings about these features from every start of every command."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.BetaWarning)
        warnings.simplefilter("ignore", dg.PreviewWarning)
        yield
