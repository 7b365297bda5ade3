"""Opens pages in Chromium and describes the visible content, for the tests and for the pictures in docs/.

`look.py < looks.json` prints JSON. It uses an installed browser; Playwright, which controls it, and axe, which checks
accessibility, are npm packages (tests/ci/npm). If a program is not available, the exit code is 69.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import install_npm_tools

LOOK = Path(__file__).with_name("look.mjs")
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
# EX_UNAVAILABLE: a required program is missing.
UNAVAILABLE = 69


def look(looks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Look at pages in one browser. look.mjs describes the fields of a look and of its result.

    Raises:
        install_npm_tools.Missing: a required program is not available.
    """
    folder = install_npm_tools.install()
    # Prefer npm's Node: the machine's Node may be too old for Playwright.
    node = shutil.which("node", path=str(folder / "node_modules/.bin")) or shutil.which("node")
    browser = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if not node or not browser:
        raise install_npm_tools.Missing("node is missing" if browser else "chromium is missing")
    done = subprocess.run(
        [node, str(LOOK), str(folder), browser], input=json.dumps(looks), stdout=subprocess.PIPE, text=True, check=True
    )
    seen: list[dict[str, Any]] = json.loads(done.stdout)
    return seen


if __name__ == "__main__":
    try:
        print(json.dumps(look(json.load(sys.stdin))))
    except install_npm_tools.Missing as missing:
        print(missing, file=sys.stderr)
        sys.exit(UNAVAILABLE)
