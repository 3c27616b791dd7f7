"""Programs that are not ours: they end, whatever they do, and do not outlive the process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from kinetics_assets.io.leases import hold_device
from kinetics_assets.io.programs import ProgramEnd, run_program
from kinetics_assets_tests.processes import MARK, marked, new_mark, until

PATIENCE_SECONDS = 60.0


def run(
    code: str,
    folder: Path,
    *,
    seconds: float = PATIENCE_SECONDS,
    env: dict[str, str] | None = None,
) -> ProgramEnd:
    """Run Python code as a program."""
    argv = [sys.executable, "-I", "-S", "-c", code]
    return run_program(argv, env=env or {}, folder=folder, seconds=seconds)


def test_it_is_told_how_a_program_ended(tmp_path: Path) -> None:
    """Status, signal and the last words are kept; it reads nothing and works where it is told."""
    end = run("import os, sys; print(os.getcwd(), sys.stdin.read()); sys.exit(3)", tmp_path)
    assert (end.status, end.words, str(end)) == (3, str(tmp_path), "ended with status 3")
    end = run("import os; os.write(2, b'oh\\x07\\nno'); os.kill(os.getpid(), 9)", tmp_path)
    assert (end.status, end.words, str(end)) == (-9, "oh no", "died of SIGKILL")
    end = run_program(["/nowhere/tool"], env={}, folder=tmp_path, seconds=PATIENCE_SECONDS)
    assert end.status == 1
    assert end.words == "/nowhere/tool cannot be started: No such file or directory"


def test_it_gets_the_environment_that_is_given_and_no_other(tmp_path: Path) -> None:
    """Nothing of ours gets into a foreign program by itself."""
    end = run(
        "import os; print(sorted(set(os.environ) - {'LC_CTYPE'}))", tmp_path, env={"ONE": "1"}
    )
    assert end.words == "['ONE']"


def test_much_output_is_read_and_forgotten(tmp_path: Path) -> None:
    """A program that prints without end does not wait for us, nor fill our memory."""
    end = run("import os\nfor _ in range(99): os.write(1, b'x' * 65536)\nprint('end')", tmp_path)
    assert end.status == 0
    assert len(end.printed) < 5000
    assert end.words.endswith("xend")


def test_one_that_hangs_is_killed_with_its_children(tmp_path: Path) -> None:
    """When time is up the whole group is gone, also children that hold the pipes open."""
    mark = new_mark()
    code = (
        "import subprocess, sys, time\n"
        "subprocess.Popen([sys.executable, '-I', '-S', '-c', 'import time; time.sleep(600)'])\n"
        "time.sleep(600)"
    )
    assert run(code, tmp_path, seconds=1.5, env={MARK: mark}).status is None
    until(lambda: not marked(mark), "the end of its child")


def test_a_child_that_keeps_the_pipes_open_is_not_waited_for(tmp_path: Path) -> None:
    """The end of the program counts; what it left running is killed."""
    mark = new_mark()
    code = (
        "import subprocess, sys\n"
        "subprocess.Popen([sys.executable, '-I', '-S', '-c', 'import time; time.sleep(600)'])\n"
    )
    assert run(code, tmp_path, env={MARK: mark}).status == 0
    until(lambda: not marked(mark), "the end of its child")


def test_it_keeps_the_leased_device(tmp_path: Path) -> None:
    """A program has the lock of our device open, so that the device is not given away under it."""
    lease = hold_device(["GPU-x"], slots=1, holder="a test", folder=tmp_path / "leases")
    code = (
        "import os\n"
        "names = [os.readlink(f'/proc/self/fd/{fd}') for fd in os.listdir('/proc/self/fd')"
        " if os.path.islink(f'/proc/self/fd/{fd}')]\n"
        "print([name for name in names if name.endswith('.slot0')])"
    )
    try:
        end = run(code, tmp_path)
    finally:
        lease.release()
    assert end.words == f"['{tmp_path}/leases/GPU-x.slot0']"


def test_it_dies_with_us(tmp_path: Path) -> None:
    """When the process that runs it is killed outright, the kernel kills the program."""
    mark = new_mark()
    code = (
        "import sys, os\nfrom pathlib import Path\n"
        "from kinetics_assets.io.programs import run_program\n"
        "run_program([sys.executable, '-I', '-S', '-c', 'import time; time.sleep(600)'],"
        f" env={{'{MARK}': '{mark}'}}, folder=Path('{tmp_path}'), seconds=600)"
    )
    folder = Path(__file__).parents[2]
    with subprocess.Popen(
        [sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": str(folder)}
    ) as parent:
        until(lambda: any("600" in line for line in marked(mark).values()), "the program")
        parent.send_signal(signal.SIGKILL)
    until(lambda: not marked(mark), "the end of the program")
