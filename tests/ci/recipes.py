"""Helpers for the tests of the recipes."""

from pathlib import Path
from typing import Any, Final

from ruamel.yaml import YAML

ZAP: Final = """
zap() {
  cat <<END
<?xml version="1.0"?>
<OWASPZAPReport generated="${DATE:-$(LC_ALL=C date -u "+%a, %d %b %Y %H:%M:%S")}"><site name="http://shop.example"><alerts>
<alertitem><alert>SQL Injection</alert><riskcode>1</riskcode><cweid>89</cweid>
<uri>http://shop.example/login</uri><param>user</param></alertitem>
</alerts></site></OWASPZAPReport>
END
}
"""
"""A function for the shell that prints a report of ZAP with the date $DATE, or now."""


def readme(language: str, word: str) -> str:
    """Return the README's block in this language with this word."""
    text = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    blocks = [block.partition("```")[0] for block in text.split(f"```{language}\n")[1:]]
    return next(block for block in blocks if word in block)


def load(file: Path) -> dict[str, Any]:
    """Return the content of a YAML file."""
    loaded: dict[str, Any] = YAML(typ="safe", pure=True).load(file)
    return loaded
