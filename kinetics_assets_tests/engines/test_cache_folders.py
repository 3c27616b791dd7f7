"""Compiled code is executed, so it is kept where nobody else can put any."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from kinetics_assets.engines.cache_folders import cache_folder


def test_it_is_this_users_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is made for nobody else, and is the same one the next time."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = cache_folder("cpu")
    assert folder == tmp_path / "cache" / "kinetics-assets" / "cpu"
    assert folder.stat().st_mode & 0o777 == 0o700
    assert cache_folder("cpu") == folder


@pytest.mark.parametrize("trouble", ["others may write", "another user's", "a file is there"])
def test_where_others_can_put_code_nothing_is_loaded_from(tmp_path: Path, trouble: str) -> None:
    """Another folder is used then, and gone with the process."""
    folder = tmp_path / "kinetics-assets" / "cpu"
    if trouble == "a file is there":
        tmp_path.joinpath("kinetics-assets").write_bytes(b"")
    else:
        folder.mkdir(parents=True)
        if trouble == "others may write":
            folder.chmod(0o777)
        elif os.geteuid() == 0:
            os.chown(folder, 12345, 12345)
        else:
            pytest.skip("only root can give a folder away")
    code = (
        "from kinetics_assets.engines.cache_folders import cache_folder\n"
        "made = cache_folder('cpu'); assert made.is_dir(); print(made)"
    )
    temp = tmp_path / "temp"
    temp.mkdir()
    env = {**os.environ, "XDG_CACHE_HOME": str(tmp_path), "TMPDIR": str(temp)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True
    )
    made = Path(done.stdout.strip())
    assert made.parent == temp
    assert not made.exists()
