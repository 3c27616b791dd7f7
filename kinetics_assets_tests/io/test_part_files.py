"""Files of parts: what is read back is what was written, or nothing."""

from __future__ import annotations

from pathlib import Path

from kinetics_assets.io.part_files import Part, read_parts, write_parts

PARTS = {
    "zumba": Part.of("stamp 1", {"listed": 2}, b"two entries"),
    "massaging person's head": Part.of("stamp 2", {}, b""),
    "": Part.of("stamp 3", {"why": {"ok": 1}}, bytes(range(256))),
}


def contents(path: Path, *, maker: str = "code-1") -> dict[str, bytes]:
    """Return the whole parts in a file."""
    found = read_parts(path, maker=maker).parts
    return {name: bytes(part.content) for name, part in found.items() if part.is_whole()}


def test_parts_are_read_back(tmp_path: Path) -> None:
    """Names, sources, facts and bytes come back; the file has the time at which it was written."""
    path = tmp_path / "new" / "x.parts"
    write_parts(path, PARTS, maker="code-1")
    found = read_parts(path, maker="code-1")
    assert {name: (part.source, part.facts) for name, part in found.parts.items()} == {
        name: (part.source, part.facts) for name, part in PARTS.items()
    }
    assert contents(path) == {name: part.content for name, part in PARTS.items()}
    assert found.written_ns == path.stat().st_mtime_ns
    write_parts(path, {"zumba": found.parts["zumba"]}, maker="code-1")
    assert contents(path) == {"zumba": b"two entries"}
    assert found.parts["zumba"].is_whole()  # an old map stays what it was


def test_what_other_code_made_is_not_there(tmp_path: Path) -> None:
    """Neither a missing file nor one by another maker has parts, nor is either an error."""
    path = tmp_path / "x.parts"
    assert read_parts(path, maker="code-1").parts == {}
    write_parts(path, PARTS, maker="code-1")
    assert read_parts(path, maker="code-2").parts == {}


def test_no_damage_is_believed(tmp_path: Path) -> None:
    """A bit that flips, or an end that is missing, costs parts and never changes one."""
    path = tmp_path / "x.parts"
    write_parts(path, PARTS, maker="code-1")
    good = path.read_bytes()
    whole = contents(path)
    for place in range(len(good)):
        path.write_bytes(good[:place] + bytes([good[place] ^ 4]) + good[place + 1 :])
        assert contents(path).items() < whole.items(), place
        path.write_bytes(good[:place])
        assert contents(path).items() < whole.items(), place
