"""Writes the lock files of the gate and its tests, with hashes, for every platform and version of Python.

`actions-toolkit` depends on PyGithub, which brings 28 MB of packages that the gate does not use. So
requirements/gate.lock lacks PyGithub and its dependencies, and must be installed with
`pip install --no-deps --require-hashes`. `make lock` runs this script; it needs `uv`.

The action's lock file also lacks the packages that draw in a terminal, because runners have no terminal.
"""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
LEFT_OUT = ("pygithub", "cryptography", "cffi", "pycparser", "pynacl", "pyjwt", "typing-extensions")
AT_A_TERMINAL = ("rich", "pygments", "markdown-it-py", "mdurl")
"""The packages that only gate/reporters/terminal.py needs."""
ACTION_HEAD = """\
# What the gate needs at run time in the action: requirements/gate.lock without what only a terminal needs; made by
# `make lock`. Install it with: pip install --no-deps --require-hashes --only-binary :all: -r
"""
HEAD = """\
# What the gate needs at run time; made by `make lock` from pyproject.toml. PyGithub is left out on purpose
# (scripts/lock.py says why), so install it with: pip install --no-deps --require-hashes --only-binary :all: -r
"""
BUILD_HEAD = """\
# What builds the packages (pyproject.toml, build-system), for the image and for releases; made by `make lock`.
# Install it with: pip install --no-deps --require-hashes --only-binary :all: -r, and build with --no-build-isolation
"""
SBOM_HEAD = """\
# What lists the parts of a release, its bill of materials (.github/workflows/release.yml); made by `make lock`.
"""
CI_HEAD = """\
# What runs GitHub's workflows in the tests (tests/ci); made by `make lock`. Install it with:
# pip install --no-deps --require-hashes --only-binary :all: -r
"""
DEV_HEAD = """\
# What the tests and linters need, and the gate with them; made by `make lock` from pyproject.toml.
"""


def compiled(*options: str) -> str:
    """Resolve parts of pyproject.toml with uv; return the requirements with their hashes."""
    command = [sys.executable, "-m", "uv", "pip", "compile", "--universal", "--generate-hashes"]
    command += ["--python-version", "3.10", "--no-header", "--no-annotate", "--quiet", *options]
    result = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    return "".join(line for line in result.stdout.splitlines(keepends=True) if not line.startswith("#"))


def for_the_action(lock: str) -> str:
    """Return the action's lock file, given the text of requirements/gate.lock."""
    entries = re.split(r"^(?=[^\s#])", lock, flags=re.MULTILINE)[1:]
    return ACTION_HEAD + "".join(entry for entry in entries if entry.partition("==")[0] not in AT_A_TERMINAL)


def write(name: str, text: str) -> None:
    """Write a lock file with the same bytes on every platform, because its hash is a cache key."""
    (ROOT / name).write_text(text, encoding="utf-8", newline="\n")


def main() -> None:
    """Write the lock files."""
    left_out = [option for name in LEFT_OUT for option in ("--no-emit-package", name)]
    lock = HEAD + compiled("pyproject.toml", *left_out)
    write("requirements/gate.lock", lock)
    write("requirements/action.lock", for_the_action(lock))
    gate = ("pyproject.toml", "--constraint", "requirements/gate.lock")
    write("requirements/dev.lock", DEV_HEAD + compiled(*gate, "--group", "dev"))
    write("requirements/build.lock", BUILD_HEAD + compiled("--group", "build"))
    write("requirements/ci.lock", CI_HEAD + compiled("--group", "ci"))
    write("requirements/sbom.lock", SBOM_HEAD + compiled("--group", "sbom"))


if __name__ == "__main__":
    main()
