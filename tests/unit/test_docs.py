"""The documentation matches the code."""

from __future__ import annotations

import importlib
import re
import runpy
import sys
from importlib import metadata
from pathlib import Path
from typing import Final
from xml.etree import ElementTree as ET

import pytest

import gate
from gate.model.reasons import Reason
from gate.options.table import OPTIONS
from gate.reporters.outputs import OUTPUTS

ROOT: Final = Path(__file__).parents[2]
README: Final = (ROOT / "README.md").read_text(encoding="utf-8")
OPTIONS_PAGE: Final = (ROOT / "docs/options.md").read_text(encoding="utf-8")
PAGES: Final = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])
TABLES: Final = runpy.run_path(str(ROOT / "scripts/generate_tables.py"))
LINK: Final = re.compile(r"\]\(([^)\s]+)\)")


def test_the_readme_is_short_and_begins_with_its_commands() -> None:
    assert len(README.splitlines()) <= 150
    assert README.index("\nmake demo ") < README.index("\nmake test ") < README.index("\n## ")


@pytest.mark.parametrize("page", TABLES["PAGES"])
def test_tables_are_those_of_the_code(page: str) -> None:
    assert TABLES["rendered"](page) == (ROOT / page).read_text(encoding="utf-8")


def test_the_tables_name_everything() -> None:
    for option in OPTIONS:
        assert f"| `--{option.name}`" in OPTIONS_PAGE or f"| `{option.variable}`" in OPTIONS_PAGE
    for name in OUTPUTS:
        assert f"| `{name}` |" in OPTIONS_PAGE
    for reason in Reason:
        assert OPTIONS_PAGE.count(f"| `{reason}` |") == 2  # advice and condition


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    for link in LINK.findall(text):
        name, _, heading = link.partition("#")
        if name.startswith(("http:", "https:", "mailto:")):
            continue
        target = (page.parent / name).resolve() if name else page
        assert target.exists(), link
        if heading:
            headings = re.findall(r"^#+ (.+)$", target.read_text(encoding="utf-8"), flags=re.MULTILINE)
            slugs = {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in headings}
            assert heading in slugs, link


def on_pypi(text: str) -> str:
    """Return the README as the build hook writes it into the package."""
    toml = importlib.import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")  # pytest installs tomli
    hook = toml.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["hatch"]["metadata"]["hooks"]
    for change in hook["fancy-pypi-readme"]["substitutions"]:
        text = re.sub(change["pattern"], change["replacement"], text)
    return text.replace("$HFPR_VERSION", gate.__version__)


def test_every_link_of_the_readme_works_on_pypi() -> None:
    """PyPI has only the README, so each link to a file leads to the repository, at this version."""
    text = on_pypi(README)
    links = LINK.findall(text)
    assert len(links) == len(LINK.findall(README)) > 20
    base = r"https://(?:github\.com/OWNER/threadfix-gate/blob|raw\.githubusercontent\.com/OWNER/threadfix-gate)"
    for link in links:
        path = re.fullmatch(rf"{base}/v{re.escape(gate.__version__)}/([^#]+)(#.*)?", link)
        assert path, link
        assert (ROOT / path[1]).is_file(), link
    assert re.findall(r"!\[[^\]]*\]\((https://[^/]+)", text) == ["https://raw.githubusercontent.com"]


def test_the_package_has_no_relative_link() -> None:
    built = metadata.metadata("threadfix-gate")
    # The text follows the fields; `json` reads it from there.
    text = built.json["description"]
    assert isinstance(text, str)
    assert LINK.findall(text)
    assert [link for link in LINK.findall(text) if not link.startswith("https://")] == []
    assert {url.partition(", ")[0] for url in built.json["project_url"]} >= {"Source", "Issues", "Changelog"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_test_that_is_named_exists(page: Path) -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", page.read_text(encoding="utf-8"))
    assert named or page.name != "SECURITY.md"
    for file, test in named:
        wanted = f"\ndef {test}(" if test else ""
        assert wanted in (ROOT / file).read_text(encoding="utf-8"), f"{file}::{test}"


def test_every_promise_names_its_test() -> None:
    promises = (ROOT / "SECURITY.md").read_text(encoding="utf-8").partition("## Promises")[2].partition("\n## ")[0]
    for promise in re.split(r"^- ", promises, flags=re.MULTILINE)[1:]:
        assert "::test_" in promise, promise


def test_the_map_has_every_room_once() -> None:
    root = Path(gate.__file__).parent
    modules = {f"gate/{path.name}" for path in root.glob("*.py") if path.stem != "__init__"}
    folders = {f"gate/{path.parent.relative_to(root).as_posix()}/" for path in root.glob("*/**/__init__.py")}
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (`gate/[^|]*) \|", text, flags=re.MULTILINE)
    assert sorted(re.findall(r"`(gate/[^`]*)`", "".join(rows))) == sorted(modules | folders)


def test_the_version_is_the_same_everywhere() -> None:
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for version in re.findall(r"OWNER/threadfix-gate[@:]v?(\d+\.\d+\.\d+)", text):
            assert version == gate.__version__, page


SVG: Final = "{http://www.w3.org/2000/svg}"


def test_the_picture_is_of_a_real_run_and_loads_nothing() -> None:
    svg = (ROOT / "docs" / "demo.svg").read_text(encoding="utf-8")
    root = ET.fromstring(svg)  # noqa: S314 - our own picture
    assert root.find(f"{SVG}title") is not None
    assert "PASS (" in "".join(root.itertext())
    assert not re.search(r"<script|href|url\(|@import", svg)


def test_the_first_frame_of_the_picture_is_its_last() -> None:
    """Nothing is hidden before the animation starts or after it has ended, so a still picture shows the verdict."""
    svg = (ROOT / "docs" / "demo.svg").read_text(encoding="utf-8")
    assert re.findall(r"animation: (.*?) [}]", svg) == ["hide 0s 4s", "none"]
    assert re.search(r"@keyframes hide \{ from, to \{ opacity: 0 \} \}", svg)
    assert not re.search(r"backwards|both|forwards|infinite", svg)
    lines = list(ET.fromstring(svg).iter(f"{SVG}g"))  # noqa: S314 - our own picture
    ends = [float(re.fullmatch(r"animation-duration: ([\d.]+)s", line.attrib["style"])[1]) for line in lines]  # type: ignore[index]
    assert ends == sorted(ends)


def test_untested_versions_are_not_claimed() -> None:
    named = 0
    for page in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))):
        for part in re.split(r"\n\n|\n- ", page.read_text(encoding="utf-8")):
            if re.search(r"\bSaaS\b|\b3\.1(?!\d)", part) and "```" not in part:
                named += 1
                assert re.search(r"\b[Nn]ot for ThreadFix 3\.1\+ or SaaS\b", part), part
    assert named >= 2
