"""What steps print, in files below the Dagster home, where the UI shows it.

Dagster's own manager starts four helper processes per step to print it a second time on the
terminal: a ``tail`` and its watcher for each stream. A step that is killed between the start of a
``tail`` and that of its watcher leaves it running for ever. Here the step writes to the files
itself and nothing is started.
"""

from __future__ import annotations

import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import dagster as dg
from dagster._core.execution.compute_logs import redirect_to_file
from dagster._core.storage.compute_log_manager import CapturedLogContext
from dagster._core.storage.local_compute_log_manager import LocalComputeLogManager

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from dagster._serdes import ConfigurableClassData


class ComputeLogFiles(LocalComputeLogManager):
    """Dagster's `LocalComputeLogManager` without the copy on the terminal: same files, same UI.

    For ``compute_logs`` of a dagster.yaml. ``base_dir`` is by default where Dagster's own manager
    writes, ``storage`` below the home.
    """

    @classmethod
    def config_type(cls) -> dict[str, Any]:
        """Return the schema of the config: all of it is optional."""
        return {
            "base_dir": dg.Field(dg.StringSource, is_required=False),
            "polling_timeout": dg.Field(float, is_required=False),
        }

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> Self:
        """Return the manager that a dagster.yaml describes."""
        return cls(**{"base_dir": "", **config_value}, inst_data=inst_data)

    def register_instance(self, instance: dg.DagsterInstance) -> None:
        """Take the instance's storage folder unless another was chosen."""
        super().register_instance(instance)
        self._base_dir = self._base_dir or instance.storage_directory()

    @contextmanager
    def capture_logs(self, log_key: Sequence[str]) -> Iterator[CapturedLogContext]:
        """Write stdout and stderr of this process, and of what it starts, to the files."""
        out, err = (Path(self.get_captured_local_path(log_key, kind)) for kind in ("out", "err"))
        out.parent.mkdir(parents=True, exist_ok=True)
        with redirect_to_file(sys.stdout, out), redirect_to_file(sys.stderr, err):
            yield CapturedLogContext(log_key)
        Path(self.complete_artifact_path(log_key)).touch()
