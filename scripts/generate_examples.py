"""Writes the examples into the pages that show them: each block behind a link to its file becomes that file's text.

Before that the hash in the GitLab example becomes that of the file which it includes. `make docs` runs it.
"""

import base64
import hashlib
import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
SHOWN = re.compile(r"^(\[`([^`]+)`\]\(\.\./\2\):\n\n```\w*\n).*?^```$", re.MULTILINE | re.DOTALL)
"""A link to a file, and the block that shows it."""


def with_files(page: str) -> str:
    """The page with every block as its file is now."""
    return SHOWN.sub(lambda block: f"{block[1]}{(ROOT / block[2]).read_text(encoding='utf-8')}```", page)


REMOTE = ROOT / "examples/gitlab/remote.gitlab-ci.yml"
INCLUDED = ROOT / "templates/gate.gitlab-ci.yml"


def with_hash(example: str) -> str:
    """The example that includes a remote file, with the hash of that file as it is now."""
    # The repository has line feeds only, whatever a checkout on Windows has.
    content = INCLUDED.read_text(encoding="utf-8").encode()
    integrity = base64.b64encode(hashlib.sha256(content).digest()).decode()
    return re.sub(r"(?m)^(    integrity: sha256-).*$", lambda line: line[1] + integrity, example)


def main() -> None:
    """Write the hash, and every page anew."""
    REMOTE.write_text(with_hash(REMOTE.read_text(encoding="utf-8")), encoding="utf-8", newline="\n")
    for page in (ROOT / "docs").glob("*.md"):
        text = page.read_text(encoding="utf-8")
        page.write_text(with_files(text), encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()
