"""Questions that are asked in a short-lived process: they may hang, crash, or start CUDA."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import kinetics_assets
from kinetics_assets.io.confined import clean_text

SECONDS = 60.0
"""A library on a cold network disk may need long to load."""
DIED = "died"
"""Key of the answer of a process that gave none: how it ended."""
_CODE = (
    "import sys; sys.path.append(sys.argv[1]);"
    "from kinetics_assets.stages.doctor import probed; probed.main(sys.argv[2:])"
)


def ask(question: str, *arguments: str, seconds: float = SECONDS) -> dict[str, Any]:
    """Return the answer of a function of `kinetics_assets.stages.doctor.probed`.

    Args:
        question: Its name.
        arguments: Its arguments.
        seconds: It is killed after this time.
    """
    package = str(Path(kinetics_assets.__file__).parent.parent)
    try:
        done = subprocess.run(  # noqa: S603 - our own code
            # -P: a file called cv2.py in the working folder is not what is asked for
            [sys.executable, "-P", "-c", _CODE, package, question, *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=seconds,
            check=False,
            env={**os.environ, "PYTHONWARNINGS": "ignore"},
        )
    except subprocess.TimeoutExpired:
        return {DIED: f"gave no answer in {seconds:g} s"}
    except OSError as error:
        return {DIED: f"cannot be asked ({error.strerror})"}
    try:
        answer = json.loads(done.stdout.splitlines()[-1])
    except (IndexError, ValueError):
        answer = None
    if done.returncode == 0 and isinstance(answer, dict):
        return answer
    last = clean_text((done.stderr.strip().splitlines() or [""])[-1])
    return {DIED: f"ended with status {done.returncode}" + (f" ({last})" if last else "")}
