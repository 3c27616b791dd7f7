"""`kinetics annotations`: what changed between two lists, and what two sets share."""
# no `from __future__ import annotations`: the verb of that name is defined here

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
from rich.table import Table

from kinetics_assets.commands.choices import json_option, root_option
from kinetics_assets.commands.display import console
from kinetics_assets.core.clips import Clip
from kinetics_assets.core.edition_diff import EditionDiff, diff_rows
from kinetics_assets.core.exclusions import exclusion_text
from kinetics_assets.core.leakage import Leakage, SharedClip, leakage
from kinetics_assets.io.atomic import write_file
from kinetics_assets.io.clip_sets import ClipSet, read_set
from kinetics_assets.io.settings_file import dataset_root

_SHOWN_CLASSES = 20
_WORDS = {
    "relabelled": "relabelled (the same clip, another label)",
    "retimed": "retimed (same video and label, another span)",
    "classes": "classes with a change",
    "videos": "videos in both",
    "same_video": "clips of A whose video is in B",
    "overlapping": "of these overlap a clip of B in time",
    "same_span": "of these are clips of B, second for second",
    "other_label": "of those that overlap have another label in B",
    "seconds": "seconds are in the clips of A whose video is in B",
    "shared_seconds": "of these seconds are in clips of B",
}
"""What a number says, where its name does not."""


@click.group()
def annotations() -> None:
    """Compare annotation lists.

    A and B are list files, DATASET, DATASET/SPLIT (current lists under the root) or
    DATASET:EDITION (a list that was kept; EDITION is the beginning of its sha256).
    """


@annotations.command()
@click.argument("a")
@click.argument("b")
@click.option("--rows", is_flag=True, help="Print each row that changed.")
@json_option
@root_option
def diff(a: str, b: str, *, rows: bool, as_json: bool, root: Path | None) -> None:
    """Say what changed from A to B: rows added, removed, retimed and relabelled.

    Retimed is the same video and label with another span, relabelled the same clip with another
    label.
    """
    before, after = _read(a, b, root=root)
    found = diff_rows(before.clips, after.clips)
    if as_json:
        _print_json(_diff_record(found))
    elif rows:
        click.echo("\n".join(_diff_lines(found)), nl=not found.is_empty)
    else:
        _print_counts(before, after, found.counts())
        changes = {label: asdict(counts) for label, counts in found.classes.items()}
        _print_classes(changes)


@annotations.command("leakage")
@click.argument("a")
@click.argument("b")
@click.option("--rows", is_flag=True, help="Print each clip of A that shares a video with B.")
@click.option(
    "--write-exclusion",
    "exclusion",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write the clips of A that share a video with B, for `filelists.exclude`.",
)
@click.option("--overlapping", is_flag=True, help="Write only those that overlap in time.")
@json_option
@root_option
def leakage_command(
    a: str,
    b: str,
    *,
    rows: bool,
    exclusion: Path | None,
    overlapping: bool,
    as_json: bool,
    root: Path | None,
) -> None:
    """Say which clips of A share a video, and time, with clips of B.

    To be asked before a model that was trained on B is judged by A. To train on A and be judged by
    B, leave out of A what --write-exclusion writes.
    """
    if overlapping and exclusion is None:
        raise click.UsageError("--overlapping says what --write-exclusion FILE writes.")
    first, other = _read(a, b, root=root)
    found = leakage(first.clips, other.clips)
    if exclusion is not None:
        _write_exclusion(exclusion, found, first, other, overlapping=overlapping)
    if as_json:
        _print_json(_leakage_record(found))
    elif rows:
        click.echo("\n".join(map(_shared_line, found.shared)), nl=bool(found.shared))
    else:
        _print_counts(first, other, found.counts())
        _print_classes(found.classes())


def _write_exclusion(
    path: Path, found: Leakage, first: ClipSet, other: ClipSet, *, overlapping: bool
) -> None:
    """Write the clips of the first set that the other one shares, and say what to do with them."""
    about = {
        "clips of": f"{first.name}, {_editions(first)}, {found.rows} rows",
        "that share": f"{'time' if overlapping else 'a video'} with",
        "clips of the other set": f"{other.name}, {_editions(other)}, {found.rows_other} rows",
    }
    shared = found.overlapping if overlapping else found.shared
    data, rows = exclusion_text(shared, about=about, other=other.name)
    write_file(path.absolute(), data)
    click.echo(
        f"{path}: {rows} clips of {first.name}. Leave them out of file lists with exclude ="
        f' ["{path.absolute()}"] below [filelists] in kinetics.toml.',
        err=True,
    )


def _editions(of: ClipSet) -> str:
    """Return the editions of a set in words."""
    return f"sha256 {' '.join(of.editions)}"


def _read(a: str, b: str, *, root: Path | None) -> tuple[ClipSet, ClipSet]:
    """Return the sets, after telling what of them could not be read."""
    folder = dataset_root(root)
    first, other = (read_set(text, root=folder) for text in (a, b))
    for one in (first, other):
        if one.rejected:
            click.echo(f"note: {one.name}: {one.rejected} lines are no annotation", err=True)
    return first, other


def _print_json(record: Mapping[str, Any]) -> None:
    """Print a record."""
    click.echo(json.dumps(record, indent=1, ensure_ascii=False))


def _print_counts(first: ClipSet, other: ClipSet, counts: Mapping[str, int]) -> None:
    """Print what was compared, and the numbers."""
    click.echo(f"A: {first.name}, {len(first.clips)} rows")
    click.echo(f"B: {other.name}, {len(other.clips)} rows")
    for name, count in counts.items():
        if not name.startswith("rows"):
            click.echo(f"{count:>9} {_WORDS.get(name, name)}")


def _print_classes(classes: Mapping[str, Mapping[str, int]]) -> None:
    """Print the classes with the largest numbers."""
    if not classes:
        return
    shown = sorted(classes, key=lambda label: (-sum(classes[label].values()), label))
    names = list(classes[shown[0]])
    table = Table(box=None, pad_edge=False)
    table.add_column("class", no_wrap=True)
    for name in names:
        table.add_column(name.replace("_", " "), justify="right", no_wrap=True)
    for label in shown[:_SHOWN_CLASSES]:
        counts = (classes[label][name] for name in names)
        table.add_row(label or "(no label)", *(str(count) if count else "-" for count in counts))
    console().print(table)
    if len(shown) > _SHOWN_CLASSES:
        click.echo(f"... and {len(shown) - _SHOWN_CLASSES} more classes (--json has all)")


def _diff_record(found: EditionDiff) -> dict[str, Any]:
    """Return a difference as JSON has it."""
    return {
        "counts": found.counts(),
        "classes": {label: asdict(counts) for label, counts in found.classes.items()},
        "added": _records(found.added),
        "removed": _records(found.removed),
        "retimed": [[_record(one.before), _record(one.after)] for one in found.retimed],
        "relabelled": [[_record(one.before), _record(one.after)] for one in found.relabelled],
    }


def _leakage_record(found: Leakage) -> dict[str, Any]:
    """Return what two sets share as JSON has it."""
    clips = [
        {
            **_record(one.clip),
            "other": _record(one.other),
            "shared_seconds": one.shared_seconds,
            "share": round(one.share, 4),
        }
        for one in found.shared
    ]
    return {"counts": found.counts(), "classes": found.classes(), "clips": clips}


def _records(clips: Sequence[Clip]) -> list[dict[str, str]]:
    """Return clips as JSON has them."""
    return [_record(clip) for clip in clips]


def _record(clip: Clip) -> dict[str, str]:
    """Return a clip as JSON has it."""
    return {"clip": clip.id.name, "label": clip.label}


def _diff_lines(found: EditionDiff) -> Iterable[str]:
    """Yield each changed row, its fields apart by tabs."""
    for clip in found.removed:
        yield f"removed\t{clip.id.name}\t{clip.label}"
    for clip in found.added:
        yield f"added\t{clip.id.name}\t{clip.label}"
    for one in found.retimed:
        yield f"retimed\t{one.before.id.name}\t{one.after.id.name}\t{one.after.label}"
    for one in found.relabelled:
        yield f"relabelled\t{one.after.id.name}\t{one.before.label}\t{one.after.label}"


def _shared_line(one: SharedClip) -> str:
    """Return a shared clip, its fields apart by tabs."""
    fields = (one.clip.id.name, one.clip.label, one.other.id.name, one.other.label)
    return "\t".join([*fields, str(one.shared_seconds), f"{one.share:.2f}"])
