"""Options that several verbs share, and what they mean."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import click

from kinetics_assets.core.classes import UNLABELLED, parse_class
from kinetics_assets.core.clips import Split, parse_split
from kinetics_assets.core.errors import InputError, RootError
from kinetics_assets.core.stages import ALL_CLASS_STAGES, CLASS_STAGES, Stage
from kinetics_assets.io.settings_file import dataset_root

Command = TypeVar("Command", bound=Callable[..., object])


def root_option(command: Command) -> Command:
    """Add ``--root``."""
    return click.option(
        "--root",
        type=click.Path(path_type=Path),
        help="Folder of all datasets [KINETICS_ROOT, else ./data].",
    )(command)


def class_option(command: Command) -> Command:
    """Add ``--class``, which may be given several times."""
    return click.option(
        "--class", "labels", multiple=True, metavar="NAME", help="Only this class; repeatable."
    )(command)


def split_option(command: Command) -> Command:
    """Add ``--split``, a list with commas."""
    return click.option(
        "--split", "splits", default="", metavar="A,B", help="Of train, val, test."
    )(command)


def stage_option(command: Command) -> Command:
    """Add ``--stage``, a list with commas."""
    return click.option(
        "--stage",
        "stages",
        default="",
        metavar="A,B",
        help="Of videos, resized, rawframes, flow, audio, audio_features, shards. [the first four]",
    )(command)


def reason_option(command: Command) -> Command:
    """Add ``--reason``, a list with commas."""
    return click.option(
        "--reason",
        "reasons",
        default="",
        metavar="A,B",
        help="Only clips with these reasons, as `kinetics status` names them.",
    )(command)


def json_option(command: Command) -> Command:
    """Add ``--json``."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON.")(command)


def chosen_splits(text: str, *, default: Sequence[Split]) -> tuple[Split, ...]:
    """Return the splits that ``--split`` names, in their usual order.

    Raises:
        UnknownSplit: One of them does not exist.
    """
    wanted = {parse_split(name) for name in names_in(text)}
    return tuple(split for split in Split if split in (wanted or set(default)))


def chosen_labels(dataset: str, names: Iterable[str]) -> tuple[str, ...] | None:
    """Return the classes that ``--class`` names, None when it was not given.

    Raises:
        UnknownClass: One of them does not exist; the message has the nearest known name.
    """
    labels = tuple("" if name == UNLABELLED else parse_class(dataset, name) for name in names)
    return labels or None


def chosen_stages(text: str) -> tuple[Stage, ...]:
    """Return the class stages that ``--stage`` names, in graph order; by default `CLASS_STAGES`.

    Raises:
        InputError: One of them does not exist.
    """
    known = {stage.value: stage for stage in ALL_CLASS_STAGES}
    names = names_in(text)
    for name in names:
        if name not in known:
            raise InputError(f"Unknown stage {name!r}.", remedy=f"Use one of: {', '.join(known)}.")
    return tuple(stage for stage in ALL_CLASS_STAGES if stage.value in names) or CLASS_STAGES


def existing_root(root: Path | None) -> Path:
    """Return the folder of all datasets.

    Raises:
        RootError: There is none.
    """
    folder = dataset_root(root)
    if not folder.is_dir():
        raise RootError(
            f"{folder} does not exist.",
            remedy="Point --root or KINETICS_ROOT at a folder of datasets, or make one with"
            " `kinetics demo` or `kinetics prepare DATASET`.",
        )
    return folder


def root_to_make(root: Path | None) -> Path:
    """Return the folder of all datasets, which need not exist but can be made.

    Raises:
        RootError: It lies below something that is no folder.
    """
    folder = dataset_root(root)
    above = next(parent for parent in folder.parents if parent.exists())
    if not above.is_dir():
        raise RootError(
            f"{folder} cannot be made: {above} is no folder.",
            remedy="Point --root or KINETICS_ROOT at a folder that can.",
        )
    return folder


def folder_list(paths: Iterable[Path]) -> str:
    """Return existing folders as the value of a list setting.

    Raises:
        InputError: One is no folder, or its name has a comma.
    """
    folders = [path.expanduser().absolute() for path in paths]
    for folder in folders:
        if not folder.is_dir():
            raise InputError(f"{folder} is no folder.", remedy="Give the path of an existing one.")
        if "," in str(folder):
            raise InputError(
                f"{folder} has a comma in its name.",
                remedy="Set it in kinetics.toml instead, where a list needs no commas.",
            )
    return ",".join(map(str, folders))


@contextmanager
def environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Set environment variables for this process and its children, and restore them."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def names_in(text: str) -> list[str]:
    """Return the names in a list with commas."""
    return [name.strip() for name in text.split(",") if name.strip()]
