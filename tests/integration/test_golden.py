"""The log, the reports and the outputs of each scenario of the sandbox, as files that a reviewer can compare.

The sandbox's clock moves on with each request, so that the same statuses are seen on each machine. Times, ports and
numbers of polls are replaced. `make golden` writes the files again.
"""

from __future__ import annotations

import json
import os
import re
import sys
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from gate import __main__ as program
from gate.cli import main
from gate.model.reasons import Reason
from gate.sandbox import scenarios
from gate.sandbox.scenarios import SCENARIOS
from gate.sandbox.server import ThreadFix, environment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from gate.sandbox.scenarios import Scenario
    from tests.conftest import Serve

    Run = Callable[..., tuple[int, str, str]]

FOLDER: Final = Path(__file__).parents[1] / "golden"
# Read at import time, because each test has a clean environment.
WRITES: Final = os.environ.get("GOLDEN") == "write"

STEP: Final = 0.5
"""The seconds between two requests on the sandbox's clock."""
LONG_STEPS: Final = {"slow": 2.0}
LIMITS: Final = {
    "interval": "10ms",
    "max-interval": "10ms",
    "timeout": "20s",
    "first-contact-limit": "200ms",
    "outage-limit": "20s",
    "settle-timeout": "20s",
    "request-timeout": "20s",
}
"""Time limits that end a run only in scenarios about them."""
TIGHT: Final = {
    "late": {"first-contact-limit": "20s"},
    "policy-stale": {"settle-timeout": "200ms"},
    "slow-body": {"request-timeout": "300ms"},
    # At most two polls: the first, and the last at the deadline. A further poll could be in flight at the deadline.
    "stuck": {"timeout": "300ms", "interval": "20s", "max-interval": "20s"},
    "vanishes": {"outage-limit": "100ms"},
}
BEGUN: Final = {"stuck": 1.5}
"""The seconds since a scan began. Each poll shows the same status, because a slow start leaves time for only one."""
QUIET: Final = frozenset({"done", "flaky", "interrupted", "criteria-fail", "upload-refused"})
"""Scenarios with a golden log of --quiet."""
DOCTOR: Final = frozenset({"done", "bad-key", "login-page", "read-only-key", "criteria-forbidden", "slow-body"})
"""Scenarios with golden checks of doctor."""
REPORTS: Final = ("result-file", "junit-file", "dotenv-file", "html-file")
GITHUB: Final = {
    "GITHUB_ACTIONS": "true",
    "GITHUB_REPOSITORY": "octo/shop",
    "GITHUB_SHA": "a" * 40,
    "GITHUB_REF_NAME": "main",
    "GITHUB_SERVER_URL": "https://github.example",
    "GITHUB_RUN_ID": "7",
    "GITHUB_ACTOR": "octocat",
    "THREADFIX_GATE_ACTION": "1",
}
GITLAB: Final = {
    "CI": "true",
    "GITLAB_CI": "true",
    "CI_PROJECT_PATH": "octo/shop",
    "CI_COMMIT_SHA": "b" * 40,
    "CI_COMMIT_REF_NAME": "main",
    "CI_JOB_URL": "https://gitlab.example/octo/shop/-/jobs/7",
}

REPLACED: Final[tuple[tuple[str, str | Callable[[re.Match[str]], str]], ...]] = (
    (r"&#(\d\d);", lambda code: chr(int(code[1]))),
    (r"(&#x27;|&apos;|')PYTHON\1", "PYTHON"),  # a path with a blank is quoted
    (r"\b127\.0\.0\.1(:|, port )\d+", r"127.0.0.1\1PORT"),
    (r"(?s)<svg.*</svg>", "<svg/>"),
    (r"jsessionid=[0-9A-F]{32}", "jsessionid=SESSION"),
    (r"sha256-[A-Za-z0-9+/=]+", "DIGEST"),
    (r'"(elapsed_seconds|polls|errors)":[0-9.]+', r'"\1":N'),
    (r" *[▏▎▍▌▋▊▉█]+", " BAR"),
    (r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+]00:00| UTC)?", "TIME"),
    (r"\b\d\d:\d\d:\d\d( UTC)?\b", "TIME"),
    (r"\b(\d+(\.\d+)? ?(ms|s|min|m|h)\b ?)+", "SPAN "),
    (r"\b\d+ (failed |of them |)(poll|error|request|attempt|failed)s?\b", r"N \1\2s"),
    (r'(<td class="number">)\d+', r"\1N"),
    (r"<dt>polls</dt><dd>\d+", "<dt>polls</dt><dd>N"),
    (r"(?m)^.*(no response, SPAN|cut off at the deadline).*\n", ""),
    (r"had been (\w+) for SPAN when", r"was \1 when"),
    (r"(?m)^(.*\n)\1+", r"\1"),
    (r"\bPT?[0-9.]+S\b", "SPAN"),
    (r"ghadelimiter_[0-9a-f-]+", "DELIMITER"),
    (r"(--?[a-z-]+:\s*|[a-z-]+: )[-0-9.]+(%|px)", r"\1N"),
    (r"(?<=[ \"])[0-9.]+(%|px)", "N"),
    (r"(elapsed|time)=\"[0-9.]+\"", r'\1="N"'),
    (r"(ELAPSED_SECONDS|POLLS)=[0-9.]+", r"\1=N"),
    (r"(?m)^(elapsed-seconds|polls)(<<DELIMITER)\n[0-9.]+$", r"\1\2\nN"),
    (r"clock_ahead[^,]*", "clock_ahead"),
    (r"(?<=\S) {2,}", " "),
    (r"(?m)[ \t]+$", ""),
)
NUMBERS: Final = frozenset(
    {"elapsed_seconds", "polls", "errors", "at", "began", "ended", "first_seen", "last_seen", "lasted", "seconds"}
)


def normal(text: str, folder: Path) -> str:
    """Return a text with a placeholder for each part that differs from run to run."""
    text = text.replace(str(folder), "FOLDER").replace(sys.executable, "PYTHON")
    for pattern, instead in REPLACED:
        text = re.sub(pattern, instead, text)
    return text


def steady(value: Any) -> Any:  # noqa: ANN401 - any JSON
    """Return JSON without its times and counts of polls."""
    if isinstance(value, dict):
        return {name: "N" if is_unsteady(name, inner) else steady(inner) for name, inner in value.items()}
    return [steady(inner) for inner in value] if isinstance(value, list) else value


def is_unsteady(name: str, value: object) -> bool:
    """Return whether a field's number differs from run to run."""
    return isinstance(value, int | float) and (name in NUMBERS or name.endswith("_seconds"))


@dataclass
class Clock:
    """The sandbox's clock; each request moves it on."""

    step: float
    now: float = field(default_factory=time.monotonic)

    def __call__(self) -> float:
        return self.now

    def advance(self, _method: str, _path: str, _code: int) -> None:
        self.now += self.step


@pytest.fixture
def run(serve: Serve, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Return a function that runs `python -m gate` in this process, against a new sandbox each time.

    It returns the exit code, standard output and standard error.
    """
    monkeypatch.chdir(tmp_path)
    # No golden file shows the second that this response asks for.
    monkeypatch.setitem(scenarios._FLAKY, 6, replace(scenarios.BUSY, headers=()))  # noqa: SLF001

    def start(
        command: str, scenario: Scenario, *args: str, env: Mapping[str, str] | None = None
    ) -> tuple[int, str, str]:
        clock = Clock(LONG_STEPS.get(scenario.name, STEP))
        threadfix = ThreadFix(clock=clock, log=clock.advance)
        if scenario.name in BEGUN:
            for scan in threadfix.scans.values():
                scan.began = clock.now - BEGUN[scenario.name]
        url = serve(threadfix)
        options = dict(scenario.options) | LIMITS | TIGHT.get(scenario.name, {})
        if command == "doctor":
            options = {"first-contact-limit": "200ms", "request-timeout": options["request-timeout"]}
        elif scenario.files:
            scenario.write(tmp_path)
            options["scan-file"] = "\n".join(scenario.files)
        flags = [f"--{name}" if value == "true" else f"--{name}={value}" for name, value in options.items()]
        words = [command, *flags, *args]
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "argv", [program.__file__, *words])
            patch.setattr(sys, "orig_argv", [sys.executable, "-m", "gate", *words])
            for name, value in (environment(url, scenario.name, threadfix.scans) | dict(env or {})).items():
                patch.setenv(name, value)
            return main(words), *capfd.readouterr()

    return start


def in_gitlab(run: Run, scenario: Scenario, folder: Path) -> Iterator[tuple[str, str]]:
    """Yield the parts of a run in GitLab, with each report. It ends with the verdict that the scenario expects."""
    files = {name: folder / name for name in REPORTS}
    args = [f"--{name}={file}" for name, file in files.items()]
    code, out, err = run("run", scenario, "--json", "--verbose", *args, env=GITLAB)
    assert (code, json.loads(out)["reason"]) == (scenario.expect.row.exit_code, scenario.expect)
    # The thread of a wait logs its requests, and the main thread their results; the lines have no fixed order.
    requests = [line for line in err.splitlines(keepends=True) if " → " in line]
    yield (
        "exit code, GitLab",
        f"{code}\n{''.join(line for line in err.splitlines(keepends=True) if line not in requests)}",
    )
    yield "--verbose", "".join(requests)
    yield "--json", json.dumps(steady(json.loads(out)), indent=1, ensure_ascii=False)
    for name, file in files.items():
        text = file.read_text(encoding="utf-8")
        if name == "result-file":
            assert steady(json.loads(text)) == steady(json.loads(out))
            continue
        yield f"--{name}", re.sub(r"(?s)<style>.*?</style>", "<style/>", text)


def on_github(run: Run, scenario: Scenario, folder: Path) -> Iterator[tuple[str, str]]:
    """Yield the parts of a run as a step on GitHub."""
    files = {name: folder / name.lower() for name in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY")}
    for file in files.values():
        file.touch()
    env = GITHUB | {name: str(file) for name, file in files.items()}
    code, _, err = run("run", scenario, env=env)
    yield "exit code, GitHub", f"{code}\n{err}"
    for name, file in files.items():
        yield name, file.read_text(encoding="utf-8")


def shortly(run: Run, scenario: Scenario) -> Iterator[tuple[str, str]]:
    """Yield the log of a run with --quiet, and that of doctor."""
    commands = {"run": (("--quiet",), QUIET), "doctor": ((), DOCTOR)}
    for command, (args, names) in commands.items():
        if scenario.name in names:
            code, out, err = run(command, scenario, *args)
            assert not out
            yield f"exit code, {' '.join((command, *args))}", f"{code}\n{err}"


def compare(name: str, parts: list[tuple[str, str]], folder: Path) -> None:
    """Compare the parts with the golden file, or write it."""
    text = "".join(f"===== {title}\n{normal(part, folder).rstrip()}\n\n" for title, part in parts)
    file = FOLDER / f"{name}.txt"
    if WRITES:
        FOLDER.mkdir(exist_ok=True)
        file.write_text(text, encoding="utf-8")
    assert text == file.read_text(encoding="utf-8"), "`make golden` writes these files again"


@pytest.mark.usefixtures("on_a_runner")
@pytest.mark.parametrize("scenario", SCENARIOS.values(), ids=SCENARIOS)
def test_a_scenario_reads_as_before(scenario: Scenario, run: Run, tmp_path: Path) -> None:
    """Log, reports, outputs and doctor are those of the golden file."""
    parts = [*in_gitlab(run, scenario, tmp_path), *on_github(run, scenario, tmp_path), *shortly(run, scenario)]
    # The two scans of `parts` are polled in parallel, so their lines have no fixed order.
    if scenario.name != "parts":
        compare(scenario.name, parts, tmp_path)


def test_every_reason_that_a_server_can_cause_has_a_scenario() -> None:
    """The other reasons come from options, signals and bugs."""
    others = {Reason.UNKNOWN_STATUS, Reason.USAGE, Reason.NOT_FOUND, Reason.CANCELLED, Reason.INTERNAL}
    assert set(Reason) - {scenario.expect for scenario in SCENARIOS.values()} == others
