"""Dagster's web server with a code location of its own, asked as the UI asks it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from kinetics_assets_tests.processes import until

TOP = Path(__file__).parents[2]
_PATIENCE_SECONDS = 300.0
_STARTS = 3
_LAUNCHES_ITSELF = """
telemetry:
  enabled: false
run_coordinator:
  module: dagster._core.run_coordinator
  class: DefaultRunCoordinator
"""
"""Instance settings with which no daemon is needed to start a run."""
_LAUNCH = """
mutation ($job: String!, $module: String!) {
  launchRun(executionParams: {
    selector: {
      repositoryLocationName: $module, repositoryName: "__repository__", jobName: $job
    }
  }) { __typename ... on PythonError { message } }
}
"""
_TERMINATE = """
mutation ($run: String!) {
  terminateRun(runId: $run) { __typename ... on PythonError { message } }
}
"""


class Web:
    """A web server on loopback; ends with all that it started at the end of the block."""

    def __init__(self, home: Path, *, module: str, log: Path) -> None:
        """Serve the instance of `home` and the definitions of `module`."""
        (home / "dagster.yaml").write_text(_LAUNCHES_ITSELF)
        self._home, self._module, self._log = home, module, log
        self._start()

    def _start(self) -> None:
        """Start the server on a port that is free; another program may take it meanwhile."""
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = probe.getsockname()[1]
        self._address = f"http://127.0.0.1:{port}"
        argv = [sys.executable, "-m", "dagster_webserver", "-h", "127.0.0.1", "-p", str(port)]
        with self._log.open("ab") as sink:
            self._server = subprocess.Popen(
                [*argv, "-m", self._module],
                cwd=TOP,
                env={**os.environ, "DAGSTER_HOME": str(self._home), "PYTHONPATH": str(TOP)},
                stdout=sink,
                stderr=sink,
            )

    def __enter__(self) -> Self:
        """Wait until it answers."""
        for _ in range(_STARTS):
            until(self._has_begun, "the web server to answer", seconds=_PATIENCE_SECONDS)
            if self._server.poll() is None:
                return self
            self._start()
        raise AssertionError(self._log.read_text())

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End it."""
        self._server.send_signal(signal.SIGTERM)
        self._server.wait()

    def launch(self, job: str) -> None:
        """Start a run of a job."""
        answer = self._ask(_LAUNCH, job=job, module=self._module)
        assert answer["data"]["launchRun"]["__typename"] == "LaunchRunSuccess", answer

    def terminate(self, run_id: str) -> None:
        """End a run as the button of the UI does."""
        answer = self._ask(_TERMINATE, run=run_id)
        assert answer["data"]["terminateRun"]["__typename"] == "TerminateRunSuccess", answer

    def _has_begun(self) -> bool:
        """Return whether the server is up, or has ended."""
        try:
            with urllib.request.urlopen(f"{self._address}/server_info", timeout=60):
                return True
        except OSError:
            return self._server.poll() is not None

    def _ask(self, query: str, **variables: str) -> dict[str, Any]:
        """Return the answer to a query."""
        request = urllib.request.Request(
            f"{self._address}/graphql",
            data=json.dumps({"query": query, "variables": variables}).encode(),
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=_PATIENCE_SECONDS) as answer:
            found: dict[str, Any] = json.load(answer)
        return found
