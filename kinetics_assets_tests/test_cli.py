"""The command line as a user meets it: judged by exit code and words, often in its own process."""

from __future__ import annotations

import ctypes
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from kinetics_assets import cli
from kinetics_assets.core.settings import Settings
from kinetics_assets_tests.handmade import CLIP, TRAIN, build
from kinetics_assets_tests.processes import marked, until

Refused = Callable[..., str]
KINETICS = [sys.executable, "-m", "kinetics_assets.cli"]
SECONDS = 300


def _environment(**variables: str) -> dict[str, str]:
    """Return the environment without settings of ours, plus `variables`."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("KINETICS_", "DAGSTER_", "COLUMNS"))
        or name == "KINETICS_MACHINE_DIR"
    }
    return kept | variables


def _run(
    *arguments: str, cwd: Path, before: Callable[[], object] | None = None, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Return the finished command; it never has a traceback."""
    done = subprocess.run(
        [*KINETICS, *arguments],
        cwd=cwd,
        env=_environment(**variables),
        preexec_fn=before,
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS,
    )
    assert "Traceback" not in done.stderr + done.stdout, done.stderr
    return done


def _refused(done: subprocess.CompletedProcess[str], code: int) -> str:
    """Return the error paragraph after checking exit code and form."""
    assert done.returncode == code, done.stderr
    assert done.stderr.startswith("error: "), done.stderr
    return done.stderr


@pytest.fixture
def refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Refused:
    """Return what runs a command that is refused with exit code 2, and returns its paragraph.

    In this process, for the sake of time: an interpreter of its own adds nothing to a refusal.
    """
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("COLUMNS", raising=False)

    def run(*arguments: str) -> str:
        code = cli.run([*arguments])
        told = capsys.readouterr()
        assert "Traceback" not in told.err + told.out
        assert code == 2, told.err
        assert told.err.startswith("error: "), told.err
        return told.err

    return run


def test_help_is_one_screen(tmp_path: Path) -> None:
    """``kinetics --help`` names every verb in at most 24 lines of 80 characters."""
    done = _run("--help", cwd=tmp_path)
    lines = done.stdout.splitlines()
    assert done.returncode == 0
    assert len(lines) <= 24
    assert max(map(len, lines)) <= 80
    for verb in ("demo", "up", "prepare", "status", "backfill", "verify"):
        assert re.search(rf"^  {verb} ", done.stdout, re.MULTILINE)
        assert cli.run([verb, "--help"]) == 0


def test_help_does_not_import_dagster(tmp_path: Path) -> None:
    """The help and errors of the first kind come at once: the heavy imports are not made."""
    code = "import sys; import kinetics_assets.cli; print('dagster' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "False"


@pytest.mark.parametrize("verb", ["status", "verify", "prepare", "backfill"])
def test_an_unknown_dataset_is_named_with_the_nearest_one(verb: str, refused: Refused) -> None:
    """Exit code 2, and the name that was probably meant."""
    assert "Did you mean 'kinetics400'?" in refused(verb, "kinetic400")


@pytest.mark.parametrize("verb", ["status", "verify", "prepare", "backfill"])
def test_an_unknown_class_is_named_with_the_nearest_one(
    verb: str, refused: Refused, tmp_path: Path
) -> None:
    """Exit code 2, before anything is made on the disk."""
    assert "Did you mean 'zumba'?" in refused(verb, "demo", "--class", "zumbaa")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (("prepare", "demo", "--split", "tran"), "train, val, test"),
        (("prepare", "demo", "--stage", "frames"), "rawframes"),
        (("prepare", "demo", "--local", "nowhere"), "nowhere is no folder"),
        (("prepare", "demo", "--adopt", "nowhere"), "nowhere is no folder"),
    ],
)
def test_unusable_options_are_refused_first(
    arguments: tuple[str, ...], hint: str, refused: Refused, tmp_path: Path
) -> None:
    """Exit code 2 with what is allowed, before anything is made on the disk."""
    assert hint in refused(*arguments)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("verb", [("status", "demo"), ("verify", "demo"), ("up",)])
def test_a_missing_root_is_told_with_how_to_make_one(
    verb: tuple[str, ...], refused: Refused, tmp_path: Path
) -> None:
    """Exit code 2; looking at a dataset does not make a folder."""
    text = refused(*verb, "--root", str(tmp_path / "no" / "root"))
    assert "does not exist" in text
    assert "kinetics demo" in text
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("verb", [("demo",), ("prepare", "demo"), ("status", "demo")])
def test_a_root_that_is_a_file_is_refused(
    verb: tuple[str, ...], refused: Refused, tmp_path: Path
) -> None:
    """Exit code 2, and the file is untouched."""
    root = tmp_path / "root"
    root.write_text("mine")
    assert "is no folder" in refused(*verb, "--root", str(root))
    assert root.read_text() == "mine"


@pytest.mark.parametrize("verb", [("demo",), ("prepare", "demo")])
def test_a_root_below_a_file_is_refused(
    verb: tuple[str, ...], refused: Refused, tmp_path: Path
) -> None:
    """Exit code 2 when the root cannot be made at all."""
    (tmp_path / "file").write_text("mine")
    assert "cannot be made" in refused(*verb, "--root", str(tmp_path / "file" / "root"))


def _obey_mode_bits() -> None:
    """Take from a superuser, in a child, the right to write where mode bits forbid it."""
    ctypes.CDLL(None).prctl(24, 1)  # PR_CAPBSET_DROP, CAP_DAC_OVERRIDE


@pytest.mark.parametrize("verb", [("demo",), ("prepare", "demo")])
def test_an_unwritable_root_is_an_environment_fault(verb: tuple[str, ...], tmp_path: Path) -> None:
    """Exit code 3 with the path and what to do, before anything is started."""
    root = tmp_path / "locked"
    root.mkdir(mode=0o555)
    done = _run(*verb, "--root", str(root), cwd=tmp_path, before=_obey_mode_bits)
    text = _refused(done, 3)
    assert str(root) in text
    assert "writable" in text


@pytest.mark.parametrize("verb", [("demo",), ("prepare", "demo")])
def test_too_little_space_is_told_before_anything_is_started(
    verb: tuple[str, ...], tmp_path: Path
) -> None:
    """Exit code 3 with what is free and what is wanted, and nothing but the root is made."""
    done = _run(
        *verb, "--root", str(tmp_path), cwd=tmp_path, KINETICS_LIMITS__MIN_FREE_BYTES=str(10**18)
    )
    text = _refused(done, 3)
    assert "MiB free" in text
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_fills_up_under_way_is_an_environment_fault(tmp_path: Path) -> None:
    """A write that the system refuses (here by a size limit) ends in exit code 3, no half file."""
    limited = ["bash", "-c", 'ulimit -f 4; exec "$@"', "-", *KINETICS]  # 4 KiB a file
    done = subprocess.run(
        [*limited, "demo", "--root", str(tmp_path), "--classes", "1"],
        cwd=tmp_path,
        env=_environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS,
    )
    assert "Traceback" not in done.stderr
    assert "No space left" in _refused(done, 3)
    assert not list(tmp_path.rglob("*.mp4"))


def test_a_malformed_list_is_told_with_file_and_line(tmp_path: Path) -> None:
    """``prepare --annotations`` of a file without a header ends in exit code 2."""
    bad = tmp_path / "train.csv"
    bad.write_text("abseiling;0wR5jVB-WPk;417;427\n")
    done = _run(
        "prepare", "demo", "--annotations", str(bad), "--root", str(tmp_path / "r"), cwd=tmp_path
    )
    text = _refused(done, 2)
    assert "train.csv" in text
    assert "header" in text


def test_unknown_settings_are_told(tmp_path: Path) -> None:
    """A typing slip in the environment is an error, exit code 2."""
    done = _run("status", "demo", cwd=tmp_path, KINETICS_FLOW__ENGIN="cpu")
    assert "engine" in _refused(done, 2)


def test_a_taken_port_is_told(tmp_path: Path) -> None:
    """``up`` says which address is taken and which option chooses another; exit code 3."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        text = _refused(_run("up", "--port", port, "--root", str(tmp_path), cwd=tmp_path), 3)
    assert f"127.0.0.1:{port} is already in use" in text
    assert "--port" in text


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "example.org", "::"])
def test_up_refuses_to_be_reached_by_others(host: str, refused: Refused, tmp_path: Path) -> None:
    """An address that is not loopback needs the flag that says so; exit code 2."""
    assert "--allow-remote" in refused("up", "--host", host, "--root", str(tmp_path))


def test_verify_exit_code_follows_the_findings(tmp_path: Path) -> None:
    """0 for a whole dataset, 1 with the finding for a damaged one; JSON says the same."""
    dataset = build(Settings(root=tmp_path, dataset="demo"))
    whole = _run("verify", "demo", "--root", str(tmp_path), cwd=tmp_path)
    assert whole.returncode == 0, whole.stdout
    assert "all agree" in whole.stdout
    dataset.layout.video(TRAIN, "abseiling", CLIP).unlink()
    damaged = _run("verify", "demo", "--root", str(tmp_path), cwd=tmp_path)
    assert damaged.returncode == 1
    assert "file_missing" in damaged.stdout
    as_json = _run("verify", "demo", "--json", "--root", str(tmp_path), cwd=tmp_path)
    assert as_json.returncode == 1
    assert json.loads(as_json.stdout)["findings"][0]["problem"] == "file_missing"


def test_the_digest_is_one_line(tmp_path: Path) -> None:
    """``verify --digest`` prints 64 hex digits that follow the content."""
    dataset = build(Settings(root=tmp_path, dataset="demo"))
    before = _run("verify", "demo", "--digest", "--root", str(tmp_path), cwd=tmp_path).stdout
    assert re.fullmatch(r"[0-9a-f]{64}\n", before)
    dataset.layout.filelist(TRAIN, "flow").unlink()
    assert (
        _run("verify", "demo", "--digest", "--root", str(tmp_path), cwd=tmp_path).stdout != before
    )


def test_status_of_nothing_says_what_to_type(tmp_path: Path) -> None:
    """A root without the dataset is no error; the next command is told."""
    done = _run("status", "kinetics400", "--root", str(tmp_path), cwd=tmp_path)
    assert done.returncode == 0
    assert "kinetics prepare kinetics400" in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_up_serves_the_ui_and_leaves_nothing_running(
    number: signal.Signals, tmp_path: Path
) -> None:
    """The UI answers on loopback, the definitions load, and a signal ends every process."""
    log = tmp_path / "up.log"
    with log.open("wb") as sink:
        up = subprocess.Popen(
            [*KINETICS, "up", "--port", "0", "--root", str(tmp_path)],
            cwd=tmp_path,
            env=_environment(
                KINETICS_TEST_MARK=str(tmp_path), KINETICS_DATASETS="demo", PYTHONUNBUFFERED="1"
            ),
            stdout=sink,
            stderr=subprocess.STDOUT,
        )
        try:
            address = _await_address(up, log)
            assert "kinetics_assets.definitions" in _locations(address)
        finally:
            up.send_signal(number)
            code = up.wait(300)
    assert code == 0, log.read_text()
    until(lambda: not marked(str(tmp_path)), "the processes of `up` to end")


def _await_address(up: subprocess.Popen[bytes], log: Path) -> str:
    """Return the address that `up` prints."""
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline and up.poll() is None:
        match = re.search(r"http://127\.0\.0\.1:[0-9]+", log.read_text())
        if match:
            return match[0]
        time.sleep(0.5)
    raise AssertionError(log.read_text())


def _locations(address: str) -> str:
    """Return what the server says of its code locations, once they are loaded."""
    query = (
        "{ workspaceOrError { ... on Workspace { locationEntries { name loadStatus"
        " locationOrLoadError { __typename ... on PythonError { message } } } } } }"
    )
    request = urllib.request.Request(
        f"{address}/graphql",
        data=json.dumps({"query": query}).encode(),
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=SECONDS) as answer:
        text: str = answer.read().decode()
    assert "PythonError" not in text, text
    return text
