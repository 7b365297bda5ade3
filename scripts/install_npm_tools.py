"""Installs the npm tools of tests/ci/npm/package-lock.json into .cache/npm and prints that folder.

They are made beside it and renamed, so a killed run leaves nothing half-made. `.npmrc` there forbids install scripts: a
package that downloads something on its own is of no use.
"""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
LISTED = ROOT / "tests" / "ci" / "npm"
MADE = ROOT / ".cache" / "npm"


class Missing(Exception):  # noqa: N818 - not an error: a tool that is not to be had here
    """A tool that cannot be had on this machine; says which and why."""


def current() -> bool:
    """Whether what is installed is what the lock file lists."""
    lock = MADE / "package-lock.json"
    return lock.exists() and lock.read_bytes() == (LISTED / lock.name).read_bytes()


def install() -> Path:
    """The folder that holds `node_modules`, installed unless it is there.

    Raises:
        Missing: there is no npm, or it cannot reach its registry.
    """
    if current():
        return MADE
    npm = shutil.which("npm")
    if not npm:
        raise Missing("npm is not installed")
    MADE.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=MADE.parent, prefix="npm-") as folder:
        making = Path(folder) / "made"
        shutil.copytree(LISTED, making)
        command = [npm, "ci", "--no-audit", "--no-fund", "--loglevel=error"]
        run = subprocess.run(command, cwd=making, capture_output=True, text=True, check=False)
        if run.returncode:
            raise Missing(f"npm ci failed: {(run.stderr or run.stdout).strip()}")
        shutil.rmtree(MADE, ignore_errors=True)
        try:
            making.rename(MADE)
        except OSError:
            # Another run was quicker.
            if not current():
                raise
    return MADE


if __name__ == "__main__":
    try:
        print(install())
    except Missing as missing:
        sys.exit(str(missing))
