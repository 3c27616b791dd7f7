"""`kinetics up` as a process, and what its UI asks by GraphQL."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
import urllib.request
from typing import TYPE_CHECKING, Any, Self, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path
    from types import TracebackType

PATIENCE_SECONDS = 600.0
_T = TypeVar("_T")
_LOCATION = {
    "repositoryLocationName": "kinetics_assets.definitions",
    "repositoryName": "__repository__",
}
_START = """
mutation ($selector: SensorSelector!) { startSensor(sensorSelector: $selector) {
  __typename ... on Sensor { sensorState { id status } } } }
"""
_STOP = """
mutation ($id: String!) { stopSensor(id: $id) {
  __typename ... on StopSensorMutationResult { instigationState { status } } } }
"""
_SENSOR = """
query ($selector: SensorSelector!) { sensorOrError(sensorSelector: $selector) {
  __typename ... on Sensor { sensorState { id status
    ticks(limit: 5) { tickId status skipReason runIds runKeys error { message } } } } } }
"""
_LAUNCH = """
mutation ($params: ExecutionParams!) { launchRun(executionParams: $params) {
  __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }
"""
_RUNS = "query { runsOrError { ... on Runs { results { runId status jobName } } } }"
_MATERIALISATION = """
query ($key: AssetKeyInput!) { assetOrError(assetKey: $key) { ... on Asset {
  assetMaterializations(limit: 1) { runId metadataEntries { label
    ... on IntMetadataEntry { intValue }
    ... on MarkdownMetadataEntry { mdStr }
    ... on TableMetadataEntry { table { records } } } } } } }
"""
_OBSERVATIONS = """
query ($run: ID!, $after: String) { logsForRun(runId: $run, afterCursor: $after) {
  ... on EventConnection { cursor hasMore
    events { ... on ObservationEvent { partition assetKey { path } } } } } }
"""
_STALE = """
query ($key: AssetKeyInput!) { assetNodeOrError(assetKey: $key) { ... on AssetNode {
  staleStatus staleStatusByPartition
  staleCausesByPartition { category key { path } partitionKey reason }
  partitionKeys partitionStats { numMaterialized numMaterializing numPartitions numFailed } } } }
"""


class Ui:
    """Web server and daemon of a root; they end with the block."""

    def __init__(self, root: Path, environment: Mapping[str, str]) -> None:
        """Start them on a free port."""
        log = (root / "up.log").open("wb")
        self._log = root / "up.log"
        with log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "kinetics_assets.cli", "up", "--port", "0"],
                env=dict(environment) | {"PYTHONUNBUFFERED": "1"},
                stdout=log,
                stderr=log,
            )
        self.address = ""

    def __enter__(self) -> Self:
        """Wait until they answer."""
        self.address = await_value(self._said_address, "the web server")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End them."""
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(timeout=120)

    def _said_address(self) -> str:
        """Return where the UI is, empty while it is not."""
        text = self._log.read_text(encoding="utf-8")
        assert self._process.poll() is None, text
        _, found, rest = text.partition("The Dagster UI is at ")
        return rest.split()[0] if found else ""

    def switch(self, sensor: str, *, on: bool) -> None:
        """Turn a sensor on or off, as its switch does."""
        if on:
            state = self.ask(_START, selector=_sensor(sensor))["startSensor"]
            assert state["sensorState"]["status"] == "RUNNING", state
        else:
            state = self.ask(_STOP, id=self._state(sensor)["id"])["stopSensor"]
            assert state["instigationState"]["status"] == "STOPPED", state

    def next_tick(self, sensor: str) -> dict[str, Any]:
        """Return the first tick of a sensor that is over and that was not there before."""
        known = {tick["tickId"] for tick in self._state(sensor)["ticks"]}

        def new() -> dict[str, Any] | None:
            ticks = [
                tick
                for tick in self._state(sensor)["ticks"]
                if tick["tickId"] not in known and tick["status"] != "STARTED"
            ]
            return ticks[-1] if ticks else None

        tick = await_value(new, f"a tick of {sensor}")
        assert tick["status"] in {"SUCCESS", "SKIPPED"}, tick
        return tick

    def _state(self, sensor: str) -> dict[str, Any]:
        """Return the state of a sensor with its last ticks."""
        found: dict[str, Any] = self.ask(_SENSOR, selector=_sensor(sensor))["sensorOrError"]
        state: dict[str, Any] = found["sensorState"]
        return state

    def launch(self, job: str) -> str:
        """Return the id of a run of a job, launched as its button does."""
        selector = _LOCATION | {"jobName": job}
        told = self.ask(_LAUNCH, params={"selector": selector})["launchRun"]
        assert told["__typename"] == "LaunchRunSuccess", told
        return str(told["run"]["runId"])

    def await_run(self, run_id: str) -> None:
        """Wait until a run has succeeded."""

        def over() -> str:
            status = self.runs()[run_id]
            return status if status in {"SUCCESS", "FAILURE", "CANCELED"} else ""

        status = await_value(over, f"run {run_id}")
        assert status == "SUCCESS", f"run {run_id}: {status}"

    def runs(self) -> dict[str, str]:
        """Return id -> status of all runs."""
        found = self.ask(_RUNS)["runsOrError"]["results"]
        return {run["runId"]: run["status"] for run in found}

    def shown(self, *key: str) -> tuple[str, dict[str, Any]]:
        """Return the run and the metadata of an asset's latest materialisation."""
        (event,) = self.ask(_MATERIALISATION, key={"path": key})["assetOrError"][
            "assetMaterializations"
        ]
        values: dict[str, Any] = {}
        for entry in event["metadataEntries"]:
            value = entry.get("intValue", entry.get("mdStr"))
            if "table" in entry:
                value = [json.loads(record) for record in entry["table"]["records"]]
            values[entry["label"]] = value
        return event["runId"], values

    def observed(self, run_id: str) -> dict[tuple[str, ...], set[str]]:
        """Return asset -> partitions that a run observed."""
        seen: dict[tuple[str, ...], set[str]] = {}
        after, more = None, True
        while more:
            page = self.ask(_OBSERVATIONS, run=run_id, after=after)["logsForRun"]
            for event in page["events"]:
                if event:
                    seen.setdefault(tuple(event["assetKey"]["path"]), set()).add(event["partition"])
            after, more = page["cursor"], page["hasMore"]
        return seen

    def state_of(self, *key: str) -> dict[str, Any]:
        """Return what the UI asks of an asset: stale or not by partition, causes, and counts."""
        found: dict[str, Any] = self.ask(_STALE, key={"path": key})["assetNodeOrError"]
        return found

    def ask(self, query: str, **variables: Any) -> dict[str, Any]:  # noqa: ANN401 - as JSON
        """Return the data of the answer to a query."""
        request = urllib.request.Request(
            f"{self.address}/graphql",
            data=json.dumps({"query": query, "variables": variables}).encode(),
            headers={"Content-Type": "application/json"},
        )
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=PATIENCE_SECONDS) as answer:
            found = json.load(answer)
        assert not found.get("errors"), found["errors"]
        data: dict[str, Any] = found["data"]
        return data


def await_value(look: Callable[[], _T | None], what: str) -> _T:
    """Return the first value of `look` that is not empty; fail after ten minutes."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (value := look()):
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(1)
    return value


def _sensor(name: str) -> dict[str, str]:
    return _LOCATION | {"sensorName": name}
