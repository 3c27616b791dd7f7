"""The pace of a host: shared by processes, refused while it pauses, harmless when damaged."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import pytest

from kinetics_assets.core.errors import SourcePaused
from kinetics_assets.io.host_pace import HostPace, pace_folder


@dataclass
class Clock:
    """Time that passes only by sleeping."""

    now: float = 1_000_000.0
    slept: list[float] = field(default_factory=list)

    def __call__(self) -> float:
        """Return the present time."""
        return self.now

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self.slept.append(seconds)
        self.now += seconds


def pace(clock: Clock, interval_seconds: float = 0.0, host: str = "example.org") -> HostPace:
    """Return the pace of a host under a clock of the test."""
    return HostPace(host, interval_seconds, sleep=clock.sleep, clock=clock)


def test_turns_keep_the_interval() -> None:
    """Ten turns take about nine intervals, none closer than the jitter allows, none all alike."""
    clock = Clock()
    times = []
    for _ in range(10):
        pace(clock, 15.0).take_turn()
        times.append(clock.now)
    gaps = [later - earlier for earlier, later in pairwise(times)]
    assert all(15 * 0.74 <= gap <= 15 * 1.26 for gap in gaps), gaps
    assert len({round(gap, 3) for gap in gaps}) > 3


def test_other_processes_share_the_pace() -> None:
    """Turns taken by other processes push ours back: ten steps keep the pace of one."""
    code = (
        "from kinetics_assets.io.host_pace import HostPace\n"
        "class Stop(Exception): pass\n"
        "def stop(s): raise Stop\n"
        "for _ in range(3):\n"
        "    try: HostPace('example.org', 100.0, sleep=stop, clock=lambda: 1e6).take_turn()\n"
        "    except Stop: pass\n"
    )
    children = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(2)]
    assert [child.wait(60) for child in children] == [0, 0]
    clock = Clock()
    pace(clock, 100.0).take_turn()
    assert 6 * 75 <= clock.now - 1_000_000 <= 6 * 125


def test_hosts_do_not_wait_for_each_other() -> None:
    """The pace of one host is none of another's."""
    clock = Clock()
    pace(clock, 100.0).take_turn()
    pace(clock, 100.0, host="example.net").take_turn()
    assert clock.slept == []


def test_a_hold_is_sat_out_by_everybody() -> None:
    """After one step was asked to wait, the next turn of any step waits as long, pace or none."""
    clock = Clock()
    pace(clock).hold(40.0)
    pace(clock).take_turn()
    assert clock.now == pytest.approx(1_000_040)
    pace(clock, 5.0).hold(40.0)
    pace(clock, 5.0).take_turn()
    assert clock.now == pytest.approx(1_000_080)


@pytest.mark.parametrize("interval", [0.0, 15.0])
def test_a_hold_reaches_those_who_wait(interval: float) -> None:
    """Who waits for a turn when another step is asked to wait sits that out too."""
    clock = Clock()
    pace(clock, 15.0).take_turn()
    pace(clock).hold(10.0)

    def sleep(seconds: float) -> None:
        if clock.now < 1_000_003:
            pace(clock).hold(120.0)
        clock.sleep(seconds)

    HostPace("example.org", interval, sleep=sleep, clock=clock).take_turn()
    assert 1_000_120 <= clock.now <= 1_000_125
    gap_from = clock.now
    pace(clock, interval).take_turn()
    assert clock.now - gap_from >= interval * 0.74


def test_a_pause_is_refused_at_once_and_ends_by_itself() -> None:
    """A paused host is not waited for; the refusal names the time and the cause."""
    clock = Clock()
    for interval in (0.0, 5.0):
        pace(clock).pause(3600.0, cause="bot check")
        with pytest.raises(SourcePaused, match="UTC \\(bot check\\)"):
            pace(clock, interval).take_turn()
        assert clock.slept == []
    found = pace(clock).paused()
    assert found is not None
    assert found.cause == "bot check"
    clock.now += 3601
    pace(clock).take_turn()
    assert pace(clock).paused() is None


def test_a_pause_reaches_those_who_wait() -> None:
    """Who waits for a turn is sent away when another process meets a bot check meanwhile."""
    clock = Clock()
    pace(clock, 100.0).take_turn()

    def sleep(seconds: float) -> None:
        clock.sleep(seconds)
        pace(clock).pause(3600.0, cause="bot check")

    with pytest.raises(SourcePaused):
        HostPace("example.org", 100.0, sleep=sleep, clock=clock).take_turn()
    assert len(clock.slept) == 1


def test_a_shorter_pause_does_not_end_a_longer_one() -> None:
    """A rate limit of a minute that comes after a bot check leaves the hour as it is."""
    clock = Clock()
    pace(clock).pause(3600.0, cause="bot check")
    pace(clock).pause(60.0, cause="rate limit")
    clock.now += 120
    found = pace(clock).paused()
    assert found is not None
    assert found.cause == "bot check"


def test_resume_ends_pause_and_hold() -> None:
    """The user can order the next attempt at once."""
    clock = Clock()
    pace(clock).pause(3600.0, cause="x")
    pace(clock).hold(3600.0)
    pace(clock).resume()
    pace(clock, 5.0).take_turn()
    assert clock.slept == []


def test_success_is_remembered_for_a_while() -> None:
    """That a host worked is known to other steps, and grows old."""
    clock = Clock()
    assert not pace(clock).worked_within(600)
    pace(clock).note_success()
    clock.now += 300
    assert pace(clock).worked_within(600)
    clock.now += 301
    assert not pace(clock).worked_within(600)
    pace(clock).note_success()
    pace(clock).forget_success()
    assert not pace(clock).worked_within(600)


@pytest.mark.parametrize("damage", [b"", b"{", b'{"next_at": "x"}', b"[]", b'{"other": 1}'])
def test_a_damaged_state_is_a_fresh_one(damage: bytes) -> None:
    """A torn state file stops nobody."""
    clock = Clock()
    pace(clock, 5.0).take_turn()
    (state,) = pace_folder().glob("*.json")
    state.write_bytes(damage)
    pace(clock, 5.0).take_turn()
    assert clock.slept == []


def test_a_clock_that_was_set_back_does_not_stop_a_host_for_years() -> None:
    """A pause that seems to end in the far future ends after two days at most."""
    clock = Clock()
    pace(clock).pause(3600.0, cause="x")
    clock.now -= 10 * 365 * 86400
    found = pace(clock).paused()
    assert found is not None
    assert found.until.timestamp() - clock.now <= 2 * 86400


def test_odd_host_names_stay_in_the_folder(tmp_path: Path) -> None:
    """No host name leads out of the folder, and two names never share a file."""
    clock = Clock()
    hosts = ["../../etc/x", "[::1]:80", "a/b", "a_b", "A" * 300]
    for host in hosts:
        HostPace(host, 1.0, folder=tmp_path / "pace", sleep=clock.sleep, clock=clock).take_turn()
    files = [path for path in tmp_path.rglob("*.json") if path.is_file()]
    assert len(files) == len(hosts)
    assert {path.parent for path in files} == {tmp_path / "pace"}
