"""OpenCV CUDA's ways of failing: what is blamed for each.

The table in docs/flow-engines.md names the ways; each is one case here, and a test compares.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from kinetics_assets.core import errors
from kinetics_assets.engines.opencv_cuda import session
from kinetics_assets.engines.opencv_cuda.engine import OpenCvCudaEngine
from kinetics_assets_tests.engines.moving import moving_texture
from kinetics_assets_tests.opencvs import OpenCv

PAGE = Path(__file__).parents[3] / "docs" / "flow-engines.md"
PATIENCE_SECONDS = 120.0


@dataclass(frozen=True)
class Case:
    """A way of failing, and how it must be judged."""

    mode: str
    verdict: type[errors.KineticsError] | None = None
    """None: the flow is good."""
    words: str = ""
    """Must be in the message."""
    starts: int = 3
    """Workers that load OpenCV: two for the clip, then one for the pair that is known."""
    how: dict[str, object] = field(default_factory=dict)
    """See the stand-in."""
    engine: str = "opencv_cuda"


ALWAYS: dict[str, object] = {"always": True}
NO_TVL1: dict[str, object] = {"lacks": ["OpticalFlowDual_TVL1"]}
CLIP, TOOL, DEVICE = errors.EncodeFailed, errors.ToolMissing, errors.DeviceLost
NVOF = "opencv_cuda-nvof"
CASES = {
    "flow": Case("well", starts=1),
    "flow, and prints on standard output": Case("junk", starts=1),
    "flow, and warns without end": Case("chatter", starts=1),
    "crashes once": Case("crash", starts=2, how={"times": 1}),
    "is out of memory once": Case("out_of_memory", starts=2, how={"times": 1}),
    "crashes on one clip": Case("crash", CLIP, "SIGSEGV"),
    "is killed on one clip": Case("killed", CLIP, "SIGKILL"),
    "an error on one clip": Case("illegal", CLIP, "illegal memory access"),
    "flow of another size": Case("wrong_size", CLIP, "not float32 (48, 64, 2)"),
    "flow that is not finite": Case("nan", CLIP, "not finite"),
    "hangs on one clip": Case("hang", errors.OverLimit, "time was up", 2),
    "is out of memory": Case("out_of_memory", DEVICE, "too little memory", 2),
    "the device is lost": Case("lost", DEVICE, "busy or unavailable", 1, ALWAYS),
    "crashes on every pair": Case("exits", TOOL, "terminate called", 1, ALWAYS),
    "hangs on every pair": Case("hang", TOOL, "time was up", 1, ALWAYS),
    "wrong flow of every pair": Case("zeros", TOOL, "CUDA_ARCH_BIN", 1, ALWAYS),
    "built for other GPUs": Case("no_kernel", TOOL, "CUDA_ARCH_BIN", 1, ALWAYS),
    "sees no device": Case("no_device", DEVICE, "sees no device", 1),
    "the driver is too old": Case("old_driver", DEVICE, "the driver is too old", 1),
    "the driver does not work": Case("broken_driver", DEVICE, "forward compatibility", 1),
    "built without CUDA": Case("no_cuda", TOOL, "-DWITH_CUDA=ON", 1),
    "built without cudaoptflow": Case("well", TOOL, "OPENCV_EXTRA_MODULES_PATH", 1, NO_TVL1),
    "Brox, built without cudalegacy": Case(
        "no_legacy", TOOL, "cudalegacy", 1, engine="opencv_cuda-brox"
    ),
    "NVOF without the driver's library": Case("no_library", TOOL, "video", 1, engine=NVOF),
    "NVOF on a GPU without it": Case("no_hardware", TOOL, "Turing", 1, engine=NVOF),
    "cv2 cannot be loaded": Case("broken", TOOL, "libcudart.so.12", 0),
    "cv2 hangs when it is loaded": Case("hang_at_start", TOOL, "time was up", 0),
    "no cv2": Case("absent", TOOL, "has no cv2", 0),
    "no interpreter": Case("nowhere", TOOL, "there is no interpreter", 0),
}


def test_every_known_way_of_failing_has_its_case() -> None:
    """The table that users read and the cases here are the same."""
    text = PAGE.read_text(encoding="utf-8")
    section = text.partition("\n## OpenCV CUDA\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| ([^|]+) \| [^|]+ \|$", section, re.MULTILINE)
    start = rows.index("what OpenCV CUDA does")
    assert sorted(rows[start + 1 :]) == sorted(CASES)


@pytest.mark.parametrize("name", CASES)
def test_clip_or_machine_is_blamed(
    name: str, opencv: OpenCv, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A clip only when the same OpenCV does a known pair right; nothing runs on after a fault."""
    case = CASES[name]
    opencv.behave(case.mode, **case.how)
    python = opencv.python
    if case.mode == "nowhere":
        python = tmp_path / "python"
    if case.mode == "hang_at_start":
        monkeypatch.setattr(session, "_LOOK_SECONDS", 1.0)
    if case.how is ALWAYS and case.mode == "hang":
        monkeypatch.setattr(session, "_KNOWN_SECONDS", 1.0)
    cv2 = opencv.packages / "cv2.py"
    if case.mode == "absent":
        cv2.rename(opencv.packages / "aside")
    patience = 1.0 if case.mode == "hang" else PATIENCE_SECONDS
    engine = OpenCvCudaEngine(case.engine, python=python, clip_seconds=patience)
    frames = moving_texture(2.0, -1.0, width_px=64, height_px=48)
    try:
        if case.verdict is None:
            levels = engine.flow_u8(frames, bound_px=20)
            assert np.median(levels[0], axis=(1, 2)).tolist() == [140, 121]
        else:
            with pytest.raises(case.verdict, match=re.escape(case.words)) as caught:
                engine.flow_u8(frames, bound_px=20)
            assert caught.value.remedy or isinstance(caught.value, errors.ClipError)
    finally:
        if case.mode == "absent":
            (opencv.packages / "aside").rename(cv2)
    pids = opencv.pids
    assert len(pids) == case.starts
    engine.close()
    assert not [pid for pid in pids if Path(f"/proc/{pid}").exists()]


def test_the_next_clip_is_done_after_a_clip_that_failed(opencv: OpenCv) -> None:
    """One bad clip costs itself and two new workers; the engine goes on with the last."""
    opencv.behave("crash", only=48)
    engine = OpenCvCudaEngine("opencv_cuda", python=opencv.python)
    with pytest.raises(errors.EncodeFailed):
        engine.flow(moving_texture(1.0, 1.0, width_px=64, height_px=48))
    assert engine.flow(moving_texture(1.0, 1.0, width_px=64, height_px=40)).shape == (1, 2, 40, 64)
    assert len(opencv.pids) == 3


def test_a_machine_that_is_mended_can_be_used_at_once(opencv: OpenCv) -> None:
    """A fault is not remembered: the same engine works as soon as OpenCV does."""
    opencv.behave("no_device")
    engine = OpenCvCudaEngine("opencv_cuda", python=opencv.python)
    with pytest.raises(errors.DeviceLost):
        engine.versions()
    opencv.behave("well", version="4.5.1")
    said = engine.versions()["opencv"]
    assert said.startswith("4.5.1 (its TV-L1 is several times slower")
