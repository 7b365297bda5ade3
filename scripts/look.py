"""Opens pages in Chromium and says what a person would see of them, for the tests and for the pictures in docs/.

`look.py < looks.json` answers in JSON too. The browser is the machine's own; Playwright, which steers it, and axe,
which looks for what keeps people out, are npm's (tests/ci/npm). Where one of them is not to be had it ends with 69.
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
# EX_UNAVAILABLE, a program that is needed is not here.
UNAVAILABLE = 69


def look(looks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Look at pages in one browser; what a look may ask for and what is seen stands in look.mjs.

    Raises:
        install_npm_tools.Missing: what is needed is not here.
    """
    folder = install_npm_tools.install()
    # npm's own Node first: the machine's may be too old for Playwright.
    node = shutil.which("node", path=str(folder / "node_modules/.bin")) or shutil.which("node")
    browser = next((found for name in BROWSERS if (found := shutil.which(name))), None)
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
