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
    """Each reason has its condition and its advice."""
    names = [f"`--{option.name}`" if option.flag else f"`{option.variable}`" for option in OPTIONS]
    assert [name for name in names if f"| {name}" not in OPTIONS_PAGE] == []
    assert [name for name in OUTPUTS if f"| `{name}` |" not in OPTIONS_PAGE] == []
    assert {OPTIONS_PAGE.count(f"| `{reason}` |") for reason in Reason} == {2}


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


def test_every_link_of_the_readme_works_on_pypi() -> None:
    """PyPI has only the README, so each link to a file leads to the repository, at this version."""
    toml = importlib.import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")  # pytest installs tomli
    hook = toml.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["hatch"]["metadata"]["hooks"]
    text = README
    for change in hook["fancy-pypi-readme"]["substitutions"]:
        text = re.sub(change["pattern"], change["replacement"], text)
    links = LINK.findall(text.replace("$HFPR_VERSION", gate.__version__))
    assert len(links) == len(LINK.findall(README)) > 20
    base = r"https://(?:github\.com/OWNER/threadfix-gate/blob|raw\.githubusercontent\.com/OWNER/threadfix-gate)"
    for link in links:
        path = re.fullmatch(rf"{base}/v{re.escape(gate.__version__)}/([^#]+)(#.*)?", link)
        assert path, link
        assert (ROOT / path[1]).is_file(), link
    assert re.findall(r"!\[[^\]]*\]\((https://[^/]+)", text) == ["https://raw.githubusercontent.com"]
    # The package as it is installed: `json` reads the text that follows the fields.
    built = metadata.metadata("threadfix-gate").json
    assert [link for link in LINK.findall(str(built["description"])) if not link.startswith("https://")] == []
    assert {url.partition(", ")[0] for url in built["project_url"]} >= {"Source", "Issues", "Changelog"}


def test_every_promise_names_its_test_and_every_test_that_is_named_exists() -> None:
    promises = (ROOT / "SECURITY.md").read_text(encoding="utf-8").partition("## Promises")[2].partition("\n## ")[0]
    assert [promise for promise in promises.split("\n- ")[1:] if "::test_" not in promise] == []
    for page in PAGES:
        for file, test in re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", page.read_text(encoding="utf-8")):
            wanted = f"\ndef {test}(" if test else ""
            assert wanted in (ROOT / file).read_text(encoding="utf-8"), f"{file}::{test}"


def test_the_map_has_every_room_once() -> None:
    root = Path(gate.__file__).parent
    modules = {f"gate/{path.name}" for path in root.glob("*.py") if path.stem != "__init__"}
    folders = {f"gate/{path.parent.relative_to(root).as_posix()}/" for path in root.glob("*/**/__init__.py")}
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (`gate/[^|]*) \|", text, flags=re.MULTILINE)
    assert sorted(re.findall(r"`(gate/[^`]*)`", "".join(rows))) == sorted(modules | folders)


def test_the_picture_is_of_a_real_run_and_loads_nothing() -> None:
    svg = (ROOT / "docs" / "demo.svg").read_text(encoding="utf-8")
    assert "PASS (" in "".join(ET.fromstring(svg).itertext())  # noqa: S314 - our own picture
    assert not re.search(r"<script|href|url\(|@import", svg)


def test_untested_versions_are_not_claimed() -> None:
    named = 0
    for page in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))):
        for part in re.split(r"\n\n|\n- ", page.read_text(encoding="utf-8")):
            if re.search(r"\bSaaS\b|\b3\.1(?!\d)", part) and "```" not in part:
                named += 1
                assert re.search(r"\b[Nn]ot for ThreadFix 3\.1\+ or SaaS\b", part), part
    assert named >= 2
