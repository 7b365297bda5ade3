"""Writes the examples into the pages that show them: each block behind a link to its file becomes that file's text."""

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
SHOWN = re.compile(r"^(\[`([^`]+)`\]\(\.\./\2\):\n\n```\w*\n).*?^```$", re.MULTILINE | re.DOTALL)
"""A link to a file, and the block that shows it."""


def with_files(page: str) -> str:
    """The page with every block as its file is now."""
    return SHOWN.sub(lambda block: f"{block[1]}{(ROOT / block[2]).read_text(encoding='utf-8')}```", page)


def main() -> None:
    """Write every page anew."""
    for page in (ROOT / "docs").glob("*.md"):
        text = page.read_text(encoding="utf-8")
        page.write_text(with_files(text), encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()
