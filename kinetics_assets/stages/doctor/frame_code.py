"""What draws frames and grey frames: compiled code, or numpy, which takes several times as long."""

from __future__ import annotations

from typing import Any, Final

from kinetics_assets.stages.doctor.check import Check
from kinetics_assets.stages.doctor.probing import DIED

COMPILING_SECONDS: Final = 300.0
_NAME: Final = "frame code"
_MADE: Final = {"frames": "frames", "gray": "grey frames for flow"}
_SWITCH: Final = "KINETICS_CPU_KERNELS"


def frame_code_check(answer: dict[str, Any]) -> Check:
    """Return whether pictures are made by compiled code.

    Args:
        answer: Of the question ``frame_code``.
    """
    if DIED in answer:
        says = f"Compiling or trying the code that makes frames {answer[DIED]}."
        return Check(_NAME, "warning", says, f"Set {_SWITCH}=numba for the steps.")
    by_numpy = [made for name, made in _MADE.items() if answer[name] is None]
    if not by_numpy:
        return Check(_NAME, "ok", f"Compiled code makes {' and '.join(_MADE.values())}.")
    says = f"numpy makes {' and '.join(by_numpy)}"
    if answer["switched_off"]:
        return Check(_NAME, "off", f"{says}, as {_SWITCH} says.", f"Unset {_SWITCH}.")
    remedy = "Install g++ for the same bytes in a fraction of the time; frames want AVX2 too."
    return Check(_NAME, "off", f"{says}: there is no compiled code that can be used.", remedy)
