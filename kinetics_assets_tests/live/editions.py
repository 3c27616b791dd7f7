"""Serves one list and then another to a live daemon, and checks what the UI is told of it.

``python -m kinetics_assets_tests.live.editions OLD.csv NEW.csv [--screenshots FOLDER]`` from the
top of the repository, with two validation lists of Kinetics-400. It takes about fifteen minutes;
the exit code is 0 if everything that is said to be exact was so.

Real are web server and daemon (`kinetics up`), their sensors and what these launch, and the HTTP
server with ETags. So that hundreds of classes are made in minutes, clips are there for three of
them only, a second of video each; of all others each row has its verdict, that its clip is not
there. The videos of the three and of a fourth class are made by runs of Dagster, those of the
others by the stage itself, and reported to Dagster with the tags that it gave the fourth; with
``--every-run`` by runs as well. What counts is which rows Dagster takes down that they were made
from, and that is the same.

What is true is computed by `live.truth`, which shares no code with the package.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from kinetics_assets.commands.services import signals_as_interrupt
from kinetics_assets_tests.list_server import ListServer
from kinetics_assets_tests.live.checks import Watched, say
from kinetics_assets_tests.live.classes import (
    DATASET,
    SPLIT,
    environment_of,
    give_clips,
    make,
    make_root,
    make_without_runs,
)
from kinetics_assets_tests.live.pictures import take_pictures
from kinetics_assets_tests.live.truth import by_class
from kinetics_assets_tests.live.ui import Ui

LIST = f"/{SPLIT}.csv"
EDITIONS = f"{DATASET}_editions"
CHANGED_CLASSES = f"{DATASET}_changed_classes"
_NOT_MADE_STEP = 20
"""Every so many of the classes that will change are not made, and must not show as stale."""
_LAUNCHED_AT_ONCE = 4


@dataclass
class Proof(Watched):
    """The steps of the proof, in order."""

    server: ListServer = field(default_factory=ListServer)
    every_run: bool = False
    """Whether every class is made by a run of its own, which takes long."""

    def serve(self, edition: str) -> None:
        """Put an edition on the server."""
        self.server.files[LIST] = self.files[edition].read_bytes()

    def first_edition(self) -> None:
        """Turn the sensors on, and launch the first run of `annotations` by hand."""
        self.serve("old")
        self.ui.switch(EDITIONS, on=True)
        told = self.ui.next_tick(EDITIONS)["skipReason"]
        assert "There are no lists yet" in told, told
        assert not self.server.answered, self.server.answered
        self.ui.await_run(self.ui.launch(f"{DATASET}_annotations"))
        self.now = "old"
        _, shown = self.ui.shown(DATASET, "annotations")
        assert shown["classes_changed"] == 0, shown
        say(f"first edition: {len(self.rows('old')):,} rows; before it nobody was asked")

    def make_classes(self) -> None:
        """Make the videos of all classes but some, and resized ones of a few."""
        old, new = by_class(self.rows("old")), by_class(self.rows("new"))
        changed = sorted(label for label in old if old[label] != new.get(label))
        left_out = set(changed[2::_NOT_MADE_STEP])
        same = sorted(set(old) - set(changed))
        self.with_clips = changed[:2] + same[:1]
        give_clips(self.root, (row for label in self.with_clips for row in old[label]))
        self.made = {label: old[label] for label in sorted(old) if label not in left_out}
        make(self.root, self.with_clips, "videos", "resized")
        first, *others = sorted(set(self.made) - set(self.with_clips))
        make(self.root, [first], "videos")
        if self.every_run:
            make(self.root, others, "videos")
        else:
            make_without_runs(self.root, others, like=first)
        self.check_stale("made")
        say(
            f"made: videos of {len(self.made)} classes, not of {len(left_out)} that will change;"
            f" resized of {', '.join(self.with_clips)}; none is stale"
        )
        self.ui.switch(CHANGED_CLASSES, on=True)
        told = self.ui.next_tick(CHANGED_CLASSES)["skipReason"]
        assert told == "No class that was made has other rows now.", told
        # it would take classes out of the set that is compared below
        self.ui.switch(CHANGED_CLASSES, on=False)

    def same_edition(self) -> None:
        """Let a tick find what it found before: one request, 304, no run."""
        runs, asked = self.ui.runs(), len(self.server.answered)
        tick = self.ui.next_tick(EDITIONS)
        statuses = [answer.status for answer in self.server.answered[asked:]]
        sent = sum(answer.body_bytes for answer in self.server.answered[asked:])
        assert (tick["status"], statuses, sent) == ("SKIPPED", [304], 0), (tick, statuses, sent)
        assert self.ui.runs() == runs
        say(f"not changed: one request, 304, no bytes, no run ({tick['skipReason']})")

    def new_edition(self, edition: str) -> None:
        """Serve another edition, let a tick notice it, and check what is said of it."""
        before, runs, asked = self.now, self.ui.runs(), len(self.server.answered)
        self.serve(edition)
        tick = self.ui.next_tick(EDITIONS)
        assert (tick["status"], len(tick["runIds"])) == ("SUCCESS", 1), tick
        (run,) = tick["runIds"]
        self.ui.await_run(run)
        assert set(self.ui.runs()) - set(runs) == {run}
        self.now = edition
        self.check_difference(before, run=run)
        stale = self.check_stale(edition)
        statuses = [answer.status for answer in self.server.answered[asked:]]
        say(f"{before} -> {edition}: {len(stale)} classes stale, name by name; asked: {statuses}")

    def bad_uploads(self, edition: str) -> None:
        """Serve an edition that is cut short in several ways: nothing changes, and it is said."""
        whole = self.files[edition].read_bytes()
        half = len(whole) // 2
        line_end = whole.index(b"\n", half) + 1
        middle = whole.index(b",", line_end)
        cases: dict[str, tuple[bytes, dict[str, int], int, str]] = {
            "the connection ends half way": (whole, {LIST: half}, 0, "sent"),
            "half a file, within a line": (whole[:middle], {}, 0, "half uploaded"),
            "half a file, at the end of a line": (whole[:line_end], {}, 0, "half uploaded"),
            "the server is down": (whole, {}, 503, "503"),
        }
        runs, files = self.ui.runs(), self.lists_digest()
        for case, (body, cut, down, word) in cases.items():
            self.server.files[LIST] = body
            self.server.cut, self.server.down = cut, down
            tick = self.ui.next_tick(EDITIONS)
            told = tick["skipReason"]
            assert (tick["status"], tick["runIds"]) == ("SKIPPED", []), tick
            assert "cannot be had" in told, told
            assert word in told, told
            assert self.ui.runs() == runs
            assert self.lists_digest() == files
            say(f"{case}: nothing changed. {told}")
        self.check_stale("bad uploads")
        self.server.cut, self.server.down = {}, 0
        self.serve(self.now)

    def one_stage_at_a_time(self) -> None:
        """Make videos again: their resized ones are stale then, where the videos changed."""
        changed, same = self.with_clips[0], self.with_clips[-1]
        rows = by_class(self.rows(self.now))
        make(self.root, [changed, same], "videos")
        self.made |= {label: rows[label] for label in (changed, same)}
        self.resized_is_stale = {changed}
        self.check_stale("videos made again")
        make(self.root, [changed], "resized")
        self.resized_is_stale = set()
        self.check_stale("resized made again")
        say(f"videos of {changed} and {same} made again: resized of {changed} alone was stale")

    def launched(self) -> None:
        """Let the second sensor launch its first few runs."""
        rows = by_class(self.rows(self.now))
        before = {label for label, of_label in self.made.items() if rows.get(label) != of_label}
        self.ui.switch(CHANGED_CLASSES, on=True)
        tick = self.ui.next_tick(CHANGED_CLASSES)
        self.ui.switch(CHANGED_CLASSES, on=False)
        labels = {key.removeprefix(f"{SPLIT}-").rsplit("-", 1)[0] for key in tick["runKeys"]}
        assert len(labels) == min(_LAUNCHED_AT_ONCE, len(before)), tick
        assert labels <= before, labels - before
        for run in tick["runIds"]:
            self.ui.await_run(run)
        self.made |= {label: rows[label] for label in labels}
        self.check_stale("after the launches")
        say(f"{CHANGED_CLASSES} launched {', '.join(sorted(labels))}; no longer stale")

    def pages(self) -> dict[str, str]:
        """Return name -> address of the pages that show all this."""
        assets = f"{self.ui.address}/assets/{DATASET}"
        partitions = f"{assets}/{SPLIT}/videos?view=partitions"
        changed, same = self.with_clips[0], self.with_clips[-1]
        return {
            "annotations": f"{assets}/annotations?view=overview",
            "changed_class": f"{partitions}&partition={quote(changed)}",
            "same_class": f"{partitions}&partition={quote(same)}",
            "videos_lineage": f"{assets}/{SPLIT}/videos?view=lineage&lineageScope=neighbors",
            "sensor": f"{self.ui.address}/locations/kinetics_assets.definitions/sensors/{EDITIONS}",
        }


def main() -> int:
    """Run the proof and print what it found."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("old", type=Path)
    parser.add_argument("new", type=Path)
    parser.add_argument("--screenshots", type=Path, default=None)
    parser.add_argument("--every-run", action="store_true", help="make every class by a run")
    options = parser.parse_args()
    files = {"old": options.old.absolute(), "new": options.new.absolute()}
    with (
        signals_as_interrupt(),
        tempfile.TemporaryDirectory() as folder,
        ListServer(validators=("ETag", "Last-Modified")) as server,
    ):
        root = make_root(Path(folder), host=server.host, url=server.url(LIST))
        os.environ.clear()
        os.environ.update(environment_of(root))
        with Ui(root, os.environ) as ui:
            proof = Proof(ui, root, files, server=server, every_run=options.every_run)
            proof.first_edition()
            proof.make_classes()
            proof.same_edition()
            proof.new_edition("new")
            if options.screenshots:
                say(take_pictures(options.screenshots.absolute(), proof.pages()))
            proof.same_edition()
            proof.bad_uploads("old")
            proof.new_edition("old")
            proof.new_edition("new")
            proof.one_stage_at_a_time()
            proof.launched()
    say("everything was exact")
    return 0


if __name__ == "__main__":
    sys.exit(main())
