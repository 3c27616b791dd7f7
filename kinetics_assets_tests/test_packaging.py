"""The package as it is installed: complete, light to import, its test command true."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

TOP = Path(__file__).parent.parent
PACKAGE = TOP / "kinetics_assets"
HEAVY = ["av", "cupy", "cv2", "libtorrent", "numba", "pandas", "simplejpeg", "torch", "yt_dlp"]
TEST_COMMAND = (
    "python3 -m venv .venv && .venv/bin/pip install -q -c constraints.txt -e '.[dev]'"
    " && .venv/bin/python -m kinetics_assets_tests"
)


def _project() -> dict[str, object]:
    """Return the project table of pyproject.toml."""
    with (TOP / "pyproject.toml").open("rb") as file:
        project: dict[str, object] = tomllib.load(file)["project"]
    return project


def _python(code: str, cwd: Path) -> str:
    """Return what a new interpreter prints for `code`, started in `cwd` without an environment."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=cwd,
        env={"PATH": os.defpath, "PYTHONPATH": str(TOP), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_importing_the_package_does_nothing(tmp_path: Path) -> None:
    """No file, no output, no library: only the name."""
    code = "import sys; before = set(sys.modules); import kinetics_assets; "
    new = _python(code + "print(*sorted(set(sys.modules) - before))", tmp_path)
    assert new == "kinetics_assets"
    assert not list(tmp_path.iterdir())


def test_loading_the_definitions_is_light(tmp_path: Path) -> None:
    """Dagster's processes load the graph without decoders, compilers or downloaders."""
    code = (
        "import sys, warnings; warnings.simplefilter('ignore'); "
        "import kinetics_assets.definitions; "
        f"print(*(name for name in {HEAVY!r} if name in sys.modules))"
    )
    assert _python(code, tmp_path) == ""


def test_the_command_line_starts_light(tmp_path: Path) -> None:
    """`kinetics --help` answers at once: no decoder, and not even Dagster."""
    code = (
        "import sys; import kinetics_assets.cli; "
        f"print(*(name for name in {[*HEAVY, 'dagster']!r} if name in sys.modules))"
    )
    assert _python(code, tmp_path) == ""


def test_the_wheel_carries_every_file_of_the_package(tmp_path: Path) -> None:
    """Class lists, Dagster's instance file, kernels and the typing mark are in the wheel."""
    done = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)],
        cwd=TOP,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    inside = set(zipfile.ZipFile(wheel).namelist())
    files = {
        path.relative_to(TOP).as_posix()
        for path in PACKAGE.rglob("*")
        if path.is_file() and path.parent.name != "__pycache__"
    }
    assert "kinetics_assets/py.typed" in files
    assert "kinetics_assets/data/classes/kinetics400.txt" in files
    assert files <= inside
    assert not [name for name in inside if "tests" in name]


def test_the_installed_versions_are_those_of_the_constraints() -> None:
    """What the tests ran with is what the file says, for every package that is installed."""
    lines = (TOP / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = dict(line.split("==") for line in lines if "==" in line)
    different = {}
    for name, pinned in pins.items():
        try:
            if version(name) != pinned:
                different[name] = (version(name), pinned)
        except PackageNotFoundError:
            continue
    if os.environ.get("KINETICS_TEST_OTHER_VERSIONS") != "1":
        assert not different


def test_every_direct_dependency_is_pinned() -> None:
    """A fresh machine gets the versions that the tests ran with, for what we name ourselves."""
    project = _project()
    extras = project["optional-dependencies"]
    assert isinstance(extras, dict)
    listed = [*project["dependencies"], *extras["dev"], *extras["torrent"], *extras["youtube"]]  # type: ignore[misc] # lists, as TOML has them
    names = {re.split(r"[^A-Za-z0-9_-]", line)[0].lower() for line in listed}
    pinned = (TOP / "constraints.txt").read_text(encoding="utf-8").lower()
    assert not {name for name in names if f"\n{name}==" not in pinned}


def test_no_extra_is_empty() -> None:
    """An extra that installs nothing promises what is not there."""
    extras = _project()["optional-dependencies"]
    assert isinstance(extras, dict)
    assert all(extras.values())


def test_the_test_command_is_one_and_the_same() -> None:
    """README and CI run the very same line."""
    blocks = re.findall(
        r"```sh\n(.*?)```", (TOP / "README.md").read_text(encoding="utf-8"), re.DOTALL
    )
    assert blocks[1].strip() == TEST_COMMAND
    script = TOP / ".ci" / "run"
    assert TEST_COMMAND in script.read_text(encoding="utf-8").splitlines()
    assert os.access(script, os.X_OK)


def test_the_package_can_be_typed_against() -> None:
    """The mark that tells type checkers to read our annotations is there."""
    assert (PACKAGE / "py.typed").is_file()
