"""What the pages of the Dagster UI ask: the queries in the JavaScript of the installed web server.

Nothing is copied by hand, so that another version of Dagster is measured with its own pages.
"""

from __future__ import annotations

import re
from ast import literal_eval
from functools import cache
from pathlib import Path
from typing import Final

import dagster_webserver
from graphql import (
    DefinitionNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLSyntaxError,
    OperationDefinitionNode,
    Visitor,
    parse,
    print_ast,
    visit,
)

_CHUNKS: Final = Path(dagster_webserver.__file__).parent / "webapp/build/_next/static/chunks"
_STRING = r"""(?:"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')"""
_TEMPLATE: Final = re.compile(rf"\(\[({_STRING}(?:,{_STRING})*)\]\)")
"""A template as its compiler leaves it: the texts between what is put into it, here fragments."""


def ui_query(name: str) -> str:
    """Return the text of a query of the UI, with all fragments that it uses.

    Raises:
        KeyError: This version of Dagster's web server has no such query.
    """
    operations, fragments = _documents()
    parts: dict[str, DefinitionNode] = {name: operations[name]}
    waiting = [operations[name]]
    while waiting:
        spreads = _Spreads()
        visit(waiting.pop(), spreads)
        for used in spreads.names - parts.keys():
            parts[used] = fragments[used]
            waiting.append(fragments[used])
    return "\n\n".join(print_ast(part) for part in parts.values())


class _Spreads(Visitor):
    """Collects the names of the fragments that a node uses."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def enter_fragment_spread(self, node: FragmentSpreadNode, *_: object) -> None:
        """Take down one."""
        self.names.add(node.name.value)


@cache
def _documents() -> tuple[dict[str, OperationDefinitionNode], dict[str, FragmentDefinitionNode]]:
    """Return queries and fragments by name."""
    operations: dict[str, OperationDefinitionNode] = {}
    fragments: dict[str, FragmentDefinitionNode] = {}
    for path in sorted(_CHUNKS.rglob("*.js")):
        for found in _TEMPLATE.finditer(path.read_text(encoding="utf-8")):
            if "fragment " not in found[1] and "query " not in found[1]:
                continue
            try:
                document = parse("\n".join(literal_eval(f"[{found[1]}]")), no_location=True)
            except (GraphQLSyntaxError, SyntaxError, ValueError):
                continue  # another kind of template
            for part in document.definitions:
                if isinstance(part, FragmentDefinitionNode):
                    fragments[part.name.value] = part
                elif isinstance(part, OperationDefinitionNode) and part.name:
                    operations[part.name.value] = part
    return operations, fragments
