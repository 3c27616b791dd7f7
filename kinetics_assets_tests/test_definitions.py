"""What Dagster loads: the graph, word for word, and that all of it is explained."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from kinetics_assets.assets.datasets import dataset_definitions
from kinetics_assets.core.classes import DATASETS
from kinetics_assets.core.settings import Settings
from kinetics_assets.io.settings_file import load_settings

TOP = Path(__file__).parent.parent
SNAPSHOT = Path(__file__).with_name("asset_graph.json")
SHORTEST_DESCRIPTION = 40


@pytest.fixture(autouse=True)
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide the machine's own GPUs, which would make the graph another one."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")


@pytest.fixture
def demo(tmp_path: Path) -> dg.RepositoryDefinition:
    """Definitions of the demo dataset under default settings."""
    return dataset_definitions(load_settings("demo", root=tmp_path)).get_repository_def()


def graph_of(repository: dg.RepositoryDefinition) -> dict[str, Any]:
    """Return what a reader of the lineage view sees, as plain values."""
    nodes = sorted(repository.asset_graph.asset_nodes, key=lambda node: node.key)
    return {
        "assets": {
            node.key.to_user_string(): {
                "deps": sorted(key.to_user_string() for key in node.parent_keys),
                "partitions": node.partitions_def and len(node.partitions_def.get_partition_keys()),
                "kinds": sorted(node.kinds),
                "checks": sorted(key.name for key in node.check_keys),
                "pools": sorted(node.pools or ()),
                "group": node.group_name,
                "observable": node.is_observable,
            }
            for node in nodes
        },
        "jobs": sorted(repository.job_names),
        "schedules": {
            schedule.name: schedule.default_status.value for schedule in repository.schedule_defs
        },
        "sensors": sorted(sensor.name for sensor in repository.sensor_defs),
    }


def _archives_of(settings: Settings) -> dict[str, Any]:
    """Return what a dataset's graph has because its mirror's archives mix classes."""
    graph = graph_of(dataset_definitions(settings).get_repository_def())
    return {
        "assets": {name: node for name, node in graph["assets"].items() if "/archive" in name},
        "before_videos": sorted(
            dep
            for node in graph["assets"].values()
            for dep in node["deps"]
            if dep.endswith("/archive_members")
        ),
        "jobs": [name for name in graph["jobs"] if "_archives" in name],
    }


def _without_archives(graph: dict[str, Any]) -> dict[str, Any]:
    """Return a graph as if the mirror had one archive per class."""
    for node in graph["assets"].values():
        node["deps"] = [dep for dep in node["deps"] if not dep.endswith("/archive_members")]
    kept = {name: node for name, node in graph["assets"].items() if "/archive" not in name}
    jobs = [name for name in graph["jobs"] if "_archives" not in name]
    return {**graph, "assets": kept, "jobs": jobs}


def test_the_graph_is_the_committed_one(demo: dg.RepositoryDefinition, tmp_path: Path) -> None:
    """A change of the graph shows in the diff; KINETICS_TEST_UPDATE=1 writes it anew."""
    graph = {
        "datasets": list(DATASETS),
        "demo": graph_of(demo),
        "of_archives": {
            dataset: _archives_of(load_settings(dataset, root=tmp_path)) for dataset in DATASETS
        },
    }
    if os.environ.get("KINETICS_TEST_UPDATE") == "1":
        SNAPSHOT.write_text(json.dumps(graph, indent=1) + "\n")
    assert graph == json.loads(SNAPSHOT.read_text())


def test_every_dataset_has_the_same_graph(tmp_path: Path, demo: dg.RepositoryDefinition) -> None:
    """Datasets differ in names, classes and the mirror's archives, not in their shape."""
    for dataset in DATASETS:
        definitions = dataset_definitions(load_settings(dataset, root=tmp_path))
        text = json.dumps(_without_archives(graph_of(definitions.get_repository_def())))
        other = json.loads(text.replace(f'"{dataset}', '"demo'))
        expected = graph_of(demo)
        for asset in [*other["assets"].values(), *expected["assets"].values()]:
            asset["partitions"] = bool(asset["partitions"])
        assert other == expected, dataset


@pytest.mark.parametrize("dataset", ["demo", "kinetics400"])
def test_everything_is_explained(tmp_path: Path, dataset: str) -> None:
    """No page of the UI says "No description found"."""
    settings = load_settings(dataset, root=tmp_path)
    shown = dataset_definitions(settings).get_repository_def()
    graph = shown.asset_graph
    said = {node.key.to_user_string(): node.description for node in graph.asset_nodes}
    said |= {str(key): graph.get_check_spec(key).description for key in graph.asset_check_keys}
    said |= {s.name: s.description for s in shown.sensor_defs}
    said |= {s.name: s.description for s in shown.schedule_defs}
    said |= {
        name: shown.get_job(name).description
        for name in shown.job_names
        if not name.startswith("__")
    }
    assert {
        name: text for name, text in said.items() if len(text or "") < SHORTEST_DESCRIPTION
    } == {}


def test_frames_come_from_where_the_settings_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`frames_from = resized` moves frames and flow below the resized videos."""
    monkeypatch.setenv("KINETICS_RAWFRAMES__FRAMES_FROM", "resized")
    definitions = dataset_definitions(load_settings("demo", root=tmp_path))
    assets = graph_of(definitions.get_repository_def())["assets"]
    assert assets["demo/train/rawframes"]["deps"] == ["demo/train/resized"]
    assert assets["demo/train/flow"]["deps"] == ["demo/train/resized"]


def test_a_changed_recipe_is_a_new_code_version(tmp_path: Path) -> None:
    """Dagster sees a recipe that changed in the settings file, for that stage alone."""

    def versions() -> dict[str, str | None]:
        settings = load_settings("demo", root=tmp_path)
        graph = dataset_definitions(settings).get_repository_def().asset_graph
        return {node.key.path[-1]: node.code_version for node in graph.asset_nodes}

    before = versions()
    (tmp_path / "kinetics.toml").write_text("[resized]\ncrf = 30\n")
    after = versions()
    assert {name for name in before if before[name] != after[name]} == {"resized"}


def test_the_two_dagster_yaml_are_equal() -> None:
    """The one at the top is the one that a new home gets."""
    packaged = TOP / "kinetics_assets" / "data" / "dagster.yaml"
    assert packaged.read_bytes() == (TOP / "dagster.yaml").read_bytes()


def test_loading_imports_no_heavy_library(tmp_path: Path) -> None:
    """Definitions of all datasets load without a decoder, a compiler, pandas or pyarrow."""
    code = (
        "import sys; import dagster; before = set(sys.modules);"
        " import kinetics_assets.definitions;"
        " print(*sorted({name.split('.')[0] for name in set(sys.modules) - before}))"
    )
    environment = {**os.environ, "KINETICS_ROOT": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=TOP, env=environment, capture_output=True, check=True
    )
    heavy = {"av", "cv2", "numba", "numpy", "pandas", "pyarrow", "yt_dlp", "simplejpeg"}
    assert heavy.isdisjoint(done.stdout.decode().split())


@pytest.mark.slow
def test_dagster_validates_the_workspace(tmp_path: Path) -> None:
    """`dagster definitions validate` loads the workspace file as the UI would."""
    (tmp_path / "home").mkdir()
    environment = {
        **os.environ,
        "KINETICS_ROOT": str(tmp_path),
        "DAGSTER_HOME": str(tmp_path / "home"),
    }
    done = subprocess.run(
        [sys.executable, "-m", "dagster", "definitions", "validate", "-w", "workspace.yaml"],
        cwd=TOP,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Validation successful for code location kinetics_assets" in done.stdout + done.stderr
