"""The Dagster instance that the UI and the command line share: its home and what it knows."""

from __future__ import annotations

import json
import os
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg

from kinetics_assets.assets.exclusions import changed_exclusions
from kinetics_assets.assets.recorded import materialised
from kinetics_assets.assets.videos import NETWORK_POOL
from kinetics_assets.core.errors import SettingsError
from kinetics_assets.executors.devices import GPU_POOL, gpu_places
from kinetics_assets.executors.gpu import WORKER_TAG
from kinetics_assets.io.atomic import os_faults, write_file
from kinetics_assets.io.locks import exclusive
from kinetics_assets.io.processes import has_ended
from kinetics_assets.io.settings_file import load_settings, shown_datasets

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from kinetics_assets.core.clips import Split
    from kinetics_assets.core.settings import Settings
    from kinetics_assets.core.stages import Stage

_NETWORK_STEPS = 2
_POOLS_NAME = "pools.json"
"""File in the home: the pool limits that we set, so that others are known to be the user's."""
_CONFIG_NAME = "dagster.yaml"
_UNFINISHED = [
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


def dagster_home(root: Path) -> Path:
    """Return the home of the Dagster instance, ready for several processes at once.

    It is DAGSTER_HOME as set, else ``<root>/.dagster``, seeded with the package's dagster.yaml if
    it has none. Databases are made here, under a lock: two processes that make them at once can
    break them.

    Raises:
        SettingsError: The dagster.yaml in the home, or a setting, cannot be used.
        EnvironmentFault: The home cannot be written.
    """
    chosen = os.environ.get("DAGSTER_HOME")
    home = Path(chosen).expanduser().absolute() if chosen else root / ".dagster"
    with os_faults(f"creating {home}"):
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
    with exclusive(home / ".kinetics.lock", wait=True, what=f"the Dagster home {home}"):
        config = home / _CONFIG_NAME
        if not config.exists():
            write_file(config, (files("kinetics_assets.data") / _CONFIG_NAME).read_bytes())
        with open_instance(home) as instance:
            _limit_pools(instance, root, note=home / _POOLS_NAME)
    return home


def _limit_pools(instance: dg.DagsterInstance, root: Path, *, note: Path) -> None:
    """Set how many steps of each pool may run at a time; a limit that the user set stays.

    Without a GPU the pool of GPU steps has no limit, for a step in it shall begin and say so.
    """
    wanted = {NETWORK_POOL: _NETWORK_STEPS}
    places = gpu_places(load_settings(dataset, root=root) for dataset in shown_datasets())
    if places:
        wanted[GPU_POOL] = places
    ours = _own_limits(note)
    storage = instance.event_log_storage
    known = storage.get_concurrency_keys()
    for pool, limit in wanted.items():
        now = storage.get_concurrency_info(pool).slot_count if pool in known else None
        if now in {None, ours.get(pool)} and now != limit:
            storage.set_concurrency_slots(pool, limit)
            ours[pool] = limit
            write_file(note, json.dumps(ours, sort_keys=True).encode())


def _own_limits(note: Path) -> dict[str, int]:
    """Return the pool limits that we set; none if there is no note of them that can be read.

    A limit that is not known to be ours is left as it is, like one that the user set.
    """
    try:
        with os_faults(f"reading {note}"):
            ours = json.loads(note.read_bytes())
    except (FileNotFoundError, ValueError):
        return {}
    return ours if isinstance(ours, dict) else {}


@contextmanager
def open_instance(home: Path) -> Iterator[dg.DagsterInstance]:
    """Open the instance of a home that `dagster_home` has prepared.

    Raises:
        SettingsError: The dagster.yaml in the home cannot be used.
    """
    try:
        instance = dg.DagsterInstance.from_config(str(home))
    except dg.DagsterError as error:
        problem = " ".join(
            str(error).partition(" Expected:")[0].split()
        )  # the schema is pages long
        raise SettingsError(
            f"{home / _CONFIG_NAME}: {problem}",
            remedy="Mend the file, or delete it to get the package's own.",
        ) from error
    with instance:
        yield instance


def is_materialised(
    instance: dg.DagsterInstance, dataset: str, split: Split, stage: Stage, labels: Iterable[str]
) -> set[str]:
    """Return those of `labels` whose class shows as materialised in a stage.

    A class whose latest run failed does not, even over an earlier success. Two queries, whatever
    the number of classes.
    """
    return materialised(instance, dataset, split, stage) & set(labels)


def observe_exclusions(settings: Settings) -> None:
    """Let Dagster know of the clips that file lists leave out, before lists are written with them.

    Raises:
        AnnotationError: A list of them is not there.
    """
    if settings.filelists.exclude:
        with open_instance(dagster_home(settings.root)) as instance:
            for observation in changed_exclusions(instance, settings):
                instance.report_runless_asset_event(observation)


def has_live_runs(instance: dg.DagsterInstance) -> bool:
    """Return whether a run is under way."""
    return bool(instance.get_runs(filters=dg.RunsFilter(statuses=_UNFINISHED), limit=1))


def reap_dead_runs(instance: dg.DagsterInstance) -> list[str]:
    """Mark runs whose process on this machine is gone as failed; return their ids.

    After a power cut or a SIGKILL nobody else does: Dagster's own monitor asks the code server
    that started the run, which is gone as well. Runs of other machines, and runs that never said
    which process works on them, are left alone.
    """
    reaped = []
    for run in instance.get_runs(filters=dg.RunsFilter(statuses=_UNFINISHED)):
        worker = run.tags.get(WORKER_TAG)
        if worker is None or not has_ended(worker):
            continue
        if run.status is dg.DagsterRunStatus.CANCELING:
            instance.report_run_canceled(run, "The process of the run has ended.")
        else:
            instance.report_run_failed(
                run, "The process of the run was killed. Run it again: it goes on from there."
            )
        instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)
        reaped.append(run.run_id)
    return reaped
