"""Writes dist/threadfix-gate.pyz: the gate and its locked packages in one file for any Python 3.10 or later.

The file has only Python sources, no compiled code and no byte code. It does not depend on the machine, the platform or
the time of the build, so the same sources and lock file produce the same bytes. `make bundle` runs this script.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ROOT: Final = Path(__file__).parent.parent
FILE: Final = ROOT / "dist/threadfix-gate.pyz"
LOCK: Final = ROOT / "requirements/gate.lock"
INSTALL: Final = "install --no-deps --no-compile --require-hashes --only-binary :all: --no-warn-script-location"
LEFT_OUT: Final = re.compile(
    r"""
    (bin|tests|pygments|markdown_it|mdurl)/  # actions-toolkit's tests; Rich needs the other three only to show code
    | (pygments|markdown_it_py|mdurl)-[^/]*\.dist-info/
    | (.*/)?__pycache__/
    | .*\.(so|pyd|dll|dylib|pyc|pyi|typed|c|js)$
    | [^/]*\.dist-info/(RECORD|WHEEL|INSTALLER|REQUESTED|direct_url\.json|entry_points\.txt|top_level\.txt)$
    """,
    re.VERBOSE,
)
"""Files of the packages that the gate does not need, or that differ between builds."""
EARLIEST: Final = (1980, 1, 1, 0, 0, 0)
"""The earliest time in a zip file."""


def unconditional(lock: str) -> str:
    """Return a lock file without its conditions, so that each package is installed on every platform."""
    return re.sub(r"(?m)^(\S+==\S+) ; .*?( \\)?$", r"\1\2", lock)


def installed(folder: Path) -> dict[str, Path]:
    """Install the locked packages into an empty folder; return their files by their names in the archive."""
    lock = folder / "gate.lock"
    lock.write_text(unconditional(LOCK.read_text(encoding="utf-8")), encoding="utf-8")
    packages = folder / "packages"
    command = [sys.executable, str(ROOT / "scripts/run_pip.py"), "-qq", *INSTALL.split()]
    subprocess.run([*command, "--target", str(packages), "-r", str(lock)], check=True)
    return {name: file for name, file in files(packages) if not LEFT_OUT.match(name)}


def files(folder: Path) -> Iterator[tuple[str, Path]]:
    """Yield the relative name and the path of each file in a folder."""
    for file in folder.rglob("*"):
        if file.is_file():
            yield file.relative_to(folder).as_posix(), file


def own(gate: Path = ROOT / "gate") -> dict[str, Path]:
    """Return the project's files by their names in the archive."""
    modules = {f"gate/{name}": file for name, file in files(gate) if not LEFT_OUT.match(name)}
    return {"__main__.py": ROOT / "action/__main__.py", "LICENSE": ROOT / "LICENSE"} | modules


def write(target: Path, content: Mapping[str, Path]) -> None:
    """Write a zip file whose bytes depend only on the names and contents."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(target, "w") as archive:
        for name in sorted(content):
            entry = zipfile.ZipInfo(name, EARLIEST)
            entry.create_system = 3  # Unix, also on Windows
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, content[name].read_bytes(), zipfile.ZIP_DEFLATED, 9)


def main() -> None:
    """Build the archive, by default at `FILE`; an argument sets another path."""
    target = Path(*sys.argv[1:]) if sys.argv[1:] else FILE
    with tempfile.TemporaryDirectory() as folder:
        write(target, installed(Path(folder)) | own())
    print(f"{target}: {target.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
