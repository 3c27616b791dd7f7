"""The nursery: children that are born ready and leave with it."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from kinetics_assets.core.errors import InternalError
from kinetics_assets.executors.gpu import STEP_IMPORTS
from kinetics_assets.executors.nursery import Birth, Nursery


def test_children_tell_how_they_ended(tmp_path: Path) -> None:
    """Exit status, output and environment are those of a process started the usual way."""
    (tmp_path / "child.py").write_text("import os, sys; print(os.environ['WHO']); sys.exit(3)")
    nursery = Nursery.start((), environment={"PYTHONPATH": str(tmp_path)})
    try:
        log = tmp_path / "log"
        pid = nursery.fork(Birth("child", (), environment={"WHO": "me"}, log_path=str(log)))
        assert nursery.wait(pid, seconds=60) == 3
        assert log.read_text() == "me\n"
    finally:
        nursery.close()


def test_a_killed_child_is_told_by_its_signal_and_a_lost_nursery_takes_all_along() -> None:
    """SIGKILL of a child shows as -9; without the nursery no child lives on, none can be had."""
    nursery = Nursery.start(())
    first = nursery.fork(Birth("http.server", ("--bind", "127.0.0.1", "0"), log_path=os.devnull))
    nursery.kill(first, signal.SIGKILL)
    assert nursery.wait(first, seconds=60) == -signal.SIGKILL
    os.kill(nursery._pid, signal.SIGKILL)
    with pytest.raises(InternalError, match="starts steps has died"):
        nursery.fork(Birth("this", ()))
    nursery.close()


def test_what_it_imports_starts_no_thread() -> None:
    """A fork has one thread only, so the nursery must have no other to lose."""
    nursery = Nursery.start((*STEP_IMPORTS, "kinetics_assets.definitions"))
    try:
        pid = nursery.fork(Birth("platform", (), log_path=os.devnull))
        assert nursery.wait(pid, seconds=120) == 0
        assert len(list(Path(f"/proc/{nursery._pid}/task").iterdir())) == 1
    finally:
        nursery.close()
