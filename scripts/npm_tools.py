"""Installs the npm tools of tests/ci/npm/package-lock.json into .cache/npm and prints the folder.

Each lock file has a folder of its own, made beside it and renamed, so two runs at once do no harm and a killed one leaves
nothing half-made. `.npmrc` there forbids install scripts: a package that downloads something on its own is of no use.
"""

import hashlib
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
LISTED = ROOT / "tests" / "ci" / "npm"
CACHE = ROOT / ".cache" / "npm"


class Missing(Exception):  # noqa: N818 - not an error: a tool that is not to be had here
    """A tool that cannot be had on this machine; says which and why."""


def install() -> Path:
    """The folder that holds `node_modules`, installed unless it is there.

    Raises:
        Missing: there is no npm, or it cannot reach its registry.
    """
    made = CACHE / hashlib.sha256((LISTED / "package-lock.json").read_bytes()).hexdigest()[:16]
    if made.exists():
        return made
    npm = shutil.which("npm")
    if not npm:
        raise Missing("npm is not installed")
    CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE, prefix="making-") as folder:
        making = Path(folder) / "tools"
        shutil.copytree(LISTED, making)
        command = [npm, "ci", "--no-audit", "--no-fund", "--loglevel=error"]
        run = subprocess.run(command, cwd=making, capture_output=True, text=True, check=False)
        if run.returncode:
            raise Missing(f"npm ci failed: {(run.stderr or run.stdout).strip()}")
        try:
            making.rename(made)
        except OSError:
            # Another run was quicker.
            if not made.exists():
                raise
    return made


if __name__ == "__main__":
    try:
        print(install())
    except Missing as missing:
        sys.exit(str(missing))
