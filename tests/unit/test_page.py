"""The page for people: its content, and its size."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import replace
from functools import partial
from html.parser import HTMLParser
from itertools import pairwise
from typing import TYPE_CHECKING, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gate.judge.scans import ScanVerdict, judge_scan
from gate.model.build import Build
from gate.model.history import (
    Accept,
    Application,
    Failure,
    Finished,
    History,
    Outage,
    Phase,
    Refused,
    ScanHistory,
    ScanReading,
    StopCause,
    Upload,
)
from gate.model.reasons import Kind, Reason
from gate.model.subjects import Policy, Target, one_scan
from gate.reporters import page as report
from gate.text.sanitizer import Sanitizer
from gate.threadfix.rules import STATUSES
from tests.builders import (
    CRITERIA,
    CRITICAL,
    DIGEST,
    DOWN,
    EMPTY,
    FAILING,
    HIGH,
    LINKED,
    OBSTACLES,
    PASSING,
    POLICIES,
    POLICY,
    REFUSED,
    STALE,
    checked,
    uploaded,
    verdict,
    walked,
)

if TYPE_CHECKING:
    from gate.judge.verdict import Verdict

WALK: Final = (
    Phase("QUEUED", 0, 8, 4),
    Phase("FINDINGS_GENERATING", 10, 78, 9, 2),
    Phase("CHANNEL_MERGING", 80, 98, 5),
    Phase("DONE", 100, 100),
)
VOID: Final = {"meta", "br", "link", "img", "input", "hr"}
CLOSED_IN_SVG: Final = {"rect", "line", "path", "circle"}


class Page(HTMLParser):
    """A parsed page; fails if a tag is left open or closed twice."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.open: list[str] = []
        self.words: list[str] = []
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in CLOSED_IN_SVG | VOID
        self.tags.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag
        # As a browser sets cells, terms and paragraphs apart.
        self.words += [" "] * (tag in {"td", "th", "dt", "dd", "p", "li"})

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.words.append(data)

    @property
    def text(self) -> str:
        """All words, blanks folded."""
        return " ".join("".join(self.words).split())

    def all(self, tag: str) -> list[dict[str, str]]:
        """The attributes of every such element."""
        return [attributes for name, attributes in self.tags if name == tag]


scan = partial(walked, name="a.fpr", walk=WALK)


def seen(history: ScanHistory) -> ScanVerdict:
    """The verdict on a history."""
    return judge_scan(history, LINKED)


SILENT: Final[ScanHistory] = History(
    Target(6, 41), StopCause.LIMIT, 60.0, 9, 9, newest=DOWN, outages=(Outage(0.0, DOWN, 9),)
)
INSTANT: Final = replace(scan().history, elapsed=0.04, polls=1, phases=(Phase("DONE", 0.04, 0.04),), outages=())
PASS: Final = verdict(scan())
FAIL: Final = verdict(scan(status="SCAN_DELETED"))
TIMEOUT: Final = verdict(scan(status="QUEUED", ended=StopCause.DEADLINE), resume="threadfix-gate run --url 'x y'")
USAGE: Final = verdict()
MANY: Final = verdict(
    scan(41), scan(42, "SCAN_DELETED"), scan(43, "QUEUED", StopCause.DEADLINE, name=None), seen(SILENT)
)
ONE: Final = uploaded(41, "a.fpr")
RED: Final = checked(CRITERIA, CRITICAL, HIGH, stale=12.0, obstacles=OBSTACLES)
GREEN: Final = checked(POLICY, PASSING)
GREY: Final = checked(POLICIES, STALE, stale=20.0)
REFUSED_CHECK: Final = checked(Policy(id=5), failure=replace(DOWN, reason=Reason.DENIED))
HELD_BACK: Final = verdict(scan(upload=ONE), uploads=[ONE], checks=[GREEN, GREY, REFUSED_CHECK, RED])
ENDINGS: Final = {
    "held back": HELD_BACK,
    "released": verdict(scan(upload=ONE), uploads=[ONE], checks=[GREEN]),
    "undecided": verdict(scan(upload=ONE), uploads=[ONE], checks=[REFUSED_CHECK]),
    "refused": verdict(scan(upload=ONE), uploads=[uploaded(REFUSED, "b.fpr"), ONE]),
    "accepted": verdict(uploads=[uploaded(REFUSED)], accepted=frozenset({Accept.DUPLICATE})),
    "finished": verdict(uploads=[uploaded(Finished(12), "a.fpr"), uploaded(Finished(13), "b.fpr")], checks=[GREEN]),
    "pass": PASS,
    "fail": FAIL,
    "timeout": TIMEOUT,
    "usage": USAGE,
    "many": MANY,
    "silent": verdict(seen(SILENT)),
    "instant": verdict(seen(INSTANT)),
}
every_ending = pytest.mark.parametrize("ending", ENDINGS.values(), ids=ENDINGS)


# --- Its content.


@every_ending
def test_the_verdict_comes_first_and_headings_are_in_order(ending: Verdict) -> None:
    """Every verdict except pass has advice."""
    text = report.render(ending)
    page = Page(text)
    assert text.startswith("<!DOCTYPE html>")
    kind, reason = ending.conclusion.kind, ending.conclusion.reason.value
    assert page.text.startswith(f"{kind.value} ({reason})")
    assert f"ThreadFix gate: {kind.value.capitalize()} {reason} " in page.text
    assert page.all("html") == [{"lang": "en"}]
    assert len(page.all("main")) == len(page.all("h1")) == 1
    ranks = [int(tag[1]) for tag, _ in page.tags if re.fullmatch(r"h\d", tag)]
    assert ranks[0] == 1
    assert all(after <= before + 1 for before, after in pairwise(ranks))
    assert [section["aria-labelledby"] for section in page.all("section")] == [h2["id"] for h2 in page.all("h2")]
    assert ("What it means" in page.text) is ("What to do" in page.text) is (kind is not Kind.PASS)
    assert ("To keep waiting, run:" in page.text) is bool(ending.resume)
    assert ending.resume in page.text


@every_ending
def test_nothing_is_loaded(ending: Verdict) -> None:
    text = report.render(ending)
    page = Page(text)
    loading = ["script", "link", "img", "iframe", "object", "form", "use", "image"]
    assert {tag for tag, _ in page.tags}.isdisjoint(loading)
    addresses = {value for _, attributes in page.tags for value in attributes.values() if "//" in value}
    scans = {scan.url for scan in ending.scans if scan.url}
    obstacles = {obstacle.url for check in ending.checks for obstacle in check.obstacles}
    if len(ending.scans) == 1:
        # Its link is the verdict's, and that of a check goes first.
        scans = set()
    assert addresses == (scans | {ending.url} | obstacles) - {None}
    assert not re.search(r"url\(|@import|\sstyle=|\son\w+=", text)
    (style,) = re.findall(r"<style>(.*?)</style>", text, flags=re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = next(meta["content"] for meta in page.all("meta") if meta.get("http-equiv"))
    assert policy.startswith(f"default-src 'none'; style-src 'sha256-{digest}'; img-src 'none'")


def test_the_table_of_reasons_marks_words() -> None:
    assert report.marked("Say `--url`, with *Upload Scans* & <b>.") == (
        "Say <code>--url</code>, with <em>Upload Scans</em> &amp; &lt;b&gt;."
    )
    assert report.marked("2 * 3 ` ") == "2 * 3 ` "


def test_uploads_have_a_row_each() -> None:
    text = Page(report.render(ENDINGS["refused"])).text
    rows = ("b.fpr upload-refused 12 MB 8s", "a.fpr queued as pending scan 41 12 MB 8s", "Timeline")
    assert f" SHA-256: {DIGEST} ".join(rows) in text
    assert "a.fpr finished as scan 12 12 MB 8s" in Page(report.render(ENDINGS["finished"])).text
    several = verdict(uploads=[uploaded(Refused(f"No {name}."), name) for name in ("a.fpr", "b.fpr")])
    assert "b.fpr upload-refused 12 MB 8s refused; ThreadFix says: 'No b.fpr'." in Page(report.render(several)).text
    parts = Upload(
        one_scan([uploaded(41, name).file for name in ("a.fpr", "b.fpr")]), ONE.receipt, digests=(DIGEST, DIGEST[::-1])
    )
    text = Page(report.render(verdict(scan(upload=parts), uploads=[parts]))).text
    assert f" SHA-256 of a.fpr (12 MB): {DIGEST} SHA-256 of b.fpr (12 MB): {DIGEST[::-1]} " in text
    same = verdict(uploads=[uploaded(Refused("No."), name) for name in ("a.fpr", "b.fpr")])
    assert Page(report.render(same)).text.count("ThreadFix says: 'No'.") == 1
    many = Page(report.render(verdict(uploads=[uploaded(REFUSED, f"{number}.fpr") for number in range(60)]))).text
    assert f"… and {60 - report.Limits.uploads} uploads more." in many


def test_checks_have_a_part_each_the_red_first() -> None:
    """Unknown parts of a vulnerability are left out."""
    page = Page(report.render(HELD_BACK))
    text = page.text.partition(" Checks ")[2].partition(" Uploads ")[0]
    names = re.findall(r"(pass criteria|all policies|policy 5|policy 'Release'): (does not hold|\S+)", text)
    assert [" ".join(name) for name in names] == [
        "pass criteria does not hold", "all policies policy-unknown", "policy 5 denied", "policy 'Release' holds",
    ]  # fmt: skip
    assert text.count("What to do:") == 2
    assert len([link for link in page.all("a") if link["href"] in {obstacle.url for obstacle in OBSTACLES}]) == 10
    bare = OBSTACLES[0]._replace(url=None, severity="", place="")
    rendered = report.render(verdict(scan(), checks=[checked(CRITERIA, CRITICAL, obstacles=[bare])]))
    assert "<li>SQL Injection</li>" in rendered


def test_the_checks_on_a_page_have_an_end() -> None:
    """Of many checks and policies some are shown, the failed first, and the others are counted."""
    rows = [replace(FAILING, name=f"Policy {number}") for number in range(300)]
    checks = [*[GREEN] * 30, checked(POLICIES, *rows)]
    text = Page(report.render(verdict(scan(), checks=checks))).text
    assert f"… and {31 - report.Limits.checks} checks more." in text
    assert f"… and {300 - report.Limits.all_results // report.Limits.checks} more." in text
    assert "all policies: does not hold" in text


def test_the_build_links_to_its_run() -> None:
    build = Build("GitHub Actions", "octo/web", "c" * 40, "<b>main", "https://github.com/octo/web/actions/runs/7")
    page = Page(report.render(replace(PASS, build=build)))
    assert f"build GitHub Actions, octo/web, <b>main, {'c' * 12}" in page.text
    assert build.url in [link["href"] for link in page.all("a")]
    assert page.all("b") == []
    assert "build Jenkins" in Page(report.render(replace(PASS, build=Build("Jenkins")))).text
    assert "application Contoso shop (6) team Contoso pending scan" in page.text
    assert "application 6 pending scan" in Page(report.render(replace(PASS, application=Application(6)))).text


def test_invalid_options_are_listed_up_to_a_limit() -> None:
    text = Page(report.render(verdict(invalid=[EMPTY] * 50))).text
    assert text.count("--timeout: is empty.") == report.Limits.invalid
    assert f"… and {50 - report.Limits.invalid} more, in the log." in text


# --- The drawing.


def boxes(lane: report.Lane) -> list[tuple[str, int, str]]:
    """Return the place and width of each rectangle of a row."""
    return [(part.x, part.y, part.width) for part in lane.rectangles]


def test_the_drawing_is_to_scale() -> None:
    timeline = report.draw(PASS.scans)
    assert timeline is not None
    (lane,) = timeline.lanes
    assert boxes(lane) == [
        ("0.00%", 0, "10.00%"),
        ("10.00%", 0, "70.00%"),
        ("80.00%", 0, "20.00%"),
        ("99.60%", 0, "0.40%"),
        ("20.00%", 44, "10.00%"),
    ]
    assert (lane.bar, lane.height, timeline.whole) == (40, 50, 100.0)
    words = "QUEUED for 10s, from 0s, 4 polls; FINDINGS_GENERATING for 1m10s, from 10s, 9 polls"
    assert re.search(f'<desc id="desc-1">{words}; [^<]+</desc>.*<span>1m40s</span>', report.render(PASS), re.DOTALL)


def test_scans_share_a_scale_and_checks_are_drawn_after_them() -> None:
    once = replace(GREEN, history=replace(GREEN.history, polls=1))
    timeline = report.draw(PASS.scans, [RED, once])
    assert timeline is not None
    scans, check = timeline.lanes
    assert boxes(scans)[:2] == [("0.00%", 0, "8.33%"), ("8.33%", 0, "58.33%")]
    assert boxes(check) == [("83.33%", 0, "10.00%"), ("93.33%", 0, "6.67%")]
    assert [part.colour for part in check.rectangles] == ["other", "uploaded"]
    short = report.draw([*PASS.scans, seen(replace(INSTANT, elapsed=25.0, polls=2))])
    assert short
    assert boxes(short.lanes[1]) == [("0.04%", 0, "24.96%")]
    assert (check.name, check.bar, check.height) == ("pass criteria", 22, 22)
    assert report.draw(verdict(seen(INSTANT)).scans, [once]) is None
    page = Page(report.render(verdict(scan(), checks=[RED])))
    assert "QUEUED FINDINGS_GENERATING CHANNEL_MERGING DONE stale fresh outage" in page.text
    assert "0s 2m Checks" not in page.text
    assert re.search(r" 0s 2m QUEUED ", page.text)


@given(st.lists(st.floats(0, 1e6), min_size=2, max_size=9))
def test_no_rectangle_leaves_the_drawing(times: list[float]) -> None:
    times.sort()
    phases = tuple(Phase("QUEUED", at, at) for at in times)
    timeline = report.draw([seen(replace(scan().history, phases=phases, elapsed=times[-1] or 1.0))])
    assert timeline is not None
    for x, _, width in boxes(timeline.lanes[0]):
        assert float(x[:-1]) >= 0
        assert float(width[:-1]) >= report.SLIVER
        assert float(x[:-1]) + float(width[:-1]) <= 100.02


def test_every_drawing_has_a_title_and_its_words() -> None:
    page = Page(report.render(verdict(*(scan(41 + index) for index in range(20)))))
    drawings = [svg for svg in page.all("svg") if svg.get("role") == "img"]
    assert len(drawings) == 20
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    for svg in drawings:
        assert {svg["aria-labelledby"], svg["aria-describedby"]} <= set(ids)


def test_every_status_has_a_colour() -> None:
    assert set(report.STATUS_COLOURS) == set(STATUSES)
    colours = map(report.colour_of, [*STATUSES, *report.CHECK_COLOURS, "NEW"])
    for name in (*colours, *(kind.value for kind in Kind)):
        assert f".fill-{name} {{ fill: var(--{name}); }}" in report.style_sheet()


# --- Its size, and hostile texts.

NASTY: Final = "</script><svg/onload=alert(1)>\"'&amp;{{ 7 * 7 }}{% raw %}-->" * 9


@pytest.mark.parametrize(("number", "limit"), [(1, 60), (20, 384), (300, 768)])
def test_the_page_stays_small(number: int, limit: int) -> None:
    assert len(report.render(PASS).encode()) < 20 * 1024
    clean = Sanitizer().sanitize(NASTY)
    phases = tuple(Phase(clean, float(second), second + 0.5) for second in range(200))
    failure = Failure(Reason.UNREACHABLE, clean)
    outages = tuple(Outage(float(second), failure, 1, ended=second + 0.5) for second in range(200))
    reading = ScanReading(clean, error=True, error_message=clean, name=clean)
    scans = [
        seen(History(Target(6, 41 + index), StopCause.DECIDED, 200.0, 400, 200, phases, outages, reading, reading))
        for index in range(number)
    ]
    text = report.render(verdict(*scans))
    page = Page(text)
    assert len(text.encode()) < limit * 1024
    assert len([svg for svg in page.all("svg") if svg.get("role") == "img"]) == min(number, report.Limits.lanes)
    assert (f"… and {number - report.Limits.lanes} scans more." in page.text) is (number > report.Limits.lanes)
    assert f"… and {200 * number - report.Limits.outages} more." in page.text


def test_the_page_stays_bounded_with_checks() -> None:
    """Hundreds of hostile uploads and checks with hundreds of rows each have an upper limit as well."""
    clean = Sanitizer().sanitize(NASTY)
    rows = [replace(FAILING, name=clean, word=clean, limits=(clean,) * 3) for _ in range(300)]
    obstacles = [obstacle._replace(name=clean, severity=clean, place=clean) for obstacle in OBSTACLES]
    red = checked(POLICIES, *rows, stale=5.0, obstacles=obstacles)
    files = [uploaded(Refused(clean), clean) for _ in range(300)]
    for checks, limit in (([red], 256), ([red] * 300, 1024)):
        text = report.render(verdict(scan(), uploads=files, checks=checks))
        Page(text)
        assert len(text.encode()) < limit * 1024
