"""Copies the examples into the pages of docs/: the block after a link to a file gets the content of the file.

First it updates the hash of the included file in the GitLab example. `make docs` runs this script.
"""

import base64
import hashlib
import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
SHOWN = re.compile(r"^(\[`([^`]+)`\]\(\.\./\2\):\n\n```\w*\n).*?^```$", re.MULTILINE | re.DOTALL)
"""A link to a file, and the block with its content."""


def with_files(page: str) -> str:
    """Return the page with the current content of each file."""
    return SHOWN.sub(lambda block: f"{block[1]}{(ROOT / block[2]).read_text(encoding='utf-8')}```", page)


REMOTE = ROOT / "examples/gitlab/remote.gitlab-ci.yml"
INCLUDED = ROOT / "templates/gate.gitlab-ci.yml"


def with_hash(example: str) -> str:
    """Return the example with the current hash of the remote file that it includes."""
    # Hash the file with line feeds, as in the repository. A checkout on Windows may have other line breaks.
    content = INCLUDED.read_text(encoding="utf-8").encode()
    integrity = base64.b64encode(hashlib.sha256(content).digest()).decode()
    return re.sub(r"(?m)^(    integrity: sha256-).*$", lambda line: line[1] + integrity, example)


def main() -> None:
    """Update the hash and every page."""
    REMOTE.write_text(with_hash(REMOTE.read_text(encoding="utf-8")), encoding="utf-8", newline="\n")
    for page in (ROOT / "docs").glob("*.md"):
        text = page.read_text(encoding="utf-8")
        page.write_text(with_files(text), encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()
