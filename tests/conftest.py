"""What every test may use: the sandbox on a real socket, and the gate run as a user runs it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from gate.cli import main
from gate.sandbox.server import API_KEY, APPLICATION_ID, ThreadFix, serving

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Mapping

    from gate.sandbox.scenarios import Scenario

    Serve = Callable[..., str]

ROOT = Path(__file__).parent.parent

QUICK = ("--interval", "10ms", "--max-interval", "40ms")
"""Polls so often that a scenario at `SPEED` is followed closely."""
SPEED = 40.0


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

    def __call__(self, *args: str, env: Mapping[str, str] | None = None) -> Ran:
        """Run the gate in this process. `env` is added to what a pipeline would export; empty values are left out."""
        document = self.folder / "result.json"
        document.unlink(missing_ok=True)
        self._capfd.readouterr()
        with pytest.MonkeyPatch.context() as patch:
            for name, value in (self.env | dict(env or {})).items():
                patch.setenv(name, value)
            code = main(["run", *QUICK, "--result-file", str(document), *args])
        out, err = self._capfd.readouterr()
        return Ran(code, out, err, json.loads(document.read_text()) if document.exists() else {})

    def start(self, *args: str, env: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
        """Start the gate as a process of its own, its streams in pipes."""
        return subprocess.Popen(
            [sys.executable, "-m", "gate", "run", *QUICK, *args],
            env=dict(os.environ) | self.env | dict(env or {}),
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test sees the CI system, the proxies or the trust stores of the machine that it runs on."""
    for name in list(os.environ):
        if name.startswith(("THREADFIX_", "GITHUB_", "RUNNER_")) or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def on_a_runner(monkeypatch: pytest.MonkeyPatch) -> None:
    """A runner reads the log from a pipe; here a regular file stands for it, into which the gate writes no key."""
    monkeypatch.setattr("gate.desk._is_file", lambda _: False)


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


# Read here, because a test's own environment is cleaned of it.
ALL_IS_HERE = os.environ.get("THREADFIX_GATE_CI") == "1"
MAY_BE_SKIPPED = ("IPv6", "POSIX", "Windows")
"""What a reason to skip speaks of where no tool is missing: the machine itself is different."""


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
