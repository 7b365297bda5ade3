"""Copies the examples into the pages: the block after a link to a file gets the content of the file.

First it updates the hash of the included file in the GitLab example. `make docs` runs this script.
"""

import base64
import hashlib
import re
from difflib import SequenceMatcher
from pathlib import Path

ROOT = Path(__file__).parent.parent
SHOWN = re.compile(r"^(\[`([^`]+)`\]\((?:\.\./)?\2\):\n\n```\w*\n).*?^```$", re.MULTILINE | re.DOTALL)
"""A link to a file, and the block with its content."""
SCAN = re.compile(r"^((?:  #.*\n)?)  scan:\n((?:    .*\n)+)", re.MULTILINE)
"""The job of a GitHub workflow that scans, with its comment."""


FEW = 3
"""The smallest number of equal lines that is left out."""


def with_files(page: str) -> str:
    """Return the page with the current content of each file.

    The first job `scan` of a page is whole. Each other job shows `...` for the lines that it shares with the first.
    """
    whole: list[str] = []

    def shorten(job: re.Match[str]) -> str:
        head, lines = job[1], job[2].splitlines(keepends=True)
        if not whole:
            whole.extend(lines)
            return job[0]
        parts = SequenceMatcher(None, whole, lines, autojunk=False).get_opcodes()
        texts = (
            "    # ...\n" if kind == "equal" and j - i >= FEW else "".join(lines[i:j]) for kind, _, _, i, j in parts
        )
        return f"{head}  scan: # ... as above\n{''.join(texts)}" if len(parts) > 1 else f"{head}  scan: # as above\n"

    def show(block: re.Match[str]) -> str:
        text = (ROOT / block[2]).read_text(encoding="utf-8")
        return f"{block[1]}{SCAN.sub(shorten, text) if 'github/' in block[2] else text}```"

    return SHOWN.sub(show, page)


PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
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
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        page.write_text(with_files(text), encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()
