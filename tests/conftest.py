"""What every test may use: the sandbox on a real socket, and the gate run as a user runs it."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hypothesis
import pytest

from gate.cli import main
from gate.sandbox.server import API_KEY, APPLICATION_ID, ThreadFix, serving

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Mapping

    from gate.sandbox.scenarios import Scenario
    from gate.signals import Signals

    Serve = Callable[..., str]

ROOT = Path(__file__).parent.parent

QUICK = {"THREADFIX_INTERVAL": "10ms", "THREADFIX_MAX_INTERVAL": "40ms"}
"""Polls so often that a scenario at `SPEED` is followed closely. A flag overrides it, and may not be given twice."""
SPEED = 40.0


def pytest_xdist_auto_num_workers() -> int:
    """How many workers `--numprocesses auto` means: twice the cores, since most tests wait for something."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return cores * 2


@dataclass(frozen=True)
class Ran:
    """What a run of the gate left behind."""

    code: int
    out: str
    err: str
    document: dict[str, Any] = field(default_factory=dict)

    @property
    def last(self) -> str:
        """The last line of the log: the verdict."""
        return self.err.rstrip("\n").rpartition("\n")[2]


class Gate:
    """Runs `threadfix-gate run` against the sandbox, in this process or in one of its own."""

    def __init__(self, threadfix: ThreadFix, url: str, folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
        self.threadfix = threadfix
        self.url = url
        self.folder = folder
        self._capfd = capfd

    @property
    def env(self) -> dict[str, str]:
        """What a pipeline would export."""
        return {
            "THREADFIX_URL": self.url,
            "THREADFIX_API_KEY": API_KEY,
            "THREADFIX_APPLICATION_ID": str(APPLICATION_ID),
        }

    def play(self, scenario: Scenario, *args: str, env: Mapping[str, str] | None = None) -> Ran:
        """Queue a pending scan with this scenario, and run the gate on it."""
        return self("--pending-scan-id", str(self.threadfix.add(scenario)), *args, env=env)

    def __call__(self, *args: str, env: Mapping[str, str] | None = None, signals: Signals | None = None) -> Ran:
        """Run the gate in this process. `env` is added to what a pipeline would export; empty values are left out."""
        document = self.folder / "result.json"
        document.unlink(missing_ok=True)
        self._capfd.readouterr()
        with pytest.MonkeyPatch.context() as patch:
            for name, value in (QUICK | {"THREADFIX_RESULT_FILE": str(document)} | self.env | dict(env or {})).items():
                patch.setenv(name, value)
            code = main(["run", *args], signals)
        out, err = self._capfd.readouterr()
        return Ran(code, out, err, json.loads(document.read_text()) if document.exists() else {})

    def start(self, *args: str, env: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
        """Start the gate as a process of its own, its streams in pipes."""
        return subprocess.Popen(
            [sys.executable, "-m", "gate", "run", *args],
            env=dict(os.environ) | QUICK | self.env | dict(env or {}),
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )


KEPT = ("PATH", "HOME", "LANG", "LC_", "TMP", "TEMP", "LD_", "DYLD_", "COV", "PYTEST_", "HYPOTHESIS_")
"""What the names of variables begin with that a test may see, for programs, folders, and the tests' own tools."""
KEPT_ON_WINDOWS = ("APPDATA", "COMSPEC", "LOCALAPPDATA", "PROGRAM", "SYSTEM", "USER", "WINDIR")
NETWORK = ("THREADFIX_", "GITHUB_", "RUNNER_", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_")


@pytest.fixture(autouse=True)
def clean_environment(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test sees the CI system, the terminal, the proxies or the trust stores of the machine that it runs on.

    Those that drive other programs see more: how to reach the network, and whatever such a program may want.
    """
    kept: tuple[str, ...] = KEPT + KEPT_ON_WINDOWS if sys.platform == "win32" else KEPT
    if request.path.is_relative_to(ROOT / "tests/ci"):
        kept = ("",)
    for name in list(os.environ):
        if not name.startswith(kept) or name.startswith(NETWORK) or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)


@pytest.fixture
def on_a_runner(monkeypatch: pytest.MonkeyPatch) -> None:
    """A runner reads the log from a pipe; here a regular file stands for it, into which the gate writes no key."""
    monkeypatch.setattr("gate.commands.context._is_file", lambda _: False)


@pytest.fixture
def threadfix() -> ThreadFix:
    """The state of a ThreadFix whose scenarios walk quickly."""
    return ThreadFix(speed=SPEED)


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Serves a `ThreadFix` until the test is over; its base URL. Takes what `serving` takes."""
    with ExitStack() as stack:
        yield lambda *args, **options: stack.enter_context(serving(*args, **options))


@pytest.fixture
def gate(threadfix: ThreadFix, serve: Serve, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Gate:
    """The gate, and a sandbox for it to ask."""
    return Gate(threadfix, serve(threadfix), tmp_path, capfd)


# The properties look at the same examples every time, so that nobody's run is red by chance; for others there is
# `--hypothesis-profile random`, which prints what brings an example back. A slow machine is no failure.
hypothesis.settings.register_profile("fixed", derandomize=True, deadline=None)
hypothesis.settings.register_profile("random", derandomize=False, database=None, print_blob=True, deadline=None)
hypothesis.settings.load_profile("fixed")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option that shuffles the tests."""
    parser.addoption(
        "--shuffle", metavar="SEED", help="run the tests in the order that this seed makes, or a `random` one"
    )


def pytest_configure(config: pytest.Config) -> None:
    """Draw the seed where none is given, or take over what was drawn for all workers."""
    seed = config.getoption("shuffle", None)
    if hasattr(config, "workerinput"):
        config.option.shuffle = config.workerinput["shuffle"]
    elif seed == "random":
        config.option.shuffle = str(random.randrange(10**6))  # noqa: S311 - not a secret


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:  # noqa: ANN401 - xdist's, which has no types
    """Tell a worker the seed."""
    node.workerinput["shuffle"] = node.config.getoption("shuffle", None)


def pytest_report_header(config: pytest.Config) -> list[str]:
    """Say how to get this order again."""
    seed = config.getoption("shuffle", None)
    return [f"order of the tests: --shuffle {seed}"] if seed else []


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Shuffle the files, and the tests of each: one that needs another to have run before does not stay hidden."""
    seed = config.getoption("shuffle", None)
    if seed:
        shuffled = random.Random(seed)  # noqa: S311 - not a secret
        files = {item.path: shuffled.random() for item in items}
        items.sort(key=lambda item: (files[item.path], shuffled.random()))


# Read here, because a test's own environment is cleaned of it.
ALL_IS_HERE = os.environ.get("THREADFIX_GATE_CI") == "1"
ORDINARY = sys.platform != "win32" and os.geteuid() != 0
MAY_BE_SKIPPED = ("IPv6", "POSIX", "Windows", *(["root"] if ORDINARY else []))
"""What a reason to skip speaks of where no tool is missing: the machine is different, or the user may do less."""


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Where THREADFIX_GATE_CI=1 says that all is here, a test that is skipped has failed."""
    report = yield
    if ALL_IS_HERE and report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        if not any(name in reason for name in MAY_BE_SKIPPED):
            report.outcome = "failed"
            report.longrepr = f"{reason}; but THREADFIX_GATE_CI=1 says that all is here"
    return report
