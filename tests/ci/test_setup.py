"""The action's set-up on the runners that there are: real interpreters, real installs, real signals."""

from __future__ import annotations

import hashlib
import os
import re
import runpy
import shutil
import signal
import socket
import subprocess
import sys
import time
import zipfile
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

pytestmark = [
    pytest.mark.ci,
    pytest.mark.skipif(os.name == "nt", reason="permissions and signals are POSIX's here; selftest.yml covers Windows"),
]

ROOT: Final = Path(__file__).parents[2]
PYTHON: Final = Path(sys.executable).resolve()
BASH: Final = shutil.which("bash") or "bash"
UNREACHABLE: Final = {"PIP_INDEX_URL": "http://127.0.0.1:9/simple", "PIP_RETRIES": "0"}
"""No network: nothing listens there."""
KEY: Final = "secret 100%"
MASK: Final = "::add-mask::secret 100%25"
ANNOUNCED: Final = (
    "::group::Set-up of the gate",
    "Installing the packages of threadfix-gate, since they are not on this runner yet: a few seconds",
    "::endgroup::",
)
"""What is said before an environment is made."""
SHADOWED: Final = (
    "gate",
    "requests",
    "click",
    "pip",
    "venv",
    "environment",
    "sitecustomize",
    "usercustomize",
    "hashlib",
)
"""Modules that a hostile repository would like to slip in."""


@dataclass(frozen=True)
class Runner:
    """A runner's folders and what it tells a step."""

    home: Path
    action: Path = ROOT

    @property
    def cache(self) -> Path:
        """The tool cache; its path has a blank."""
        return self.home / "tool cache"

    @property
    def temp(self) -> Path:
        """The temporary folder."""
        return self.home / "temp"

    @property
    def work(self) -> Path:
        """The working directory: the checked-out repository."""
        return self.home / "work"

    @property
    def bin(self) -> Path:
        """The first folder in PATH."""
        return self.home / "bin"

    def make(self) -> Runner:
        """Make the folders, and files where a runner has some."""
        for folder in (self.cache, self.temp, self.work, self.bin, self.home / "home"):
            folder.mkdir(parents=True)
        for name in ("output", "env", "path", "summary"):
            (self.home / name).touch()
        return self

    def env(self, more: Mapping[str, str]) -> dict[str, str]:
        """The step's environment; of the tests' own it has only how to reach the network."""
        taken = {
            name: value
            for name, value in os.environ.items()
            if name.startswith(("PIP_", "SSL_", "REQUESTS_")) or name.lower().endswith("_proxy")
        }
        taken |= {
            "PATH": f"{self.bin}:/usr/bin:/bin",
            "HOME": str(self.home / "home"),
            "TMPDIR": str(self.home / "home"),
            "GITHUB_ACTIONS": "true",
            "GITHUB_OUTPUT": str(self.home / "output"),
            "GITHUB_ENV": str(self.home / "env"),
            "GITHUB_PATH": str(self.home / "path"),
            "GITHUB_STEP_SUMMARY": str(self.home / "summary"),
            "RUNNER_TOOL_CACHE": str(self.cache),
            "RUNNER_TEMP": str(self.temp),
        }
        return {name: value for name, value in (taken | dict(more)).items() if value}

    def command(self, *args: str) -> list[str]:
        """What action.yml runs."""
        return [BASH, str(self.action / "action/setup.sh"), *args]

    def start(self, *args: str, before: Sequence[str] = (), **env: str) -> subprocess.Popen[str]:
        """Start the step, in a process group of its own."""
        return subprocess.Popen(
            [*before, *self.command(*args)],
            cwd=self.work,
            env=self.env(env),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(self, *args: str, before: Sequence[str] = (), **env: str) -> subprocess.CompletedProcess[str]:
        """Run the step to its end."""
        process = self.start(*args, before=before, **env)
        out, log = process.communicate()
        return subprocess.CompletedProcess(process.args, process.returncode, out, log)

    def outputs(self) -> dict[str, str]:
        """What a later step reads, where the values have one line."""
        lines = (self.home / "output").read_text(encoding="utf-8").splitlines()
        return dict(line.split("=", 1) for line in lines if "=" in line)

    def has_python(self, name: str = "python3") -> Path:
        """Put the tests' Python into PATH."""
        (self.bin / name).symlink_to(PYTHON)
        return self.bin / name


def environments(folder: Path) -> list[str]:
    """The names of the environments in a tool cache or a temporary folder, finished or not."""
    return sorted(path.name for path in folder.glob("threadfix-gate/*"))


def script(path: Path, text: str) -> Path:
    """An executable shell script."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
    path.chmod(0o755)
    return path


def older(path: Path, version: tuple[int, int, int]) -> Path:
    """A Python that takes itself for another version."""
    said = ".".join(map(str, version))
    code = f"import sys; sys.version_info = {(*version, 'final', 0)}; exec(sys.argv.pop())"
    return script(path, f'[ "$1" = --version ] && echo "Python {said}" && exit\nexec "{PYTHON}" -c "{code}" "$@"')


def bare(folder: Path) -> Path:
    """A Python that has no pip but what it brings for new environments."""
    subprocess.run([PYTHON, "-I", "-m", "venv", "--without-pip", folder], check=True)
    return folder / "bin/python"


def packages(environment: Path) -> Path:
    """Where an environment has its packages."""
    (found,) = environment.glob("lib/*/site-packages")
    return found


def here() -> dict[str, Any]:
    """The names of the set-up's module."""
    return runpy.run_path(str(ROOT / "action/environment.py"))


def redirecting_pip(home: Path) -> dict[str, str]:
    """Configuration files for machine and user that have pip start a program and bring a package along."""
    wheel = home / "wheels/evil-1.0-py3-none-any.whl"
    wheel.parent.mkdir(parents=True)
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("evil.pth", "import evil\n")
        archive.writestr("evil.py", f"open({str(home / 'trapped')!r}, 'a').write('evil')\n")
        archive.writestr("evil-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: evil\nVersion: 1.0\n")
        archive.writestr("evil-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr("evil-1.0.dist-info/RECORD", "")
    requirement = home / "wheels/requirements.txt"
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    requirement.write_text(f"evil @ {wheel.as_uri()} --hash=sha256:{digest}\n", encoding="utf-8")
    program = script(home / "wheels/python", f"echo pip >>'{home}/trapped'")
    for kind, text in (
        ("system", f"[global]\npython = {program}"),
        ("user", f"[install]\nrequirement = {requirement}"),
    ):
        file = home / kind / "pip/pip.conf"
        file.parent.mkdir(parents=True)
        file.write_text(f"{text}\n", encoding="utf-8")
    return {"XDG_CONFIG_DIRS": str(home / "system"), "XDG_CONFIG_HOME": str(home / "user")}


@contextmanager
def silent_index() -> Iterator[tuple[socket.socket, dict[str, str]]]:
    """A package index that takes connections and never says a word, and what leads pip there."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(60)
        url = f"http://127.0.0.1:{server.getsockname()[1]}/simple"
        yield server, {"PIP_INDEX_URL": url, "PIP_FIND_LINKS": "", "PIP_RETRIES": "0", "PIP_DEFAULT_TIMEOUT": "600"}


def hung_up(connection: socket.socket) -> bool:
    """Whether the other side is gone, or goes within a minute."""
    connection.settimeout(60)
    with connection:
        while chunk := connection.recv(65536):
            assert chunk
    return True


def works(done: subprocess.CompletedProcess[str]) -> bool:
    """Whether the gate itself has answered."""
    return done.returncode == 0 and done.stdout.startswith("threadfix-gate ")


@pytest.fixture
def runner(tmp_path: Path) -> Runner:
    """A fresh runner without any Python."""
    return Runner(tmp_path / "runner").make()


@pytest.fixture(scope="session")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> tuple[Runner, subprocess.CompletedProcess[str]]:
    """A first run, from a path with blanks, in a repository that shadows modules, in an environment full of traps."""
    home = tmp_path_factory.mktemp("first") / "my runner"
    action = home / "my action"
    for name in ("gate", "action"):
        shutil.copytree(ROOT / name, action / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "requirements-action.lock", action)
    runner = Runner(home, action).make()
    runner.has_python()
    for name in SHADOWED:
        trap = f"open({str(home / 'trapped')!r}, 'a').write({name!r})\n"
        (runner.work / f"{name}.py").write_text(trap, encoding="utf-8")
    (runner.work / "pip.conf").write_text("[install]\ntarget = elsewhere\n", encoding="utf-8")
    done = runner.run(
        "--version",
        PYTHONPATH=str(runner.work),
        PYTHONHOME=str(runner.work),
        PYTHONSTARTUP=str(runner.work / "gate.py"),
        PIP_TARGET=str(home / "elsewhere"),
        PIP_PREFIX=str(home / "elsewhere"),
        PIP_USER="1",
        PIP_NO_BINARY=":all:",
        PIP_LOG=str(home / "elsewhere.log"),
        PIP_CACHE_DIR=str(home / "elsewhere"),
        THREADFIX_API_KEY=KEY,
        **redirecting_pip(home),
    )
    return runner, done


@pytest.fixture
def warm(runner: Runner, hostile: tuple[Runner, subprocess.CompletedProcess[str]]) -> Runner:
    """A runner whose tool cache has the environment from a run before."""
    shutil.copytree(hostile[0].cache, runner.cache, symlinks=True, dirs_exist_ok=True)
    runner.has_python()
    return runner


@pytest.fixture
def honest(need_tool: Callable[[str], Path]) -> list[str]:
    """What makes a command heed permissions even where the tests run as root."""
    if os.geteuid():
        return []
    return [str(need_tool("setpriv")), "--bounding-set=-dac_override,-dac_read_search"]


@pytest.mark.parametrize("command", ["", "run", "doctor"])
def test_the_command_is_an_input(warm: Runner, command: str) -> None:
    """It is `run` or `doctor`; without arguments, as action.yml starts it, advice names inputs and no flags."""
    done = warm.run(THREADFIX_COMMAND=command, THREADFIX_URL="ftp://tf.example.com")
    assert done.returncode == 2
    assert ("checking" in done.stderr) is (command == "doctor")
    assert "url: is not an http or https URL" in done.stderr
    assert "--url" not in done.stderr


@pytest.mark.parametrize("command", ["demo", "run --insecure", "$(id)", "doctor\nrun", "--help"])
def test_another_command_is_a_usage_error(warm: Runner, command: str) -> None:
    """Nothing else can be started through the input, its value is not repeated, and the outputs say so."""
    done = warm.run(THREADFIX_COMMAND=command, THREADFIX_API_KEY=KEY)
    assert done.returncode == 2
    assert "is neither run nor doctor" in done.stderr
    assert command not in done.stderr
    output = (warm.home / "output").read_text(encoding="utf-8")
    assert "verdict=unknown" in output
    assert "reason=usage" in output
    assert "exit-code=2" in output


def test_first_run_makes_one_environment(hostile: tuple[Runner, subprocess.CompletedProcess[str]]) -> None:
    """The first run makes the environment in the tool cache, leaves nothing half made, and starts the gate."""
    runner, done = hostile
    assert works(done), done.stderr
    assert len(environments(runner.cache)) == 1
    assert re.fullmatch("[0-9a-f]{16}", environments(runner.cache)[0])


def test_first_run_masks_the_key_and_says_what_it_does(
    hostile: tuple[Runner, subprocess.CompletedProcess[str]],
) -> None:
    """The key is masked before anything else is said, then one folded line tells of the installation."""
    assert hostile[1].stderr.splitlines() == [MASK, *ANNOUNCED]


def test_later_runs_say_nothing_of_the_set_up(warm: Runner) -> None:
    """Where the environment is there already, the gate's own lines are the first."""
    done = warm.run("--version", THREADFIX_API_KEY=KEY)
    assert works(done)
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("key", "first"),
    [
        ("", ANNOUNCED[0]),
        (" \t\n", ANNOUNCED[0]),
        (f" {KEY}\n", MASK),
        ("two\nlines", "::group::Set-up of the gate, which failed"),
        ("two\rlines", "::group::Set-up of the gate, which failed"),
    ],
)
def test_what_is_masked(runner: Runner, key: str, first: str) -> None:
    """A key is masked as the gate sends it; one of several lines cannot be, so nothing is announced."""
    runner.has_python()
    done = runner.run("run", THREADFIX_API_KEY=key, PIP_FIND_LINKS="", **UNREACHABLE)
    assert done.returncode == 70
    assert done.stderr.splitlines()[0] == first
    assert "lines" not in done.stderr


def test_the_key_is_in_no_file_that_takes_the_log(runner: Runner) -> None:
    """No mask is printed where it is not the runner that reads it."""
    runner.has_python()
    log = runner.home / "log"
    with log.open("w", encoding="utf-8") as file:
        env = runner.env({"THREADFIX_API_KEY": KEY, "PIP_FIND_LINKS": "", **UNREACHABLE})
        done = subprocess.run(runner.command("run"), env=env, cwd=runner.work, stderr=file, check=False)
    assert done.returncode == 70
    assert "secret" not in log.read_text(encoding="utf-8")


def test_elsewhere_no_command_is_printed(runner: Runner) -> None:
    """Away from GitHub a first run says what it does, and masks nothing."""
    runner.has_python()
    done = runner.run("run", GITHUB_ACTIONS="", THREADFIX_API_KEY=KEY, PIP_FIND_LINKS="", **UNREACHABLE)
    assert done.stderr.splitlines()[0] == ANNOUNCED[1]
    assert "secret" not in done.stderr


def test_working_directory_is_not_imported_from(hostile: tuple[Runner, subprocess.CompletedProcess[str]]) -> None:
    """Neither set-up nor gate runs a module of the checked-out repository, PYTHONPATH or PYTHONHOME."""
    runner, done = hostile
    assert works(done), done.stderr
    assert not (runner.home / "trapped").exists()


def test_traps_would_have_sprung(hostile: tuple[Runner, subprocess.CompletedProcess[str]]) -> None:
    """The same Python without isolation does import those modules: the test above can fail."""
    runner, _ = hostile
    copy = runner.work / "requests.py"
    code = f"import sys; sys.path.insert(0, ''); import requests; print(requests.__file__ == {str(copy)!r})"
    done = subprocess.run([PYTHON, "-c", code], cwd=runner.work, capture_output=True, text=True, check=True)
    (runner.home / "trapped").unlink()
    assert done.stdout.split() == ["True"]


def test_nothing_is_written_elsewhere(hostile: tuple[Runner, subprocess.CompletedProcess[str]]) -> None:
    """PATH, the job's environment, the home, the action's own folder and where PIP_TARGET points stay as they were."""
    runner, done = hostile
    assert works(done), done.stderr
    assert {name: (runner.home / name).read_text(encoding="utf-8") for name in ("env", "path", "output")} == {
        "env": "",
        "path": "",
        "output": "",
    }
    assert list((runner.home / "home").iterdir()) == []
    assert list(runner.temp.iterdir()) == []
    assert list(runner.home.glob("elsewhere*")) == []
    assert list(runner.action.rglob("__pycache__")) == []
    assert {path.name for path in runner.work.iterdir()} == {*(f"{name}.py" for name in SHADOWED), "pip.conf"}


def test_warm_run_needs_no_network(warm: Runner) -> None:
    """With the environment there, nothing is downloaded or made."""
    before = environments(warm.cache)
    done = warm.run("--version", PIP_NO_INDEX="1", PIP_FIND_LINKS="", **UNREACHABLE)
    assert works(done), done.stderr
    assert environments(warm.cache) == before


def test_cold_run_without_network_says_so(runner: Runner) -> None:
    """An install that fails ends with pip's words in a folded group, a sentence, exit code 70, and no half of it.

    Whatever pip or an index says is printed while the runner takes no commands.
    """
    runner.has_python()
    done = runner.run("run", PIP_FIND_LINKS="", **UNREACHABLE)
    assert done.returncode == 70
    lines = done.stderr.splitlines()
    assert lines[:3] == list(ANNOUNCED)
    group, stop, *said, resume, end, error = lines[3:]
    assert group.startswith("::group::")
    assert re.fullmatch("::stop-commands::[0-9a-f]{32}", stop)
    assert any("127.0.0.1" in line for line in said)
    assert resume == f"::{stop.removeprefix('::stop-commands::')}::"
    assert end == "::endgroup::"
    assert error.startswith("::error title=threadfix-gate: cannot start::")
    assert "PIP_INDEX_URL" in error
    assert environments(runner.cache) == environments(runner.temp) == []


def test_set_up_that_fails_leaves_a_verdict(runner: Runner) -> None:
    """Later steps read unknown, never nothing: a step that asks whether it failed must not go on."""
    done = runner.run("run", PATH=str(runner.bin))
    assert done.returncode == 70
    outputs = runner.outputs()
    assert outputs.pop("message")
    assert outputs == {"verdict": "unknown", "reason": "internal", "exit-code": "70"}


def test_set_up_that_fails_leaves_a_summary(runner: Runner) -> None:
    """People read there what happened and what to do, and nothing of it is taken for HTML or Markdown."""
    python = script(runner.bin / "python3", "echo 'Python <b>2</b>'; exit 1")
    runner.run("run", THREADFIX_PYTHON=str(python))
    heading, what, remedy = filter(None, (runner.home / "summary").read_text(encoding="utf-8").splitlines())
    assert heading == "## ❔ ThreadFix gate: unknown (internal)"
    assert "does not fit (Python &lt;b>2&lt;/b>)" in what
    assert what.startswith("<pre>")
    assert what.endswith("</pre>")
    assert remedy.startswith("**What to do:** Correct the input `python`")


def test_only_the_gate_gets_the_key(warm: Runner) -> None:
    """No Python that is tried or finds the environment has it in its environment, and the gate has."""
    named = script(warm.home / "my python", f'env >>"{warm.home}/seen"\nexec "{PYTHON}" "$@"')
    done = warm.run("run", THREADFIX_PYTHON=str(named), THREADFIX_API_KEY="secret")
    seen = (warm.home / "seen").read_text(encoding="utf-8")
    assert "RUNNER_TOOL_CACHE" in seen
    assert "THREADFIX_API_KEY" not in seen
    without = warm.run("run", THREADFIX_PYTHON=str(named))
    assert "THREADFIX_API_KEY" in without.stderr
    assert "THREADFIX_API_KEY" not in done.stderr


def test_pip_does_not_get_the_key(tmp_path: Path) -> None:
    """What the set-up starts has none of the gate's variables, even where the set-up itself has them."""
    command = """
import runpy, sys
here = runpy.run_path(sys.argv[1])
try:
    command = [sys.executable, "-c", "import os, sys; print(*os.environ); sys.exit(1)"]
    here["call"](command, sys.argv[2], here["Patience"](60))
except here["SetUpError"]:
    pass
"""
    done = subprocess.run(
        [PYTHON, "-I", "-c", command, ROOT / "action/environment.py", tmp_path],
        env=os.environ | {"THREADFIX_API_KEY": "secret", "RUNNER_NAME": "one"},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "RUNNER_NAME" in done.stderr
    assert "THREADFIX" not in done.stderr


def test_line_ends_of_the_lock_do_not_matter(warm: Runner) -> None:
    """A checkout that ends its lines as Windows does still wants every locked package."""
    is_complete = here()["is_complete"]
    lock = (ROOT / "requirements-action.lock").read_bytes().replace(b"\n", b"\r\n")
    (name,) = environments(warm.cache)
    folder = warm.cache / "threadfix-gate" / name
    assert is_complete(folder, lock)
    (gone,) = folder.glob("lib/*/site-packages/requests-*.dist-info")
    gone.rename(warm.home / "gone")
    assert not is_complete(folder, lock)


def test_lock_without_packages_is_no_lock(warm: Runner) -> None:
    """Where nothing is locked the action is damaged; an environment without packages must not pass for complete."""
    action = warm.home / "damaged"
    for name in ("gate", "action"):
        shutil.copytree(ROOT / name, action / name)
    (action / "requirements-action.lock").write_text("# nothing\n", encoding="utf-8")
    done = Runner(warm.home, action).run("run")
    assert done.returncode == 70
    assert "names no package" in done.stderr


def test_no_python(runner: Runner) -> None:
    """Without any Python the error says what was looked for and what to do."""
    done = runner.run("run", PATH=str(runner.bin))
    assert done.returncode == 70
    assert "Python 3.10 or later" in done.stderr
    assert "python3 is not there; python is not there" in done.stderr
    assert str(runner.cache) in done.stderr
    assert "actions/setup-python" in done.stderr


def test_old_python_first_in_path(warm: Runner) -> None:
    """A python3 that is too old is passed over for python."""
    (warm.bin / "python3").unlink()
    older(warm.bin / "python3", (3, 10, 12))
    warm.has_python("python")
    done = warm.run("--version", PATH=f"{warm.bin}")
    assert works(done), done.stderr


def test_only_old_pythons(runner: Runner) -> None:
    """Where all are too old, the error names their versions."""
    older(runner.bin / "python3", (3, 10, 12))
    older(runner.bin / "python", (2, 7, 18))
    done = runner.run("run", PATH=str(runner.bin))
    assert done.returncode == 70
    assert "python3 does not fit (Python 3.10.12); python does not fit (Python 2.7.18)" in done.stderr


def test_newest_in_the_tool_cache(warm: Runner) -> None:
    """Of the tool cache the newest that works is taken, by number, and no pre-release or free-threaded one."""
    (warm.bin / "python3").unlink()
    for name in ("3.9.20/x64", "3.12.4/x64", "3.12.10/x64", "3.15.0-beta.1/x64", "3.14.0/x64-freethreaded"):
        chosen = f'echo {name} >>"{warm.home}/chosen"\nexec "{PYTHON}" "$@"'
        script(warm.cache / "Python" / name / "bin/python", chosen)
    script(warm.cache / "Python/3.13.0/x64/bin/python", "exit 1")
    older(warm.cache / "Python/3.10.14/x64/bin/python", (3, 10, 14))
    done = warm.run("--version", PATH=str(warm.bin))
    assert works(done), done.stderr
    assert (warm.home / "chosen").read_text(encoding="utf-8").splitlines()[-1] == "3.12.10/x64"


def test_python_input(warm: Runner) -> None:
    """The Python that was named is the one that is used, though another is in PATH."""
    named = script(warm.home / "my python", f'echo used >"{warm.home}/used"\nexec "{PYTHON}" "$@"')
    assert works(warm.run("--version", THREADFIX_PYTHON=str(named)))
    assert (warm.home / "used").exists()


@pytest.mark.parametrize("named", ["/nowhere/python", "old"])
def test_python_input_that_does_not_fit(warm: Runner, named: str) -> None:
    """A wrong Python in the input is an error; no other one is taken instead."""
    path = str(older(warm.home / "old", (3, 10, 12))) if named == "old" else named
    done = warm.run("--version", THREADFIX_PYTHON=path)
    assert done.returncode == 70
    assert path in done.stderr
    assert "Correct the input `python`" in done.stderr


def test_read_only_cache_with_the_environment(warm: Runner, honest: list[str]) -> None:
    """A tool cache that cannot be written, but has the environment, is used."""
    folder = warm.cache / "threadfix-gate"
    folder.chmod(0o555)
    done = warm.run("--version", before=honest, PIP_NO_INDEX="1", PIP_FIND_LINKS="")
    folder.chmod(0o755)
    assert works(done), done.stderr
    assert environments(warm.temp) == []


def test_read_only_cache(runner: Runner, honest: list[str]) -> None:
    """Where the tool cache cannot be written, the environment goes into the runner's temporary folder."""
    runner.has_python()
    runner.cache.chmod(0o555)
    done = runner.run("--version", before=honest)
    again = runner.run("--version", before=honest, PIP_NO_INDEX="1", PIP_FIND_LINKS="")
    runner.cache.chmod(0o755)
    assert works(done), done.stderr
    assert works(again), again.stderr
    assert environments(runner.cache) == []
    assert len(environments(runner.temp)) == 1


def test_nowhere_to_write(runner: Runner, honest: list[str]) -> None:
    """Where neither folder can be written, the error names both."""
    runner.has_python()
    for folder in (runner.cache, runner.temp):
        folder.chmod(0o555)
    done = runner.run("--version", before=honest)
    for folder in (runner.cache, runner.temp):
        folder.chmod(0o755)
    assert done.returncode == 70
    assert f"{runner.cache}/threadfix-gate (Permission denied)" in done.stderr
    assert f"{runner.temp}/threadfix-gate (Permission denied)" in done.stderr


def test_two_jobs_at_once(runner: Runner) -> None:
    """Two first runs at the same time both work, here with the pip that ensurepip has, and one environment is left."""
    script(runner.bin / "python3", f'exec "{bare(runner.home / "bare")}" "$@"')
    both = [runner.start("--version") for _ in range(2)]
    logs = [process.communicate()[1] for process in both]
    assert [process.returncode for process in both] == [0, 0], logs
    assert len(environments(runner.cache)) == 1
    assert works(runner.run("--version", PIP_NO_INDEX="1", PIP_FIND_LINKS=""))


def test_interrupted_install_is_healed(runner: Runner) -> None:
    """A run that was killed in mid-install leaves nothing that is used, and a day later its rest is thrown away."""
    runner.has_python()
    process = runner.start("--version")
    while process.poll() is None and not list(runner.cache.glob("threadfix-gate/*/lib/*/site-packages/urllib3/*.py")):
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    (left,) = environments(runner.cache)
    done = runner.run("--version")
    assert works(done), done.stderr
    # Another job might still be filling it: only an old one is nobody's.
    assert left in environments(runner.cache)
    (made,) = set(environments(runner.cache)) - {left}
    shutil.rmtree(runner.cache / "threadfix-gate" / made)
    os.utime(runner.cache / "threadfix-gate" / left, (0, 0))
    assert works(runner.run("--version"))
    assert environments(runner.cache) == [made]


@pytest.mark.parametrize("broken", ["lost", "added"])
def test_broken_environment_is_healed(warm: Runner, broken: str) -> None:
    """An environment that has lost its Python, or has got what nobody locked, is made again under the same name."""
    (name,) = environments(warm.cache)
    folder = warm.cache / "threadfix-gate" / name
    lost, added = folder / "bin/python", packages(folder) / "evil.pth"
    if broken == "lost":
        lost.unlink()
    else:
        added.write_text(f"import os; os.mkdir({str(warm.home / 'trapped')!r})\n", encoding="utf-8")
    done = warm.run("--version")
    assert works(done), done.stderr
    assert environments(warm.cache) == [name]
    assert lost.exists()
    assert not added.exists()
    assert not (warm.home / "trapped").exists()


@pytest.mark.parametrize(
    "name", ["evil.pth", "evil.py", "evil.pyc", "evil.so", "evil/__init__.py", "evil-1.0.dist-info/RECORD"]
)
def test_what_nobody_locked_makes_an_environment_incomplete(warm: Runner, name: str) -> None:
    """One package, module or .pth file more than the lock has, and the environment is not used."""
    (environment,) = environments(warm.cache)
    folder = warm.cache / "threadfix-gate" / environment
    lock = (ROOT / "requirements-action.lock").read_bytes()
    is_complete = here()["is_complete"]
    assert is_complete(folder, lock)
    added = packages(folder) / name
    added.parent.mkdir(exist_ok=True)
    added.touch()
    assert not is_complete(folder, lock)


@pytest.mark.parametrize("lost", ["requests-*.dist-info", "requests", "requests-*.dist-info/RECORD"])
def test_what_is_lost_makes_an_environment_incomplete(warm: Runner, lost: str) -> None:
    """A package that is not there any more, or not the list of its files, and the environment is not used."""
    (environment,) = environments(warm.cache)
    folder = warm.cache / "threadfix-gate" / environment
    (gone,) = packages(folder).glob(lost)
    gone.rename(warm.home / "gone")
    assert not here()["is_complete"](folder, (ROOT / "requirements-action.lock").read_bytes())


@pytest.mark.parametrize("level", [".", "environment"])
@pytest.mark.parametrize("whose", ["a link", "another user's", "the group's", "everybody's"])
def test_folder_of_others_is_not_used(warm: Runner, level: str, whose: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither our folder in the cache nor an environment in it may be a link, another user's, or open to others."""
    (environment,) = environments(warm.cache)
    folder = warm.cache / "threadfix-gate" / environment
    is_complete, lock = here()["is_complete"], (ROOT / "requirements-action.lock").read_bytes()
    assert is_complete(folder, lock)
    changed = folder.parent if level == "." else folder
    if whose == "a link":
        changed.rename(warm.home / "moved")
        changed.symlink_to(warm.home / "moved")
    elif whose == "another user's":
        # Only root can give a folder away, and only root's would be used all the same.
        if os.geteuid():
            monkeypatch.setattr(os, "geteuid", lambda: 1)
        else:
            os.chown(changed, 1, -1)
    else:
        changed.chmod(0o775 if whose == "the group's" else 0o757)
    assert not is_complete(folder, lock)


def test_linked_folder_is_not_filled(warm: Runner) -> None:
    """Where our folder in the cache is a link, nothing behind it is used or written; the temporary folder is."""
    theirs = warm.home / "theirs"
    (warm.cache / "threadfix-gate").rename(theirs)
    (warm.cache / "threadfix-gate").symlink_to(theirs)
    before = sorted(path.name for path in theirs.iterdir())
    done = warm.run("run", RUNNER_TEMP="", PIP_FIND_LINKS="", **UNREACHABLE)
    assert done.returncode == 70
    assert f"{warm.cache}/threadfix-gate (a link, another user's, or writable by others)" in done.stderr
    assert sorted(path.name for path in theirs.iterdir()) == before
    done = warm.run("run", PIP_FIND_LINKS="", **UNREACHABLE)
    assert "pip" in done.stderr or "index" in done.stderr
    assert (warm.temp / "threadfix-gate").is_dir()


def test_nobody_else_can_write_what_was_made(runner: Runner) -> None:
    """A job that lets everybody write its files does not hand over the packages of the jobs after it."""
    runner.has_python()
    code = 'umask 0; exec "$@"'
    done = runner.run("run", before=[BASH, "-c", code, "-"], PIP_FIND_LINKS="", **UNREACHABLE)
    assert done.returncode == 70
    assert (runner.cache / "threadfix-gate").stat().st_mode & 0o022 == 0


def test_another_lock_is_another_environment(warm: Runner) -> None:
    """A release that locks other packages does not use what an older one has left."""
    action = warm.home / "newer"
    for name in ("gate", "action"):
        shutil.copytree(ROOT / name, action / name)
    lock = (ROOT / "requirements-action.lock").read_text(encoding="utf-8")
    (action / "requirements-action.lock").write_text(f"{lock}# newer\n", encoding="utf-8")
    done = Runner(warm.home, action).run("run", PIP_FIND_LINKS="", **UNREACHABLE)
    assert done.returncode == 70


def test_no_configuration_file_of_pip_is_read(hostile: tuple[Runner, subprocess.CompletedProcess[str]]) -> None:
    """What the machine's and the user's pip.conf ask for is neither started nor installed: only what is locked."""
    runner, done = hostile
    assert works(done), done.stderr
    (environment,) = environments(runner.cache)
    installed = packages(runner.cache / "threadfix-gate" / environment)
    lock = (ROOT / "requirements-action.lock").read_text(encoding="utf-8")
    locked = {name.replace("-", "_") for name in re.findall(r"^([\w-]+)==", lock, flags=re.MULTILINE)}
    assert {path.name.partition("-")[0].lower() for path in installed.glob("*.dist-info")} == locked
    assert not list(installed.glob("evil*"))
    assert not (runner.home / "trapped").exists()


def test_configuration_file_that_the_job_names_leads_to_the_index(runner: Runner) -> None:
    """PIP_CONFIG_FILE says how to reach the packages, and nothing else: no target, no program, no package more."""
    runner.has_python()
    file = runner.home / "pip.conf"
    text = f"[global]\nindex-url = http://127.0.0.1:9/named\npython = {runner.home}/python\n[install]\nretries = 0\n"
    file.write_text(f"{text}target = {runner.home}/elsewhere\nrequirement = {runner.home}/more\n", encoding="utf-8")
    done = runner.run("run", PIP_CONFIG_FILE=str(file), PIP_INDEX_URL="", PIP_FIND_LINKS="")
    assert done.returncode == 70
    assert "/named" in done.stderr
    variables = here()["variables"]
    assert variables({"PIP_CONFIG_FILE": str(file), "PIP_RETRIES": "3", "PIP_TARGET": "x", "HOME": "/"}) == {
        "HOME": "/",
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_INDEX_URL": "http://127.0.0.1:9/named",
        "PIP_RETRIES": "3",
    }


@pytest.mark.parametrize("text", [None, "no section", "[global]\n\xff"])
def test_configuration_file_that_cannot_be_read(runner: Runner, text: str | None) -> None:
    """A file that the job has named and that is not there, or is none, is an error rather than passed over."""
    runner.has_python()
    file = runner.home / "pip.conf"
    if text:
        file.write_text(text, encoding="latin-1")
    done = runner.run("run", PIP_CONFIG_FILE=str(file))
    assert done.returncode == 70
    assert "PIP_CONFIG_FILE names a file that cannot be read" in done.stderr
    assert environments(runner.cache) == []


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_cancelled_set_up_stops_pip_and_leaves_a_verdict(runner: Runner, number: signal.Signals, code: int) -> None:
    """A job that is cancelled while pip waits for its index: pip is stopped, and later steps read why."""
    runner.has_python()
    with silent_index() as (server, env):
        process = runner.start("run", **env)
        connection, _ = server.accept()
        process.send_signal(number)
        _, log = process.communicate(timeout=60)
        assert hung_up(connection)
    assert process.returncode == code
    assert "cancelled" in log
    assert "Traceback" not in log
    outputs = runner.outputs()
    assert number.name in outputs.pop("message")
    assert outputs == {"verdict": "unknown", "reason": "cancelled", "exit-code": str(code)}
    assert "unknown (cancelled)" in (runner.home / "summary").read_text(encoding="utf-8")
    assert environments(runner.cache) == []
    assert list(runner.temp.iterdir()) == []


def test_set_up_that_takes_too_long_ends(runner: Runner) -> None:
    """An index that never answers costs the job the set-up's time limit, here a second, and then it says so."""
    action = runner.home / "impatient"
    for name in ("gate", "action"):
        shutil.copytree(ROOT / name, action / name)
    shutil.copy(ROOT / "requirements-action.lock", action)
    file = action / "action/environment.py"
    impatient, count = re.subn(r"^LIMIT: Final = \d+$", "LIMIT = 3", file.read_text("utf-8"), flags=re.MULTILINE)
    assert count == 1
    file.write_text(impatient, encoding="utf-8")
    runner.has_python()
    with silent_index() as (server, env):
        process = Runner(runner.home, action).start("run", **env)
        connection, _ = server.accept()
        _, log = process.communicate(timeout=60)
        assert hung_up(connection)
    assert process.returncode == 70
    assert "could not be installed within 0.05 minutes" in log
    assert runner.outputs()["reason"] == "internal"
    assert environments(runner.cache) == []


def test_a_run_finds_the_byte_code_of_all_that_it_loads(warm: Runner, sandbox: Callable[[str], dict[str, str]]) -> None:
    """What a run loads of the packages was compiled when they were installed, and nothing more was."""
    (name,) = environments(warm.cache)
    folder = warm.cache / "threadfix-gate" / name
    code = """
import os, sys
sys.path.insert(0, sys.argv.pop(1))
from gate.cli import main
code = main(["run"])
for name, module in list(sys.modules.items()):
    if (getattr(module, "__file__", None) or "").startswith(sys.prefix) and module.__file__.endswith(".py"):
        print(name, os.path.exists(module.__cached__))
sys.exit(code)
"""
    done = subprocess.run(
        [folder / "bin/python", "-I", "-B", "-X", "utf8", "-c", code, ROOT],
        env=warm.env(sandbox("done")), capture_output=True, text=True, check=True,
    )  # fmt: skip
    compiled = dict(line.split() for line in done.stdout.splitlines())
    assert {"requests", "urllib3", "backoff", "actions_toolkit.core"} <= compiled.keys()
    assert set(compiled.values()) == {"True"}, compiled
    assert not list(packages(folder).glob("jinja2/**/*.pyc"))


def test_a_terminal_gets_plain_lines(warm: Runner, sandbox: Callable[[str], dict[str, str]]) -> None:
    """The packages are without what draws at a terminal; started by hand at one, the gate writes its log there."""
    ours, theirs = os.openpty()
    process = subprocess.Popen(
        warm.command("run"), cwd=warm.work, env=warm.env(sandbox("done") | {"GITHUB_ACTIONS": "", "TERM": "xterm"}),
        stdin=theirs, stdout=theirs, stderr=theirs,
    )  # fmt: skip
    os.close(theirs)
    sent = b""
    # Linux says EIO when the last one at the other end hangs up.
    with suppress(OSError):
        while chunk := os.read(ours, 4096):
            sent += chunk
    os.close(ours)
    assert process.wait(60) == 0
    assert b"PASS (processed" in sent
    assert b"\x1b" not in sent


def test_exit_code_is_the_gates(warm: Runner) -> None:
    """The step ends with the gate's exit code, and the outputs are the gate's."""
    done = warm.run("run")
    assert done.returncode == 2
    assert "reason" in (warm.home / "output").read_text(encoding="utf-8")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signals_reach_the_gate(warm: Runner, number: signal.Signals, code: int) -> None:
    """The process that the runner has started becomes the gate, so that a cancelled job still gets its outputs."""
    sandbox = warm.start("sandbox")
    assert sandbox.stdout
    env = dict(line.removeprefix("export ").strip().split("=", 1) for line in (next(sandbox.stdout) for _ in range(4)))
    process = warm.start("run", **env | {"THREADFIX_PENDING_SCAN_ID": "51", "THREADFIX_VERBOSE": "true"})
    assert process.stderr
    for line in process.stderr:
        if "200" in line:
            break
    process.send_signal(number)
    process.communicate()
    sandbox.terminate()
    sandbox.communicate()
    assert process.returncode == code
    assert "cancelled" in (warm.home / "output").read_text(encoding="utf-8")
