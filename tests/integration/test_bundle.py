"""The gate as one file, made of the packages that the tests run with."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from tests.bundle import ROOT, bundle, bundling, locked

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

START: Final = """
sys.argv[0] = program
sys.path.insert(0, program)
runpy.run_path(program, run_name="__main__")
"""
WATCHED: Final = f"""
import os, runpy, sys
program = sys.argv.pop(1)
def watch(event, args):
    if event == "open" and isinstance(args[0], str) and args[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
        sys.__stderr__.write(f"WRITES {{args[0]}}\\n")
    elif event in {{"os.mkdir", "tempfile.mkstemp", "tempfile.mkdtemp"}}:
        sys.__stderr__.write(f"MAKES {{args[0]}}\\n")
sys.addaudithook(watch)
{START}"""
"""Runs a program and prints each file that it opens for writing and each folder that it makes."""


WITHOUT_POSIX: Final = f"""
import os, runpy, select, signal, socket, sys
program = sys.argv.pop(1)
for name in "fcntl grp pty pwd resource syslog termios tty".split():
    sys.modules[name] = None
for module, names in (
    (os, "fork forkpty getuid geteuid getgid getegid killpg setsid chown fchown O_NONBLOCK O_NOFOLLOW O_DIRECTORY "
        "O_NOCTTY set_blocking get_blocking openpty posix_spawn pread wait4 uname sysconf statvfs"),
    (signal, "SIGHUP SIGKILL SIGPIPE SIGALRM SIGUSR1 SIGCHLD setitimer pthread_kill pthread_sigmask alarm pause"),
    (socket, "AF_UNIX MSG_DONTWAIT SO_REUSEPORT"),
    (select, "poll epoll"),
):
    for name in names.split():
        if hasattr(module, name):
            delattr(module, name)
{START}"""
"""Runs a program without the modules and functions that Windows lacks."""


@pytest.fixture(scope="module")
def pyz(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The single file, in a path with a blank, and on POSIX with backslashes too."""
    name = "one file" if os.name == "nt" else "C:\\one file\\"
    return bundle(tmp_path_factory.mktemp("folder") / name / "threadfix-gate.pyz")


@pytest.fixture(scope="module")
def names(pyz: Path) -> list[str]:
    with zipfile.ZipFile(pyz) as archive:
        return archive.namelist()


@pytest.fixture(scope="module")
def served(pyz: Path) -> Iterator[dict[str, str]]:
    """A ThreadFix that the single file serves; the variables to reach it."""
    command = [sys.executable, "-I", "-S", "-B", str(pyz), "sandbox", "--quiet", "--speed", "40"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout
        lines = [next(process.stdout).removeprefix("export ").strip() for _ in range(4)]
        yield dict(line.split("=", 1) for line in lines)
        process.terminate()


def run(pyz: Path, *args: str, env: Mapping[str, str] | None = None, within: str = "") -> tuple[int, str, str]:
    """Run the single file in an empty environment, without installed packages. Return its exit code, output and log."""
    start = ["-c", within, str(pyz)] if within else [str(pyz)]
    system = {name: os.environ[name] for name in ("SYSTEMROOT", "TEMP") if name in os.environ}
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-B", "-X", "utf8", *start, *args],
        env=system | dict(env or {}), cwd=pyz.parent, capture_output=True, encoding="utf-8", check=False,
    )  # fmt: skip
    return done.returncode, done.stdout, done.stderr


def test_only_python_is_inside(names: list[str]) -> None:
    suffixes = {Path(name).suffix for name in names if ".dist-info/" not in name}
    assert suffixes <= {".py", ".pem", ".css", ".j2", ""}
    assert [name for name in names if "__pycache__" in name or name.endswith("/")] == []


def test_the_locked_packages_are_inside(names: list[str]) -> None:
    """Every locked package is in it with its licence, but for the three that Rich needs only to show source code."""
    licensed = {
        name.partition("-")[0].lower().replace("_", "-")
        for name in names
        if re.search(r"\.dist-info/(licenses/)?(LICEN[CS]E|COPYING)", name)
    }
    assert licensed == locked() - {"pygments", "markdown-it-py", "mdurl"}
    tops = {name.partition("/")[0] for name in names if ".dist-info/" not in name}
    packages = {name.replace("-", "_") for name in licensed}
    assert tops == packages | {"gate", "LICENSE", "__main__.py"}


def test_nothing_that_differs_between_builds_is_inside(names: list[str]) -> None:
    kept = {Path(name).name for name in names if ".dist-info/" in name}
    assert all(re.match("METADATA$|LICEN[CS]E|NOTICE|COPYING|AUTHORS", name) for name in kept), kept


def test_every_platform_gets_the_same_packages() -> None:
    """A package that is locked for one platform only is inside everywhere; its hashes are still checked."""
    lock = 'a==1 ; sys_platform == "win32" \\\n    --hash=sha256:0\nb==2 \\\n    --hash=sha256:1\n'
    assert bundling()["unconditional"](lock) == lock.replace(' ; sys_platform == "win32"', "")


def test_a_file_without_the_gate_is_no_verdict(tmp_path: Path) -> None:
    """Python's own exit code after an ImportError, 1, would be a fail."""
    target = tmp_path / "broken.pyz"
    bundling()["write"](target, {"__main__.py": ROOT / "action/__main__.py"})
    code, _, log = run(target, "run")
    assert code == 70
    assert "damaged" in log


def test_the_command_that_keeps_waiting_is_the_command_that_was_typed(pyz: Path, served: dict[str, str]) -> None:
    code, out, _ = run(pyz, "run", "--pending-scan-id", "51", "--timeout", "0", "--json", env=served)
    assert code == 3
    resume = shlex.split(json.loads(out)["resume"])
    assert resume[: resume.index("run")] == [sys.executable, "-I", "-S", "-B", "-X", "utf8", str(pyz)]
    once = [*resume, "--timeout", "0"]
    done = subprocess.run(once, env=served, capture_output=True, text=True, check=False)
    assert done.returncode == 3, done.stderr


@pytest.mark.skipif(os.name == "nt", reason="Windows is without them anyway")
def test_a_run_needs_nothing_that_windows_lacks(pyz: Path, tmp_path: Path) -> None:
    """Neither the start nor a run with all reports uses a function of POSIX only; a path may have blanks."""
    folder = tmp_path / "my reports"
    reports = [part for name, file in REPORTS.items() for part in (f"--{name}", str(folder / file))]
    code, _, log = run(pyz, "demo", "--speed", "40", "--interval", "100ms", *reports, within=WITHOUT_POSIX)
    assert code == 0, log
    assert {path.name for path in folder.iterdir()} == set(REPORTS.values())


REPORTS: Final = {name: f"{name}.out" for name in ("result-file", "junit-file", "html-file", "dotenv-file")}


def test_all_reports_are_written_and_nothing_is_extracted(pyz: Path, served: dict[str, str], tmp_path: Path) -> None:
    files = {f"THREADFIX_{option.replace('-', '_').upper()}": str(tmp_path / name) for option, name in REPORTS.items()}
    actions = {name: str(tmp_path / name) for name in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY")}
    for path in actions.values():
        Path(path).touch()
    env = served | files | actions | {"GITHUB_ACTIONS": "true"}
    code, _, log = run(pyz, "run", env=env, within=WATCHED)
    assert code == 0, log
    assert json.loads((tmp_path / "result-file.out").read_text(encoding="utf-8"))["verdict"] == "pass"
    assert "<style>" in (tmp_path / "html-file.out").read_text(encoding="utf-8")
    assert all(Path(path).stat().st_size for path in (*files.values(), *actions.values()))
    touched = re.findall(r"(?m)^(?:WRITES|MAKES) (.*)$", log)
    assert touched
    assert [path for path in touched if not path.startswith(str(tmp_path)) and path != os.devnull] == []
