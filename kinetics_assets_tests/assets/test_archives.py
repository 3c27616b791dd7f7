"""Archives of mixed classes in Dagster: what a part shows, and whom it makes stale."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

# no public name answers "is this partition stale", only the UI's query does
from dagster._core.definitions.data_version import CachingStaleStatusResolver, StaleStatus
from dagster._core.loader import LoadingContextForTest

from kinetics_assets.assets.datasets import dataset_definitions
from kinetics_assets.core.clips import Split
from kinetics_assets.core.layout import Layout
from kinetics_assets.core.manifest import Status
from kinetics_assets.core.stages import Stage
from kinetics_assets.io.manifests import read_manifest
from kinetics_assets_tests import mirrors
from kinetics_assets_tests.mirrors import BOXING, FOOTBALL, HEAD, PLAIN, Replica, clip
from kinetics_assets_tests.range_server import RangeServer

TRAIN, VAL, TEST = Split.TRAIN, Split.VAL, Split.TEST
ROWS = {
    (TRAIN, PLAIN): [clip(1), clip(2)],
    (TRAIN, HEAD): [clip(3)],
    (TRAIN, BOXING): [clip(4)],
    (TRAIN, FOOTBALL): [clip(5)],
    (VAL, PLAIN): [clip(6)],
    (TEST, ""): [clip(7)],
}
Run = Callable[..., dg.ExecuteInProcessResult]


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Replica]:
    """A replica of Kinetics-400 with a handful of clips."""
    with RangeServer() as server:
        yield mirrors.replica(server, tmp_path, "kinetics400", ROWS)


@pytest.fixture
def run(made: Replica, instance: dg.DagsterInstance) -> Run:
    """Return a function that materialises an asset by name ("train/archives")."""
    definitions = dataset_definitions(made.settings)
    job = definitions.resolve_implicit_global_asset_job_def()

    def materialise(name: str, partition: str | None = None) -> dg.ExecuteInProcessResult:
        return job.execute_in_process(
            instance=instance,
            asset_selection=[_key(name)],
            partition_key=partition,
            raise_on_error=False,
        )

    return materialise


def _key(name: str) -> dg.AssetKey:
    return dg.AssetKey(["kinetics400", *name.split("/")])


def _observed(instance: dg.DagsterInstance, split: Split = TRAIN) -> list[str | None]:
    """Return the classes of the observations, the first one first."""
    key = _key(f"{split}/archive_members")
    records = instance.fetch_observations(key, limit=100).records
    return [record.partition_key for record in reversed(records)]


def _metadata(result: dg.ExecuteInProcessResult) -> dict[str, Any]:
    (event,) = result.get_asset_materialization_events()
    return {name: value.value for name, value in event.materialization.metadata.items()}


def _table(value: Any) -> list[dict[str, Any]]:  # noqa: ANN401 - Dagster's own
    return [record.data for record in getattr(value, "records", value)]


def _failure(result: dg.ExecuteInProcessResult) -> dg.Failure:
    (event,) = result.get_step_failure_events()
    told = event.step_failure_data.user_failure_data
    assert told is not None
    return dg.Failure(told.description, told.metadata)


def test_the_edges_go_by_the_members_of_a_class(made: Replica) -> None:
    """Archives lead to what they hold of a class, that to its videos; other datasets have none."""
    graph = dataset_definitions(made.settings).get_repository_def().asset_graph
    assert graph.get(_key("train/archive_members")).parent_keys == {_key("train/archives")}
    assert graph.get(_key("train/videos")).parent_keys == {
        _key("train/class_rows"),
        _key("train/archive_members"),
    }
    parts = graph.get(_key("val/archives")).partitions_def
    assert parts is not None
    assert len(parts.get_partition_keys()) == 20
    assert graph.get(_key("test/archives")).partitions_def is None


def test_exactly_the_classes_that_gained_clips_turn_stale(
    made: Replica, run: Run, instance: dg.DagsterInstance
) -> None:
    """A part is observed by the classes of its clips; their videos become unsynced, no others."""
    made.put("400/train/part_0.tar.gz", mirrors.clips_tar([clip(1), clip(4), clip(6)]))
    made.put("400/train/part_1.tar.gz", mirrors.clips_tar([clip(3)]))
    assert run("train/archives", "part_0").success
    assert _observed(instance) == [PLAIN, BOXING]
    assert _observed(instance, VAL) == [PLAIN]
    done = [PLAIN, BOXING, "zumba"]
    for label in done:
        run("train/videos", label)
    assert run("train/videos", BOXING).success
    assert run("train/videos", "zumba").success
    assert _stale(made, instance, [BOXING, "zumba", HEAD]) == []
    made.put("400/replacement_for_corrupted_k400.tgz", mirrors.tar({f"r/{clip(4).name}.mp4": b"x"}))
    assert run("train/archives", "part_1").success
    assert _observed(instance) == [PLAIN, BOXING, HEAD]
    assert run("train/archives", "replacement").success
    assert _observed(instance) == [PLAIN, BOXING, HEAD, BOXING]
    assert _stale(made, instance, [BOXING, "zumba"]) == [BOXING]


def _stale(made: Replica, instance: dg.DagsterInstance, labels: list[str]) -> list[str]:
    graph = dataset_definitions(made.settings).get_repository_def().asset_graph
    resolver = CachingStaleStatusResolver(instance, graph, LoadingContextForTest(instance))
    key = _key("train/videos")
    return [one for one in labels if resolver.get_status(key, one) is StaleStatus.STALE]


def test_a_part_shows_what_it_held(made: Replica, run: Run) -> None:
    """Counts, sizes, checksum and the files with no annotation row; a second time costs nothing."""
    body = mirrors.clips_tar([clip(1), clip(2), clip(90)], junk=True)
    made.put("400/train/part_0.tar.gz", body)
    shown = _metadata(run("train/archives", "part_0"))
    assert (shown["members"], shown["matched"], shown["unmatched"]) == (3, 2, 1)
    assert shown["size_bytes"] == len(body)
    assert shown["etag"]
    assert len(shown["sha256"]) == 64
    assert [r["file"] for r in _table(shown["files_without_row"])] == [f"{clip(90).name}.mp4"]
    assert run("train/archives", "part_0").success
    assert made.asked("400/train/part_0.tar.gz") == 1


def test_a_refused_part_fails_and_is_tried_again(
    made: Replica, run: Run, instance: dg.DagsterInstance
) -> None:
    """The partition fails with the reason and no class is touched; mended, it is taken."""
    made.put("400/train/part_0.tar.gz", mirrors.cut_at_a_member([clip(1), clip(2)]))
    failure = _failure(run("train/archives", "part_0"))
    assert "end mark is missing" in (failure.description or "")
    assert "refused" in failure.metadata
    assert _observed(instance) == []
    made.put("400/train/part_0.tar.gz", mirrors.clips_tar([clip(1)]))
    assert run("train/archives", "part_0").success
    assert _observed(instance) == [PLAIN]


def test_an_absent_part_fails_in_plain_words(made: Replica, run: Run) -> None:
    """A 404 names the address and is not tried again by the step."""
    failure = _failure(run("val/archives", "part_19"))
    assert "/kinetics/400/val/part_19.tar.gz answers 404" in (failure.description or "")
    assert made.asked("400/val/part_19.tar.gz") == 1


def test_clips_wait_for_their_part_and_are_due_when_it_comes(
    made: Replica, run: Run, instance: dg.DagsterInstance
) -> None:
    """A clip that no part here holds is pending; its part makes it due at once; it is linked."""
    run("train/videos", HEAD)
    layout = Layout.of(made.settings)
    (row,) = read_manifest(layout, TRAIN, Stage.VIDEOS, HEAD)
    assert row.status is Status.PENDING
    assert row.not_before is not None
    made.put("400/train/part_5.tar.gz", mirrors.clips_tar([clip(3)]))
    assert run("train/archives", "part_5").success
    assert run("train/videos", HEAD).success
    (row,) = read_manifest(layout, TRAIN, Stage.VIDEOS, HEAD)
    assert (row.status, row.source) == (Status.OK, "mirror")
    stored = layout.mirror_files(TRAIN, "part_5") / f"{clip(3).name}.mp4"
    assert (layout.base / row.path).samefile(stored)


def test_parts_of_test_come_by_the_mirrors_list(
    made: Replica, run: Run, instance: dg.DagsterInstance
) -> None:
    """All parts are got in one step; a bad one fails it, after the good ones were taken."""
    made.put("400/test/k400_test_path.txt", b"http://x/part_0.tar.gz\nhttp://x/part_1.tar.gz\n")
    made.put("400/test/part_0.tar.gz", mirrors.bomb([clip(8)]))
    made.put("400/test/part_1.tar.gz", mirrors.clips_tar([clip(7)]))
    failure = _failure(run("test/archives"))
    assert (failure.description or "").startswith("1 of 2 archives cannot be used. part_0:")
    assert _observed(instance, TEST) == ["unlabelled"]
    made.put("400/test/part_0.tar.gz", mirrors.clips_tar([clip(8)]))
    assert run("test/archives").success
    assert made.asked("400/test/part_1.tar.gz") == 1
