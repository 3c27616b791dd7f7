"""The peer of fetch.py: the behaviour of the old ActivityNet crawler, as a plain loop.

Runs in a venv of its own that has yt-dlp and nothing of this project. 24 workers; for each clip one
process of the downloader, nothing shared between them; a clip counts as done when the process ends
well and the file is there. (The original then cuts with one ffmpeg process per clip, and its
workers are processes; both are left out, which favours the peer.)

`python peer_crawler.py FOLDER < addresses`, one a line; says the number of clips as its last line.
"""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

WORKERS = 24


def fetch(folder: Path, address: str) -> bool:
    """Download one clip and return whether it is there."""
    target = folder / address.rsplit("/", 1)[-1]
    argv = [sys.executable, "-m", "yt_dlp", "--quiet", "--no-warnings", "--ignore-config"]
    argv += ["--no-check-certificates", "-f", "mp4/b", "-o", str(target), "--", address]
    done = subprocess.run(argv, check=False, stdin=subprocess.DEVNULL)
    return done.returncode == 0 and target.is_file()


def main() -> None:
    """Download all addresses of standard input."""
    folder = Path(sys.argv[1])
    addresses = sys.stdin.read().split()
    with ThreadPoolExecutor(WORKERS) as pool:
        done = list(pool.map(lambda address: fetch(folder, address), addresses))
    print(sum(done), flush=True)


if __name__ == "__main__":
    main()
