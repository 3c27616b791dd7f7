"""The bases of the tree of errors; `kinetics_assets.core.errors` draws it and has all of it."""

from __future__ import annotations

from typing import ClassVar

from kinetics_assets.core.reasons import Reason


class KineticsError(Exception):
    """Base of all errors below: one paragraph that names the thing and what to do about it."""

    def __init__(self, message: str, *, remedy: str = "") -> None:
        """Keep `message` (what was got, what is allowed) and `remedy` (what to do)."""
        self.message = message
        self.remedy = remedy
        super().__init__(f"{message} {remedy}".strip())

    def tell_also(self, earlier: str) -> None:
        """Let the message also say what went wrong before; a full sentence."""
        self.message = f"{self.message} {earlier}"
        self.args = (f"{self.message} {self.remedy}".strip(),)


class InputError(KineticsError):
    """Something the user gave cannot be used as it is."""


class InternalError(KineticsError):
    """A promise of the package itself was broken."""


class EnvironmentFault(KineticsError):
    """This machine or its network is at fault; the step fails and no row is written."""

    reason: ClassVar[Reason]


class ClipError(KineticsError):
    """One clip failed; `reason` and the message go into its manifest row."""

    reason: ClassVar[Reason]

    source_works: bool = False
    """Whether the source was seen to work at that moment, so that the failure is the clip's own."""

    counted_before: bool = False
    """Whether the breaker has heard of this failure already, told of another clip: many clips are
    in one archive."""


def leaves(base: type[KineticsError]) -> list[type[KineticsError]]:
    """Return all classes below `base` that have no subclass of their own."""
    below = base.__subclasses__()
    return [leaf for sub in below for leaf in (leaves(sub) or [sub])]
