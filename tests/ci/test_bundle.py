"""The single file as `make bundle` builds it, under every Python that is here."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from tests.bundle import ROOT, bundle

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.ci


def pythons(*versions: str) -> dict[str, list[str]]:
    """Return the commands of the Pythons of these versions that this machine has."""
    commands = {}
    for version in versions:
        path = shutil.which(f"python{version}", path=os.pathsep.join(map(str, PLACES)))
        if path and subprocess.run([path, "-c", ""], capture_output=True, check=False).returncode == 0:
            commands[version] = [path]
    return commands


PLACES: Final = (*sorted(Path.home().glob(".pyenv/versions/*/bin")), *os.get_exec_path())
THIS: Final = f"{sys.version_info.major}.{sys.version_info.minor}"
SUPPORTED: Final = {THIS: [sys.executable]} | pythons("3.10", "3.11", "3.12", "3.13", "3.14")
PRETEND: Final = "import runpy, sys; sys.version_info = (3, 9); sys.argv.pop(0); runpy.run_path(sys.argv[0])"
OLD: Final = {"3.9": [sys.executable, "-c", PRETEND]} | pythons("2.7", "3.6", "3.9")


@pytest.fixture(scope="module")
def pyz(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file as it is built, from the index."""
    target = tmp_path_factory.mktemp("built") / "threadfix-gate.pyz"
    subprocess.run([sys.executable, ROOT / "scripts/bundle.py", target], check=True)
    return target


def test_two_builds_give_the_same_bytes(pyz: Path, tmp_path: Path) -> None:
    """So do another working directory, another umask and another time zone."""
    again = tmp_path / "again.pyz"
    command = f"umask 077; exec {sys.executable} {ROOT}/scripts/bundle.py {again}"
    subprocess.run(["sh", "-c", command], cwd=tmp_path, env=os.environ | {"TZ": "Asia/Tokyo"}, check=True)
    assert again.read_bytes() == pyz.read_bytes()


def test_the_tests_own_file_is_the_same(pyz: Path, tmp_path: Path) -> None:
    """The file that the other tests use has the same content, so that they hold for a release."""
    ours = bundle(tmp_path / "ours.pyz")
    with zipfile.ZipFile(ours) as first, zipfile.ZipFile(pyz) as second:
        assert first.namelist() == second.namelist()
        assert [name for name in first.namelist() if first.read(name) != second.read(name)] == []


@pytest.mark.parametrize("version", SUPPORTED)
def test_it_runs_in_an_empty_environment(
    pyz: Path, sandbox: Callable[[str], dict[str, str]], tmp_path: Path, version: str
) -> None:
    start = [*SUPPORTED[version], "-I", "-S", "-B", str(pyz)]
    page = tmp_path / "page.html"
    env = sandbox("done")
    done = subprocess.run(
        [*start, "run", "--html-file", str(page)], env=env, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "PASS (processed" in done.stderr
    assert "<html" in page.read_text(encoding="utf-8")
    for command, code in ((["doctor"], 0), (["demo", "--speed", "40", "--interval", "100ms", "error-flag"], 1)):
        done = subprocess.run([*start, *command], env=env, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == code, done.stderr


@pytest.mark.parametrize("version", OLD)
def test_an_old_python_is_refused_in_a_sentence(pyz: Path, version: str) -> None:
    """It neither shows a syntax error nor ends with 1, a fail."""
    done = subprocess.run([*OLD[version], str(pyz), "run"], env={}, capture_output=True, text=True, check=False)
    assert done.returncode == 70
    assert re.fullmatch(
        rf"threadfix-gate cannot start: it needs Python 3\.10 or later, and this is Python {version} .*\n", done.stderr
    )
