"""The web server of orchestration.py, in this process, and what its pages ask of it.

The app is the one that `dagster-webserver` serves, with our definitions in a code server of its own
as `kinetics up` has them, and the queries are the UI's (`ui_queries.py`), sent by HTTP.
"""

# ruff: noqa: ANN401 - JSON, and types that Dagster and SQLAlchemy do not export

from __future__ import annotations

import json
import threading
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

import dagster as dg
import uvicorn
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import ModuleTarget
from dagster_webserver.app import create_app_from_workspace_process_context
from orchestration_instance import LOCATION
from sql_count import counted
from ui_queries import ui_query

from kinetics_assets.assets.checks import COMPLETE

BY_PARTITION: Final = "staleStatusByPartition, all classes"
"""A question that no page of the UI asks; for who asks Dagster's API which classes are stale."""
_BY_PARTITION_QUERY: Final = """
query StaleClasses($assetKey: AssetKeyInput!) {
  assetNodeOrError(assetKey: $assetKey) { ... on AssetNode { id staleStatusByPartition } }
}
"""


@contextmanager
def served(instance: dg.DagsterInstance) -> Iterator[str]:
    """Yield the address of a web server that shows our definitions; it runs in threads."""
    target = ModuleTarget("kinetics_assets.definitions", None, None, LOCATION)
    with WorkspaceProcessContext(instance, target) as context:
        app = create_app_from_workspace_process_context(context)
        config = uvicorn.Config(app, host="127.0.0.1", port=0, log_level="error")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.05)
        port = server.servers[0].sockets[0].getsockname()[1]
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            server.should_exit = True
            thread.join()


def page_costs(
    address: str, keys: list[dg.AssetKey], *, key: dg.AssetKey, partition: str
) -> dict[str, dict[str, float]]:
    """Return question -> CPU seconds, SQL statements, kB of its answer; each is asked twice.

    Args:
        address: Of the web server.
        keys: All assets.
        key: The asset whose page is opened.
        partition: The class whose part of the page is opened.
    """
    found = {}
    for name, (text, variables) in _questions(keys, key=key, partition=partition).items():
        _ask(address, text, variables)  # what is loaded once, and cached, is not the page's cost
        with counted() as cost:
            size_bytes = len(json.dumps(_ask(address, text, variables)))
        found[name] = {
            "cpu_s": cost.cpu_s,
            "sql": cost.sql,
            "most_repeated": cost.most_repeated,
            "answer_kb": size_bytes / 1000,
        }
    return found


def _questions(
    keys: list[dg.AssetKey], *, key: dg.AssetKey, partition: str
) -> dict[str, tuple[str, dict[str, Any]]]:
    """Return what is asked: name -> text and variables."""
    everything = {"assetKeys": [{"path": list(one.path)} for one in keys]}
    one: dict[str, Any] = {"assetKey": {"path": list(key.path)}}
    of_class = one | {"partitionKey": partition}
    asked = {
        "graph: AssetGraphLiveQuery": everything,
        "graph: AssetStaleStatusDataQuery": everything,
        "graph: AssetHealthQuery": everything,
        "all pages: LocationWorkspaceAssetsQuery": {"name": LOCATION},
        "asset: AssetViewDefinitionQuery": one,
        "asset: SidebarAssetQuery": one,
        "asset: PartitionHealthQuery": one,
        "asset: AssetChecksQuery": one,
        "asset: AssetCheckPartitionHealthQuery": one | {"checkName": COMPLETE},
        "asset: RecentAssetEventsQuery": one
        | {"limit": 100, "eventTypeSelectors": ["MATERIALIZATION", "OBSERVATION"]},
        "class: AssetPartitionDetailQuery": of_class,
        "class: AssetPartitionStaleQuery": of_class,
        "runs: RunsFeedRootQuery": {"limit": 30, "view": "RUNS"},
    }
    questions: dict[str, tuple[str, dict[str, Any]]] = {
        name: (ui_query(name.partition(": ")[2]), variables) for name, variables in asked.items()
    }
    return questions | {BY_PARTITION: (_BY_PARTITION_QUERY, one)}


def _ask(address: str, text: str, variables: Mapping[str, Any]) -> Any:
    """Return the data of an answer.

    Raises:
        ValueError: The server says that something is wrong.
    """
    body = json.dumps({"query": text, "variables": variables}).encode()
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(f"{address}/graphql", body, headers)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=600) as answer:
        said = json.load(answer)
    if said.get("errors"):
        raise ValueError(json.dumps(said["errors"])[:2000])
    return said["data"]
