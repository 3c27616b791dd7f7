"""The tree of errors: drawn as it is, one reason a leaf, faults of the machine told from clips'."""

from __future__ import annotations

import errno
import os
import re

import pytest

from kinetics_assets.core import errors
from kinetics_assets.core.errors import (
    AnnotationError,
    ClipError,
    DiskFailing,
    DiskFull,
    EnvironmentFault,
    InternalError,
    KineticsError,
    PermissionDenied,
    PortInUse,
    ToolMissing,
    UnknownEngine,
    clip_error,
    environment_fault,
    leaves,
)
from kinetics_assets.core.reasons import Kind, Reason


def _with_reason(base: type[ClipError | EnvironmentFault]) -> list[Reason]:
    """Return the reason of each leaf below `base`."""
    return [leaf.reason for leaf in leaves(base)]  # type: ignore[attr-defined] # leaves of these have one


def test_every_clip_reason_has_exactly_one_error() -> None:
    """A reason that a clip can have belongs to one leaf, so that a code can become an error."""
    kinds = {Kind.PERMANENT, Kind.RETRYABLE, Kind.CREDENTIALS}
    assert sorted(_with_reason(ClipError)) == sorted(r for r in Reason if r.kind in kinds)


def test_every_environment_reason_has_an_error() -> None:
    """Faults of the machine have reasons of kind environment, and each such reason a fault."""
    assert set(_with_reason(EnvironmentFault)) == {
        reason for reason in Reason if reason.kind is Kind.ENVIRONMENT
    }


@pytest.mark.parametrize("reason", list(Reason))
def test_a_code_becomes_its_error(reason: Reason) -> None:
    """A reason that a child sends becomes its own error; a reason that no clip has is refused."""
    if reason.kind in {Kind.ENVIRONMENT, Kind.POLICY}:
        with pytest.raises(InternalError, match="no clip can have"):
            clip_error(reason, "why")
        return
    error = clip_error(reason, "why")
    assert error.reason is reason
    assert error.message == "why"


def test_the_drawn_tree_names_every_error() -> None:
    """The drawing in the module's docstring has every class of the tree and no other."""
    drawing = (errors.__doc__ or "").split("::", 1)[1].split("A leaf below")[0]
    words = set(re.findall(r"\b[A-Z][A-Za-z]*[a-z][A-Za-z]*\b", drawing))
    classes = {
        name
        for name, value in vars(errors).items()
        if isinstance(value, type) and issubclass(value, KineticsError)
    }
    assert words == classes


def test_a_message_ends_with_its_remedy() -> None:
    """What is printed says what happened and what to do; both can be had apart."""
    error = KineticsError("It broke.", remedy="Mend it.")
    assert (error.message, error.remedy, str(error)) == (
        "It broke.",
        "Mend it.",
        "It broke. Mend it.",
    )
    assert str(KineticsError("It broke.")) == "It broke."


@pytest.mark.parametrize(
    ("number", "fault"),
    [
        (errno.ENOSPC, DiskFull),
        (errno.EDQUOT, DiskFull),
        (errno.EFBIG, DiskFull),
        (errno.EACCES, PermissionDenied),
        (errno.EPERM, PermissionDenied),
        (errno.EROFS, PermissionDenied),
        (errno.ENOENT, None),
        (errno.EIO, DiskFailing),
        (errno.ESTALE, DiskFailing),
    ],
)
def test_faults_of_the_machine_are_told_apart(
    number: int, fault: type[EnvironmentFault] | None
) -> None:
    """A full or closed disk is a fault of the machine and says what was being done."""
    found = environment_fault(OSError(number, os.strerror(number)), doing="writing x.mp4")
    if fault is None:
        assert found is None
    else:
        assert type(found) is fault
        assert "writing x.mp4" in found.message
        assert found.remedy


def test_an_annotation_error_points_at_its_line() -> None:
    """The user is sent to the file and, if it is known, to the line."""
    assert str(AnnotationError("list.csv", "no header", line=3)) == "list.csv, line 3: no header"
    assert str(AnnotationError("list.csv", "empty", remedy="Get it anew.")) == (
        "list.csv: empty Get it anew."
    )
    assert str(AnnotationError("list.csv", "list.csv answers 404.")) == "list.csv answers 404."


def test_named_errors_say_what_to_do() -> None:
    """Errors with a message of their own name the thing and the way out."""
    assert "Use one of: cpu, cuda." in str(UnknownEngine("gpu", ["cpu", "cuda"]))
    assert "choose --port" in str(PortInUse("127.0.0.1", 3000))
    assert str(ToolMissing("denseflow", "Build it.")).endswith("Build it.")
