"""`kinetics demo`: the whole graph on generated clips, served by a mirror on this machine."""

from __future__ import annotations

from pathlib import Path

import click
from rich.console import Console
from rich.progress import track

from kinetics_assets.commands.choices import environment, root_option, root_to_make
from kinetics_assets.commands.display import console
from kinetics_assets.commands.preparation import Outcome, Wanted, preflight, prepare
from kinetics_assets.commands.prepare import DEFAULT_JOBS, tell
from kinetics_assets.core.classes import class_names
from kinetics_assets.core.clips import Split
from kinetics_assets.core.layout import Layout
from kinetics_assets.core.settings import Settings
from kinetics_assets.core.stages import CLASS_STAGES
from kinetics_assets.demo import clips
from kinetics_assets.demo.mirror import MIRROR_VARIABLE, Mirror, missing_videos, prepare_folder
from kinetics_assets.io.settings_file import load_settings

_ALL = len(class_names(clips.DATASET))


@click.command()
@click.option(
    "--classes",
    envvar="KINETICS_DEMO_CLASSES",
    default=_ALL,
    show_default=True,
    type=click.IntRange(1, _ALL),
    help="How many classes [KINETICS_DEMO_CLASSES].",
)
@root_option
def demo(classes: int, root: Path | None) -> int:
    """Make a small dataset from generated clips; a first look.

    Three of the sources are bad on purpose: a dead link, a file that ends early, a web page.
    """
    folder = root_to_make(root)
    variables = {"KINETICS_ROOT": str(folder), "KINETICS_DATASETS": clips.DATASET}
    out = console()
    with environment(variables):
        preflight(load_settings(clips.DATASET))
        labels = clips.chosen_classes(classes)
        served = _generate(folder, labels, out)
        with Mirror(served) as mirror, environment({MIRROR_VARIABLE: mirror.address}):
            settings = load_settings(clips.DATASET)
            wanted = Wanted(
                settings=settings,
                splits=(Split.TRAIN, Split.VAL),
                stages=CLASS_STAGES,
                labels=labels,
                new_annotations=not _has_lists(settings, labels),
                jobs=DEFAULT_JOBS,
            )
            outcome = prepare(wanted, out)
    tell(outcome, out)
    _say_next(outcome, folder, requests=len(mirror.requests), out=out)
    return 0 if outcome.is_complete else 1


def _generate(root: Path, labels: tuple[str, ...], out: Console) -> Path:
    """Return the mirror's folder, after what is missing in it was generated."""
    folder = prepare_folder(root, classes=labels)
    missing = missing_videos(folder, classes=labels)
    if not missing:
        return folder
    out.print(f"demo: generating {len(missing)} videos in {folder}")
    for video in track(missing, "generating clips", console=out, disable=not out.is_terminal):
        video.make()
    return folder


def _has_lists(settings: Settings, labels: tuple[str, ...]) -> bool:
    """Return whether the dataset's lists are those of the mirror already."""
    layout = Layout.of(settings)
    wanted = clips.annotation_lists(clips.plan(labels))
    there = {
        f"{clips.DATASET}/{name}.csv": layout.annotation_list(split)
        for split, name in clips.LIST_NAMES.items()
    }
    return all(path.is_file() and path.read_bytes() == wanted[name] for name, path in there.items())


def _say_next(outcome: Outcome, root: Path, *, requests: int, out: Console) -> None:
    """Print what was done and what to type next."""
    out.print()
    if outcome.class_runs or outcome.other_runs:
        out.print(
            f"{outcome.class_runs} class runs, {outcome.other_runs} other runs,"
            f" {requests} requests to the mirror."
        )
    else:
        out.print(
            f"Everything was there: no run was launched, {requests} requests were made to the"
            " mirror, and no byte was changed."
        )
    out.print(f"The dataset is {root / clips.DATASET}")
    out.print("Next, look at it in the Dagster UI:")
    out.print(f"  kinetics up --root {root}")
