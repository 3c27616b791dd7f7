"""docs/settings.md is made from the settings themselves.

``python -m kinetics_assets_tests.test_settings_page`` writes it anew.
"""

from __future__ import annotations

import ast
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import get_type_hints

from kinetics_assets.core import settings
from kinetics_assets.core.settings import Settings

PAGE = Path(__file__).parent.parent / "docs" / "settings.md"
_HEAD = """# Settings

`kinetics.toml` under the root holds tables with these names; `[datasets.<name>.<table>]` holds
those of one dataset. `KINETICS_<TABLE>__<FIELD>` in the environment wins over both; lists are
separated by commas there. Relative paths start from the root.

The demo has defaults of its own: pictures of 64 pixels, its mirror as the only source, and
`thresholds.min_completeness = 0.5`.

This page is made by `python -m kinetics_assets_tests.test_settings_page`.
"""


def page() -> str:
    """Return the page as the settings' own definitions give it."""
    tree = ast.parse(Path(settings.__file__).read_text(encoding="utf-8"))
    words = {node.name: _docs(node) for node in tree.body if isinstance(node, ast.ClassDef)}
    parts = [_HEAD]
    for name, kind in get_type_hints(Settings).items():
        if not is_dataclass(kind) or not isinstance(kind, type):
            continue
        about = (kind.__doc__ or "").splitlines()[0]
        parts.append(
            f"\n## `[{name}]`\n\n{about}\n\n| field | default | meaning |\n|---|---|---|\n"
        )
        for field in fields(kind):
            default = _shown(field.default)
            meaning = words[kind.__name__].get(field.name, "").replace("``", "`")
            parts.append(f"| `{field.name}` | {default} | {meaning} |\n")
    return "".join(parts)


def _docs(node: ast.ClassDef) -> dict[str, str]:
    """Return field name -> the text below it."""
    found = {}
    for field, text in zip(node.body, node.body[1:], strict=False):
        if (
            isinstance(field, ast.AnnAssign)
            and isinstance(field.target, ast.Name)
            and isinstance(text, ast.Expr)
            and isinstance(text.value, ast.Constant)
        ):
            found[field.target.id] = " ".join(str(text.value.value).split())
    return found


def _shown(default: object) -> str:
    """Return a default as TOML has it."""
    if default is None:
        return "not set"
    if isinstance(default, bool):
        return f"`{str(default).lower()}`"
    if isinstance(default, tuple):
        return f"`[{', '.join(repr(item) for item in default)}]`"
    return f'`"{default}"`' if isinstance(default, str) else f"`{default}`"


def test_the_page_says_what_the_settings_are() -> None:
    """Every field is on the page with its default and its meaning, word for word."""
    assert PAGE.read_text(encoding="utf-8") == page(), "make the page anew, as it says itself"


def test_every_field_has_a_meaning() -> None:
    """No setting is without a word of explanation."""
    assert "|  |" not in page()


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
