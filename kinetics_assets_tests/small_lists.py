"""A demo root whose lists have a handful of rows, for tests of the graph rather than of media."""

from __future__ import annotations

from pathlib import Path

from kinetics_assets.core.settings import AnnotationSettings, Limits, Settings, SourceSettings

HEADER = "label,youtube_id,time_start,time_end,split\n"
ABSENT = "abseiling"
"""Class with one train row whose clip no source has: below every threshold."""
EMPTY = "zumba"
"""Class without a row: complete at once."""


def write_lists(folder: Path, *, rows: dict[str, list[str]] | None = None) -> None:
    """Write a train and a val list; `rows` has the youtube ids of more train rows, by class."""
    folder.mkdir(parents=True, exist_ok=True)
    train = {ABSENT: ["aaaaaaaaaaa"], **(rows or {})}
    lines = [f"{label},{name},0,10,train\n" for label, names in train.items() for name in names]
    (folder / "train.csv").write_text(HEADER + "".join(lines))
    (folder / "val.csv").write_text(f"{HEADER}{ABSENT},bbbbbbbbbbb,0,10,val\n")


def small_settings(folder: Path) -> Settings:
    """Return settings of a new root in `folder`, also written to its kinetics.toml."""
    root, lists, local = folder / "root", folder / "lists", folder / "local"
    for path in (root, local):
        path.mkdir(parents=True)
    write_lists(lists)
    (root / "kinetics.toml").write_text(
        f'[annotations]\nsource = "{lists}"\n'
        f'[sources]\norder = ["local"]\nlocal_folders = ["{local}"]\n'
        "[limits]\nmin_free_bytes = 0\nworkers = 1\n"
    )
    return Settings(
        root=root,
        dataset="demo",
        annotations=AnnotationSettings(source=str(lists)),
        sources=SourceSettings(order=("local",), local_folders=(local,)),
        limits=Limits(min_free_bytes=0, workers=1),
    )
