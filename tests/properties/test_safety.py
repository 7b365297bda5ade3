"""Any text that a server sends is only text in every place that the gate writes it to."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from gate.model.history import CheckResult, Failure, Obstacle, Outage, Refused, ScanReading
from gate.model.reasons import Reason
from gate.model.subjects import Policy
from gate.reporters import closing, junit, outputs, page, result, summary
from gate.reporters.outputs import OUTPUTS, output_values
from gate.sandbox.scenarios import SCENARIOS
from gate.text.sanitizer import (
    REDACTED,
    TEXT_LIMIT,
    Sanitizer,
    Secret,
    escape_dotenv,
    escape_html,
    escape_markdown,
    escape_xml,
    log_line,
)
from tests import builders
from tests.builders import history_of, judged
from tests.unit.test_redaction import FORMS

if TYPE_CHECKING:
    from gate.judge.verdict import Verdict

HOSTILE = SCENARIOS["hostile-text"].message or ""
WORDS = (
    r"""::error:: ##[ ##vso[ </pre> <script> ]]> ` ``` | [x]( ) ** &amp; &#60; " ' $(id) ${X} = <<EOF @user #1 ~~ """
    r"""<!-- _ \ > # - {--x-} {@resume} {--timeout http://evil.example www.evil.example a@evil.example"""
)
SNIPPETS = st.sampled_from([*WORDS.split(), *"\n\r\x1b\x00 \t\u2028\u202e\u200b\ud800"])
texts = st.one_of(st.text(), st.lists(SNIPPETS | st.text(max_size=3), max_size=12).map("".join), st.just(HOSTILE))
FORBIDDEN = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
COMMAND = re.compile(r"^\s*::|##\w*\[")


@given(texts)
@example("###[x")
@example("##" * 5 + "vso[")
def test_sanitized_text_is_one_short_line_without_commands(text: str) -> None:
    clean = Sanitizer().sanitize(text)
    assert not FORBIDDEN.search(clean)
    assert len(clean) <= TEXT_LIMIT
    assert not COMMAND.search(f"status {clean}")
    assert Sanitizer().sanitize(clean) == clean


printable = st.text([chr(code) for code in range(0x21, 0x7F)], min_size=1, max_size=40)
likely = st.text("abcXYZ0189+/=-_.", min_size=8, max_size=40)
keys = (printable | likely).filter(lambda key: "*" not in key)
around = st.text("!~(){}<>|,;", max_size=4)


@given(keys, st.sampled_from(list(FORMS.values())), around, around)
def test_a_key_is_removed(key: str, form: type[str], before: str, after: str) -> None:
    """Also in every form that servers return."""
    shown = Sanitizer((Secret(key),)).redact(f"{before} {form(key)} {after}")
    assert REDACTED in shown
    assert key not in shown


@given(texts)
def test_a_log_line_is_one_line_and_no_command(text: str) -> None:
    line = log_line(text)
    assert not FORBIDDEN.search(line)
    assert not COMMAND.search(line)


class Text(HTMLParser):
    """The text and the tags of a piece of HTML."""

    def __init__(self, markup: str) -> None:
        super().__init__(convert_charrefs=True)
        self.text = ""
        self.tags: list[str] = []
        self.shape: set[tuple[str, ...]] = set()
        self.feed(markup)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(f"{tag} {attrs}" if attrs else tag)
        self.shape.add((tag, *sorted(name for name, _ in attrs)))

    def handle_endtag(self, tag: str) -> None:
        self.tags.append(f"/{tag}")

    def handle_data(self, data: str) -> None:
        self.text += data


GITHUB_FLAVOURED = MarkdownIt("gfm-like", {"html": True})


def folded(text: str) -> str:
    """Fold blanks, as every renderer does."""
    return " ".join(text.split())


@given(texts.map(Sanitizer().sanitize))
def test_markdown_shows_only_the_text(text: str) -> None:
    paragraph = Text(GITHUB_FLAVOURED.render(f"x {escape_markdown(text)} y"))
    assert paragraph.tags == ["p", "/p"]
    assert folded(paragraph.text) == folded(f"x {text} y")
    table = Text(GITHUB_FLAVOURED.render(f"| a | b |\n|---|---|\n| x {escape_markdown(text)} y | z |"))
    assert table.tags.count("td") == 2
    assert not {"a", "code", "em", "strong"} & set(table.tags)
    assert folded(f"x {text} y") in folded(table.text)


@given(texts)
def test_html_shows_only_the_text(text: str) -> None:
    """The text may be an attribute."""
    page = Text(f'<p title="{escape_html(text)}">{escape_html(text)}</p>')
    assert [tag.partition(" ")[0] for tag in page.tags] == ["p", "/p"]
    assert not FORBIDDEN.search(page.text)


@given(texts)
def test_xml_accepts_any_text(text: str) -> None:
    element = ET.Element("x")
    element.text = escape_xml(text)
    ET.fromstring(ET.tostring(element))  # noqa: S314 - our own XML


@given(texts)
def test_a_dotenv_value_is_only_a_value(text: str) -> None:
    value = escape_dotenv(text, 300)
    assert not FORBIDDEN.search(value)
    assert not set(value) & set("\"'`$\\")
    assert len(value) <= 300
    assert value == value.strip()


TABLE = ("thead", "tbody", "tr", "th", "td")
OURS = "a [('href', 'https://tf.example.com/threadfix/applications/6')]"


def verdict_with(status: str, name: str, message: str) -> Verdict:
    """Return a verdict with a server's texts in every place."""
    status, name, message = (Sanitizer().sanitize(text) or "X" for text in (status, name, message))
    reading = ScanReading(status, error=True, error_message=message, name=name, message=message)
    outages = (Outage(1.0, Failure(Reason.PROTOCOL, message), 1, ended=2.0),)
    file = builders.uploaded(Refused(message), name)
    row = CheckResult(name, None, status, (message,), 5, 3, 0.0, 7.0)
    obstacle = Obstacle(7, name, status, message)
    checks = [builders.checked(Policy(name=name), row, row, stale=3.0, obstacles=[obstacle])]
    scan = judged(replace(history_of(reading), outages=outages))
    return builders.verdict(scan, scan, uploads=[file, file], checks=checks)


HARMLESS = Text(page.render(verdict_with("X", "X", "X"))).shape


@given(texts, texts, texts)
def test_every_report_accepts_any_text(status: str, name: str, message: str) -> None:
    verdict = verdict_with(status, name, message)
    document = json.loads(result.render(verdict))
    said = Sanitizer().sanitize(message).rstrip(".")
    assert document["scans"][0]["status"] == (Sanitizer().sanitize(status) or "X")
    assert said in document["scans"][0]["message"]
    html = Text(page.render(verdict))
    assert html.shape == HARMLESS
    assert folded(said) in folded(html.text)
    for line in closing.lines(verdict, quiet=False, annotated=False):
        shown = log_line(line.text)
        assert not FORBIDDEN.search(shown)
        assert not COMMAND.search(shown)
    for value in output_values(verdict).values():
        assert not FORBIDDEN.search(value)
    ET.fromstring(junit.render(verdict).encode())  # noqa: S314 - our own XML
    lines = outputs.render(verdict).splitlines()
    assert len(lines) == len(OUTPUTS) - 1
    assert all(re.fullmatch(r"THREADFIX_GATE_[A-Z_]+=[^\"'`$\\]*", line) for line in lines)
    markdown = Text(GITHUB_FLAVOURED.render(summary.render(verdict)))
    ours = {"h2", "h3", "p", "strong", "em", "code", "pre", "a", "table", "ul", "li", "details", "summary"} | set(TABLE)
    assert {tag.partition(" ")[0].strip("/") for tag in markdown.tags} <= ours
    # The only link is our own, to the application.
    assert [tag for tag in markdown.tags if tag.partition(" ")[0] == "a"] in ([], [OURS])
