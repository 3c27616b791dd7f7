"""Where the files are that keep what steps print; `test_gpu.py` has real steps."""

from __future__ import annotations

from pathlib import Path

import pytest

from kinetics_assets.executors.compute_logs import ComputeLogFiles
from kinetics_assets.runs import dagster_home, open_instance

KEY = ["run", "compute_logs", "step"]


@pytest.mark.parametrize(
    ("config", "folder"),
    [("", ".dagster/storage"), ("  config:\n    base_dir: {}/elsewhere\n", "elsewhere")],
)
def test_files_are_where_dagsters_own_would_be_or_where_the_user_says(
    tmp_path: Path, config: str, folder: str
) -> None:
    """`storage` below the home, unless the dagster.yaml has a `base_dir`."""
    home = tmp_path / ".dagster"
    home.mkdir()
    (home / "dagster.yaml").write_text(
        "compute_logs:\n  module: kinetics_assets.executors.compute_logs\n"
        f"  class: ComputeLogFiles\n{config.format(tmp_path)}"
    )
    with open_instance(dagster_home(tmp_path)) as instance:
        manager = instance.compute_log_manager
        assert isinstance(manager, ComputeLogFiles)
        path = manager.get_captured_local_path(KEY, "out")
        with manager.capture_logs(KEY):
            assert not manager.is_capture_complete(KEY)
        assert manager.is_capture_complete(KEY)
    assert Path(path) == tmp_path / folder / "run/compute_logs/step.out"


def test_a_fresh_home_has_them(tmp_path: Path) -> None:
    """The package's dagster.yaml chooses this manager."""
    with open_instance(dagster_home(tmp_path)) as instance:
        assert isinstance(instance.compute_log_manager, ComputeLogFiles)
