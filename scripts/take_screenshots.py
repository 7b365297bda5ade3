"""Takes the screenshots in docs/: the pages of four real runs against the sandbox, in Chromium.

Run it by hand after a change of the page. The durations differ between runs, so the pictures are never the same.
"""

from __future__ import annotations

import os
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import look

from gate.flow.run import run_gate
from gate.flow.signals import Signals
from gate.sandbox.scenarios import SCENARIOS, Scenario
from gate.sandbox.server import ThreadFix, environment, serving

DOCS = Path(__file__).resolve().parent.parent / "docs"
LARGEST = 120_000
QUICK = {"interval": ["400ms"], "max-interval": ["1s"], "ui-url": ["{url}/scans/{scan_id}"]}


def named(scenario: str, name: str, **changes: object) -> Scenario:
    """Return a scenario with a name for its scan."""
    return replace(SCENARIOS[scenario], scan_name=name, **changes)  # type: ignore[arg-type]


RUNS: dict[str, tuple[list[Scenario], dict[str, list[str]], dict[str, object]]] = {
    "light": (
        [named("slow", "checkout.fpr", fault=SCENARIOS["flaky"].fault)],
        QUICK,
        {"width": 800, "until": "section:has(#outages)"},
    ),
    "dark": (
        [named("error-flag", "mobile-app.fpr"), named("flaky", "payments.fpr")],
        QUICK,
        {"width": 800, "scheme": "dark", "until": "section:has(#scans)"},
    ),
    "release": (
        [named("criteria-fail", "checkout.fpr", brings=SCENARIOS["criteria-fail"].brings[-2:])],
        QUICK | {"pass-criteria": ["true"]},
        {"width": 800, "until": "section:has(#checks)"},
    ),
    "phone": ([named("stuck", "checkout.fpr")], {"timeout": ["20s"]}, {"width": 360}),
}
"""For each picture: the scenarios, the options of the gate, and the options of the browser."""


def play(page: Path, scenarios: list[Scenario], options: dict[str, list[str]]) -> None:
    """Run the gate in the folder of the page, because the page may contain the command."""
    os.chdir(page.parent)
    threadfix = ThreadFix(speed=2.0)
    with serving(threadfix) as url:
        env = environment(url, "done", threadfix.scans)
        env["THREADFIX_PENDING_SCAN_ID"] = ",".join(str(threadfix.add(scenario)) for scenario in scenarios)
        run_gate(options | {"html-file": [page.name]}, env, Signals())


def main() -> None:
    """Take every screenshot."""
    for variable in [name for name in os.environ if name.startswith("GITHUB_")]:
        del os.environ[variable]
    with tempfile.TemporaryDirectory() as folder:
        pages = {name: Path(folder) / name / "report.html" for name in RUNS}
        for name, (scenarios, options, _) in RUNS.items():
            pages[name].parent.mkdir()
            play(pages[name], scenarios, options)
        shots = {name: DOCS / f"report-{name}.png" for name in RUNS}
        look.look(
            [
                {"page": str(pages[name]), "height": 600, "shot": str(shots[name]), **how}
                for name, (_, _, how) in RUNS.items()
            ]
        )
        os.chdir(DOCS)
    for shot in shots.values():
        print(f"{shot.stat().st_size:7} {shot.name}")
    if any(shot.stat().st_size > LARGEST for shot in shots.values()):
        sys.exit(f"A picture in the documentation has at most {LARGEST} bytes.")


if __name__ == "__main__":
    main()
