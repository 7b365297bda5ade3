"""Installs the npm tools of tests/ci/npm/package-lock.json into .cache/npm and prints that folder.

They are installed into a temporary folder that is then renamed, so a killed run leaves no incomplete folder. `.npmrc`
forbids install scripts, so a package cannot download anything itself.
"""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
LISTED = ROOT / "tests" / "ci" / "npm"
INSTALLED = ROOT / ".cache" / "npm"


class Missing(Exception):  # noqa: N818 - a missing tool is not always an error
    """A tool is not available on this machine. The message has its name and the cause."""


def current() -> bool:
    """Return whether the installed tools match the lock file."""
    lock = INSTALLED / "package-lock.json"
    return lock.exists() and lock.read_bytes() == (LISTED / lock.name).read_bytes()


def install() -> Path:
    """Install the tools unless they are installed; return the folder of `node_modules`.

    Raises:
        Missing: npm is not installed, or it failed.
    """
    if current():
        return INSTALLED
    npm = shutil.which("npm")
    if not npm:
        raise Missing("npm is not installed")
    INSTALLED.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=INSTALLED.parent, prefix="npm-") as folder:
        unfinished = Path(folder) / "installed"
        shutil.copytree(LISTED, unfinished)
        command = [npm, "ci", "--no-audit", "--no-fund", "--loglevel=error"]
        run = subprocess.run(command, cwd=unfinished, capture_output=True, text=True, check=False)
        if run.returncode:
            raise Missing(f"npm ci failed: {(run.stderr or run.stdout).strip()}")
        shutil.rmtree(INSTALLED, ignore_errors=True)
        try:
            unfinished.rename(INSTALLED)
        except OSError:
            # Another run was faster.
            if not current():
                raise
    return INSTALLED


if __name__ == "__main__":
    try:
        print(install())
    except Missing as missing:
        sys.exit(str(missing))
