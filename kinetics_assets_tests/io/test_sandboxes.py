"""Children that are lent call by call: how many there are, and what the death of one means."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from kinetics_assets.core.errors import DecoderCrashed
from kinetics_assets.core.settings import Limits
from kinetics_assets.io.sandbox import Sandbox
from kinetics_assets.io.sandboxes import Sandboxes
from kinetics_assets_tests.io.test_sandbox import is_gone

if TYPE_CHECKING:
    from collections.abc import Iterator

OPERATIONS = "kinetics_assets_tests.resources.sandbox_operations"
LIMITS = Limits(clip_wall_seconds=120.0, clip_cpu_seconds=60, memory_bytes=2**30)


class Counted(Sandbox):
    """A sandbox that tells of its calls."""

    def __init__(self, tally: Tally) -> None:
        """Be one more."""
        super().__init__(OPERATIONS, limits=LIMITS)
        self._tally = tally
        tally.made.append(self)

    def call(self, operation: str, /, **arguments: object) -> dict[str, object]:
        """Count the calls that run at this moment; wait where the tally says so."""
        with self._tally.lock:
            self._tally.inside += 1
            self._tally.most = max(self._tally.most, self._tally.inside)
        try:
            if self._tally.together is not None:
                self._tally.together.wait()
            return super().call(operation, **arguments)
        finally:
            with self._tally.lock:
                self._tally.inside -= 1


class Tally:
    """What is known of the sandboxes of a test."""

    def __init__(self) -> None:
        """Begin with none."""
        self.made: list[Sandbox] = []
        self.inside = 0
        self.most = 0
        self.together: threading.Barrier | None = None
        self.lock = threading.Lock()


@pytest.fixture
def tally() -> Iterator[Tally]:
    """Return a tally whose sandboxes are closed in the end."""
    kept = Tally()
    yield kept
    for sandbox in kept.made:
        sandbox.close()


def test_calls_that_do_not_meet_share_a_child(tally: Tally) -> None:
    """One thread after the other asks the same process, however many there may be."""
    lent = Sandboxes(lambda: Counted(tally), most=4)
    pids = {lent.call("facts")["pid"] for _ in range(3)}
    assert len(pids) == len(tally.made) == 1
    lent.close()
    assert is_gone(int(str(pids.pop())))


def test_calls_that_meet_have_a_child_each_and_no_more_than_allowed(tally: Tally) -> None:
    """Two of six calls run at a time, in two processes."""
    tally.together = threading.Barrier(2, timeout=120)
    lent = Sandboxes(lambda: Counted(tally), most=2)
    with ThreadPoolExecutor(6) as pool:
        pids = {answer["pid"] for answer in pool.map(lambda _: lent.call("facts"), range(6))}
    assert (len(pids), len(tally.made), tally.most) == (2, 2, 2)
    lent.close()
    assert all(is_gone(int(str(pid))) for pid in pids)


def test_a_child_that_dies_is_the_loss_of_one_call(tally: Tally) -> None:
    """The next call is answered by a new process."""
    lent = Sandboxes(lambda: Counted(tally), most=1)
    first = lent.call("facts")["pid"]
    with pytest.raises(DecoderCrashed):
        lent.call("die", number=11)
    assert lent.call("facts")["pid"] != first
    assert len(tally.made) == 1


def test_protections_are_told_of_without_a_call(tally: Tally) -> None:
    """What this machine lacks is known before anything is asked, and said once."""
    lent = Sandboxes(lambda: Counted(tally), most=3)
    assert lent.degraded == tally.made[0].degraded
    assert len(tally.made) == 1


def test_none_is_too_few() -> None:
    """A pool that could never answer is refused."""
    with pytest.raises(ValueError, match="0 children"):
        Sandboxes(lambda: Sandbox(OPERATIONS, limits=LIMITS), most=0)
