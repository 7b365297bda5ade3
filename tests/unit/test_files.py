"""Tests which files the paths and patterns of `--scan-file` match, and which of them cannot be uploaded."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest

from gate.model.subjects import ScanFile
from gate.net.files import find

NOBODY = 65534
POSIX = pytest.mark.skipif(sys.platform == "win32", reason="POSIX only")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Create a folder with reports, and make it the working folder."""
    for name in ("b.xml", "a.xml", "out/c.xml", "out/deep/d.xml", "out/e.json", "[1].xml", "out/.hidden.xml"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("<scan/>")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def names(*patterns: str) -> list[str]:
    """Return the paths of the files, with slashes."""
    return [file.path.replace(os.sep, "/") for file in find(patterns)]


MATCHES = {
    "path": (["a.xml"], ["a.xml"]),
    "in-order": (["b.xml", "a.xml", "out/c.xml"], ["a.xml", "b.xml", "out/c.xml"]),
    "star": (["*.xml"], ["[1].xml", "a.xml", "b.xml"]),
    "question-mark": (["?.xml"], ["a.xml", "b.xml"]),
    "class": (["[ab].xml"], ["a.xml", "b.xml"]),
    "folder": (["out/*"], ["out/c.xml", "out/e.json"]),
    "folders-twice": (["out/**/**/*.xml"], ["out/c.xml", "out/deep/d.xml"]),
    "folders-within": (["**/deep/**/*.xml"], ["out/deep/d.xml"]),
    "folders-of-a-pattern": (["o*/**/*.xml"], ["out/c.xml", "out/deep/d.xml"]),
    "two-stars-in-a-name": (["ou**/c.xml"], ["out/c.xml"]),
    "folders": (["out/**"], ["out/c.xml", "out/deep/d.xml", "out/e.json"]),
    "everywhere": (["**/*.xml"], ["[1].xml", "a.xml", "b.xml", "out/c.xml", "out/deep/d.xml"]),
    "literal-brackets": (["[1].xml"], ["[1].xml"]),
    "quoted-brackets": (["[[]1].xml"], ["[1].xml"]),
    "twice": (["a.xml", "*.xml", "./a.xml", "out/../a.xml"], ["[1].xml", "a.xml", "b.xml"]),
    "dots": (["./out//./c.xml"], ["out/c.xml"]),
    "up": (["out/../b.xml"], ["out/../b.xml"]),
    "hidden-by-name": (["out/.hidden.xml"], ["out/.hidden.xml"]),
}


@pytest.mark.parametrize(("patterns", "expected"), MATCHES.values(), ids=MATCHES)
def test_paths_and_patterns_match_files_in_order(patterns: list[str], expected: list[str]) -> None:
    assert names(*patterns) == expected


def test_a_file_has_its_size_however_large_it_is(folder: Path) -> None:
    with (folder / "huge").open("wb") as file:
        try:
            file.truncate(2**42)
        except OSError:
            pytest.skip("needs a POSIX file system with sparse files")
    assert find(["huge", "a.xml"]) == (ScanFile("a.xml", 7, "a.xml"), ScanFile("huge", 2**42, "huge"))


def test_an_existing_path_wins_over_the_pattern(folder: Path) -> None:
    """A pattern may be absolute."""
    assert names(f"{folder}/out/*.json") == [f"{folder.as_posix()}/out/e.json"]
    (folder / "1.xml").write_text("<scan/>")
    assert names("[1].xml") == ["[1].xml"]
    (folder / "[1].xml").unlink()
    assert names("[1].xml") == ["1.xml"]


@POSIX
def test_a_file_with_several_names_is_uploaded_once(folder: Path) -> None:
    """ThreadFix would refuse it as a duplicate. A backslash is part of a name."""
    (folder / "out\\c.txt").write_text("<scan/>")
    assert names("out\\c.txt", "out\\*") == ["out\\c.txt"]
    (folder / "latest.xml").symlink_to("a.xml")
    (folder / "again").symlink_to("out", target_is_directory=True)
    assert names("**/d.xml") == ["out/deep/d.xml"]
    assert names("*.xml") == ["[1].xml", "a.xml", "b.xml"]
    assert names("latest.xml") == ["latest.xml"]
    assert names("again/c.xml", "out/c.xml") == ["again/c.xml"]


@POSIX
def test_circles_of_links_end(folder: Path) -> None:
    """`glob` would try every order of them. A broken link hides no other entry, and the system resolves `..`."""
    (folder / "link").symlink_to("out/deep", target_is_directory=True)
    assert names("link/../c.xml") == ["link/../c.xml"]
    for name in ("loop", "other", "again"):
        Path("out", name).symlink_to(".", target_is_directory=True)
    Path("out/circle").symlink_to("circle")
    Path("out/up").symlink_to("..", target_is_directory=True)
    (folder / "elsewhere").mkdir()
    (folder / "elsewhere/f.json").write_text("{}")
    Path("out/zone").symlink_to("../elsewhere", target_is_directory=True)
    assert [name.rpartition("/")[2] for name in names("out/**/*.json")] == ["e.json", "f.json"]
    assert names("**/zone/*.json") == ["out/zone/f.json"]


@POSIX
def test_an_unreadable_folder_hides_no_other_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    original = os.scandir

    def scandir(path: str) -> Any:  # noqa: ANN401
        if path.endswith("deep"):
            raise PermissionError
        return original(path)

    monkeypatch.setattr(os, "scandir", scandir)
    assert names("out/**/c.xml", "**/e.json") == ["out/c.xml", "out/e.json"]


def test_a_name_that_is_not_utf_8_can_be_shown(folder: Path) -> None:
    try:
        Path(os.fsdecode(bytes(folder / "out") + b"/\xff.xml")).write_text("<scan/>")
    except (OSError, UnicodeError):
        pytest.skip("needs a POSIX file system that takes any bytes")
    *_, file = find(["out/*.xml"])
    assert file.shown == f"out{os.sep}\ufffd.xml"
    assert os.fsencode(file.path) == f"out{os.sep}".encode() + b"\xff.xml"


def error_of(*patterns: str) -> str:
    """Return the error of the patterns."""
    with pytest.raises(ValueError, match="'") as caught:
        find(patterns)
    return str(caught.value)


def test_a_missing_file_is_named() -> None:
    """A relative path with the folder that was searched."""
    here = f" in the folder '{Path.cwd()}'"
    for path in ("missing.xml", "a.xml/"):
        assert error_of(path) == f"'{path}' does not exist{here}"
    for pattern in ("*.fpr", "nowhere/**/*.xml", "out/dee*"):
        assert error_of(pattern) == f"'{pattern}' matches no file{here}"
    assert error_of("/nowhere/a.xml") == "'/nowhere/a.xml' does not exist"
    for several in ("a.json,b.json", "a.json b.json", "/nowhere/*.xml, /nowhere/*.json"):
        assert error_of(several).endswith("; write one path per line")
    with pytest.raises(ValueError, match="300 characters"):
        find(["x" * 300])


def test_a_folder_without_permission_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    closed: dict[str, int] = {str(folder / "out"): os.R_OK | os.X_OK}
    monkeypatch.setattr(os, "access", lambda path, mode: not closed.get(str(path), 0) & mode)
    why = f"cannot be found, because this user has no permission to search the folder '{folder / 'out'}'"
    assert error_of("out/report.xml") == f"'out/report.xml' {why}"
    assert error_of("out/**/*.sarif") == f"'out/**/*.sarif' {why}"
    closed[str(folder / "out")] = os.R_OK
    assert "does not exist" in error_of("out/report.xml")
    assert "no permission to search" in error_of("out/*.sarif")


def test_all_errors_are_named_together(folder: Path) -> None:
    (folder / "empty.xml").touch()
    text = error_of("missing.xml", "a.xml", "*.fpr", "empty.xml", "out")
    assert [part.split(" ")[0] for part in text.split("; ") if part.startswith("'")] == [
        "'missing.xml'", "'*.fpr'", "'empty.xml'", "'out'",
    ]  # fmt: skip


def test_an_empty_file_or_a_folder_is_an_error(folder: Path) -> None:
    (folder / "empty.xml").touch()
    assert error_of("empty.xml") == error_of("*.xml") == "'empty.xml' is empty"
    assert error_of("out/") == error_of("out") == "'out' is a folder; name its files, or a pattern such as 'out/*'"


@POSIX
def test_a_pipe_a_device_or_a_broken_link_is_an_error(folder: Path) -> None:
    os.mkfifo(folder / "pipe.xml")
    assert error_of("pipe.xml") == error_of("p*.xml") == "'pipe.xml' is not a regular file"
    assert error_of("/dev/zero") == "'/dev/zero' is not a regular file"
    (folder / "gone.xml").symlink_to("nowhere")
    (folder / "circle.xml").symlink_to("circle.xml")
    assert error_of("gone.xml") == error_of("go*.xml") == "'gone.xml' cannot be read (No such file or directory)"
    assert "'circle.xml' cannot be read" in error_of("circle.xml")


@POSIX
def test_an_unreadable_file_is_named(folder: Path) -> None:
    """Root's permissions are dropped for a moment."""
    (folder / "b.xml").chmod(0)
    (folder / "out").chmod(0o444)
    folder.chmod(0o755)
    before = os.geteuid()
    if not before:
        os.seteuid(NOBODY)
    try:
        assert error_of("b.xml") == "'b.xml' cannot be read (Permission denied)"
        assert "cannot be read (Permission denied)" in error_of("out/*.xml")
    finally:
        os.seteuid(before)
        (folder / "out").chmod(0o700)
