"""Fixtures for every test: the sandbox on a real socket, and the gate as a user runs it."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hypothesis
import pytest
from coverage import Coverage

from gate.cli import main
from gate.sandbox.server import API_KEY, APPLICATION_ID, ThreadFix, serving

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Mapping

    from gate.flow.signals import Signals
    from gate.sandbox.scenarios import Scenario

    Serve = Callable[..., str]

ROOT = Path(__file__).parent.parent

QUICK = {"THREADFIX_INTERVAL": "10ms", "THREADFIX_MAX_INTERVAL": "40ms"}
"""Short intervals, so that no status of a scenario at `SPEED` is missed. A test can override them with flags."""
SPEED = 40.0


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Return twice the number of cores for `--numprocesses auto`, because most tests wait most of the time."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return cores * 2


@dataclass(frozen=True)
class Ran:
    """The result of a run of the gate."""

    code: int
    out: str
    err: str
    document: dict[str, Any] = field(default_factory=dict)

    @property
    def last(self) -> str:
        """The line with the verdict; only its meaning and the advice follow."""
        return next(line for line in reversed(self.err.splitlines()) if line.startswith(("PASS ", "FAIL ", "UNKNOWN ")))


class Gate:
    """Runs `threadfix-gate run` against the sandbox, in this process or in a child process."""

    def __init__(self, threadfix: ThreadFix, url: str, folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
        self.threadfix = threadfix
        self.url = url
        self.folder = folder
        self._capfd = capfd

    @property
    def env(self) -> dict[str, str]:
        """The environment variables of a pipeline."""
        return {
            "THREADFIX_URL": self.url,
            "THREADFIX_API_KEY": API_KEY,
            "THREADFIX_APPLICATION_ID": str(APPLICATION_ID),
        }

    def play(self, scenario: Scenario, *args: str, env: Mapping[str, str] | None = None) -> Ran:
        """Queue a pending scan with this scenario and run the gate for it."""
        return self("--pending-scan-id", str(self.threadfix.add(scenario)), *args, env=env)

    def __call__(self, *args: str, env: Mapping[str, str] | None = None, signals: Signals | None = None) -> Ran:
        """Run the gate in this process. `env` extends and overrides the environment variables of the pipeline."""
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
        """Start the gate as a child process with its streams in pipes."""
        return subprocess.Popen(
            [sys.executable, "-m", "gate", "run", *args],
            env=dict(os.environ) | QUICK | self.env | dict(env or {}),
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )


KEPT = ("PATH", "HOME", "LANG", "LC_", "TMP", "TEMP", "LD_", "DYLD_", "COV", "PYTEST_", "HYPOTHESIS_")
"""Prefixes of the variables that a test may see: for programs, folders and the tools of the tests."""
KEPT_ON_WINDOWS = ("APPDATA", "COMSPEC", "LOCALAPPDATA", "PROGRAM", "SYSTEM", "USER", "WINDIR")
NETWORK = ("THREADFIX_", "GITHUB_", "RUNNER_", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_")


@pytest.fixture(autouse=True)
def clean_environment(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide the CI system, the terminal, the proxies and the trust stores of the machine from the tests.

    Tests in `tests/ci` start other programs, so only `NETWORK` and the proxies are hidden from them.
    """
    kept: tuple[str, ...] = KEPT + KEPT_ON_WINDOWS if sys.platform == "win32" else KEPT
    if request.path.is_relative_to(ROOT / "tests/ci"):
        kept = ("",)
    for name in list(os.environ):
        if not name.startswith(kept) or name.startswith(NETWORK) or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
def _unmeasured(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Do not measure the coverage of properties and of tests marked `unmeasured`, and of what they start.

    Measuring doubles their time, and other tests run the same code.
    """
    marked = request.path.is_relative_to(ROOT / "tests/properties") or request.node.get_closest_marker("unmeasured")
    coverage = Coverage.current() if marked else None
    if coverage:
        coverage.stop()
        monkeypatch.delenv("COVERAGE_PROCESS_CONFIG")
    yield
    if coverage:
        coverage.start()


@pytest.fixture
def on_a_runner(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the gate treat the captured log as a pipe, as on a runner. The gate writes no key into a regular file."""
    monkeypatch.setattr("gate.flow.context._is_file", lambda _: False)


@pytest.fixture
def threadfix() -> ThreadFix:
    """Return a ThreadFix that accelerates its scenarios."""
    return ThreadFix(speed=SPEED)


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Return a function with the arguments of `serving` that serves until the end of the test."""
    with ExitStack() as stack:
        yield lambda *args, **options: stack.enter_context(serving(*args, **options))


@pytest.fixture
def gate(threadfix: ThreadFix, serve: Serve, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Gate:
    """Return the gate and a sandbox for it."""
    return Gate(threadfix, serve(threadfix), tmp_path, capfd)


# Properties use the same examples in every run, so that no run fails by chance. `--hypothesis-profile random` draws new
# examples, twice as many, and prints how to reproduce a failure. Slow machines must not cause failures, so there is no
# deadline.
hypothesis.settings.register_profile("fixed", derandomize=True, deadline=None, max_examples=50)
hypothesis.settings.register_profile("random", derandomize=False, database=None, print_blob=True, deadline=None)
hypothesis.settings.load_profile("fixed")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--shuffle`."""
    parser.addoption(
        "--shuffle", metavar="SEED", help="run the tests in the order that this seed makes, or a `random` one"
    )


def pytest_configure(config: pytest.Config) -> None:
    """Draw the random seed in the main process, which is not measured, and use it in every worker."""
    # A shell lets a program in the background ignore SIGINT, and so would each program that a test starts.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    seed = config.getoption("shuffle", None)
    coverage = Coverage.current()
    if coverage and config.getoption("numprocesses", None):
        # The tests run in the workers.
        coverage.stop()
    if hasattr(config, "workerinput"):
        config.option.shuffle = config.workerinput["shuffle"]
    elif seed == "random":
        config.option.shuffle = str(random.randrange(10**6))  # noqa: S311 - not a secret


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:  # noqa: ANN401 - xdist has no types
    """Pass the seed to a worker."""
    node.workerinput["shuffle"] = node.config.getoption("shuffle", None)


def pytest_report_header(config: pytest.Config) -> list[str]:
    """Print the option that reproduces the order."""
    seed = config.getoption("shuffle", None)
    return [f"order of the tests: --shuffle {seed}"] if seed else []


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Shuffle the files, and the tests of each file, to reveal tests that depend on each other."""
    seed = config.getoption("shuffle", None)
    if seed:
        shuffled = random.Random(seed)  # noqa: S311 - not a secret
        files = {item.path: shuffled.random() for item in items}
        items.sort(key=lambda item: (files[item.path], shuffled.random()))


# Read it here: `clean_environment` removes it for the tests.
ALL_IS_HERE = os.environ.get("THREADFIX_GATE_CI") == "1"
ORDINARY = sys.platform != "win32" and os.geteuid() != 0
MAY_BE_SKIPPED = ("IPv6", "POSIX", "Windows", *(["root"] if ORDINARY else []))
"""Words in acceptable reasons for a skipped test: they depend on the machine or the user, not on a missing tool."""


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Fail skipped tests if THREADFIX_GATE_CI=1 declares that all tools are installed."""
    report = yield
    if ALL_IS_HERE and report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        if not any(name in reason for name in MAY_BE_SKIPPED):
            report.outcome = "failed"
            report.longrepr = f"{reason}; but THREADFIX_GATE_CI=1 says that all is here"
    return report
