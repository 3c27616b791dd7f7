"""Tests of the whole graph on real footage, through `kinetics prepare` from a local folder."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from kinetics_assets.core.clips import ClipId, Split
from kinetics_assets.core.layout import Layout
from kinetics_assets.core.manifest import ManifestRow, Status
from kinetics_assets.core.reasons import Reason
from kinetics_assets.core.stages import CLASS_STAGES, Stage
from kinetics_assets.io.manifests import read_manifest
from kinetics_assets.io.settings_file import load_settings
from kinetics_assets_tests import footage

pytestmark = pytest.mark.slow

LABEL = "massaging person's head"
SHORT_SIDE_PX = 40
"""Of frames and flow, so small for the sake of time."""
CODECS = {
    "bikes": "h264",
    "face_noface": "hevc, variable frame rate",
    "cam01": "h264, portrait",
    "cam02": "vp9, portrait",
    "wolfgang": "h264, longer than the clip",
    "vp8": "vp8",
    "damaged": "h264, damaged",
}
OLD = ("cam01", "cam02", "wolfgang", "vp8")
"""What somebody has already, in a tree of the old scripts."""


@dataclass(frozen=True)
class Prepared:
    """A root that `kinetics prepare` has filled."""

    root: Path
    clips: dict[str, ClipId]
    rows: dict[Stage, dict[ClipId, ManifestRow]]
    output: str


def run_kinetics(*arguments: str, root: Path) -> subprocess.CompletedProcess[str]:
    """Run the command line with small pictures and return what it said."""
    environment = {
        **os.environ,
        "KINETICS_ROOT": str(root),
        "KINETICS_MACHINE_DIR": str(root.with_name("machine")),
        "KINETICS_SOURCES__ORDER": "local",
        "KINETICS_THRESHOLDS__MIN_COMPLETENESS": "0.5",
        "KINETICS_RESIZED__SHORT_SIDE_PX": "64",
        "KINETICS_RAWFRAMES__SIZE": str(SHORT_SIDE_PX),
    }
    environment.pop("DAGSTER_HOME", None)
    argv = [sys.executable, "-m", "kinetics_assets.cli", *arguments]
    return subprocess.run(
        argv, env=environment, capture_output=True, text=True, check=False, timeout=600
    )


def vp8_clip(target: Path) -> None:
    """Re-encode a second of real footage as VP8 in WebM: no pinned package ships one."""
    import av

    source = footage.fetch("carphone")
    with av.open(str(source)) as given, av.open(str(target), "w", format="webm") as made:
        stream = made.add_stream("libvpx", rate=30)
        stream.width, stream.height, stream.pix_fmt = 176, 144, "yuv420p"
        for frame in given.decode(video=0):
            if frame.time is None or frame.time >= 2.0:
                break
            frame.pict_type = av.video.frame.PictureType.NONE
            made.mux(stream.encode(frame.reformat(format="yuv420p")))
        made.mux(stream.encode(None))


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    """Prepare one class of real clips from a folder of mixed containers and names."""
    base = tmp_path_factory.mktemp("footage")
    spans = {"wolfgang": (5, 8), "bikes": (0, 10), "face_noface": (0, 6)}
    clips = {
        name: ClipId(f"{name[:8]:A<10}{number}", *spans.get(name, (0, 2)))
        for number, name in enumerate(CODECS)
    }
    pool = base / "copy" / LABEL
    pool.mkdir(parents=True)
    for name, clip in clips.items():
        if name == "vp8":
            vp8_clip(pool / f"{clip.name}.webm")
        elif name == "damaged":
            data = bytearray(footage.fetch("cam03").read_bytes())
            middle = len(data) // 2
            data[middle : middle + 3000] = bytes(range(256)) * 11 + bytes(184)
            (pool / f"{clip.name}.mp4").write_bytes(data)
        else:
            path = footage.fetch(name)
            stem = clip.youtube_id if name == "wolfgang" else clip.name
            shutil.copyfile(path, pool / f"{stem}{path.suffix}")
    listed = base / "val.csv"
    lines = ["label,youtube_id,time_start,time_end,split"]
    lines += [
        f"{LABEL},{c.youtube_id},{c.start_seconds},{c.end_seconds},val" for c in clips.values()
    ]
    listed.write_text("\n".join(lines) + "\n", encoding="utf-8")
    root = base / "root"
    root.mkdir()
    done = run_kinetics(
        "prepare", "kinetics400", "--split", "val", "--annotations", str(listed),
        "--local", str(base / "copy"), root=root,
    )  # fmt: skip
    assert done.returncode in {0, 1}, done.stderr
    layout = Layout.of(load_settings("kinetics400", root=root, env={}))
    rows = {
        stage: {row.clip: row for row in read_manifest(layout, Split.VAL, stage, LABEL)}
        for stage in CLASS_STAGES
    }
    return Prepared(root, clips, rows, done.stdout + done.stderr)


@pytest.mark.parametrize("name", [name for name in CODECS if name != "damaged"])
def test_every_kind_of_footage_gives_frames_and_flow(prepared: Prepared, name: str) -> None:
    """Each codec, container and shape ends ok in every stage, with N frames and N-1 pairs."""
    clip = prepared.clips[name]
    got = {stage: prepared.rows[stage][clip] for stage in CLASS_STAGES}
    assert {stage: row.status for stage, row in got.items()} == dict.fromkeys(
        CLASS_STAGES, Status.OK
    ), (got, prepared.output)
    frames = got[Stage.VIDEOS].frames_decoded
    assert frames is not None
    assert got[Stage.RESIZED].frames_decoded == frames
    assert got[Stage.RAWFRAMES].frames_decoded == frames
    assert got[Stage.FLOW].frames_decoded == frames - 1
    folder = prepared.root / "kinetics400" / got[Stage.RAWFRAMES].path
    assert len(list(folder.glob("img_*.jpg"))) == frames
    assert len(list(folder.glob("flow_y_*.jpg"))) == frames - 1
    width, height = got[Stage.RAWFRAMES].width_px or 0, got[Stage.RAWFRAMES].height_px or 0
    assert (width < height) == name.startswith("cam")
    assert min(width, height) == SHORT_SIDE_PX


def test_frame_counts_are_those_of_the_footage(prepared: Prepared) -> None:
    """Whole clips keep every frame; a longer source is cut to the annotated seconds."""
    counts = {
        name: prepared.rows[Stage.VIDEOS][clip].frames_decoded
        for name, clip in prepared.clips.items()
    }
    assert counts["bikes"] == 250
    assert counts["cam01"] == counts["cam02"] == 100
    assert counts["face_noface"] == 169
    assert counts["wolfgang"] in {71, 72}  # three seconds at 23.98 frames a second


def test_the_damaged_clip_is_corrupt(prepared: Prepared) -> None:
    """The damaged clip says why, later stages are blocked, and no list names it."""
    clip = prepared.clips["damaged"]
    row = prepared.rows[Stage.VIDEOS][clip]
    assert (row.status, row.reason) in {
        (Status.CORRUPT, Reason.UNDECODABLE),
        (Status.CORRUPT, Reason.TRUNCATED),
    }
    assert prepared.rows[Stage.FLOW][clip].status is Status.BLOCKED
    for path in (prepared.root / "kinetics400").glob("*_list_*"):
        assert clip.name not in path.read_text(encoding="utf-8")


def test_verify_is_clean_and_the_label_index_is_the_full_one(prepared: Prepared) -> None:
    """`kinetics verify` has nothing to say, and the lists use the index of all 400 classes."""
    done = run_kinetics("verify", "kinetics400", root=prepared.root)
    assert done.returncode == 0, done.stdout + done.stderr
    lists = sorted((prepared.root / "kinetics400").glob("kinetics400_val_list_*.txt"))
    assert len(lists) == 3
    for path in lists:
        lines = path.read_text(encoding="utf-8").splitlines()
        assert len(lines) == len(CODECS) - 1
        assert {line.split(" ")[-1] for line in lines} == {"196"}


def test_an_old_tree_is_adopted_verified_and_listed(prepared: Prepared, tmp_path: Path) -> None:
    """Spaced and nested class folders with 0-based frames become ours without a new decode."""
    given = prepared.root / "kinetics400"
    old, had = tmp_path / "old" / "kinetics400", [prepared.clips[name] for name in OLD]
    for stage, folder in ((Stage.VIDEOS, "videos_val"), (Stage.RAWFRAMES, "rawframes_val")):
        nested = old / folder / LABEL.replace(" ", "_") / LABEL
        nested.mkdir(parents=True)
        for row in (prepared.rows[stage][clip] for clip in had):
            if stage is Stage.VIDEOS:
                shutil.copyfile(given / row.path, nested / Path(row.path).name)
                continue
            target = nested / row.clip.name
            target.mkdir()
            for picture in (given / row.path).glob("*.jpg"):
                prefix, number = picture.stem.rsplit("_", 1)
                shutil.copyfile(picture, target / f"{prefix}_{int(number) - 1:05d}.jpg")
    root = tmp_path / "root"
    root.mkdir()
    done = run_kinetics(
        "prepare", "kinetics400", "--split", "val", "--adopt", str(old),
        "--annotations", str(given / "annotations" / "kinetics_val.csv"), root=root,
    )  # fmt: skip
    assert done.returncode in {0, 1}, done.stdout + done.stderr
    layout = Layout.of(load_settings("kinetics400", root=root, env={}))
    for stage in (Stage.RAWFRAMES, Stage.FLOW):
        rows = {row.clip: row for row in read_manifest(layout, Split.VAL, stage, LABEL)}
        for clip in had:
            row = prepared.rows[stage][clip]
            assert (rows[clip].source, rows[clip].sha256) == ("adopted", row.sha256)
    verified = run_kinetics("verify", "kinetics400", root=root)
    assert verified.returncode == 0, verified.stdout + verified.stderr
    names = {clip.name for clip in had}
    lists = sorted((root / "kinetics400").glob("kinetics400_val_list_*.txt"))
    assert len(lists) == 3
    assert [path.read_text().splitlines() for path in lists] == [
        [line for line in path.read_text().splitlines() if any(name in line for name in names)]
        for path in sorted(given.glob("kinetics400_val_list_*.txt"))
    ]
    assert all(path.read_text().count("\n") == len(had) for path in lists)
