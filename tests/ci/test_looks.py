"""The HTML report and GitHub's job summary in a real browser: light and dark, small and large."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest
from markdown_it import MarkdownIt

from gate.cli import main
from gate.model.history import Phase, Refused
from gate.model.reasons import Reason
from gate.model.subjects import Policy
from gate.reporters import page, summary
from gate.sandbox.scenarios import SCENARIOS
from gate.sandbox.server import ThreadFix, environment, serving
from gate.text.sanitizer import Sanitizer
from tests import builders
from tests.conftest import QUICK

if TYPE_CHECKING:
    from collections.abc import Callable

    Look = Callable[[list[dict[str, Any]]], list[dict[str, Any]]]
    Views = dict[tuple[str, str, int, str], dict[str, Any]]

pytestmark = pytest.mark.ci

ROOT = Path(__file__).parents[2]
# EX_UNAVAILABLE: the exit code of scripts/look.py without a browser.
UNAVAILABLE = 69
SMALL_PHONE, DESK = 360, 1280
SIZES = [(width, scheme) for width in (SMALL_PHONE, DESK) for scheme in ("light", "dark")]
KINDS = ["html", "summary.html"]
RUNS: Final[dict[str, tuple[tuple[str, ...], tuple[str, ...]]]] = {
    "pass": (("flaky",), ()),
    "fail": (("error-flag",), ()),
    "unknown": (("stuck",), ("--timeout", "400ms", "--on-timeout", "warn")),
    "denied": (("bad-key",), ()),
    "usage": (("done",), ("--timeout", "soon", "--interval", "never", "--junit-file", "")),
    "twenty": (
        (*["done"] * 14, "flaky", "late", "interrupted", "deleted", "stuck", "hostile-text"),
        ("--timeout", "1s"),
    ),
    "hostile": (("hostile-text",), ()),
    "held-back": (("criteria-fail",), ("--pass-criteria", "--policy", "all")),
}
"""Scenarios of each run, and its options."""
NAMES: Final = ("Release to production", "OWASP Top 10", "Payment", "Time to remediate: Critical")
REFUSED: Final = replace(builders.DOWN, reason=Reason.DENIED, what="tf.example.com refused the API key (HTTP 403).")
NO_SCANS: Final = replace(builders.FAILING, holds=None, word="NO SCANS FOUND")
GREEN: Final = [
    builders.checked(Policy(name=name), replace(builders.PASSING, name=name), stale=5.0 * i)
    for i, name in enumerate(NAMES)
]
RED: Final = [
    builders.checked(builders.CRITERIA, builders.CRITICAL, builders.HIGH, stale=12.0, obstacles=builders.OBSTACLES),
    builders.checked(builders.POLICIES, *(replace(builders.FAILING, name=name) for name in NAMES), builders.PASSING),
    *(builders.checked(Policy(id=i), replace(builders.FAILING, name=NAMES[i])) for i in (1, 2)),
]
GREY: Final = [
    builders.checked(builders.POLICY, builders.STALE, stale=20.0),
    builders.checked(Policy(name="Empty")),
    builders.checked(Policy(id=7), failure=REFUSED),
    builders.checked(Policy(name="New", remediation=True), NO_SCANS),
]
UPLOADS: Final = [
    builders.uploaded(41, "target/site/checkout.fpr"),
    builders.uploaded(builders.REFUSED, "a/b/again.fpr"),
    builders.uploaded(builders.LOST, "reports/mobile-app.sarif", size=2_147_483_648),
]
DONE: Final = builders.walked(walk=(Phase("QUEUED", 0, 8, 4), Phase("DONE", 10, 10)), upload=UPLOADS[0])
HOSTILE: Final = Sanitizer().sanitize(SCENARIOS["hostile-text"].message or "")
BUILT: Final = {
    "checks": builders.verdict(DONE, uploads=UPLOADS[:1], checks=GREEN + RED + GREY),
    "uploads": builders.verdict(DONE, uploads=UPLOADS),
    "hostile-checks": builders.verdict(
        DONE,
        uploads=[*UPLOADS[:1], builders.uploaded(Refused(HOSTILE), "x" * 300)],
        checks=[
            builders.checked(
                Policy(name=HOSTILE),
                replace(builders.CRITICAL, name=HOSTILE, word=HOSTILE, evaluated=builders.MORNING),
                replace(builders.FAILING, name="x" * 300, word="x" * 300),
                obstacles=[
                    obstacle._replace(name=HOSTILE, severity=HOSTILE, place="x" * 300)
                    for obstacle in builders.OBSTACLES
                ],
            )
        ],
    ),
}
"""Pages that are built without a run: all kinds of checks and uploads together."""
VIEWS: Final = [(name, width, scheme) for name in (*RUNS, *BUILT) for width, scheme in SIZES]
"""Views: the page, the width of the window, and the colour scheme of the reader's system."""
# GitHub's style of a summary, as far as widths and colours go.
STYLE: Final = """
:root { color-scheme: light dark; --ink: #1f2328; --page: #fff; --soft: #f6f8fa; --line: #d1d9e0; }
@media (prefers-color-scheme: dark) { :root { --ink: #f0f6fc; --page: #0d1117; --soft: #151b23; --line: #3d444d; } }
body { margin: 0; padding: 16px; background: var(--page); color: var(--ink); font: 16px/1.5 sans-serif;
  overflow-wrap: break-word; }
table { display: block; width: max-content; max-width: 100%; overflow: auto; border-collapse: collapse; }
th, td { padding: 6px 13px; border: 1px solid var(--line); }
pre { padding: 16px; overflow: auto; background: var(--soft); font: 13.6px/1.45 monospace; }
"""
# The default header of Jenkins for an archived page.
JENKINS: Final = "sandbox allow-same-origin; default-src 'none'; img-src 'self'; style-src 'self'"


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the page (`NAME.html`) and the rendered summary (`NAME.summary.html`) of each run."""
    folder = tmp_path_factory.mktemp("pages")
    for name, (scenarios, options) in RUNS.items():
        play(folder, name, scenarios, options)
    for name, verdict in BUILT.items():
        (folder / f"{name}.html").write_text(page.render(verdict))
        (folder / f"{name}.md").write_text(summary.render(verdict))
    for name in (*RUNS, *BUILT):
        body = MarkdownIt("gfm-like", {"html": True}).render((folder / f"{name}.md").read_text())
        (folder / f"{name}.summary.html").write_text(
            "<!DOCTYPE html><html lang='en'><head><meta charset='utf-8'><title>Summary</title>"
            f"<meta name='viewport' content='width=device-width'><style>{STYLE}</style></head>"
            f"<body>{body}</body></html>"
        )
    return folder


def play(folder: Path, name: str, scenarios: tuple[str, ...], options: tuple[str, ...]) -> None:
    """Run the gate for real, as on a runner of GitHub, with a page."""
    threadfix = ThreadFix(speed=25.0)
    with serving(threadfix) as url, pytest.MonkeyPatch.context() as patch:
        known = environment(url, scenarios[0], threadfix.scans)
        ids = [threadfix.add(replace(SCENARIOS[key], name=f"{key}-{i}")) for i, key in enumerate(scenarios)]
        known["THREADFIX_PENDING_SCAN_ID"] = ",".join(map(str, ids))
        summary, output = folder / f"{name}.md", folder / "output"
        for file in (summary, output):
            file.touch()
        known |= {"GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": str(summary), "GITHUB_OUTPUT": str(output)}
        for variable, value in (QUICK | known).items():
            patch.setenv(variable, value)
        main(["run", "--ui-url", "{url}/scans/{scan_id}", "--html-file", str(folder / f"{name}.html"), *options])


@pytest.fixture(scope="module")
def look() -> Look:
    """Return a function that opens pages in a browser; scripts/look.mjs describes its input and output."""

    def at(looks: list[dict[str, Any]]) -> list[dict[str, Any]]:
        done = subprocess.run(
            [sys.executable, ROOT / "scripts/look.py"],
            input=json.dumps(looks), capture_output=True, text=True, check=False, timeout=300,
        )  # fmt: skip
        if done.returncode == UNAVAILABLE:
            pytest.skip(done.stderr.strip())
        assert done.returncode == 0, done.stderr
        seen: list[dict[str, Any]] = json.loads(done.stdout)
        return seen

    return at


@pytest.fixture(scope="module")
def seen(pages: Path, look: Look) -> Views:
    """Give the view of each run, by name, kind, width and scheme."""
    views = [(name, kind, width, scheme) for name, width, scheme in VIEWS for kind in KINDS]
    looks = [
        {"page": str(pages / f"{name}.{kind}"), "width": width, "scheme": scheme, "axe": kind == "html"}
        for name, kind, width, scheme in views
    ]
    return dict(zip(views, look(looks), strict=True))


every_kind = pytest.mark.parametrize("kind", KINDS)


@pytest.mark.parametrize(("name", "width", "scheme"), VIEWS)
@every_kind
def test_every_page_is_accessible_fits_its_window_and_asks_for_nothing(
    seen: Views, name: str, kind: str, width: int, scheme: str
) -> None:
    """No page scrolls sideways; only preformatted text may, inside its box. Axe finds nothing, in light and in dark.

    A page loads nothing, runs nothing, and does nothing that its policy forbids (the console would show it).
    """
    view = seen[name, kind, width, scheme]
    assert view["scrolls"] <= 0
    assert [view[part] for part in ("outside", "requests", "messages")] == [[], [], []]
    assert kind != "html" or view["violations"] == []
    brightness = sum(map(int, re.findall(r"\d+", view["background"])))
    assert brightness < 100 if scheme == "dark" else brightness > 600


@every_kind
@pytest.mark.parametrize("name", ["hostile", "hostile-checks"])
def test_hostile_text_is_read_as_text(seen: Views, kind: str, name: str) -> None:
    text = " ".join(seen[name, kind, SMALL_PHONE, "light"]["text"].split())
    for part in ("</code><script>alert(1)</script>", "| **bold** `code` ](http://evil.example)", "]]> &amp;"):
        assert part in text


@pytest.mark.parametrize("name", ["pass", "fail", "unknown", "twenty", "checks"])
def test_the_page_can_be_printed(pages: Path, look: Look, tmp_path: Path, name: str) -> None:
    printed = tmp_path / "print.pdf"
    look([{"page": str(pages / f"{name}.html"), "pdf": str(printed)}])
    sheets = len(re.findall(rb"/Type\s*/Page\b", printed.read_bytes()))
    assert 1 <= sheets <= {"twenty": 4, "checks": 4}.get(name, 1)


def test_the_page_is_readable_without_its_style(pages: Path, look: Look) -> None:
    """As served by Jenkins: without its style sheet, the words are in order and nothing is wider than the window."""
    plain, styled = look(
        [
            {"page": str(pages / "pass.html"), "width": DESK, "policy": JENKINS},
            {"page": str(pages / "pass.html"), "width": DESK, "policy": "default-src 'unsafe-inline'"},
        ]
    )
    assert "ThreadFix gate: Pass processed" in " ".join(plain["text"].split())
    assert plain["background"] != styled["background"]
    assert plain["requests"] == styled["requests"] == []
    assert any("style" in line for line in plain["messages"])
    assert plain["scrolls"] <= 0
