"""`kinetics doctor` as a user meets it: exit codes, the two forms, no secret in either."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kinetics_assets import cli

SECRET = "canary-77c1"
NAMES = [
    *("python", "packages", "root", "disk space", "inodes", "locks", "dagster home", "sandbox"),
    "frame code",
    *("sources", "yt-dlp", "js runtime", "cookies", "proxy", "torrent"),
    *("cpu flow", "gpu", "cupy", "opencv", "opencv cuda", "denseflow", "flow engine"),
]


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A root whose settings hold secrets; the machine's other steps are out of the way."""
    cookies = tmp_path / "cookies.txt"
    fields = ("example.org", "FALSE", "/", "TRUE", "0", "session", SECRET)
    cookies.write_text("# Netscape HTTP Cookie File\n" + "\t".join(fields) + "\n")
    root = tmp_path / "root"
    root.mkdir()
    (root / "kinetics.toml").write_text(
        f'[flow]\nengine = "cpu"\n[sources]\nyoutube_cookies = "{cookies}"\n'
        f'youtube_proxy = "http://me:{SECRET}@proxy.test:3128"\n'
    )
    monkeypatch.setenv("KINETICS_MACHINE_DIR", str(tmp_path / "machine"))
    return root


def test_a_usable_machine_is_exit_code_0(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A line for each thing, its remedy below it, the sum at the end; nothing is made."""
    before = sorted(root.rglob("*"))
    assert cli.run(["doctor", "demo", "--root", str(root)]) == 0
    said = capsys.readouterr()
    lines = said.out.splitlines()
    positions = [
        next(i for i, line in enumerate(lines) if line.partition(" ")[2].strip().startswith(name))
        for name in NAMES
    ]
    assert positions == sorted(positions)
    assert "-> Run `chmod 600" in said.out
    assert "http://proxy.test:3128 with a login" in said.out
    assert "cpu, as flow.engine says." in said.out
    assert lines[-1].startswith(f"demo under {root}: usable (")
    assert SECRET not in said.out + said.err
    assert sorted(root.rglob("*")) == before


def test_what_the_settings_need_and_lack_is_exit_code_3(
    root: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As JSON: the same findings, each with a remedy unless all is well."""
    monkeypatch.setenv("KINETICS_LIMITS__MIN_FREE_BYTES", str(2**62))
    monkeypatch.setenv("KINETICS_FLOW__ENGINE", "auto")
    assert cli.run(["doctor", "demo", "--json", "--root", str(root)]) == 3
    said = capsys.readouterr()
    record = json.loads(said.out)
    assert (record["dataset"], record["root"], record["usable"]) == ("demo", str(root), False)
    found = {check["name"]: check for check in record["checks"]}
    assert [name for name in found if name != "gpu devices"] == NAMES
    for check in found.values():
        assert list(check) == ["name", "state", "says", "remedy"]
        assert check["state"] in {"ok", "warning", "missing", "off"}
        assert (check["state"] == "ok") == (not check["remedy"])
    assert [name for name, check in found.items() if check["state"] == "missing"] == ["disk space"]
    assert "auto is " in found["flow engine"]["says"]
    assert SECRET not in said.out + said.err


def test_settings_that_cannot_be_used_are_exit_code_2(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As with every verb; the secret in the file is not shown."""
    (root / "kinetics.toml").write_text(f'[sources]\nyoutube_proxy = "ftp://me:{SECRET}@host"\n')
    assert cli.run(["doctor", "--root", str(root)]) == 2
    assert SECRET not in capsys.readouterr().err
