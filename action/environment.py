"""Finds or makes the virtual environment that the gate runs in, and prints the path of its Python.

It is keyed by everything that decides what is in it, and lies in the runner's tool cache, so that the next job on a
self-hosted runner starts at once; in the runner's temporary folder where the cache cannot be written. It is made in a
folder beside and then renamed: no other job ever sees half of it, and a killed run leaves nothing that is ever used.
When it cannot be made, one sentence that says why is printed instead, and the exit code is 1.

Only the standard library is there yet.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.machinery
import os
import platform
import re
import secrets
import shutil
import subprocess
import sys
import sysconfig
import time
from pathlib import Path
from typing import Final

LOCK: Final = Path(__file__).resolve().parents[1] / "requirements.lock"
PARTIAL: Final = ".partial-"
ABANDONED: Final = 24 * 3600
"""Seconds after which a folder that was not finished is thrown away; no install takes that long."""
PIP_VARIABLES: Final = frozenset(
    f"PIP_{name}"
    for name in (
        "CERT",
        "CLIENT_CERT",
        "CONFIG_FILE",
        "DEFAULT_TIMEOUT",
        "EXTRA_INDEX_URL",
        "FIND_LINKS",
        "INDEX_URL",
        "KEYRING_PROVIDER",
        "NO_INDEX",
        "PROXY",
        "RETRIES",
        "TIMEOUT",
        "TRUSTED_HOST",
        "USE_DEPRECATED",
        "USE_FEATURE",
    )
)
"""Of pip's variables those that say how to reach the packages. The others could put them elsewhere, or others there."""


class SetUpError(Exception):
    """The environment cannot be had; the text is a sentence for the person at the red build."""


def main() -> int:
    """Print the path of the environment's Python, or why there is none."""
    # The shell reads it; Windows would end the line with a carriage return.
    sys.stdout.reconfigure(newline="\n")  # type: ignore[union-attr]
    try:
        print(python_of(environment()))
    except SetUpError as error:
        print(error)
        return 1
    return 0


def environment() -> Path:
    """The folder of a complete environment.

    Raises:
        SetUpError: there is none and none can be made.
    """
    lock = LOCK.read_bytes()
    places = filter(None, map(os.environ.get, ("RUNNER_TOOL_CACHE", "RUNNER_TEMP")))
    folders = [Path(place, "threadfix-gate", key(lock)) for place in places]
    for folder in folders:
        if is_complete(folder, lock):
            return folder
    refusals = []
    for folder in folders:
        try:
            partial = new_folder_beside(folder)
        except OSError as error:
            refusals.append(f"{folder.parent} ({error.strerror})")
        else:
            fill(partial, lock)
            return renamed(partial, folder, lock)
    raise SetUpError(
        "There is no folder for the gate's packages: RUNNER_TOOL_CACHE or RUNNER_TEMP must name one that can be "
        f"written. {'Refused: ' + ', '.join(refusals) if refusals else 'Neither is set'}."
    )


def key(lock: bytes) -> str:
    """A name for what the environment holds: the locked packages, built for this very Python on this platform."""
    suffix = importlib.machinery.EXTENSION_SUFFIXES[0]  # tells glibc from musl, which may share one cache
    parts = (sys.version, sys.base_prefix, sysconfig.get_platform(), platform.machine(), suffix)
    return hashlib.sha256("\0".join(parts).encode() + lock).hexdigest()[:16]


def python_of(folder: Path) -> Path:
    """The environment's Python."""
    scripts = sysconfig.get_path("scripts", "venv", {"base": str(folder)})
    return Path(scripts) / ("python.exe" if os.name == "nt" else "python")


def is_complete(folder: Path, lock: bytes) -> bool:
    """Whether its Python still is where it was, and every locked package is there."""
    if not os.access(python_of(folder), os.X_OK):
        return False
    packages = Path(sysconfig.get_path("purelib", "venv", {"base": str(folder)}))
    there = {path.name.lower() for path in packages.glob("*.dist-info")}
    return locked(lock) <= there


def locked(lock: bytes) -> set[str]:
    """The folders that the locked packages leave, whatever ends the lines of the file.

    Raises:
        SetUpError: there are none, so that even an empty environment would look complete.
    """
    # A line with a condition (`; sys_platform == …`) may not apply here.
    pins = filter(None, (re.fullmatch(r"([\w.-]+)==(\S+) *\\?", line) for line in lock.decode().splitlines()))
    folders = {f"{re.sub('[-_.]+', '_', pin[1])}-{pin[2]}.dist-info".lower() for pin in pins}
    if not folders:
        raise SetUpError(f"{LOCK} names no package: this copy of the action is damaged. Fetch it again.")
    return folders


def new_folder_beside(folder: Path) -> Path:
    """A new, empty folder in the same place, for nobody else."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    for left in folder.parent.glob(f"*{PARTIAL}*"):
        # Another job may be clearing up as well.
        with contextlib.suppress(OSError):
            if time.time() - left.stat().st_mtime > ABANDONED:
                shutil.rmtree(left)
    partial = folder.with_name(f"{folder.name}{PARTIAL}{secrets.token_hex(4)}")
    partial.mkdir()
    return partial


def fill(partial: Path, lock: bytes) -> None:
    """Make the environment in an empty folder.

    Raises:
        SetUpError: it did not work; the folder is gone then.
    """
    temporary = partial / "tmp"
    temporary.mkdir()
    try:
        call([sys.executable, "-I", "-B", "-m", "venv", str(partial)], temporary)
        install = "install --no-deps --require-hashes --only-binary :all: --no-cache-dir --no-input --no-user"
        options = "--disable-pip-version-check --no-warn-script-location -r"
        pip = [str(python_of(partial)), "-I", "-m", "pip", *install.split(), *options.split(), str(LOCK)]
        call(pip, temporary)
        shutil.rmtree(temporary)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    if not is_complete(partial, lock):
        shutil.rmtree(partial, ignore_errors=True)
        raise SetUpError(
            "pip has put the gate's packages elsewhere; a pip.conf on this runner says so (`target`, `prefix` or "
            "`root`). Set PIP_CONFIG_FILE to one without these in the job's environment."
        )


def call(command: list[str], temporary: Path) -> None:
    """Run a command in silence, and without the gate's own variables: the key is among them.

    Raises:
        SetUpError: it failed; what it printed is in the log then, folded.
    """
    clean = {
        name: value
        for name, value in os.environ.items()
        if not name.upper().startswith(("PIP_", "PYTHON", "__PYVENV", "THREADFIX_")) or name.upper() in PIP_VARIABLES
    }
    clean |= dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(temporary))
    done = subprocess.run(command, env=clean, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, encoding="utf-8", errors="replace", check=False)  # fmt: skip
    if done.returncode == 0:
        return
    show(done.stdout)
    last = [line for line in done.stdout.splitlines() if line.startswith(("ERROR:", "Error:"))][-1:]
    raise SetUpError(
        f"The gate's packages could not be installed (exit code {done.returncode}; all that was said is in the folded "
        f"group above): {' '.join(last)[:300] or 'no reason was given'} On a runner that does not reach PyPI, set "
        "PIP_INDEX_URL, PIP_CERT and HTTPS_PROXY in the job's environment; pip obeys them."
    )


def show(text: str) -> None:
    """Print what a command said, folded, and so that the runner takes none of it as a command."""
    token = secrets.token_hex(16)
    print("::group::Set-up of the gate, which failed", f"::stop-commands::{token}", text.rstrip(), f"::{token}::",
        "::endgroup::", sep="\n", file=sys.stderr)  # fmt: skip


def renamed(partial: Path, folder: Path, lock: bytes) -> Path:
    """Give the finished folder its name, and say where the environment is now."""
    for _ in range(2):
        try:
            return partial.rename(folder)
        except OSError:
            if is_complete(folder, lock):
                # Another job was quicker.
                shutil.rmtree(partial, ignore_errors=True)
                return folder
            # What has the name is broken, for example because its Python was removed: out of the way with it.
            aside = partial.with_name(f"{partial.name}-broken")
            try:
                folder.rename(aside)
            except OSError:
                break
            shutil.rmtree(aside, ignore_errors=True)
    # Without its name it works as well; only the next job cannot find it.
    return partial


if __name__ == "__main__":
    sys.exit(main())
