"""Entries kept beside the manifests: used while they are right, never longer."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from kinetics_assets.core.annotations import hash_of_names
from kinetics_assets.core.clips import Split
from kinetics_assets.core.filelists import ListKind, as_text
from kinetics_assets.core.layout import Layout
from kinetics_assets.core.settings import Settings
from kinetics_assets.core.stages import Stage
from kinetics_assets.io.manifests import write_manifest
from kinetics_assets.stages import list_parts as module
from kinetics_assets.stages.annotations import run_annotations
from kinetics_assets.stages.filelists import run_filelists
from kinetics_assets.stages.list_parts import ListParts, list_parts
from kinetics_assets.stages.order import ClassOrder
from kinetics_assets_tests.core.rows import row
from kinetics_assets_tests.stages.test_filelists import prepared

SPLIT = Split.TRAIN
LABELS = ("abseiling", "zumba")


@pytest.fixture(autouse=True)
def _always_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the entries of a small split too."""
    monkeypatch.setattr(module, "MOST_READ_EACH_TIME", 0)


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    """Return a layout with manifests of two classes."""
    made = Layout.of(Settings(root=tmp_path, dataset="kinetics400"))
    for label in LABELS:
        fill(made, label)
    return made


def fill(layout: Layout, label: str, *, frames: int = 250) -> None:
    """Write a manifest of two rows of a class, of which the second has `frames` frames."""
    rows = [
        replace(row(n), label=label, frames_decoded=count) for n, count in ((0, 9), (1, frames))
    ]
    named = [replace(one, path=f"videos_train/{label}/{one.clip.name}.mp4") for one in rows]
    write_manifest(layout, SPLIT, Stage.VIDEOS, label, rows=named)


def found(layout: Layout, *, settled: bool = True) -> ListParts:
    """Return the parts after they were kept, as if long ago if `settled`."""
    versions = dict.fromkeys(LABELS, hash_of_names(row(number).clip.name for number in range(2)))
    parts = list_parts(layout, SPLIT, ListKind.VIDEOS, stage=Stage.VIDEOS, versions=versions)
    parts.save(layout, SPLIT)
    if settled:
        let_settle(layout)
    return parts


def let_settle(layout: Layout) -> None:
    """Make kept entries an hour younger than the manifests."""
    for path in (layout.base / "manifests").rglob("*.parts"):
        later = path.stat().st_mtime + 3600
        os.utime(path, (later, later))


def lines(parts: ListParts) -> list[str]:
    """Return the lines of all classes."""
    return b"".join(as_text(parts.batches(parts.facts))).decode().splitlines()


def test_only_changed_classes_are_read_again(layout: Layout) -> None:
    """Kept entries are those that were read; a class whose manifest changed is read anew."""
    first = found(layout)
    assert (first.read_again, first.listed) == (2, 4)
    kept = found(layout)
    assert (kept.read_again, lines(kept), kept.facts) == (0, lines(first), first.facts)
    fill(layout, "zumba", frames=0)
    changed = found(layout)
    assert (changed.read_again, changed.listed) == (1, 3)
    assert changed.facts["zumba"].left_out == {"ok: no frames": 1}
    layout.manifest(SPLIT, Stage.VIDEOS, "zumba").unlink()
    assert set(found(layout).facts) == {"abseiling"}


def test_a_manifest_of_the_last_moment_is_read_again(layout: Layout) -> None:
    """One that was replaced within a tick of the clock could have any content."""
    found(layout, settled=False)
    assert found(layout).read_again == 2
    assert found(layout).read_again == 0


def test_equal_size_and_time_do_not_deceive(layout: Layout) -> None:
    """A manifest written into by hand, its time put back, is not taken for the one before."""
    found(layout)
    path = layout.manifest(SPLIT, Stage.VIDEOS, "zumba")
    stat = path.stat()
    path.write_bytes(path.read_bytes())
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    after = path.stat()
    assert (after.st_size, after.st_mtime_ns) == (stat.st_size, stat.st_mtime_ns)
    assert found(layout).read_again == 1


def test_damage_costs_only_time(layout: Layout) -> None:
    """Kept entries with a flipped bit, or none at all, are made again from the manifests."""
    first = found(layout)
    path = layout.list_parts(SPLIT, ListKind.VIDEOS, Stage.VIDEOS)
    data = path.read_bytes()
    path.write_bytes(data[:-100] + bytes([data[-100] ^ 1]) + data[-99:])
    let_settle(layout)
    again = found(layout)
    assert (again.read_again, lines(again)) == (1, lines(first))
    path.write_bytes(b"")
    assert lines(found(layout)) == lines(first)
    path.unlink()
    assert lines(found(layout)) == lines(first)


def test_lists_from_kept_entries_have_the_same_bytes(order: ClassOrder) -> None:
    """Sorted or shuffled, from an edition before or after: as if nothing had been kept."""
    order = prepared(order)
    shuffled = replace(order.settings.filelists, shuffle=True, seed=5)
    for settings in (order.settings, replace(order.settings, filelists=shuffled)):
        first = run_filelists(settings, order.split)
        kept = sorted((order.layout.base / "manifests").rglob("*.parts"))
        assert len(kept) == len(first.paths)
        let_settle(order.layout)
        times = [path.stat().st_mtime_ns for path in kept]
        texts = {path: path.read_bytes() for path in first.paths.values()}
        for path in texts:
            path.unlink()
            path.with_suffix(".json").write_text("[]")
        again = run_filelists(settings, order.split)
        assert replace(again, changed=True) == replace(first, changed=True)
        assert {path: path.read_bytes() for path in texts} == texts
        assert [path.stat().st_mtime_ns for path in kept] == times
        assert not run_filelists(settings, order.split).changed


def test_an_edition_that_the_class_has_not_seen(order: ClassOrder) -> None:
    """Rows that left the annotations are not listed, though the manifest still has them."""
    order = prepared(order)
    before = run_filelists(order.settings, order.split)
    let_settle(order.layout)
    first = before.paths[ListKind.FLOW].read_text(encoding="utf-8").splitlines()[0]
    name = first.split("/")[1][:11]
    (the_list,) = Path(order.settings.annotations.source).glob("*train*")
    rows = the_list.read_text(encoding="utf-8").splitlines(keepends=True)
    the_list.write_text("".join(one for one in rows if name not in one), encoding="utf-8")
    run_annotations(order.settings)
    after = run_filelists(order.settings, order.split)
    assert after.lines == {kind: count - 1 for kind, count in before.lines.items()}
    assert after.rows == before.rows - 1
    for path in after.paths.values():
        assert name not in path.read_text(encoding="utf-8")
