"""Kills the demo at random moments, lets it finish, and compares the tree with an undisturbed one.

``python -m kinetics_assets_tests.e2e.kill_sweep --kills 10 --seed 1`` from the top of the
repository; the exit code is 0 if all kills were done, the trees are equal, no process was left
over and `verify` finds nothing. The same seed draws the same moments.
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

from kinetics_assets.core.classes import class_names
from kinetics_assets.demo.clips import chosen_classes
from kinetics_assets.demo.mirror import generate
from kinetics_assets.io.settings_file import load_settings
from kinetics_assets.verify import verify_dataset
from kinetics_assets_tests.e2e import demo_runs

_MOST_ATTEMPTS = 5
"""Starts per kill: a run that is over before its kill begins anew."""


@dataclass
class Sweep:
    """What happened to one demo that was killed again and again."""

    root: Path
    classes: int
    kills: list[str] = field(default_factory=list)
    """How and when each kill was done."""
    completed: list[list[str]] = field(default_factory=list)
    """Trees of the runs that came to their end: before a kill, and the last one."""
    codes: list[int] = field(default_factory=list)
    """Their exit codes."""
    orphans: list[str] = field(default_factory=list)
    """Processes that outlived a kill."""


def sweep(root: Path, *, kills: int, seed: int, span_seconds: float, classes: int) -> Sweep:
    """Return what happened: runs of the demo under `root` with `kills` kills, then a whole one.

    A run goes on where the killed one stopped. One that is over before its kill is kept for
    comparison, and the next one begins with an empty root.

    Args:
        root: With a generated mirror in it.
        kills: SIGKILLs, half of them to the parent alone, half to its process group.
        seed: Of moments and targets.
        span_seconds: About how long an undisturbed run takes.
        classes: How many classes the demo has.
    """
    choose = random.Random(seed)
    done = Sweep(root, classes)
    since_begin = 0
    for _ in range(_MOST_ATTEMPTS * kills):
        if len(done.kills) == kills:
            break
        # the work that is left shrinks with each kill, so the window does too
        after_seconds = choose.uniform(0.05, 0.9) * span_seconds / (1 + 0.5 * since_begin)
        if _kill_one(done, after_seconds, whole_group=choose.random() < 0.5):
            since_begin += 1
            _say(f"killed: {done.kills[-1]}")
            continue
        _say(f"over before {after_seconds:.1f} s; begins anew")
        done.completed.append(demo_runs.lines(root))
        demo_runs.clear(root)
        since_begin = 0
    done.codes.append(demo_runs.run(root, classes=classes).returncode)
    done.completed.append(demo_runs.lines(root))
    done.orphans += demo_runs.left_over(root)
    return done


def difference(one: list[str], other: list[str]) -> str:
    """Return the first lines in which two trees differ, empty if they are equal."""
    lines = [f"- {line}" for line in sorted(set(one) - set(other))[:10]]
    lines += [f"+ {line}" for line in sorted(set(other) - set(one))[:10]]
    return "".join(lines)


def _kill_one(done: Sweep, after_seconds: float, *, whole_group: bool) -> bool:
    """Start the demo and kill it; return whether the kill came before its end."""
    child = subprocess.Popen(
        demo_runs.command(done.root, classes=done.classes),
        env=demo_runs.environment(done.root),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        done.codes.append(child.wait(after_seconds))
    except subprocess.TimeoutExpired:
        if whole_group:
            os.killpg(child.pid, signal.SIGKILL)
        else:
            child.kill()
        child.wait()
        target = "group" if whole_group else "parent"
        done.kills.append(f"{target} after {after_seconds:.1f} s")
        done.orphans += demo_runs.left_over(done.root)
        return True
    return False


def main() -> int:
    """Run the sweep as the arguments say and print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument("--classes", type=int, default=len(class_names("demo")))
    options = parser.parse_args()
    _say(f"seed {options.seed}")
    with tempfile.TemporaryDirectory() as folder:
        calm, killed = Path(folder, "calm"), Path(folder, "killed")
        generate(Path(folder, "generated"), classes=chosen_classes(options.classes))
        demo_runs.take_mirror(Path(folder, "generated"), calm)
        demo_runs.take_mirror(Path(folder, "generated"), killed)
        began = time.monotonic()
        first = demo_runs.run(calm, classes=options.classes)
        span_seconds = time.monotonic() - began
        _say(f"undisturbed: exit code {first.returncode}, {span_seconds:.0f} s")
        done = sweep(
            killed,
            kills=options.kills,
            seed=options.seed,
            span_seconds=span_seconds,
            classes=options.classes,
        )
        wanted = demo_runs.lines(calm)
        differs = "".join(difference(wanted, tree) for tree in done.completed)
        findings = verify_dataset(load_settings("demo", root=killed, env={})).findings
        _say(f"{len(done.kills)} kills; {len(done.codes)} runs came to their end: {done.codes}")
        _say(f"processes left over: {done.orphans or 'none'}")
        _say(f"trees: {differs or 'equal'}")
        _say(f"verify: {findings or 'nothing found'}")
        bad = first.returncode or any(done.codes) or differs or done.orphans or findings
    return 1 if bad or len(done.kills) < options.kills else 0


def _say(text: str) -> None:
    """Write a line at once, so that a long sweep can be followed."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
