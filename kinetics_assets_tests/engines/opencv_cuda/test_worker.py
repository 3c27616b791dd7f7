"""What the worker asks of OpenCV, in which interpreter, and what becomes of the answers."""

from __future__ import annotations

import ast
import gc
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from kinetics_assets.core.engine_devices import device_of
from kinetics_assets.engines.cpu import CpuEngine
from kinetics_assets.engines.opencv_cuda import engine as engines
from kinetics_assets.engines.opencv_cuda import session, worker
from kinetics_assets.engines.opencv_cuda.engine import METHODS, OpenCvCudaEngine
from kinetics_assets_tests.engines.moving import moving_texture
from kinetics_assets_tests.opencvs import OpenCv
from kinetics_assets_tests.processes import until

ALONE = {"__future__", "collections", "json", "mmap", "os", "re", "sys", "typing", "numpy", "cv2"}


def descriptors() -> int:
    """Return how many descriptors this process has open."""
    return len(list(Path("/proc/self/fd").iterdir()))


def test_the_worker_stands_alone() -> None:
    """Python 3.8 can read it, and it needs nothing but numpy and cv2."""
    text = Path(worker.__file__).read_text(encoding="utf-8")
    tree = ast.parse(text, feature_version=(3, 8))
    nodes = list(ast.walk(tree))
    names = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    names += [str(node.module) for node in nodes if isinstance(node, ast.ImportFrom)]
    assert {name.split(".")[0] for name in names} <= ALONE
    assert {method for method, _ in METHODS.values()} == set(worker.CLASSES) == set(worker.MAKERS)


def test_the_known_pair_moves_as_said() -> None:
    """Our own engine of the same algorithm finds its motion, so a good OpenCV passes."""
    flow = CpuEngine(threads=2).flow(session.known_pair())
    session._check_known(flow)
    inner = flow[0, :, 32:-32, 32:-32]
    assert np.median(inner, axis=(1, 2)) == pytest.approx(session._KNOWN_PX, abs=0.01)
    with pytest.raises(session.PairsFailedError, match="wrong flow"):
        session._check_known(-flow)


def test_it_runs_isolated_on_the_leased_device(
    opencv: OpenCv, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """None of our folders, variables or descriptors; of the devices the one that is left to us."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-17")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("KINETICS_SOURCES__YOUTUBE_PROXY", "http://a:secret@host:1")
    OpenCvCudaEngine("opencv_cuda", python=opencv.python).versions()
    (note,) = opencv.notes("import")
    assert (note["isolated"], note["folder"]) == (1, "/")
    assert note["environment"]["CUDA_VISIBLE_DEVICES"] == "GPU-17"
    assert not [name for name in note["environment"] if name.startswith(("PYTHON", "KINETICS"))]
    assert [path for path in note["path"] if "site-packages" in path] == [str(opencv.packages)]
    assert not {str(tmp_path), str(Path(worker.__file__).parent)} & set(note["path"])


def test_versions_are_told_while_another_clip_is_worked_on(opencv: OpenCv) -> None:
    """A clip that is done is not held up behind those that wait for the worker."""
    engine = OpenCvCudaEngine("opencv_cuda", python=opencv.python)
    known = engine.versions()
    with ThreadPoolExecutor(1) as pool, engine._turn:
        assert pool.submit(engine.versions).result(timeout=60) == known


@pytest.mark.parametrize("name", METHODS)
def test_frames_are_uploaded_once_and_algorithms_made_for_each_size(
    name: str, opencv: OpenCv
) -> None:
    """As OpenCV wants them: 8 bits, for Brox floats; sessions of the hardware are ended."""
    engine = OpenCvCudaEngine(name, python=opencv.python)
    assert engine.device == "cuda"
    assert device_of(name) == "gpu"
    engine.versions()
    opencv.behave("well")
    frames = np.repeat(moving_texture(2.0, -1.0, width_px=64, height_px=48), 3, axis=0)
    for size in (64, 64, 51, 64):
        flow = engine.flow(frames[:, :, :size])
        assert flow.shape == (5, 2, 48, size)
        assert np.median(flow[2], axis=(1, 2)) == pytest.approx([2, -1], abs=0.1)
        assert not np.median(flow[0], axis=(1, 2)).any()
    kinds = [note["type"] for note in opencv.notes("upload")]
    assert kinds == 24 * ["float32" if name.endswith("brox") else "uint8"]
    assert len(opencv.notes("create")) == 3
    assert len(opencv.notes("collect")) == (3 if name.endswith("nvof") else 0)


def test_the_first_interface_of_the_hardware(opencv: OpenCv) -> None:
    """Its vectors of 4x4 pixels are spread over them; sides that are no multiple are cut."""
    opencv.behave("well", lacks=["NvidiaOpticalFlow_2_0"])
    engine = OpenCvCudaEngine("opencv_cuda-nvof", python=opencv.python)
    frames = moving_texture(2.0, -1.0, width_px=66, height_px=49)
    flow = engine.flow(frames)
    assert flow.shape == (1, 2, 49, 66)
    assert np.array_equal(flow, flow[:, :, ::4, ::4].repeat(4, 2).repeat(4, 3)[:, :, :49, :66])
    assert np.array_equal(flow * 32, np.rint(flow * 32))
    assert engine.versions()["nvof"] == "1.0"
    assert opencv.notes("create")[-1]["given"] == [66, 49, 5, False, False, False, 0]


def test_older_names_of_the_classes(opencv: OpenCv) -> None:
    """``cv2.cuda_X.create`` is found where ``cv2.cuda.X_create`` is not."""
    opencv.behave("well", names="old")
    engine = OpenCvCudaEngine("opencv_cuda", python=opencv.python)
    assert engine.flow(moving_texture(1.0, 0.0)).shape == (1, 2, 120, 160)


def test_threads_and_parts_share_one_worker(
    opencv: OpenCv, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Clips of several threads, cut into parts, have the flow that they have alone and whole."""
    engine = OpenCvCudaEngine("opencv_cuda", python=opencv.python)
    pair = moving_texture(3.0, 1.0, width_px=80, height_px=60)
    clips = [np.roll(np.repeat(pair, 4, axis=0), shift, axis=2) for shift in range(4)]
    whole = [engine.flow_u8(clip, bound_px=20) for clip in clips]
    monkeypatch.setattr(engines, "_PART_BYTES", 3 * 9 * pair[0].size)
    with ThreadPoolExecutor(4) as pool:
        parts = list(pool.map(lambda clip: engine.flow_u8(clip, bound_px=20), clips))
    assert all(np.array_equal(a, b) for a, b in zip(whole, parts, strict=True))
    assert len(opencv.pids) == 1
    assert not np.array_equal(whole[0], whole[1])


def test_nothing_is_left_behind(opencv: OpenCv) -> None:
    """The shared memory has no name; without the engine no worker and no descriptor is there."""
    gc.collect()
    before = descriptors()
    engine = OpenCvCudaEngine("opencv_cuda", python=opencv.python)
    engine.flow(moving_texture(1.0, 0.0))
    (pid,) = opencv.pids
    for process in (pid, "self"):
        maps = Path(f"/proc/{process}/maps").read_text()
        assert "/memfd:kinetics-flow (deleted)" in maps
        assert "/dev/shm/" not in maps
    del engine
    gc.collect()
    assert not Path(f"/proc/{pid}").exists()
    assert descriptors() == before


def test_a_worker_that_hangs_dies_with_its_owner(opencv: OpenCv) -> None:
    """SIGKILL of the step in the middle of a pair leaves no process."""
    opencv.behave("hang")
    code = (
        "import pathlib, sys, numpy as np\n"
        "from kinetics_assets.engines.opencv_cuda.engine import OpenCvCudaEngine\n"
        "engine = OpenCvCudaEngine('opencv_cuda', python=pathlib.Path(sys.argv[1]))\n"
        "engine.flow(np.zeros((2, 48, 64), np.uint8))\n"
    )
    owner = subprocess.Popen(
        [sys.executable, "-c", code, str(opencv.python)], cwd=Path(__file__).parents[3]
    )
    begun = opencv.packages / "count"
    with owner:
        until(begun.exists, "the pair that hangs")
        (pid,) = opencv.pids
        assert Path(f"/proc/{pid}").exists()
        owner.send_signal(signal.SIGKILL)
    until(lambda: not Path(f"/proc/{pid}").exists(), "the end of the worker")
