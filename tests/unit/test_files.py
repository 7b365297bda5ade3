"""Which files the paths and patterns of `--scan-file` stand for, and which of them cannot be uploaded."""

from __future__ import annotations

import os
import socket
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from gate.model.subjects import ScanFile
from gate.options.files import find

if TYPE_CHECKING:
    from collections.abc import Iterator

NOBODY = 65534
POSIX = pytest.mark.skipif(sys.platform == "win32", reason="POSIX only")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with some reports in it, which the test is in."""
    for name in ("b.xml", "a.xml", "out/c.xml", "out/deep/d.xml", "out/e.json", "[1].xml", "out/.hidden.xml"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("<scan/>")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def names(*patterns: str) -> list[str]:
    """The paths that were found, with slashes."""
    return [file.path.replace(os.sep, "/") for file in find(patterns)]


FOUND = {
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


@pytest.mark.parametrize(("patterns", "found"), FOUND.values(), ids=FOUND)
def test_a_pattern_stands_for_its_files(patterns: list[str], found: list[str]) -> None:
    """Each file once, sorted by path; folders are no files."""
    assert names(*patterns) == found


def test_an_absolute_pattern_works_too(folder: Path) -> None:
    """As does one in a folder that is not the current one."""
    assert names(f"{folder}/out/*.json") == [f"{folder.as_posix()}/out/e.json"]


def test_a_file_knows_its_size(folder: Path) -> None:
    """Also one that is larger than any memory."""
    with (folder / "huge").open("wb") as file:
        try:
            file.truncate(2**42)
        except OSError:
            pytest.skip("needs a POSIX file system with sparse files")
    assert find(["huge", "a.xml"]) == (ScanFile("a.xml", 7, "a.xml"), ScanFile("huge", 2**42, "huge"))


def test_a_literal_name_wins_over_the_pattern_that_it_is(folder: Path) -> None:
    """`[1].xml` is the file of that name, although the pattern would stand for another one."""
    (folder / "1.xml").write_text("<scan/>")
    assert names("[1].xml") == ["[1].xml"]
    (folder / "[1].xml").unlink()
    assert names("[1].xml") == ["1.xml"]


@POSIX
def test_a_backslash_is_part_of_a_name(folder: Path) -> None:
    """It separates nothing where it is none of the system's separators."""
    (folder / "out\\c.xml").write_text("<scan/>")
    assert names("out\\c.xml", "out\\*") == ["out\\c.xml"]


@POSIX
def test_a_file_under_several_names_is_taken_once(folder: Path) -> None:
    """ThreadFix would refuse it as a duplicate the second time."""
    (folder / "latest.xml").symlink_to("a.xml")
    (folder / "again").symlink_to("out", target_is_directory=True)
    assert names("*.xml") == ["[1].xml", "a.xml", "b.xml"]
    assert names("latest.xml") == ["latest.xml"]
    assert names("again/c.xml", "out/c.xml") == ["again/c.xml"]


@POSIX
def test_up_from_a_link_is_where_the_system_goes(folder: Path) -> None:
    """Not where the path without its `..` would lead."""
    (folder / "link").symlink_to("out/deep", target_is_directory=True)
    assert names("link/../c.xml") == ["link/../c.xml"]
    assert find(["link/../c.xml"])[0].size == 7


@POSIX
def test_folders_that_lead_in_circles_end() -> None:
    """Each file in them is taken once."""
    Path("out/loop").symlink_to(".", target_is_directory=True)
    assert [name.rpartition("/")[2] for name in names("out/**/*.json")] == ["e.json"]


@POSIX
def test_several_circles_end_too(folder: Path) -> None:
    """There are more ways around two of them than anybody can go; a link that leads nowhere hides nothing."""
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
def test_what_cannot_be_looked_into_has_nothing_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """The rest is found all the same."""
    original = os.scandir

    def scandir(path: str) -> Any:  # noqa: ANN401
        if path.endswith("deep"):
            raise PermissionError
        return original(path)

    monkeypatch.setattr(os, "scandir", scandir)
    assert names("out/**/c.xml", "**/e.json") == ["out/c.xml", "out/e.json"]


def test_a_name_that_is_no_utf_8_can_be_shown(folder: Path) -> None:
    """Python smuggles its bytes through; what people read has marks instead."""
    try:
        Path(os.fsdecode(bytes(folder / "out") + b"/\xff.xml")).write_text("<scan/>")
    except (OSError, UnicodeError):
        pytest.skip("needs a POSIX file system that takes any bytes")
    *_, file = find(["out/*.xml"])
    assert file.shown == f"out{os.sep}\ufffd.xml"
    assert os.fsencode(file.path) == f"out{os.sep}".encode() + b"\xff.xml"


def wrong(*patterns: str) -> str:
    """What is wrong with them."""
    with pytest.raises(ValueError, match="'") as caught:
        find(patterns)
    return str(caught.value)


def test_what_is_not_there_is_named() -> None:
    """A path and a pattern in other words, and both lead to the job that should have made it."""
    log = "; look at the log of the job that should have made it"
    assert wrong("missing.xml") == f"'missing.xml' does not exist{log}"
    assert wrong("*.fpr") == f"'*.fpr' matches no file{log}"
    assert wrong("nowhere/**/*.xml") == f"'nowhere/**/*.xml' matches no file{log}"
    assert wrong("a.xml/") == f"'a.xml/' does not exist{log}"
    assert wrong("out/dee*") == f"'out/dee*' matches no file{log}"
    with pytest.raises(ValueError, match="300 characters"):
        find(["x" * 300])


def test_a_folder_that_may_not_be_looked_into_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The report may well be there: its job is not to blame."""
    closed: dict[str, int] = {str(folder / "out"): os.R_OK | os.X_OK}
    monkeypatch.setattr(os, "access", lambda path, mode: not closed.get(str(path), 0) & mode)
    why = f"cannot be found, because this user may not look into the folder '{folder / 'out'}'"
    assert wrong("out/report.xml") == f"'out/report.xml' {why}"
    assert wrong("out/**/*.sarif") == f"'out/**/*.sarif' {why}"
    closed[str(folder / "out")] = os.R_OK
    assert "does not exist" in wrong("out/report.xml")
    assert "may not look into" in wrong("out/*.sarif")


def test_all_that_is_wrong_is_named_at_once(folder: Path) -> None:
    """One run is enough to mend it."""
    (folder / "empty.xml").touch()
    text = wrong("missing.xml", "a.xml", "*.fpr", "empty.xml", "out")
    assert [part.split(" ")[0] for part in text.split("; ") if part.startswith("'")] == [
        "'missing.xml'", "'*.fpr'", "'empty.xml'", "'out'",
    ]  # fmt: skip


def test_an_empty_file_is_none(folder: Path) -> None:
    """It is an error by path and by pattern: the scanner wrote nothing."""
    (folder / "empty.xml").touch()
    says = "'empty.xml' is empty; look at the log of the job that should have written it"
    assert wrong("empty.xml") == wrong("*.xml") == says


def test_a_folder_is_none() -> None:
    """The message shows the pattern that was probably meant."""
    assert wrong("out/") == wrong("out") == "'out' is a folder; write a pattern of its files, such as 'out/*'"


@POSIX
def test_what_is_no_regular_file_is_refused(folder: Path) -> None:
    """A pipe would be waited for, and a device has no end."""
    os.mkfifo(folder / "pipe.xml")
    assert wrong("pipe.xml") == wrong("p*.xml") == "'pipe.xml' is not a regular file"
    assert wrong("/dev/zero") == "'/dev/zero' is not a regular file"
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("socket.xml")
        assert wrong("socket.xml") == "'socket.xml' is not a regular file"


@POSIX
def test_a_link_to_nothing_cannot_be_read(folder: Path) -> None:
    """By path and by pattern: the file was there, or should be."""
    (folder / "gone.xml").symlink_to("nowhere")
    (folder / "circle.xml").symlink_to("circle.xml")
    assert wrong("gone.xml") == wrong("go*.xml") == "'gone.xml' cannot be read (No such file or directory)"
    assert "'circle.xml' cannot be read" in wrong("circle.xml")


@contextmanager
def ordinary_user() -> Iterator[None]:
    """Not root, who may read everything, also where the tests run as root."""
    before = os.geteuid()
    if not before:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(before)


@POSIX
def test_what_may_not_be_read_is_named(folder: Path) -> None:
    """A file, and one in a folder that may be listed but not entered."""
    (folder / "b.xml").chmod(0)
    (folder / "out").chmod(0o444)
    folder.chmod(0o755)
    try:
        with ordinary_user():
            assert wrong("b.xml") == "'b.xml' cannot be read (Permission denied)"
            assert "cannot be read (Permission denied)" in wrong("out/*.xml")
    finally:
        (folder / "out").chmod(0o700)
