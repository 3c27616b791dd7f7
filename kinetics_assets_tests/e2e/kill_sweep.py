"""Kills the demo at random moments, lets it finish, and compares the tree with an undisturbed one.

``python -m kinetics_assets_tests.e2e.kill_sweep --kills 10 --seed 1`` from the top of the
repository; the exit code is 0 if the trees are equal, no process was left over and `verify` finds
nothing. The same seed draws the same moments.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from kinetics_assets.io.settings_file import load_settings
from kinetics_assets.verify import verify_dataset
from kinetics_assets_tests.e2e import demo_runs


@dataclass
class Sweep:
    """What happened to one demo that was killed again and again."""

    root: Path
    kills: list[str] = field(default_factory=list)
    """How and when each kill was done."""
    missed: int = 0
    """Attempts that were over before their kill."""
    orphans: list[str] = field(default_factory=list)
    """Processes that outlived a kill."""
    last: subprocess.CompletedProcess[str] | None = None
    """The run that was left alone."""


def sweep(root: Path, *, kills: int, seed: int, span_seconds: float) -> Sweep:
    """Return what happened: `kills` runs of the demo under `root`, each killed, then a whole one.

    Args:
        root: With a generated mirror in it.
        kills: SIGKILLs, half of them to the parent alone, half to its process group.
        seed: Of moments and targets.
        span_seconds: About how long an undisturbed run takes.
    """
    choose = random.Random(seed)
    done = Sweep(root)
    while len(done.kills) < kills and done.missed < kills:
        # The work that is left shrinks with each kill, so the window moves to the front; the first
        # part of each run is start-up, which deserves some kills too.
        share = 1.0 - len(done.kills) / (2 * kills)
        after_seconds = choose.uniform(0.1, 0.7) * span_seconds * share
        whole_group = choose.random() < 0.5
        _kill_one(done, after_seconds, whole_group=whole_group)
    done.last = demo_runs.run(root)
    done.orphans += demo_runs.left_over(root)
    return done


def difference(one: list[str], other: list[str]) -> str:
    """Return the first lines in which two trees differ, empty if they are equal."""
    lines = [f"- {line}" for line in sorted(set(one) - set(other))[:10]]
    lines += [f"+ {line}" for line in sorted(set(other) - set(one))[:10]]
    return "".join(lines)


def _kill_one(done: Sweep, after_seconds: float, *, whole_group: bool) -> None:
    """Start the demo and kill it."""
    child = subprocess.Popen(
        demo_runs.command(done.root),
        env=demo_runs.environment(done.root),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        child.wait(after_seconds)
        done.missed += 1
    except subprocess.TimeoutExpired:
        if whole_group:
            os.killpg(child.pid, signal.SIGKILL)
        else:
            child.kill()
        child.wait()
        target = "group" if whole_group else "parent"
        done.kills.append(f"{target} after {after_seconds:.1f} s")
    done.orphans += demo_runs.left_over(done.root)


def main() -> int:
    """Run the sweep as the arguments say and print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    options = parser.parse_args()
    _say(f"seed {options.seed}")
    with tempfile.TemporaryDirectory() as folder:
        calm, killed = Path(folder, "calm"), Path(folder, "killed")
        demo_runs.take_mirror(_generated(Path(folder, "generated")), calm)
        demo_runs.take_mirror(Path(folder, "generated"), killed)
        began = time.monotonic()
        first = demo_runs.run(calm)
        span_seconds = time.monotonic() - began
        _say(f"undisturbed: exit code {first.returncode}, {span_seconds:.0f} s")
        done = sweep(killed, kills=options.kills, seed=options.seed, span_seconds=span_seconds)
        for kill in done.kills:
            _say(f"killed: {kill}")
        code = done.last.returncode if done.last else None
        differs = difference(demo_runs.lines(calm), demo_runs.lines(killed))
        findings = verify_dataset(load_settings("demo", root=killed, env={})).findings
        _say(f"left alone: exit code {code}; {done.missed} attempts ended before their kill")
        _say(f"processes left over: {done.orphans or 'none'}")
        _say(f"trees: {differs or 'equal'}")
        _say(f"verify: {findings or 'nothing found'}")
        bad = code or first.returncode or differs or done.orphans or findings
    return 1 if bad else 0


def _say(text: str) -> None:
    """Write a line at once, so that a long sweep can be followed."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _generated(root: Path) -> Path:
    """Return `root` with the demo's mirror generated in it."""
    from kinetics_assets.demo import clips, mirror

    mirror.generate(root, classes=clips.chosen_classes(demo_runs.CLASSES))
    return root


if __name__ == "__main__":
    sys.exit(main())
