"""One finding about this machine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from kinetics_assets.core.errors import KineticsError

State = Literal["ok", "warning", "missing", "off"]


@dataclass(frozen=True, slots=True)
class Check:
    """What was found of one thing."""

    name: str
    state: State
    """``missing``: the settings need it, and it is not usable. ``warning``: usable, or not needed,
    but not as it should be. ``off``: optional, and not there."""
    says: str
    """What was found; holds no password and no cookie."""
    remedy: str = ""
    """The one thing to do about it; empty if and only if all is well."""

    def __post_init__(self) -> None:
        """Hold the law about remedies."""
        if (self.state == "ok") != (not self.remedy):
            raise ValueError(f"{self.name} is {self.state}, its remedy is {self.remedy!r}")

    @property
    def is_ok(self) -> bool:
        """Whether there is nothing to do."""
        return self.state == "ok"

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {
            "name": self.name,
            "state": self.state,
            "says": self.says,
            "remedy": self.remedy,
        }


def failed(name: str, error: KineticsError, *, state: State) -> Check:
    """Return the finding that `error` tells of."""
    remedy = error.remedy or "See docs/operations.md."
    return Check(name, state, error.message, remedy)


def lacking(*, is_needed: bool, otherwise: State = "off") -> State:
    """Return the state of something that is not usable."""
    return "missing" if is_needed else otherwise
