"""The laws of the package, read from its source: who imports whom, and what no module does."""

from __future__ import annotations

import ast
import re
import subprocess
import tomllib
from functools import cache
from pathlib import Path

TOP = Path(__file__).parent.parent
PACKAGE = TOP / "kinetics_assets"
ROOT = "kinetics_assets"

PARTS_BELOW_RUNS = {"core", "io", "stages", "executors", "assets"}
PARTS_BELOW_COMMANDS = {
    *("core", "io", "engines", "media", "sources", "stages", "verify"),
    *("assets", "executors", "resources", "instance", "runs", "demo", "definitions", "readers"),
}
LAYERS: dict[str, set[str]] = {
    "core": set(),
    "io": {"core"},
    "engines": {"core", "io.companions", "io.programs"},
    "media": {
        *("core", "io", "engines.gray", "engines.linear", "engines.planes", "engines.jpeg_tables"),
        *(f"engines.cpu_compiled.{name}" for name in ("compiler", "frames", "gray", "gray420")),
    },
    "sources": {"core", "io"},
    "stages": {"core", "io", "media", "engines", "sources", "readers"},
    "readers": set(),
    "verify": {"core"},
    "runs": {*PARTS_BELOW_RUNS, "definitions"},
    "resources": {"core", "io", "stages"},
    "executors": {"core", "io", "stages", "engines", "resources"},
    "assets": {
        "core",
        "io",
        "engines",
        "media",
        "sources",
        "stages",
        "verify",
        "executors",
        "resources",
    },
    "demo": {"core", "io", "runs", "stages", "verify"},
    "definitions": {"core", "io", "assets", "executors", "resources"},
    "commands": PARTS_BELOW_COMMANDS,
    "cli": {*PARTS_BELOW_COMMANDS, "commands"},
    "data": set(),
}
"""Part of the package -> the parts it may import; a part may always import itself."""

DAGSTER_PARTS = {
    *("assets", "executors", "resources", "runs", "definitions", "cli", "commands"),
}
HEAVY = {"av", "cupy", "cv2", "libtorrent", "numba", "pandas", "simplejpeg", "torch", "yt_dlp"}
BANNED = {
    "core": {
        *("dagster", "socket", "ssl", "http", "urllib", "subprocess", "multiprocessing"),
        *("threading", "asyncio", "time", "requests", "ctypes", "os", "shutil", "tempfile"),
    },
    "engines": {"dagster", "pyarrow", "subprocess", "socket", "urllib", "http"},
    "verify": {"dagster", "subprocess", "socket", "urllib", "http"},
}
"""Part -> libraries it never imports, not even inside a function."""

KERNELS = {"engines/cpu_kernels.py", "engines/cpu_taps.py"}
PRIVATE_DAGSTER = {"executors/gpu.py", "executors/compute_logs.py", "assets/backfills.py"}
"""Modules that import what Dagster does not export: the executor with its logs, and backfills."""
ROOM_FOR_ANYTHING = {"utils", "util", "helpers", "common", "misc"}
SHELLS = {"os.system", "os.popen", "subprocess.getoutput", "subprocess.getstatusoutput"}
CLOCKS = {"now", "utcnow", "today"}
MOST_LINES = 400
MOST_DEFINITION_LINES = 60

MODULES = sorted(PACKAGE.rglob("*.py"))


@cache
def _tree(path: Path) -> ast.Module:
    """Return the syntax tree of a module."""
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def _part(path: Path) -> str:
    """Return the part of the package that a module belongs to, empty for the package itself."""
    first = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    return "" if first == "__init__" else first


def _short(path: Path) -> str:
    """Return the path of a module inside the package."""
    return path.relative_to(PACKAGE).as_posix()


def _imports(tree: ast.AST) -> set[str]:
    """Return the dotted names that are imported anywhere below `tree`."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative import"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def _at_run_time(path: Path) -> ast.Module:
    """Return the syntax tree of a module without what only a type checker reads."""
    tree = _tree(path)
    body = [
        node
        for node in tree.body
        if not (isinstance(node, ast.If) and _dotted(node.test) == "TYPE_CHECKING")
    ]
    return ast.Module(body, tree.type_ignores)


def _dotted(node: ast.AST) -> str:
    """Return ``a.b.c`` for that expression, empty for another one."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return f"{_dotted(node.value)}.{node.attr}"
    return ""


def _tracked() -> list[Path]:
    """Return the files that git knows, or all source files where there is no repository."""
    argv = ["git", "ls-files", "-z", "--cached"]
    done = subprocess.run(argv, cwd=TOP, capture_output=True, text=True, check=False)
    names = [name for name in done.stdout.split("\0") if name]
    return [path for name in names if (path := TOP / name).is_file()] or MODULES


def test_every_part_has_its_place() -> None:
    """A new folder or module at the top needs a line in the table above, hence a thought."""
    assert {_part(path) for path in MODULES} - {""} <= set(LAYERS)


def test_imports_point_one_way() -> None:
    """No module imports from a part that its own does not rest on."""
    wrong = []
    for path in MODULES:
        part = _part(path)
        allowed = {f"{ROOT}.{other}." for other in {*LAYERS.get(part, set()), part}}
        if part == "core":
            allowed.add(f"{ROOT}.data.")
        wrong += [
            f"{_short(path)} imports {name}"
            for name in _imports(_tree(path))
            if name.startswith(f"{ROOT}.") and not f"{name}.".startswith(tuple(allowed))
        ]
    assert not wrong


def test_dagster_stays_at_the_edge() -> None:
    """Work can be run and tested without Dagster; only the edge knows it."""
    wrong = {
        _short(path)
        for path in MODULES
        for name in _imports(_tree(path))
        if name.startswith("dagster") and _part(path) not in DAGSTER_PARTS
    }
    assert not wrong


def test_parts_do_not_import_what_is_banned_for_them() -> None:
    """The core has no network, process or clock; engines run on a bare GPU machine."""
    wrong = [
        f"{_short(path)} imports {name}"
        for path in MODULES
        for name in _imports(_tree(path))
        if name.split(".")[0] in BANNED.get(_part(path), set())
    ]
    assert not wrong


def test_heavy_libraries_are_imported_late() -> None:
    """Importing a module costs no decoder, compiler or GPU library; kernels are the exception."""
    wrong = [
        f"{_short(path)} imports {name}"
        for path in MODULES
        if _short(path) not in KERNELS
        for node in _tree(path).body
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in _imports(node)
        if name.split(".")[0] in HEAVY
    ]
    assert not wrong


def test_numba_is_in_the_kernels_alone() -> None:
    """Only the kernels need the compiler; everything else runs without it."""
    users = {
        _short(path)
        for path in MODULES
        for name in _imports(_tree(path))
        if name.split(".")[0] == "numba"
    }
    assert users <= {*KERNELS, "engines/cpu.py"}


def test_the_core_reads_no_clock() -> None:
    """Time comes into the core as an argument, so that equal inputs give equal outputs."""
    wrong = [
        f"{_short(path)}:{node.lineno}"
        for path in MODULES
        if _part(path) == "core"
        for node in ast.walk(_tree(path))
        if isinstance(node, ast.Attribute) and node.attr in CLOCKS
    ]
    assert not wrong


def test_no_command_goes_through_a_shell() -> None:
    """A class called "massaging person's head" must never meet a shell."""
    wrong = [
        f"{_short(path)}:{node.lineno}"
        for path in MODULES
        for node in ast.walk(_tree(path))
        if (isinstance(node, ast.Attribute) and _dotted(node) in SHELLS)
        or (isinstance(node, ast.keyword) and node.arg == "shell")
    ]
    assert not wrong


def test_modules_have_a_name_a_purpose_and_an_end() -> None:
    """Each says what it is, none is a room for anything, each can be read in one go."""
    assert not [_short(path) for path in MODULES if path.stem in ROOM_FOR_ANYTHING]
    assert not [_short(path) for path in MODULES if not ast.get_docstring(_tree(path))]
    lengths = {_short(p): len(p.read_text(encoding="utf-8").splitlines()) for p in MODULES}
    assert not {name: length for name, length in lengths.items() if length > MOST_LINES}


def test_definitions_are_short() -> None:
    """The entry point of Dagster has no logic."""
    lines = (PACKAGE / "definitions.py").read_text(encoding="utf-8").splitlines()
    assert len(lines) < MOST_DEFINITION_LINES


def test_private_dagster_modules_are_imported_where_it_is_known() -> None:
    """What Dagster does not promise to keep is in three places, so that an update mends those."""
    users = {
        _short(path)
        for path in MODULES
        if any(re.match(r"dagster\w*\.(_|\w+\._)", name) for name in _imports(_at_run_time(path)))
    }
    assert users == PRIVATE_DAGSTER


def test_the_instance_file_is_the_same_in_both_places() -> None:
    """`dagster dev` at the top and `kinetics up` anywhere run with equal settings."""
    top = TOP / "dagster.yaml"
    copies = [path for path in PACKAGE.rglob("dagster.yaml") if path != top]
    assert len(copies) == 1
    assert copies[0].read_bytes() == top.read_bytes()


def test_dg_and_workspace_name_the_same_module() -> None:
    """Both ways to start Dagster load one module."""
    with (TOP / "pyproject.toml").open("rb") as file:
        project = tomllib.load(file)["tool"]["dg"]["project"]
    assert project["code_location_target_module"] == f"{ROOT}.definitions"
    assert f"{ROOT}.definitions" in (TOP / "workspace.yaml").read_text(encoding="utf-8")


def test_no_file_names_a_registry_or_a_folder_of_one_machine() -> None:
    """The repository works elsewhere: no package index, no absolute path of whoever wrote it."""
    hosts = "|".join(
        ["py" + "pi.org", "pythonhosted" + ".org", "npm" + "js", "deb.debian" + ".org"]
    )
    homes = "|".join(
        ["/ho" + "me/", "/ro" + "ot/", "/wo" + "rk/", "/Us" + "ers/", "/opt/py" + "pi"]
    )
    pattern = re.compile(rf"{hosts}|(?<![\w.}}])({homes})[\w.]")
    found = [
        f"{path.relative_to(TOP)}: {match[0]}"
        for path in _tracked()
        if (match := pattern.search(path.read_bytes().decode("utf-8", errors="replace")))
    ]
    assert not found


def test_constraints_are_exact_versions_and_nothing_else() -> None:
    """No address, no range, no option: the file works with any index."""
    lines = (TOP / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    assert len(pins) > 50
    for line in pins:
        assert re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.+]+", line)
