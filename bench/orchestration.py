"""What Dagster costs at 700 classes, 3 splits and all stages: loading, ticks, pages of the UI.

`python bench/orchestration.py [--port N]` in the project's environment. Lists and manifests are
made on the first run, outside the repository, which takes three minutes more. The last line is one
JSON object; README.md says how to read it.
"""

# ruff: noqa: ANN401 - JSON, and types that Dagster and SQLAlchemy do not export

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage
from statistics import median
from typing import Any, Final

from orchestration_lists import DATASET, Editions, made, row_count, serving
from results import report

CLASSES: Final = (70, 700)
BUDGET_S: Final = 2.0
LOADS: Final = 3
PAGE: Final = ("train", "flow", "abseiling")
"""The asset, and the class of it, whose page is opened."""
LOAD: Final = "import kinetics_assets.definitions as d; d.defs.get_repository_def()"
ONE_BY_ONE: Final = "materialised classes of a stage, one question for each"
AT_ONCE: Final = "materialised classes of a stage, asked by us"


def loads(root: Path) -> list[dict[str, Any]]:
    """Return a row for each process that loads our definitions, all of it counted."""
    cases = {
        "import dagster alone": (DATASET, "import dagster"),
        f"definitions of {DATASET}": (DATASET, LOAD),
        "definitions of all four and the demo": ("", LOAD),
    }
    seconds: dict[str, list[float]] = {name: [] for name in cases}
    for _ in range(LOADS):
        for name, (datasets, code) in cases.items():
            surroundings = {**os.environ, "KINETICS_ROOT": str(root)}
            if datasets:
                surroundings["KINETICS_DATASETS"] = datasets
            else:
                surroundings.pop("KINETICS_DATASETS", None)
            before = getrusage(RUSAGE_CHILDREN)
            subprocess.run([sys.executable, "-c", code], env=surroundings, check=True)
            after = getrusage(RUSAGE_CHILDREN)
            used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
            seconds[name].append(used)
    return [
        {"input": name, "form": "load", "cpu_s": median(values), "least_s": min(values)}
        for name, values in seconds.items()
    ]


def in_process_of_its_own(editions: Editions, classes: int, options: argparse.Namespace) -> Any:
    """Return what `costs` finds with so many classes made."""
    with tempfile.TemporaryDirectory() as home:
        surroundings = {
            **os.environ,
            "KINETICS_ROOT": str(editions.root),
            "KINETICS_DATASETS": DATASET,
            "DAGSTER_HOME": home,
        }
        argv = [__file__, "--classes", str(classes), "--port", str(options.port)]
        done = subprocess.run(
            [sys.executable, *argv], env=surroundings, check=True, stdout=subprocess.PIPE, text=True
        )
    return json.loads(done.stdout.splitlines()[-1])


def costs(editions: Editions, classes: int) -> dict[str, Any]:
    """Return pages and ticks of an instance with `classes` classes of each split made."""
    import dagster as dg
    from orchestration_instance import fill
    from orchestration_pages import page_costs, served
    from orchestration_ticks import tick_costs

    from kinetics_assets import definitions
    from kinetics_assets.io.settings_file import load_settings
    from kinetics_assets.runs import dagster_home, open_instance

    settings = load_settings(DATASET, root=editions.root)
    repository = definitions.defs.get_repository_def()
    split, stage, partition = PAGE
    key = dg.AssetKey([DATASET, split, stage])
    home = dagster_home(editions.root)
    with open_instance(home) as instance:
        made_count = fill(instance, repository, settings, classes=classes)
        keys = sorted(repository.asset_graph.get_all_asset_keys())
        with served(instance) as address:
            pages = page_costs(address, keys, key=key, partition=partition)
        recorded = recorded_costs(instance, key)
        ticks = tick_costs(instance, repository, editions, settings=settings, classes=classes)
        index_bytes = (home / "history" / "runs" / "index.db").stat().st_size
    return {
        "class_stages_made": made_count,
        "assets": len(keys),
        "index_mb": index_bytes / 1e6,
        "pages": pages,
        "recorded": recorded,
        "ticks": ticks,
    }


def recorded_costs(instance: Any, key: Any) -> dict[str, dict[str, float]]:
    """Return the costs of knowing which classes are materialised: ours, and one by one."""
    import dagster as dg
    from sql_count import counted

    from kinetics_assets.assets.partitions import class_partitions
    from kinetics_assets.assets.recorded import materialised
    from kinetics_assets.core.clips import Split
    from kinetics_assets.core.stages import Stage

    split = Split(PAGE[0])
    with counted() as ours:
        at_once = materialised(instance, DATASET, split, Stage(PAGE[1]))
    with counted() as theirs:
        one_by_one = {
            partition
            for partition in class_partitions(DATASET, split).get_partition_keys()
            if instance.fetch_materializations(
                dg.AssetRecordsFilter(key, asset_partitions=[partition]), limit=1
            ).records
        }
    assert at_once == one_by_one
    return {
        name: {"cpu_s": one.cpu_s, "sql": one.sql, "most_repeated": one.most_repeated}
        for name, one in ((AT_ONCE, ours), (ONE_BY_ONE, theirs))
    }


def rows_of(few: dict[str, Any], many: dict[str, Any]) -> list[dict[str, Any]]:
    """Return a row for each tick and question, with the statements of both instances."""
    from orchestration_pages import BY_PARTITION

    rows = []
    for part, form in (("ticks", "tick"), ("pages", "page"), ("recorded", "question")):
        for name, cost in many[part].items():
            before = few[part][name]
            is_page = name not in {BY_PARTITION, ONE_BY_ONE}
            rows.append(
                {
                    "input": name,
                    "form": form if is_page else "one by one",
                    "cpu_s": cost["cpu_s"],
                    "cpu_s_70": before["cpu_s"],
                    "sql_70": before["sql"],
                    "sql": cost["sql"],
                    "sql_growth": cost["sql"] - before["sql"],
                    "most_repeated": cost["most_repeated"],
                    **{k: cost[k] for k in ("answer_kb", "said") if k in cost},
                }
            )
    return rows


def main() -> None:
    """Measure everything and print the finding."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=4387, help="where the lists are served")
    parser.add_argument("--classes", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    editions = made(options.port)
    if options.classes:
        print(json.dumps(costs(editions, options.classes)))
        return
    rows = loads(editions.root)
    with serving(editions.served, options.port):
        few, many = (in_process_of_its_own(editions, count, options) for count in CLASSES)
    rows += rows_of(few, many)
    dearest = max((row for row in rows if row["form"] == "tick"), key=lambda row: row["cpu_s"])
    by_name = {row["input"]: row for row in rows}
    details = {
        "what": (
            f"CPU seconds and SQL statements, {DATASET} with {row_count():,} rows; ratio: the"
            f" budget of a tick, {BUDGET_S:g} s, over the dearest tick"
        ),
        "columns": {
            "cpu_s": "CPU s",
            "cpu_s_70": "CPU s, 70 classes made",
            "sql_70": "SQL, 70 classes made",
            "sql": "SQL, 700 made",
            "sql_growth": "more SQL",
            "most_repeated": "same statement",
            "answer_kb": "answer, kB",
            "said": "what came of it",
        },
        "aims": {
            "cpu_s": {"most": {"tick": BUDGET_S}},
            "sql_growth": {"most": {"tick": 0, "page": 0, "question": 0}},
        },
        "rows": rows,
        "dearest_tick": dearest["input"],
        "one_by_one_over_ours_cpu": by_name[ONE_BY_ONE]["cpu_s"] / by_name[AT_ONCE]["cpu_s"],
        "class_stages_made": [few["class_stages_made"], many["class_stages_made"]],
        "assets": many["assets"],
        "index_mb": many["index_mb"],
        "load_average": os.getloadavg()[0],
        "versions": {"dagster": version("dagster"), "python": sys.version.split()[0]},
    }
    report("orchestration", BUDGET_S / dearest["cpu_s"], details)


if __name__ == "__main__":
    main()
