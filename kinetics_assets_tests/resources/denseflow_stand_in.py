"""Stands in for the program denseflow: reads the video, writes JPEGs as it does, and misbehaves.

Run as a program of its own, with ``behaviour.json`` beside it:

- ``mode``: one of those in `main`;
- ``always``: also with the video that is known to be good;
- ``times``: how often it misbehaves before it works, 0 for ever.

Each run adds a line to ``log`` there: what it was given.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path

HERE = Path(sys.argv[0]).parent
OPTIONS = """GPU optical flow extraction.
Usage: denseflow [params] input
 -a, --algorithm (value:tvl1)  -b, --bound (value:32)  -s, --step (value:0)
 -nw, --newWidth  -nh, --newHeight  -ns, --newShort  -o, --outputDir (value:.)  -h, --help"""
NO_DEVICE = """terminate called after throwing an instance of 'cv::Exception'
  what():  OpenCV(4.5.2) cuda_info.cpp:73: error: (-217:Gpu API call) no CUDA-capable device is \
detected in function 'setDevice'"""


def main() -> int:
    """Do as denseflow does, or as told."""
    told = json.loads((HERE / "behaviour.json").read_text())
    given, options = [], {}
    for word in sys.argv[1:]:
        if word.startswith("-"):
            name, _, value = word.lstrip("-").partition("=")
            options[name] = value or "true"
        else:
            given.append(word)
    if "h" in options:
        say(OPTIONS)
        return 0
    video = Path(given[0])
    known = {"o", "a", "s", "b", "nw", "nh", "ns"}
    if len(given) != 1 or not set(options) <= known or not video.exists():
        say(f"{video} does not exist! check init param error.")
        return 1
    if options.get("a") != "tvl1" or options.get("s") != "1":
        return 1
    real = video.resolve()
    note = {
        "arguments": sys.argv[1:],
        "folder": str(Path.cwd()),
        "environment": dict(os.environ),
        "video": real.name,
        "read": sys.stdin.read(),
        "pid": os.getpid(),
    }
    log = HERE / "log"
    runs = log.read_text().count("\n") if log.exists() else 0
    with suppress(OSError), log.open("a") as file:
        file.write(json.dumps(note) + "\n")
    is_canary = real.name == "canary.mp4"
    works = is_canary and not told.get("always")
    works = works or bool(told.get("times") and runs >= told["times"])
    works = works or ("only" in told and real.name != told["only"] and not told.get("always"))
    return work(video, options, mode="well" if works else told["mode"])


def work(video: Path, options: dict[str, str], *, mode: str) -> int:
    """Write the pictures of `video`, as far as `mode` lets it."""
    out = Path(options["o"]) / video.stem
    if mode in {"options", "refusal", "nothing", "stale_done"}:
        if mode == "stale_done":
            (out.parent / ".done").mkdir()
            (out.parent / ".done" / video.stem).touch()
        else:
            out.mkdir()
        say({"options": OPTIONS, "refusal": "init param error."}.get(mode, ""))
        return int(mode == "refusal")
    if mode == "no_device":
        sys.stderr.write(NO_DEVICE)
        sys.stderr.flush()
        os.abort()
    out.mkdir(parents=True)
    if mode == "crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    if mode == "elsewhere":
        out = Path.cwd() / video.stem
        out.mkdir()
    pairs = write_pictures(video, out, options, mode=mode)
    if mode == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if mode == "hang":
        (HERE / f"hangs-{os.getpid()}").touch()
        while True:
            say("still at it")
            sys.stdout.flush()
            time.sleep(0.1)
    say(f"1 videos ({pairs + 1} frames, {pairs} tvl1 flows) processed, using 0.1s")
    return 7 if mode == "bad_status" else 0


def write_pictures(video: Path, out: Path, options: dict[str, str], *, mode: str) -> int:
    """Write two planes for each pair of frames and return the number of pairs."""
    import av
    import numpy as np
    import simplejpeg

    bound = int(options["b"])
    with av.open(str(video)) as container:
        frames = [frame.to_ndarray(format="gray") for frame in container.decode(video=0)]
    width = int(options.get("nw", frames[0].shape[1])) + (mode == "wrong_size")
    height = int(options.get("nh", frames[0].shape[0]))
    rows = np.arange(height) * frames[0].shape[0] // height
    columns = np.arange(width) * frames[0].shape[1] // width
    small = [frame[rows][:, columns].astype(np.float64) for frame in frames]
    pairs = len(small) - 1
    kept = {
        "partial": pairs // 2,
        "killed": 2,
        "hang": 2,
        "batches": 1024,
        "too_many": pairs + 1,
    }.get(mode, pairs)
    for number in range(kept):
        first, second = small[min(number, pairs - 1)], small[min(number + 1, pairs)]
        for axis, sign in (("x", 1), ("y", -1)):
            moved = np.clip((sign * (second - first) / 8 + bound) / (2 * bound), 0, 1)
            plane = np.rint(255 * moved).astype(np.uint8)[:, :, None]
            data = simplejpeg.encode_jpeg(np.ascontiguousarray(plane), 95, "GRAY", "Gray")
            if mode == "cut_jpeg" and number == pairs - 1:
                data = data[: len(data) // 2]
            if mode == "one_axis" and axis == "y" and number == 0:
                continue
            with suppress(OSError):  # denseflow does not look whether it could write
                (out / f"flow_{axis}_{number:05d}.jpg").write_bytes(data)
    return pairs


def say(text: str) -> None:
    """Print a line."""
    sys.stdout.write(f"{text}\n")


if __name__ == "__main__":
    sys.exit(main())
