"""The action's set-up on real runners: real interpreters, installations and signals."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest
from ruamel.yaml import YAML

from tests.bundle import bundle, locked

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    Done = subprocess.CompletedProcess[str]

pytestmark = [
    pytest.mark.ci,
    pytest.mark.skipif(os.name == "nt", reason="permissions and signals are POSIX's here; selftest.yml covers Windows"),
]

ROOT: Final = Path(__file__).parents[2]
PYTHON: Final = Path(sys.executable).resolve()
BASH: Final = shutil.which("bash") or "bash"
UNREACHABLE: Final = {"PIP_INDEX_URL": "http://127.0.0.1:9/simple", "PIP_RETRIES": "0", "PIP_FIND_LINKS": ""}
"""No network: nothing listens there."""
NO_PYTHON: Final = {"THREADFIX_PYTHON": "/nowhere"}
KEY: Final = "secret 100%"
MASK: Final = "::add-mask::secret 100%25"
ANNOUNCED: Final = "This ref of threadfix-gate is no release: installing the packages of requirements/action.lock"
SHADOWED: Final = ("gate", "requests", "click", "pip", "sitecustomize", "usercustomize", "zipimport", "zlib")
"""Modules that a hostile repository would like to slip in."""


class Runner:
    """A runner's folders, and the environment that it gives a step."""

    def __init__(self, home: Path, action: Path) -> None:
        self.home, self.action, self.log = home, action, subprocess.PIPE
        # The working directory is the checked-out repository, and `bin` is the first folder in PATH.
        self.cache, self.temp, self.work, self.bin = (home / name for name in ("tool cache", "temp", "work", "bin"))
        for folder in (self.cache, self.temp, self.work, self.bin, home / "home"):
            folder.mkdir(parents=True, exist_ok=True)
        for name in ("output", "env", "path", "summary"):
            (home / name).touch()

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
            "GITHUB_STEP_SUMMARY": str(self.home / "summary"),
            **{f"GITHUB_{name.upper()}": str(self.home / name) for name in ("output", "env", "path")},
            "RUNNER_TOOL_CACHE": str(self.cache),
            "RUNNER_TEMP": str(self.temp),
        }
        return {name: value for name, value in (taken | dict(more)).items() if value}

    def command(self, *args: str) -> list[str]:
        return [BASH, "-p", str(self.action / "action/setup.sh"), *args]

    def step(self, **env: str) -> Done:
        (step,) = YAML(typ="safe").load((self.action / "action.yml").read_text(encoding="utf-8"))["runs"]["steps"]
        shell = {"bash": "bash --noprofile --norc -e -o pipefail {0}"}.get(step["shell"], step["shell"])
        written = script(self.home / "step.sh", step["run"])
        command = [argument.format(written) for argument in shell.split()]
        taken = self.env({"GITHUB_ACTION_PATH": str(self.action), **env})
        return subprocess.run(command, cwd=self.work, env=taken, capture_output=True, text=True, check=False)

    def start(self, *args: str, before: Sequence[str] = (), **env: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [*before, *self.command(*args)], cwd=self.work, env=self.env(env), stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=self.log, text=True, start_new_session=True,
        )  # fmt: skip

    def run(self, *args: str, before: Sequence[str] = (), **env: str) -> Done:
        process = self.start(*args, before=before, **env)
        out, log = process.communicate()
        return subprocess.CompletedProcess(process.args, process.returncode, out, log)

    def outputs(self) -> dict[str, str]:
        """Return the outputs that have one line, as a later step reads them."""
        lines = (self.home / "output").read_text(encoding="utf-8").splitlines()
        return dict(line.split("=", 1) for line in lines if "=" in line)

    def has_python(self, name: str = "python3") -> None:
        (self.bin / name).symlink_to(PYTHON)

    def has_old_pythons(self) -> str:
        """Have only a Python 3.9, a Python 2 and a program that is none. Return the PATH to them."""
        for name, version in {"python3": (3, 9), "python": (2, 7)}.items():
            reporting(self.bin / name, version)
        script(self.bin / "python3.12", "echo Python was not found; exit 9")
        return str(self.bin)


def script(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
    path.chmod(0o755)
    return path


def reporting(path: Path, version: tuple[int, int]) -> Path:
    """Write a Python that reports another version."""
    code = f"import sys; sys.version_info = {(*version, 0, 'final', 0)}; exec(sys.argv.pop(1))"
    # The set-up asks with -I -S -c CODE.
    return script(path, f'shift 3\nexec "{PYTHON}" -I -S -c "{code}" "$@"')


def published(action: Path, *, release: bool = True) -> Path:
    """Fill a folder with the action as it is fetched: a release has the single file."""
    for name in ("gate", "action"):
        shutil.copytree(ROOT / name, action / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "requirements", action / "requirements")
    shutil.copy(ROOT / "action.yml", action)
    if release:
        bundle(action / "dist/threadfix-gate.pyz")
    return action


@pytest.fixture(scope="session")
def released(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The action of a release, in a path with a blank and backslashes."""
    return published(tmp_path_factory.mktemp("released") / "D:\\a\\my action")


@pytest.fixture(scope="session")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The action of a ref that is no release."""
    return published(tmp_path_factory.mktemp("sources") / "my action", release=False)


@pytest.fixture
def runner(tmp_path: Path, released: Path) -> Runner:
    """Return a runner with a Python, and the action of a release."""
    runner = Runner(tmp_path / "my runner", released)
    runner.has_python()
    return runner


@pytest.fixture
def bare(tmp_path: Path, sources: Path) -> Runner:
    """Return a runner with a Python, and the action of a ref that is no release."""
    runner = Runner(tmp_path / "my runner", sources)
    runner.has_python()
    return runner


@pytest.fixture
def honest(need_tool: Callable[[str], Path]) -> list[str]:
    """A command that makes another heed permissions even if the tests run as root."""
    if os.geteuid():
        return []
    return [str(need_tool("setpriv")), "--bounding-set=-dac_override,-dac_read_search"]


def works(done: Done) -> bool:
    """Return whether the gate itself has printed its version."""
    return done.returncode == 0 and done.stdout.startswith("threadfix-gate ")


def written(folder: Path) -> set[str]:
    """Return the files and folders below a folder, by relative name."""
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*")}


def traps(runner: Runner) -> dict[str, str]:
    """Fill the working directory with modules that report themselves and settings of pip. Return variables for them."""
    for name in SHADOWED:
        trap = f"open({str(runner.home / 'trapped')!r}, 'a').write({name!r})\n"
        (runner.work / f"{name}.py").write_text(trap, encoding="utf-8")
    (runner.work / "pip").mkdir()
    (runner.work / "pip/pip.conf").write_text("[install]\nrequirement = /nowhere/file\n", encoding="utf-8")
    elsewhere = str(runner.home / "elsewhere")
    return {
        **dict.fromkeys(("PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP"), str(runner.work)),
        **dict.fromkeys(("PIP_TARGET", "PIP_PREFIX", "PIP_LOG", "PIP_CACHE_DIR"), elsewhere),
        "PIP_USER": "1",
        "PIP_NO_BINARY": ":all:",
        "PIP_CONFIG_FILE": str(runner.work / "pip/pip.conf"),
        "XDG_CONFIG_HOME": str(runner.work),
    }


@contextmanager
def silent_server() -> Iterator[tuple[socket.socket, str]]:
    """Serve a URL that takes connections and never responds."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(60)
        yield server, f"http://127.0.0.1:{server.getsockname()[1]}"


# --- A release: the single file.


def test_a_release_starts_without_a_word(runner: Runner) -> None:
    """The single file starts without an index; nothing is printed or written, also in a read-only cache."""
    runner.cache.chmod(0o555)
    before = written(runner.home), written(runner.action)
    done = runner.run("--version", THREADFIX_API_KEY=KEY, **UNREACHABLE, **traps(runner))
    assert works(done), done.stderr
    assert done.stderr == ""
    by_traps = {f"work/{name}.py" for name in SHADOWED} | {"work/pip", "work/pip/pip.conf"}
    assert written(runner.home) - by_traps == before[0]
    assert written(runner.action) == before[1]
    assert all((runner.home / name).read_text(encoding="utf-8") == "" for name in ("env", "path", "output"))


@pytest.mark.parametrize("command", ["", "run", "doctor"])
def test_the_command_is_an_input(runner: Runner, command: str) -> None:
    """Without arguments, as action.yml starts the set-up, advice names inputs and no flags."""
    done = runner.run(THREADFIX_COMMAND=command, THREADFIX_URL="ftp://tf.example.com")
    assert (done.returncode, "checking" in done.stderr) == (2, command == "doctor")
    assert re.search("(?<!--)url: .*is not an http or https URL", done.stderr)


@pytest.mark.parametrize("command", ["demo", "run --insecure", "$(id)", "doctor\nrun", "--help"])
def test_another_command_is_a_usage_error(runner: Runner, command: str) -> None:
    """The input starts no other command, its value is not repeated, and the outputs have the reason."""
    done = runner.run(THREADFIX_COMMAND=command, THREADFIX_API_KEY=KEY)
    assert done.returncode == 2
    assert "is neither run nor doctor" in done.stderr
    assert command not in done.stderr
    outputs = runner.outputs()
    assert outputs.pop("message")
    assert outputs == {"verdict": "unknown", "reason": "usage", "exit-code": "2"}


SIGNALS: Final = pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])


@SIGNALS
def test_signals_reach_the_gate(runner: Runner, number: signal.Signals, code: int) -> None:
    """The process that the runner has started becomes the gate, so that a cancelled job still gets its outputs."""
    with silent_server() as (server, url):
        scan = {"THREADFIX_APPLICATION_ID": "6", "THREADFIX_PENDING_SCAN_ID": "51"}
        process = runner.start("run", THREADFIX_URL=url, THREADFIX_API_KEY=KEY, **scan)
        connection, _ = server.accept()
        process.send_signal(number)
        process.communicate(timeout=60)
        connection.close()
    assert process.returncode == code
    assert "cancelled" in (runner.home / "output").read_text(encoding="utf-8")


@pytest.mark.parametrize("damage", ["empty", "text", "cut", "bytes"])
def test_a_damaged_file_is_no_verdict(runner: Runner, tmp_path: Path, damage: str) -> None:
    """Python ends with 1, a fail, if it cannot read the file: the set-up looks first."""
    action = tmp_path / "damaged"
    shutil.copytree(runner.action, action)
    file = action / "dist/threadfix-gate.pyz"
    whole = file.read_bytes()
    start = whole.index(b"__main__.py")
    texts = {"empty": b"", "text": b"version https://git-lfs.github.com/spec/v1\n", "cut": whole[: len(whole) // 2]}
    file.write_bytes(texts.get(damage, whole[: start + 60] + b"\xff" * 40 + whole[start + 100 :]))
    done = Runner(runner.home, action).run("run")
    assert done.returncode == 70
    assert "threadfix-gate.pyz is damaged" in done.stderr
    assert runner.outputs()["exit-code"] == "70"


def test_only_the_gate_gets_the_key(runner: Runner) -> None:
    """The Python of the input starts three times; a Python in PATH is not tried."""
    named = script(runner.home / "my python", f'env >>"{runner.home}/seen"\nexec "{PYTHON}" "$@"')
    done = runner.run("run", THREADFIX_PYTHON=str(named), THREADFIX_API_KEY="secret")
    seen = (runner.home / "seen").read_text(encoding="utf-8")
    assert seen.count("RUNNER_TOOL_CACHE") == 3
    assert seen.count("THREADFIX_API_KEY") == 1
    without = runner.run("run", THREADFIX_PYTHON=str(named))
    assert "the API key is missing" in without.stderr
    assert "the API key is missing" not in done.stderr


@pytest.mark.parametrize("name", ["python", "python3.14", "python3.10"])
def test_old_pythons_and_other_programs_are_passed_over(runner: Runner, name: str) -> None:
    path = runner.has_old_pythons()
    (runner.bin / name).unlink(missing_ok=True)
    runner.has_python(name)
    done = runner.run("--version", PATH=path)
    assert works(done), done.stderr


@pytest.mark.parametrize(
    ("release", "remedy"),
    [
        ('ID="rocky"\nID_LIKE="rhel centos fedora"\nVERSION_ID="9.4"\n', "dnf install python3.12"),
        ('ID="ol"\nID_LIKE="fedora"\nVERSION_ID="8.9"\n', "dnf install python3.12"),
        ('ID="amzn"\nID_LIKE="fedora"\nVERSION_ID="2023"\n', "dnf install python3.12"),
        ('ID="amzn"\nID_LIKE="centos rhel fedora"\nVERSION_ID="2"\n', "actions/setup-python"),
        ('ID="rhel"\nVERSION_ID="7.9"\n', "actions/setup-python"),
        (None, "actions/setup-python"),
    ],
)
def test_the_error_names_all_programs_and_the_systems_remedy(
    runner: Runner, tmp_path: Path, release: str | None, remedy: str
) -> None:
    action = tmp_path / "action"
    shutil.copytree(runner.action / "action", action / "action")
    text = (action / "action/setup.sh").read_text(encoding="utf-8")
    assert text.count("</etc/os-release") == 1
    text = text.replace("</etc/os-release", f"<'{tmp_path}/os-release'")
    (action / "action/setup.sh").write_text(text, encoding="utf-8")
    if release is not None:
        (tmp_path / "os-release").write_text(release, encoding="utf-8")
    done = Runner(runner.home, action).run("run", PATH=runner.has_old_pythons())
    assert done.returncode == 70
    found = "python3 is Python 3.9; python is Python 2.7; python3.14 is missing"
    assert f"Python 3.10 or later. Found: {found}" in done.stderr
    assert remedy in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("cache", "program"), [("", "bin/python"), ("C:\\hosted tool cache", "python.exe")], ids=["posix", "windows"]
)
def test_the_newest_finished_version_in_the_tool_cache_is_used(runner: Runner, cache: str, program: str) -> None:
    """The path of Windows has backslashes."""
    path = runner.has_old_pythons()
    if cache:
        script(runner.bin / "cygpath", f'[ "$1 $2" = "-u {cache}" ] && echo "{runner.cache}"')
    for name in ("3.9.20/x64", "3.12.4/x64", "3.12.10/x64", "3.15.0-beta.1/x64"):
        chosen = f'echo {name} >>"{runner.home}/chosen"\nexec "{PYTHON}" "$@"'
        script(runner.cache / "Python" / name / program, chosen)
    done = runner.run("--version", PATH=path, RUNNER_TOOL_CACHE=cache or str(runner.cache))
    assert works(done), done.stderr
    assert set((runner.home / "chosen").read_text(encoding="utf-8").splitlines()) == {"3.12.10/x64"}


@pytest.mark.parametrize(
    ("named", "problem"),
    [
        *((name, "is missing") for name in ("/nowhere/<b>python</b>", "exec", "-c", "python3 -X dev")),
        *((name, "does not run as Python 3") for name in ("true", "/bin/echo", "crashing")),
        ("old", "is Python 3.9"),
    ],
)
def test_python_input_that_does_not_fit(runner: Runner, named: str, problem: str) -> None:
    """A wrong Python cannot start the gate. No other Python takes its place, and its exit code 0 is no pass.

    Later steps read unknown, never nothing, and people read the cause and the remedy in the summary.
    """
    places = {
        "old": reporting(runner.home / "old", (3, 9)),
        "crashing": script(runner.home / "crashing", "kill -SEGV $$"),
    }
    path = str(places.get(named, named))
    done = runner.run("--version", THREADFIX_PYTHON=path)
    assert done.returncode == 70
    assert f"Found: {path} {problem}" in done.stderr
    outputs = runner.outputs()
    assert outputs.pop("message")
    assert outputs == {"verdict": "unknown", "reason": "internal", "exit-code": "70"}
    heading, cause, remedy = filter(None, (runner.home / "summary").read_text(encoding="utf-8").splitlines())
    assert heading == "## ❔ ThreadFix gate: unknown (internal)"
    assert f"{path} {problem}".replace("<", "&lt;") in cause
    assert remedy.startswith("**What to do:** Correct the input `python`")


@pytest.mark.parametrize(
    ("key", "first"), [(f" {KEY}\n", MASK), *((key, "::error") for key in ("", " \t\n", "two\nlines", "two\rlines"))]
)
def test_the_key_is_masked_before_any_other_output(runner: Runner, key: str, first: str) -> None:
    """A key is masked, as the gate sends it, before any other text is printed; a key of several lines cannot be."""
    done = runner.run("run", THREADFIX_API_KEY=key, **NO_PYTHON)
    assert done.returncode == 70
    assert done.stderr.startswith(first)
    assert "lines" not in done.stderr


@pytest.mark.parametrize("release", [True, False])
def test_a_trace_does_not_show_the_key(runner: Runner, sources: Path, *, release: bool) -> None:
    """If the job's environment traces every shell, the trace ends before the key can be in it."""
    runner = runner if release else Runner(runner.home, sources)
    options = {"SHELLOPTS": "braceexpand:errexit:hashall:nounset:pipefail:verbose:xtrace", "PS4": "+ "}
    done = runner.run("run", THREADFIX_API_KEY=KEY, **options, **UNREACHABLE)
    assert done.returncode == (2 if release else 70)
    before, mask, _ = done.stderr.partition(MASK)
    assert mask
    assert "secret" not in before
    assert "secret" not in done.stderr.replace(MASK, "")


def test_the_key_is_in_no_file_that_takes_the_log(runner: Runner) -> None:
    with (runner.home / "log").open("w+", encoding="utf-8") as file:
        runner.log = file.fileno()
        assert runner.run("run", THREADFIX_API_KEY=KEY, **NO_PYTHON).returncode == 70
        file.seek(0)
        assert "secret" not in file.read()


def test_a_reader_that_hangs_up_changes_no_exit_code(runner: Runner) -> None:
    ours, runner.log = os.pipe()
    os.close(ours)
    assert runner.run("run", **NO_PYTHON).returncode == 70
    os.close(runner.log)
    assert runner.outputs()["exit-code"] == "70"


FULL: Final = {"log": "/dev/full", "GITHUB_OUTPUT": "/dev/full", "GITHUB_STEP_SUMMARY": "/dev/full"}
WRITES: Final = {
    "the log is closed": (70, NO_PYTHON | {"log": ""}),
    "the output is a folder": (70, NO_PYTHON | {"GITHUB_OUTPUT": "/"}),
    "the output is another user's": (70, NO_PYTHON | {"GITHUB_OUTPUT": "locked"}),
    "the summary is another user's": (70, NO_PYTHON | {"GITHUB_STEP_SUMMARY": "locked"}),
    "all is full": (70, NO_PYTHON | FULL),
    "all is full after another command": (2, FULL | {"THREADFIX_COMMAND": "demo"}),
    "all is full without a package": (70, FULL | UNREACHABLE),
    "no folder can be made": (70, {"RUNNER_TEMP": "/nowhere"}),
    "all is full in an environment of errors": (70, NO_PYTHON | FULL | {"SHELLOPTS": "errexit:nounset:pipefail"}),
}


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
@pytest.mark.parametrize(("code", "env"), WRITES.values(), ids=WRITES)
def test_the_exit_code_needs_no_writing(bare: Runner, honest: list[str], code: int, env: dict[str, str]) -> None:
    """The exit code is decided before anything is written. A write that fails never makes it 1, a fail."""
    locked_file = bare.home / "locked"
    locked_file.touch()
    locked_file.chmod(0o444)
    env = {name: str(locked_file) if path == "locked" else path for name, path in env.items()}
    log = env.pop("log", os.devnull)
    redirect = f'exec "$@" 2>{log}' if log else 'exec "$@" 2>&-'
    done = bare.run(before=[*honest, BASH, "-c", redirect, "-"], THREADFIX_API_KEY=KEY, **env)
    assert done.returncode == code


@pytest.mark.parametrize(
    "hostile",
    [
        {"SHELLOPTS": "noexec"}, {"BASH_ENV": "ends"}, {"BASH_FUNC_exec%%": "() { exit 0; }"},
        {"BASH_FUNC_set%%": "() { exit 1; }"}, {"BASH_FUNC_exit%%": "() { builtin exit 1; }"},
    ],
)  # fmt: skip
def test_no_variable_for_bash_ends_the_step(runner: Runner, hostile: dict[str, str]) -> None:
    """The job's environment may have options, functions and a script for each shell."""
    (runner.work / "ends").write_text("exit 0", encoding="utf-8")
    done = runner.step(**NO_PYTHON, **hostile)
    assert (done.returncode, runner.outputs()["reason"]) == (70, "internal")


# --- A ref that is no release: the packages are installed for one step.


def test_only_the_locked_packages_are_installed(bare: Runner) -> None:
    """They go into a new folder in RUNNER_TEMP, despite pip's other settings; no other file is written or run."""
    before = written(bare.action)
    done = bare.run("--version", THREADFIX_API_KEY=KEY, **traps(bare))
    assert works(done), done.stderr
    assert done.stderr.splitlines() == [MASK, ANNOUNCED]
    (folder,) = bare.temp.iterdir()
    assert {path.name.partition("-")[0].lower().replace("_", "-") for path in folder.glob("*.dist-info")} == locked(
        "requirements/action.lock"
    )
    assert not (bare.home / "trapped").exists()
    assert not list(bare.home.glob("elsewhere*"))
    assert written(bare.action) == before
    assert written(bare.home / "home") == written(bare.cache) == set()
    assert written(bare.work) == {*(f"{name}.py" for name in SHADOWED), "pip", "pip/pip.conf"}


def test_without_an_index(bare: Runner) -> None:
    """An installation that fails ends with pip's words in a folded group, a sentence, and no half of it.

    The runner takes no commands while the words of pip and of an index are printed.
    """
    done = bare.run("run", **UNREACHABLE)
    assert done.returncode == 70
    announced, group, stop, *lines, resume, end, error = done.stderr.splitlines()
    assert announced == ANNOUNCED
    assert group.startswith("::group::")
    assert re.fullmatch("::stop-commands::[0-9]{10,}", stop)
    assert any("127.0.0.1" in line for line in lines)
    assert resume == f"::{stop.removeprefix('::stop-commands::')}::"
    assert end == "::endgroup::"
    assert error.startswith("::error title=threadfix-gate: internal::The gate's packages could not be installed: ERROR")
    assert "PIP_INDEX_URL" in error
    assert list(bare.temp.iterdir()) == []


def test_a_python_without_pip_is_named(bare: Runner) -> None:
    subprocess.run([PYTHON, "-I", "-m", "venv", "--without-pip", bare.home / "bare"], check=True)
    done = bare.run("run", THREADFIX_PYTHON=str(bare.home / "bare/bin/python"))
    assert done.returncode == 70
    assert "No module named pip" in done.stderr.splitlines()[-1]


@SIGNALS
def test_cancelled_set_up_stops_pip_and_leaves_a_verdict(bare: Runner, number: signal.Signals, code: int) -> None:
    """A job that is cancelled while pip waits for its index: pip is stopped, and later steps read the reason."""
    with silent_server() as (server, url):
        process = bare.start("run", **UNREACHABLE | {"PIP_INDEX_URL": url, "PIP_DEFAULT_TIMEOUT": "600"})
        connection, _ = server.accept()
        process.send_signal(number)
        _, log = process.communicate(timeout=60)
        with connection:
            connection.settimeout(60)
            while connection.recv(65536):
                pass
    assert process.returncode == code
    assert "cancelled" in log
    assert "Traceback" not in log
    assert "unknown (cancelled)" in (bare.home / "summary").read_text(encoding="utf-8")
    assert list(bare.temp.iterdir()) == []
    outputs = bare.outputs()
    assert number.name in outputs.pop("message")
    assert outputs == {"verdict": "unknown", "reason": "cancelled", "exit-code": str(code)}
