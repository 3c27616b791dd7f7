"""How many SQL statements a piece of code has executed, and how many CPU seconds it took."""

# ruff: noqa: ANN401 - JSON, and types that Dagster and SQLAlchemy do not export

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Engine, event


@dataclass
class Cost:
    """What was spent; all threads of this process count."""

    cpu_s: float = 0.0
    statements: Counter[str] = field(default_factory=Counter)
    """Statement, values left out -> how often it was executed."""

    @property
    def sql(self) -> int:
        """Statements that read or write; pragmas, with which connections begin, are left out."""
        return sum(self.statements.values())

    @property
    def most_repeated(self) -> int:
        """How often the most frequent statement was executed."""
        return max(self.statements.values(), default=0)


@contextmanager
def counted() -> Iterator[Cost]:
    """Yield what the body costs; whatever SQLAlchemy executes in this process is seen."""
    cost = Cost()

    def seen(_conn: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if not statement.lstrip().upper().startswith("PRAGMA"):
            cost.statements[statement] += 1

    event.listen(Engine, "before_cursor_execute", seen)
    begun = time.process_time()
    try:
        yield cost
    finally:
        cost.cpu_s = time.process_time() - begun
        event.remove(Engine, "before_cursor_execute", seen)
