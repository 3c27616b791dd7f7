"""Proof that a changed list leads to the tree of the new list alone, and touches nothing else.

``python -m kinetics_assets_tests.live.convergence [--packing zip] [--keep FOLDER]`` takes some
minutes and prints a line for each promise; it ends with 1 if one was broken.

A root is prepared by `kinetics prepare` in processes of its own: the demo's videos, which a web
server on this machine serves and counts, through all stages to the file lists. Then list follows
list. After each, the tree digest is compared with that of a root where nothing but the new list
ever was; inodes and times of all files of clips that the list did not touch are compared with
before; and the server is asked for which videos it was asked.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import click

from kinetics_assets.core.layout import Layout
from kinetics_assets.core.stages import CLASS_STAGES
from kinetics_assets.demo.clips import DATASET
from kinetics_assets.demo.mirror import MIRROR_VARIABLE, Mirror, generate
from kinetics_assets.verify.tree import tree_lines
from kinetics_assets_tests.clip_files import Files, clip_files, media, retired_stages
from kinetics_assets_tests.e2e import demo_runs
from kinetics_assets_tests.live.list_steps import CLASSES, Edition, Row, editions


@dataclass
class Proof:
    """Roots under one folder, and what was found out."""

    folder: Path
    mirror: Mirror
    packing: str
    broken: int = 0
    scratch: dict[tuple[Row, ...], list[str]] = field(default_factory=dict)
    """Rows of a list -> the tree that it alone makes."""

    def holds(self, promise: str, truth: bool, *, said: object = "") -> None:
        """Print whether a promise holds."""
        self.broken += not truth
        click.echo(f"  {'holds ' if truth else 'BROKEN'} {promise}" + (f": {said}" if said else ""))

    def prepare(self, root: Path, *options: str) -> str:
        """Return what `kinetics prepare` said."""
        variables = {
            MIRROR_VARIABLE: self.mirror.address,
            "KINETICS_SOURCES__ORDER": "siblings,youtube",
            "KINETICS_STORAGE__PACKING": self.packing,
        }
        module = [sys.executable, "-m", "kinetics_assets.cli", "prepare", DATASET]
        done = subprocess.run(
            [*module, "--root", str(root), *options],
            env=demo_runs.environment(root) | variables,
            capture_output=True,
            text=True,
            check=False,
            timeout=demo_runs.SECONDS,
        )
        if done.returncode != 0:
            click.echo(done.stdout + done.stderr)
            self.holds("prepare ends with 0", False, said=done.returncode)
        return done.stdout

    @contextmanager
    def asked(self) -> Iterator[set[str]]:
        """Yield a set that has, after the block, the ids of the videos that were asked for."""
        before, ids = len(self.mirror.requests), set[str]()
        yield ids
        paths = [request.path for request in self.mirror.requests[before:]]
        ids |= {Path(path.partition("?")[0]).stem for path in paths}

    def from_scratch(self, edition: Edition) -> list[str]:
        """Return the lines of the tree that the edition alone makes."""
        key = tuple(sorted(edition.rows))
        if key not in self.scratch:
            root = self.folder / f"scratch {len(self.scratch)}"
            lists = edition.write(self.folder / "lists" / root.name)
            self.prepare(root, "--annotations", str(lists))
            self.scratch[key] = tree_lines(demo_runs.layout(root))
        return self.scratch[key]


def main() -> int:
    """Return 0 if every promise held."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--packing", default="none", choices=["none", "tar", "zip"])
    parser.add_argument("--keep", type=Path, help="make the roots there, and leave them")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = chosen.keep or Path(temporary)
        with Mirror(generate(folder, classes=CLASSES)) as mirror:
            proof = Proof(folder, mirror, chosen.packing)
            prove(proof)
    click.echo(f"{proof.broken} promises were broken")
    return int(proof.broken > 0)


def prove(proof: Proof) -> None:
    """Lead one root from list to list."""
    root = proof.folder / "changing"
    layout = demo_runs.layout(root)
    first, *later = editions()
    click.echo(f"{first.name}: {len(first.rows)} rows in {len(CLASSES)} classes and 2 splits")
    lists = first.write(proof.folder / "lists" / "0")
    with proof.asked() as ids:
        proof.prepare(root, "--annotations", str(lists))
    proof.scratch[tuple(sorted(first.rows))] = tree_lines(layout)
    files = clip_files(layout)
    pictures = sum(len(one) for one in files.values())
    proof.holds("clips were fetched", len(ids) > 0, said=f"{len(files)} clips, {pictures} files")
    for number, edition in enumerate(later, start=1):
        click.echo(f"{edition.name}: {_summary(edition)}")
        before = clip_files(layout)
        lists = edition.write(proof.folder / "lists" / str(number))
        with proof.asked() as ids:
            proof.prepare(root, "--annotations", str(lists))
        _judge(proof, edition, layout, before=before, ids=ids)


def _judge(
    proof: Proof,
    edition: Edition,
    layout: Layout,
    *,
    before: dict[Row, Files],
    ids: set[str],
) -> None:
    """Say what an edition did to the tree."""
    after = clip_files(layout)
    wanted = {clip.id.youtube_id for _, clip in edition.fetched}
    proof.holds("only videos of new spans were asked for", ids == wanted, said=len(ids))
    untouched = [row for row in edition.rows if row in before and row not in edition.moved]
    same = sum(after.get(row) == before[row] for row in untouched)
    count = sum(len(before[row]) for row in untouched)
    proof.holds(
        "inodes and times of all other clips are as before",
        same == len(untouched),
        said=f"{same} of {len(untouched)} clips, {count} files",
    )
    for old, new in edition.moved.items():
        moved = media(before[old])
        proof.holds(
            f"what moved to {new[0]} {new[1].label!r} are the same files",
            media(after.get(new, {})) == moved and old not in after,
            said=f"{len(moved)} files, none in the old place",
        )
    for split, clip in (*edition.gone, *edition.moved):
        stages = retired_stages(layout, split, clip)
        proof.holds(f"{clip.id.name} is retired whole", stages == list(CLASS_STAGES))
    for split, clip in (*edition.back, *edition.moved.values()):
        stages = retired_stages(layout, split, clip)
        proof.holds(f"{clip.id.name} is not retired in {split} {clip.label!r}", not stages)
    lines, alone = tree_lines(layout), proof.from_scratch(edition)
    proof.holds(
        "the tree is that of the new list alone",
        lines == alone,
        said=f"{len(lines)} lines" + "".join(f"\n    {line}" for line in _differing(lines, alone)),
    )


def _differing(some: list[str], others: list[str]) -> list[str]:
    """Return some of the lines that only one of two trees has."""
    return [line[:300].rstrip() for line in sorted(set(some) ^ set(others))[:8]]


def _summary(edition: Edition) -> str:
    """Return in words what an edition does."""
    counts = {
        "relabelled": len(edition.moved),
        "gone or retimed": len(edition.gone),
        "new": len(edition.fetched),
        "back": len(edition.back),
    }
    return ", ".join(f"{count} {what}" for what, count in counts.items() if count)


if __name__ == "__main__":
    sys.exit(main())
