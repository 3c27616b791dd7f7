"""An ffmpeg for the benches: the machine's own, else a static one in a venv of its own."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import venv
from pathlib import Path
from typing import Final

from kinetics_like import cache_folder

PACKAGE: Final = "imageio-ffmpeg==0.8.1"
_ASK: Final = "import imageio_ffmpeg; print(imageio_ffmpeg.get_ffmpeg_exe())"


def peer_ffmpeg() -> str:
    """Return the ffmpeg that a user of the old scripts would run."""
    return shutil.which("ffmpeg") or static_ffmpeg()


def static_ffmpeg() -> str:
    """Return the path of the static ffmpeg, which can judge by VMAF; fetched on the first call."""
    home = cache_folder() / PACKAGE.replace("==", "-")
    python = home / "bin" / "python"
    if not (home / "ready").exists():
        venv.create(home, with_pip=True, clear=True)
        pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, PACKAGE], check=True, stdout=sys.stderr)
        (home / "ready").touch()
    done = subprocess.run([python, "-c", _ASK], check=True, stdout=subprocess.PIPE, text=True)
    return done.stdout.strip()


def version_of(ffmpeg: str) -> str:
    """Return the version that an ffmpeg gives."""
    done = subprocess.run([ffmpeg, "-version"], check=True, stdout=subprocess.PIPE, text=True)
    return done.stdout.split(" ")[2]


def quality(made: Path, source: Path, size: tuple[int, int]) -> dict[str, float]:
    """Return SSIM and PSNR of the luma, VMAF, and PSNR of both chroma planes of a resized video.

    A video without colours has no PSNR of chroma.

    Args:
        made: The video to judge.
        source: What it was made from; scaled by bicubic interpolation without a codec, it is what
            the video is compared with.
        size: Width and height of `made`.
    """
    width, height = size
    graph = (
        f"[0:v]settb=AVTB,setpts=N/TB,split=3[a][b][c];"
        f"[1:v]scale={width}:{height}:flags=bicubic,format=yuv420p,setsar=1,"
        "settb=AVTB,setpts=N/TB,split=3[x][y][z];"
        "[a][x]ssim[s];[b][y]psnr[p];[c][z]libvmaf=n_threads=1[v];"
        "[s]nullsink;[p]nullsink"
    )
    argv = [static_ffmpeg(), "-hide_banner", "-nostats", "-i", str(made), "-i", str(source)]
    argv += ["-filter_complex", graph, "-map", "[v]", "-f", "null", "-"]
    said = subprocess.run(argv, check=True, stderr=subprocess.PIPE, text=True).stderr
    patterns = {"ssim": r"SSIM Y:([\d.]+)", "psnr": r"PSNR y:([\d.]+)", "vmaf": r"score: ([\d.]+)"}
    patterns |= {"psnr_u": r"PSNR .* u:([\d.]+)", "psnr_v": r"PSNR .* v:([\d.]+)"}
    found = {name: re.search(pattern, said) for name, pattern in patterns.items()}
    return {name: float(match[1]) for name, match in found.items() if match}
