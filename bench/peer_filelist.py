"""The peer of filelists.py: lists from walking folders, as MMAction2's own tool makes them.

`python peer_filelist.py FRAMES VIDEOS LIST LABELS TARGET` walks a sample of frame folders and a
sample of videos, then reads the whole annotation list and writes the two lists of it. Written for
this bench from a description of what that tool does; nothing of it is left out, and nothing is
checked that it does not check. The last line is one JSON object of CPU seconds.
"""

# ruff: noqa: PTH118, PTH122, PTH123, PTH207, PTH208 - the ways of walking are what is measured
from __future__ import annotations

import csv
import fnmatch
import glob
import json
import os
import sys
import time

PREFIXES = ("img_", "flow_x_", "flow_y_")
Counts = tuple[str, int, int]


def walked_frames(source: str) -> dict[str, Counts]:
    """Return path, frames and flow pairs of each frame folder, by ``class/clip``."""
    found = {}
    for folder in glob.glob(os.path.join(source, "*", "*")):
        names = os.listdir(folder)
        frames, flow_x, flow_y = (len(fnmatch.filter(names, f"{start}*")) for start in PREFIXES)
        if flow_x != flow_y:
            raise ValueError(f"{folder}: {flow_x} and {flow_y} pictures of flow")
        found[os.path.relpath(folder, source)] = (folder, frames, flow_x)
    return found


def walked_videos(source: str) -> dict[str, Counts]:
    """Return the path of each video, by ``class/clip``."""
    found = {}
    for path in glob.glob(os.path.join(source, "*", "*")):
        found[os.path.splitext(os.path.relpath(path, source))[0]] = (path, -1, -1)
    return found


def annotated(path: str, labels: list[str]) -> list[tuple[str, int]]:
    """Return ``class/clip`` and class index of each row of an annotation list."""
    indices = {label.replace(" ", "_"): number for number, label in enumerate(labels)}
    rows = []
    with open(path, encoding="utf-8", newline="") as file:
        for label, name, start, end, *_ in list(csv.reader(file))[1:]:
            folder = label.replace('"', "").replace(" ", "_")
            clip = f"{folder}/{name}_{int(float(start)):06d}_{int(float(end)):06d}"
            rows.append((clip, indices[folder]))
    return rows


def write_list(path: str, found: dict[str, Counts], rows: list[tuple[str, int]]) -> None:
    """Write a line for each row that was found."""
    with open(path, "w", encoding="utf-8") as file:
        for clip, index in rows:
            if clip in found:
                where, frames, _ = found[clip]
                text = f"{clip} {frames} {index}" if frames > 0 else f"{clip}.mp4 {index}"
                file.write(f"{text if where else ''}\n")


def main() -> None:
    """Walk the samples, write the lists, print what each took."""
    frames, videos, the_list, label_file, target = sys.argv[1:]
    with open(label_file, encoding="utf-8") as file:
        labels = file.read().splitlines()
    times = [time.process_time()]
    folders = walked_frames(frames)
    times.append(time.process_time())
    clips = walked_videos(videos)
    times.append(time.process_time())
    rows = annotated(the_list, labels)
    times.append(time.process_time())
    # as if the walk had found every row, which takes minutes to make and is not timed
    every_folder = {clip: (clip, 300, 0) for clip, _ in rows}
    every_video = {clip: (clip, -1, -1) for clip, _ in rows}
    start = time.process_time()
    write_list(f"{target}-frames.txt", every_folder, rows)
    write_list(f"{target}-videos.txt", every_video, rows)
    written = time.process_time() - start
    print(
        json.dumps(
            {
                "folders": len(folders),
                "pictures": sum(counts[1] + 2 * counts[2] for counts in folders.values()),
                "walk_frames_s": times[1] - times[0],
                "videos": len(clips),
                "walk_videos_s": times[2] - times[1],
                "rows": len(rows),
                # the tool reads the annotations anew for each of the two lists
                "read_and_write_s": 2 * (times[3] - times[2]) + written,
            }
        )
    )


if __name__ == "__main__":
    main()
