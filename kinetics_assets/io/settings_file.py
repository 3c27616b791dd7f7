"""Settings of a dataset: built-in values, then the file, then the environment; strict throughout.

A later layer wins, field by field:

1. the defaults of `kinetics_assets.core.settings`, and the ones below for the demo dataset
2. ``<root>/kinetics.toml``, tables named as the fields of `Settings`
3. the same file, ``[datasets.<name>.<table>]``
4. ``KINETICS_DEMO_MIRROR``, which only says where the demo's clips are served
5. ``KINETICS_<TABLE>__<FIELD>``, lists separated by commas

A name that does not exist is an error, never ignored: a typing slip would otherwise produce the
wrong bytes for days.
"""

from __future__ import annotations

import os
import re
import tomllib
from dataclasses import fields, replace
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_type_hints

from kinetics_assets.core.classes import DATASETS, parse_dataset
from kinetics_assets.core.errors import RootError, SettingsError
from kinetics_assets.core.setting_rules import validate
from kinetics_assets.core.setting_values import convert, parse
from kinetics_assets.core.settings import Settings
from kinetics_assets.io.atomic import os_faults

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

FILE_NAME = "kinetics.toml"
DEFAULT_ROOT = Path("data")
_PREFIX = "KINETICS_"
_MIRROR = re.compile(r"http://((?:127\.0\.0\.1|localhost|\[::1\]):[0-9]{1,5})/?", re.ASCII)

Tables = dict[str, dict[str, Any]]
"""Table name -> field name -> converted value."""

_BUILT_IN: dict[str, Tables] = {
    "demo": {
        "resized": {"short_side_px": 64},
        "rawframes": {"size": "64"},
        "thresholds": {"min_completeness": 0.5},
        "sources": {
            "order": ("youtube",),
            "youtube_extractors": ("generic",),
            "youtube_interval_seconds": 0.0,
            "youtube_canaries": (),
        },
    }
}


def load_settings(
    dataset: str, *, root: Path | None = None, env: Mapping[str, str] = os.environ
) -> Settings:
    """Return the settings of `dataset`; reads one file, creates nothing.

    Args:
        dataset: Name of the dataset.
        root: Folder of all datasets; by default KINETICS_ROOT, else ``./data``.
        env: The environment.

    Raises:
        UnknownDataset: no such dataset.
        RootError: the root exists and is no folder.
        SettingsError: the file or a variable cannot be used; names the place, what was got and
            what is allowed.
        PermissionDenied: the file may not be read.
    """
    parse_dataset(dataset)
    root = dataset_root(root, env=env)
    file = root / FILE_NAME
    general, special = _read_tables(file, root=root)
    layers = (
        _BUILT_IN.get(dataset, {}),
        general,
        special.get(dataset, {}),
        _demo_mirror(env) if dataset == "demo" else {},
        _env_tables(env, root=root),
    )
    settings = Settings(root=root, dataset=dataset)
    for layer in layers:
        for table, values in layer.items():
            changed = replace(getattr(settings, table), **values)
            settings = replace(settings, **{table: changed})
    return validate(settings, where=f"{file} or the environment")


def dataset_root(root: Path | None = None, *, env: Mapping[str, str] = os.environ) -> Path:
    """Return the absolute folder of all datasets; it need not exist.

    Raises:
        RootError: something is there that is no folder.
    """
    chosen = (root or Path(env.get("KINETICS_ROOT") or DEFAULT_ROOT)).expanduser().absolute()
    there = next(path for path in (chosen, *chosen.parents) if path.exists())
    if not there.is_dir():
        cannot = "" if there == chosen else f"{chosen} cannot be made: "
        raise RootError(
            f"{cannot}{there} is no folder.",
            remedy="Point KINETICS_ROOT (or --root) at a folder.",
        )
    return chosen


def shown_datasets(env: Mapping[str, str] = os.environ) -> tuple[str, ...]:
    """Return the datasets that KINETICS_DATASETS names, in their usual order; all if it is unset.

    Raises:
        UnknownDataset: it names one that does not exist.
    """
    names = [name.strip() for name in env.get("KINETICS_DATASETS", "").split(",") if name.strip()]
    wanted = {parse_dataset(name) for name in names}
    return tuple(name for name in DATASETS if name in wanted or not wanted)


def _table_classes() -> dict[str, Any]:
    """Return table name -> dataclass, for every table of `Settings`."""
    hints = get_type_hints(Settings)
    return {f.name: hints[f.name] for f in fields(Settings) if f.name not in {"root", "dataset"}}


def _read_tables(file: Path, *, root: Path) -> tuple[Tables, dict[str, Tables]]:
    """Return the tables of `file`, and those for single datasets; both empty without a file."""
    content = _read_toml(file)
    special = content.pop("datasets", {})
    _expect_table(special, f"{file}: [datasets]")
    for name in special:
        _expect_known(name, DATASETS, f"{file}: dataset", of=f"[datasets.{name}]")
    return _convert_tables(content, where=f"{file}:", prefix="", root=root), {
        name: _convert_tables(tables, where=f"{file}:", prefix=f"datasets.{name}.", root=root)
        for name, tables in special.items()
    }


def _read_toml(file: Path) -> dict[str, Any]:
    """Return the content of `file`, empty if there is none."""
    try:
        with os_faults(f"reading {file}"):
            text = file.read_text(encoding="utf-8")
        return tomllib.loads(text)
    except FileNotFoundError:
        return {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise SettingsError(f"{file}: {error}", remedy="The file must be TOML in UTF-8.") from error


def _convert_tables(content: Any, *, where: str, prefix: str, root: Path) -> Tables:  # noqa: ANN401 - as TOML gave it
    """Return the tables in `content`, every value in its field's type."""
    _expect_table(content, f"{where} [{prefix.rstrip('.')}]")
    classes = _table_classes()
    tables: Tables = {}
    for table, values in content.items():
        _expect_known(table, classes, f"{where} table", of=f"[{prefix}{table}]")
        _expect_table(values, f"{where} [{prefix}{table}]")
        hints = get_type_hints(classes[table])
        for field, value in values.items():
            _expect_known(field, hints, f"{where} key", of=f"[{prefix}{table}] {field}")
            place = f"{where} [{prefix}{table}] {field}"
            converted = _value(convert, value, hints[field], place=place, root=root)
            tables.setdefault(table, {})[field] = converted
    return tables


def _env_tables(env: Mapping[str, str], *, root: Path) -> Tables:
    """Return the tables that variables named KINETICS_<TABLE>__<FIELD> set."""
    classes = _table_classes()
    tables: Tables = {}
    for variable, text in env.items():
        if not variable.startswith(_PREFIX) or "__" not in variable:
            continue
        table, _, field = variable.removeprefix(_PREFIX).lower().partition("__")
        _expect_known(table, classes, "environment variable", of=variable)
        hints = get_type_hints(classes[table])
        _expect_known(field, hints, "environment variable", of=variable)
        converted = _value(parse, text, hints[field], place=variable, root=root)
        tables.setdefault(table, {})[field] = converted
    return tables


def _demo_mirror(env: Mapping[str, str]) -> Tables:
    """Return the tables that send the demo dataset to the mirror KINETICS_DEMO_MIRROR names."""
    mirror = env.get("KINETICS_DEMO_MIRROR")
    if not mirror:
        return {}
    match = _MIRROR.fullmatch(mirror)
    if not match:
        raise SettingsError(
            f"KINETICS_DEMO_MIRROR is {mirror!r}.",
            remedy="Allowed: http://127.0.0.1:PORT, an address of this machine.",
        )
    base = f"http://{match[1]}"
    return {
        "sources": {"youtube_url": f"{base}/videos/{{id}}.mp4", "loopback_hosts": (match[1],)},
        "annotations": {"official_url": f"{base}/demo.tar.gz"},
    }


def _value(
    reader: Callable[..., Any],
    value: Any,  # noqa: ANN401 - as TOML gave it
    hint: Any,  # noqa: ANN401 - types are data here
    *,
    place: str,
    root: Path,
) -> Any:  # noqa: ANN401 - of type `hint`
    """Return what `reader` makes of `value`, an error that names the `place` otherwise."""
    try:
        return reader(value, hint, root=root)
    except ValueError as error:
        raise SettingsError(f"{place} is {value!r}.", remedy=f"Allowed: {error}.") from error


def _expect_table(value: object, place: str) -> None:
    """Raise SettingsError unless `value` is a table."""
    if not isinstance(value, dict):
        raise SettingsError(f"{place} is {value!r}.", remedy="It must be a table.")


def _expect_known(name: str, known: Iterable[str], what: str, *, of: str) -> None:
    """Raise SettingsError with the nearest name unless `name` is in `known`."""
    names = list(known)
    if name in names:
        return
    near = get_close_matches(name, names, n=1, cutoff=0.6)
    hint = f"Did you mean {near[0]!r}? " if near else ""
    raise SettingsError(
        f"Unknown {what} {name!r} ({of}).", remedy=f"{hint}Allowed: {', '.join(names)}."
    )
