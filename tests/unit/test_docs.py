"""The documentation says what the code says."""

from __future__ import annotations

import json
import re
import runpy
from pathlib import Path
from typing import Any, Final
from xml.etree import ElementTree as ET

import pytest
from jsonschema import Draft202012Validator

from gate import __version__
from gate.options import OPTIONS
from gate.reasons import Reason
from gate.reporters.outputs import OUTPUTS

ROOT: Final = Path(__file__).parents[2]
README: Final = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES: Final = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])


def test_the_readme_s_tables_are_those_of_the_code() -> None:
    """Options, outputs, reasons and figures; `make docs` writes them anew."""
    rendered = runpy.run_path(str(ROOT / "scripts/tables.py"))["rendered"]
    assert rendered(README) == README


def test_the_tables_name_everything() -> None:
    """So that an empty table cannot pass for a fresh one."""
    for option in OPTIONS:
        assert f"| `--{option.name}`" in README or f"| `{option.variable}`" in README
    for name in OUTPUTS:
        assert f"| `{name}` |" in README
    for reason in Reason:
        assert f"| `{reason}` |" in README


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page: Path) -> None:
    """Files are there, and so are the headings that are linked to."""
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        name, _, heading = link.partition("#")
        if name.startswith(("http:", "https:", "mailto:")):
            continue
        target = (page.parent / name).resolve() if name else page
        assert target.exists(), link
        if heading:
            headings = re.findall(r"^#+ (.+)$", target.read_text(encoding="utf-8"), flags=re.MULTILINE)
            slugs = {re.sub(r"[^\w\- ]", "", one.lower()).replace(" ", "-") for one in headings}
            assert heading in slugs, link


def test_the_version_is_the_same_everywhere() -> None:
    """What people copy from the pages is this version."""
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for version in re.findall(r"OWNER/threadfix-gate[@:]v?(\d+\.\d+\.\d+)", text):
            assert version == __version__, page


def test_the_picture_is_of_a_real_run_and_loads_nothing() -> None:
    """It has a title and its text for those who cannot see it, no script and no address."""
    svg = (ROOT / "docs" / "demo.svg").read_text(encoding="utf-8")
    root = ET.fromstring(svg)  # noqa: S314 - our own picture
    space = "{http://www.w3.org/2000/svg}"
    assert root.find(f"{space}title") is not None
    assert "PASS (processed)" in "".join(root.itertext())
    assert not re.search(r"<script|href|url\(|@import", svg)


def test_no_claim_is_made_for_versions_that_nobody_has_seen() -> None:
    """ThreadFix SaaS and 3.1 appear only where it is said that they are not known."""
    sentences = re.findall(r"[^.]*\b(?:SaaS|3\.1)\b[^.]*\.[^.]*\.", README)
    assert sentences
    assert all("not public" in sentence or "Your ThreadFix is 3.1 or later" in sentence for sentence in sentences)


def test_the_schema_of_the_result_document_is_a_schema() -> None:
    """And is strict: a name that nobody has described is a mistake."""
    schema: dict[str, Any] = json.loads((ROOT / "docs" / "result.schema.json").read_text(encoding="utf-8"))
    Draft202012Validator.check_schema(schema)
    assert schema["additionalProperties"] is False
