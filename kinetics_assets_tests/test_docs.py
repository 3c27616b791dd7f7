"""The pages of the documentation, as far as a machine can read them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

TOP = Path(__file__).parents[1]
PAGES = sorted([*TOP.glob("*.md"), *TOP.glob("docs/**/*.md")])
_FENCED = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
_PART = re.compile(r"^(#+) +([^\n]+)\n(.*?)(?=^#+ |\Z)", re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_heading_is_empty(page: Path) -> None:
    """Below each heading there are words, or a heading of a lower level."""
    parts = _PART.findall(_FENCED.sub("code", page.read_text(encoding="utf-8")))
    assert parts
    following = [len(marks) for marks, _, _ in parts[1:]] + [0]
    empty = [
        title
        for (marks, title, text), level in zip(parts, following, strict=True)
        if not text.strip() and level <= len(marks)
    ]
    assert empty == []
