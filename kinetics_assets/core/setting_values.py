"""One value of a setting: from TOML or text to the type that its field declares.

The types are those that `kinetics_assets.core.settings` uses: text, numbers, truth values, paths,
closed sets (`Literal`), lists of text or of paths, and each of them or None.
"""

from __future__ import annotations

from pathlib import Path
from types import UnionType
from typing import Any, Literal, get_args, get_origin

_TRUTH = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
_LARGEST_WHOLE = 2**53
_PLAIN = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}


def convert(value: Any, hint: Any, *, root: Path) -> Any:  # noqa: ANN401 - types are data here
    """Return `value`, as TOML gave it, in the type that `hint` names.

    Args:
        value: Text, number, truth value or list.
        hint: Type of the field.
        root: Folder that relative paths start from.

    Raises:
        ValueError: the value is of another type or outside a closed set; the message says what is
            allowed.
    """
    if get_origin(hint) is UnionType:
        return convert(value, _without_none(hint), root=root)
    if get_origin(hint) is Literal and value in get_args(hint):
        return value
    if get_origin(hint) is tuple and isinstance(value, list):
        return tuple(convert(item, get_args(hint)[0], root=root) for item in value)
    if hint is Path and isinstance(value, str) and value:
        return root / Path(value).expanduser()
    if hint is float and type(value) is int and abs(value) <= _LARGEST_WHOLE:
        return float(value)  # 20 and 20.0 must give one digest
    if hint in _PLAIN and type(value) is hint:
        return value
    raise ValueError(allowed(hint))


def parse(text: str, hint: Any, *, root: Path) -> Any:  # noqa: ANN401 - as above
    """Return the value that the `text` of an environment variable stands for.

    A list is separated by commas; empty text is an empty list, or None where that is allowed.

    Raises:
        ValueError: as `convert`.
    """
    if get_origin(hint) is UnionType:
        return parse(text, _without_none(hint), root=root) if text else None
    if get_origin(hint) is tuple:
        item = get_args(hint)[0]
        return tuple(parse(part.strip(), item, root=root) for part in text.split(",") if part)
    if hint is bool:
        return convert(_TRUTH.get(text.lower()), hint, root=root)
    if hint in {int, float}:
        try:
            return hint(text)
        except ValueError:
            raise ValueError(allowed(hint)) from None
    return convert(text, hint, root=root)


def allowed(hint: Any) -> str:  # noqa: ANN401 - as above
    """Return what a field of type `hint` takes, in words."""
    if get_origin(hint) is UnionType:
        return allowed(_without_none(hint))
    if get_origin(hint) is Literal:
        return "one of " + ", ".join(repr(choice) for choice in get_args(hint))
    if get_origin(hint) is tuple:
        return f"a list, each item {allowed(get_args(hint)[0])}"
    return "a path" if hint is Path else _PLAIN[hint]


def _without_none(hint: Any) -> Any:  # noqa: ANN401 - as above
    """Return the one type beside None in the union `hint`."""
    (only,) = (part for part in get_args(hint) if part is not type(None))
    return only
