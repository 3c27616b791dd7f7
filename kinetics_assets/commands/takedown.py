"""`kinetics takedown`: delete clips for good, keep their rows, never fetch them again."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from kinetics_assets.commands.choices import existing_root, root_option
from kinetics_assets.commands.display import size_text
from kinetics_assets.core.classes import DATASETS, parse_dataset
from kinetics_assets.core.errors import InputError
from kinetics_assets.core.settings import Settings
from kinetics_assets.io.clip_files import FoundFile, Search
from kinetics_assets.io.settings_file import load_settings
from kinetics_assets.io.takedowns import Takedowns, parse_what, read_takedowns
from kinetics_assets.stages.takedown import Outcome, Scope, restore, take_down

_SHOWN = 20
_WITH_VALUE = frozenset({"--dataset", "--reason", "--root"})


class _IdsFirst(click.Command):
    """A command whose arguments may begin with a hyphen, as ids of videos do."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Return what is left over, after clips and videos were told from options."""
        named: list[str] = []
        rest: list[str] = []
        for before, arg in zip(["", *args], args, strict=False):
            is_named = arg.startswith("-") and before not in _WITH_VALUE and _is_what(arg)
            (named if is_named else rest).append(arg)
        return super().parse_args(ctx, [*rest, *([] if "--" in rest else ["--"]), *named])


@click.command(cls=_IdsFirst)
@click.argument("what", nargs=-1)
@click.option("--dataset", default="", metavar="NAME", help="Only in this dataset. [all]")
@click.option("--reason", default="", metavar="TEXT", help="Why; kept with the rows.")
@click.option("--dry-run", is_flag=True, help="Say what would be deleted, change nothing.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--restore", "undo", is_flag=True, help="Allow the clips again; prepare gets them.")
@root_option
def takedown(
    what: tuple[str, ...],
    *,
    dataset: str,
    reason: str,
    dry_run: bool,
    yes: bool,
    undo: bool,
    root: Path | None,
) -> int:
    """Delete clips for good, and never fetch them again.

    WHAT is <id>_<start>_<end>, as files are named, or the id of a video for all its clips. Deleted
    are their files, frames and flow in every dataset under the root, with every other name of the
    same bytes there; rows stay, as skipped. Without WHAT the record is shown.
    """
    folder = existing_root(root).absolute()
    if dataset:
        parse_dataset(dataset)
    names = [parse_what(name) for name in what]
    if not names:
        _show(read_takedowns(folder))
        return 0
    if undo:
        restore(folder, names, dataset=dataset)
        click.echo(f"{', '.join(names)}: allowed again. `kinetics prepare` gets what it can.")
        return 0
    scope = Scope(folder, _settings(folder, dataset), frozenset(names), dataset)
    present = scope.search()
    _announce(scope, present)
    if dry_run:
        click.echo("Nothing was changed (--dry-run).")
        return 0
    if not yes and not click.confirm("Delete this for good?"):
        click.echo("Nothing was changed.")
        return 1
    outcome = take_down(scope, reason=reason, tell=click.echo)
    _tell(outcome, present)
    return 1 if outcome.left.found or outcome.left.not_followed or outcome.at_work else 0


def _is_what(text: str) -> bool:
    """Return whether `text` names a clip or a video."""
    try:
        return bool(parse_what(text))
    except InputError:
        return False


def _settings(root: Path, dataset: str) -> list[Settings]:
    """Return the settings of the datasets that are under the root.

    Raises:
        InputError: The one that was named is not.
    """
    there = [name for name in DATASETS if (root / name).is_dir() and dataset in {"", name}]
    if dataset and not there:
        raise InputError(
            f"There is no {dataset} under {root}.",
            remedy="Leave out --dataset to take the clips down in every dataset, future ones too.",
        )
    return [load_settings(name, root=root) for name in there]


def _announce(scope: Scope, present: Search) -> None:
    """Print what is there and what would become of it."""
    where = f"in {scope.dataset}" if scope.dataset else f"in every dataset under {scope.root}"
    click.echo(f"To be taken down {where}: {', '.join(sorted(scope.what))}")
    _print_files("to delete", present.found)
    classes = scope.classes(present)
    for one in classes[:_SHOWN]:
        click.echo(f"  rows: {one.dataset} {one.split} {one.label or '(no label)'}")
    if len(classes) > _SHOWN:
        click.echo(f"  ... and {len(classes) - _SHOWN} more classes")
    if not classes:
        click.echo("  no list under the root has them; it is recorded all the same")


def _tell(outcome: Outcome, before: Search) -> None:
    """Print what was deleted and what was kept."""
    _print_files("deleted", outcome.deleted)
    click.echo(f"  {outcome.lines} lines taken out of file lists")
    if outcome.merged_lines:
        click.echo(
            f"  {outcome.merged_lines} lines taken out of the lists of Kinetics-710; materialise"
            " kinetics710/filelists once the datasets' lists were written again"
        )
    click.echo(f"Kept: {outcome.rows} rows now say taken_down, here and in the retired manifests.")
    for path, count in sorted(outcome.elsewhere.items()):
        click.echo(
            f"Kept: the bytes of {path} have {count} more names outside of what was searched."
        )
    for path in before.not_followed:
        click.echo(f"Not looked into: {path} leads to {path.resolve()}.")
    if before.archives:
        shown = ", ".join(map(str, sorted(before.archives)[:3]))
        click.echo(
            f"Not looked into: {len(before.archives)} archives, which may hold the clips ({shown})."
        )
    for text in outcome.at_work:
        click.echo(f"An archive is being unpacked; give this command again when it is done: {text}")
    _print_files("STILL THERE", outcome.left.found)


def _print_files(what: str, files: Sequence[FoundFile]) -> None:
    """Print files and their sum."""
    for item in files[:_SHOWN]:
        inside = f" ({item.files} files)" if item.is_folder else ""
        click.echo(f"  {what}: {item.path}{inside}")
    if len(files) > _SHOWN:
        click.echo(f"  ... and {len(files) - _SHOWN} more")
    if files or what != "STILL THERE":
        number = sum(item.files for item in files)
        size = size_text(sum(item.size_bytes for item in files))
        click.echo(f"  {what}: {number} files, {size} (hard links count each)")


def _show(known: Takedowns) -> None:
    """Print the record."""
    for entry in known.entries:
        where = entry.dataset or "all datasets"
        click.echo(f"{entry.what}  {where}  {entry.text}")
    click.echo(f"{len(known.entries)} taken down.")
