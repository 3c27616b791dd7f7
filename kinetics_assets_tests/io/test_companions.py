"""A program beside this process: asked many times, it may misbehave, and does not outlive us."""

from __future__ import annotations

import gc
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from kinetics_assets.core.errors import InternalError
from kinetics_assets.io.companions import Companion, CompanionLostError
from kinetics_assets.io.leases import hold_device, slot_states
from kinetics_assets_tests.processes import MARK, marked, new_mark, until

PATIENCE_SECONDS = 120.0
ECHO = "import sys\nfor line in sys.stdin: print(line, end='', flush=True)"


def start(code: str, **env: str) -> Companion:
    """Start Python code as a companion."""
    return Companion([sys.executable, "-I", "-S", "-c", code], env=env, keep=())


def descriptors() -> int:
    """Return how many descriptors this process has open."""
    return len(list(Path("/proc/self/fd").iterdir()))


def asked(code: str) -> CompanionLostError:
    """Return how a companion is lost that is asked once."""
    companion = start(code)
    with pytest.raises(CompanionLostError) as caught:
        companion.ask({}, seconds=PATIENCE_SECONDS)
    assert not Path(f"/proc/{companion.pid}").exists()
    with pytest.raises(CompanionLostError, match="stopped before"):
        companion.ask({}, seconds=PATIENCE_SECONDS)
    return caught.value


def test_it_answers_many_times_and_is_told_nothing_of_ours() -> None:
    """Each question has its answer; it has the environment that was given and a plain folder."""
    companion = start(ECHO)
    for number in range(100):
        assert companion.ask({"n": number}, seconds=PATIENCE_SECONDS) == {"n": number}
    told = start("import json, os; print(json.dumps([sorted(os.environ), os.getcwd()]))", ONE="1")
    with pytest.raises(CompanionLostError, match="nonsense"):
        told.ask(None, seconds=PATIENCE_SECONDS)  # a list is none
    told = start(
        "import json, os; print(json.dumps({'is': [os.environ['ONE'], os.getcwd()]}))", ONE="1"
    )
    assert told.ask(None, seconds=PATIENCE_SECONDS) == {"is": ["1", "/"]}
    with pytest.raises(InternalError, match="5010 bytes"):
        companion.ask({"n": "x" * 5000}, seconds=PATIENCE_SECONDS)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("import os; os.write(2, b'oh'); os.kill(os.getpid(), 11)", "it died of SIGSEGV: oh"),
        ("raise SystemExit('a\\nlast words')", "it ended with status 1: last words"),
        ("import os; os.write(2, b'why'); print('nonsense')", "it answered nonsense: why"),
        ("print('[' * 60000)", "it answered nonsense"),
        ("print('[' * 70000)", "it answered with too many bytes"),
        ("import os\nwhile True: os.write(1, b'x' * 65536)", "it answered with too many bytes"),
    ],
)
def test_what_it_does_instead_of_an_answer_is_told(code: str, words: str) -> None:
    """Death by its signal or status with its last words; then it is gone, and can be replaced."""
    lost = asked(code)
    assert (str(lost), lost.in_time) == (words, True)


def test_one_that_says_nothing_is_killed_when_its_time_is_up() -> None:
    """However much it printed elsewhere, of which only the end is kept."""
    noise = "for _ in range(50): os.write(2, b'x' * 65536)\nos.write(2, b'\\nend')"
    companion = start(f"import os, time\n{noise}\nprint('{{}}', flush=True)\ntime.sleep(600)")
    assert companion.ask(None, seconds=PATIENCE_SECONDS) == {}
    with pytest.raises(CompanionLostError) as caught:
        companion.ask({}, seconds=0.2)
    assert str(caught.value) == "it was stopped because its time was up: end"
    assert not caught.value.in_time
    assert not Path(f"/proc/{companion.pid}").exists()


def test_its_children_go_with_it() -> None:
    """They are of its group; one that holds its output open is not waited for."""
    mark = new_mark()
    child = (
        f"subprocess.Popen([{sys.executable!r}, '-I', '-S', '-c', 'import time; time.sleep(600)'])"
    )
    companion = start(
        f"import subprocess; {child}; print('{{}}', flush=True); input()", **{MARK: mark}
    )
    assert companion.ask(None, seconds=PATIENCE_SECONDS) == {}
    until(lambda: len(marked(mark)) == 2, "its child")
    companion.end()
    companion.end()
    until(lambda: not marked(mark), "the end of its child")


def test_it_goes_away_with_the_object() -> None:
    """Nobody needs to end it; no process, pipe or warning is left."""
    gc.collect()  # what other tests left
    companion = start(ECHO)
    companion.ask({}, seconds=PATIENCE_SECONDS)
    pid, before = companion.pid, descriptors()
    del companion
    gc.collect()
    assert not Path(f"/proc/{pid}").exists()
    assert descriptors() == before - 3


def test_it_dies_with_its_owner_and_keeps_the_device_till_then(tmp_path: Path) -> None:
    """SIGKILL of the owner kills it; while it lives, the lease is its own too."""
    mark = new_mark()
    code = (
        "import pathlib, sys, time\n"
        "from kinetics_assets.io.companions import Companion\n"
        "from kinetics_assets.io.leases import hold_device\n"
        "hold_device(['0'], slots=1, holder='test', folder=pathlib.Path(sys.argv[1]))\n"
        "code = 'import time; print(\"{}\", flush=True); time.sleep(600)'\n"
        "argv = [sys.executable, '-I', '-S', '-c', code]\n"
        "one = Companion(argv, env={sys.argv[2]: sys.argv[3]}, keep=())\n"
        "one.ask(None, seconds=120)\n"
        "print(one.pid, flush=True)\n"
        "time.sleep(600)\n"
    )
    owner = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path), MARK, mark],
        cwd=Path(__file__).parents[2],
        stdout=subprocess.PIPE,
    )
    assert owner.stdout is not None
    with owner, owner.stdout:
        pid = int(owner.stdout.readline())
        (state,) = slot_states(tmp_path)
        assert set(state.pids) == {owner.pid, pid}
        owner.send_signal(signal.SIGKILL)
    until(lambda: not marked(mark), "the end of the companion")
    hold_device(["0"], slots=1, holder="next", folder=tmp_path, deadline_seconds=60).release()
