"""Finds or makes the virtual environment that the gate runs in, and prints the path of its Python.

`find` only looks for one, and its exit code is 1 where there is none. `make` makes one. It is keyed by everything that
decides what is in it, and lies in the runner's tool cache, so that the next job on a self-hosted runner starts at once;
in the runner's temporary folder where the cache cannot be written. It is made in a folder beside and then renamed: no
other job ever sees half of it, and a killed run leaves nothing that is ever used. When it cannot be made, one sentence
that says why is printed instead, and the exit code is 1.

Only the standard library is there yet, and the pip of this Python.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.machinery
import importlib.util
import os
import platform
import re
import secrets
import shutil
import signal
import stat
import subprocess
import sys
import sysconfig
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT: Final = Path(__file__).resolve().parents[1]
LOCK: Final = ROOT / "requirements-action.lock"
PARTIAL: Final = ".partial-"
ABANDONED: Final = 24 * 3600
"""Seconds after which a folder that was not finished is thrown away; no install takes that long."""
LIMIT: Final = 600
"""Seconds that making an environment may take."""
LOOK: Final = 0.1
"""Seconds between two looks at whether the job was cancelled meanwhile."""
WRITABLE_BY_OTHERS: Final = stat.S_IWGRP | stat.S_IWOTH
PIP_NEEDED: Final = (22, 3)
"""The first pip that is made to be run from elsewhere for an environment without one (`pip --python`)."""
PIP_VARIABLES: Final = frozenset(
    f"PIP_{name}"
    for name in (
        "CERT",
        "CLIENT_CERT",
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
"""Of pip's settings those that say how to reach the packages. The others could put them elsewhere, or others there."""
RUN_PIP: Final = """
import importlib.machinery, runpy, sys
place = sys.argv.pop(1)
class OnlyPip:
    @staticmethod
    def find_spec(name, path=None, target=None):
        return importlib.machinery.PathFinder.find_spec(name, [place], target) if name == "pip" else None
sys.meta_path.insert(0, OnlyPip)
runpy.run_module("pip", run_name="__main__", alter_sys=True)
"""
"""Runs the pip that lies in a folder or a wheel, and takes nothing else from there; as pip's own runner does it."""
LOAD: Final = """
import importlib.machinery, os, pathlib, socket, sys
write = importlib.machinery.SourceFileLoader.set_data
def write_inside(loader, path, data, **options):
    if path.startswith(sys.prefix + os.sep):
        write(loader, path, data, **options)
importlib.machinery.SourceFileLoader.set_data = write_inside
# Whatever the job has set must not decide what is loaded.
kept = {name: os.environ[name] for name in ("PATH", "SYSTEMROOT", "TMPDIR", "TEMP", "TMP") if name in os.environ}
os.environ.clear()
os.environ.update(kept, GITHUB_ACTIONS="true", THREADFIX_API_KEY="none", THREADFIX_APPLICATION_ID="1")
for name in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY"):
    os.environ[name] = os.path.join(kept["TMPDIR"], name)
    pathlib.Path(os.environ[name]).touch()
sys.path.insert(0, sys.argv[1])
from gate.cli import main
with socket.socket() as nobody:
    nobody.bind(("127.0.0.1", 0))
    options = ["--url", "http://127.0.0.1:%d" % nobody.getsockname()[1], "--pending-scan-id", "1"]
    options += ["--timeout", "10ms", "--interval", "10ms", "--max-interval", "10ms"]
    sys.exit(main(["run", *options]) == 70)
"""
"""Runs the gate once where nobody listens, so that Python keeps the byte code of all that a run loads, and of no more.

Written is only into the environment: neither into this copy of the action nor beside the standard library.
"""


class SetUpError(Exception):
    """The environment cannot be had; the text is a sentence for the person at the red build."""


class Patience:
    """Says when to give up: when the time is over, or the job is cancelled.

    A signal is only remembered, and looked for where nothing is half done.
    """

    def __init__(self, limit: float) -> None:
        """The time begins now; `limit` is in seconds."""
        self._limit = limit
        self._end = time.monotonic() + limit
        self._signal = 0

    def listen(self) -> None:
        """From here on SIGINT and SIGTERM are remembered."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._remember)

    def _remember(self, number: int, _frame: object) -> None:
        self._signal = number

    def check(self) -> None:
        """Go on only if nothing speaks against it.

        Raises:
            SetUpError: the time is over.
            SystemExit: a signal came.
        """
        if self._signal:
            raise SystemExit(128 + self._signal)
        if time.monotonic() > self._end:
            raise SetUpError(
                f"The gate's packages could not be installed within {self._limit / 60:g} minutes. "
                "Is the package index reachable from this runner, and quick enough?"
            )


def main() -> int:
    """Print the path of the environment's Python, or why there is none."""
    # The shell reads it; Windows would end the line with a carriage return.
    sys.stdout.reconfigure(newline="\n")  # type: ignore[union-attr]
    # Whatever the job's is: what others could write, they could change before a later job runs it.
    os.umask(os.umask(WRITABLE_BY_OTHERS) | WRITABLE_BY_OTHERS)
    try:
        lock = LOCK.read_bytes()
        locked(lock)
        if sys.argv[1:] == ["find"]:
            folder = found(lock)
            if folder is None:
                return 1
        else:
            patience = Patience(LIMIT)
            patience.listen()
            folder = made(lock, patience)
        print(python_of(folder))
    except SetUpError as error:
        print(error)
        return 1
    return 0


def folders(lock: bytes) -> list[Path]:
    """Where the environment may be, the best place first."""
    places = filter(None, map(os.environ.get, ("RUNNER_TOOL_CACHE", "RUNNER_TEMP")))
    return [Path(place, "threadfix-gate", key(lock)) for place in places]


def found(lock: bytes) -> Path | None:
    """The folder of a complete environment, if there is one."""
    return next((folder for folder in folders(lock) if is_complete(folder, lock)), None)


def made(lock: bytes, patience: Patience) -> Path:
    """Make an environment in the first place that takes it; its folder.

    Raises:
        SetUpError: none can be made.
        SystemExit: the job is cancelled.
    """
    refusals = []
    for folder in folders(lock):
        try:
            partial = new_folder_beside(folder)
        except OSError as error:
            refusals.append(f"{folder.parent} ({error.strerror})")
        else:
            fill(partial, lock, patience)
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
    """Whether its Python still is where it was, and all the locked packages are there and nothing else.

    Nobody else may have written into it. This keeps out what pip was told to bring along and what others have left; it
    is no defence against somebody who acts as this very user.
    """
    if not (is_trusted(folder.parent) and is_trusted(folder) and os.access(python_of(folder), os.X_OK)):
        return False
    packages = Path(sysconfig.get_path("purelib", "venv", {"base": str(folder)}))
    try:
        there = {path.name for path in packages.iterdir()} - {"__pycache__"}
        infos = {name for name in there if name.endswith(".dist-info")}
        # Every .pth file, module and package must be listed by a package that is locked.
        listed = {name for info in infos for name in top_level(packages / info / "RECORD")}
    except (OSError, UnicodeDecodeError):
        return False
    return {name.lower() for name in infos} == locked(lock) and there == listed


def top_level(record: Path) -> set[str]:
    """The names in site-packages that a package's list of files speaks of."""
    lines = record.read_text(encoding="utf-8").splitlines()
    return {name for name in (re.split("[/,]", line.strip('"'), maxsplit=1)[0] for line in lines) if name != ".."}


def is_trusted(folder: Path) -> bool:
    """Whether a folder is none but this user's, or root's who needs no folder to change what runs here; and no link."""
    try:
        info = folder.lstat()
    except OSError:
        return False
    if sys.platform == "win32":
        # Windows says who may write in lists, which Python does not read.
        return stat.S_ISDIR(info.st_mode) and info.st_reparse_tag != stat.IO_REPARSE_TAG_MOUNT_POINT
    return stat.S_ISDIR(info.st_mode) and info.st_uid in {0, os.geteuid()} and not info.st_mode & WRITABLE_BY_OTHERS


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
    """A new, empty folder in the same place, for nobody else.

    Raises:
        OSError: nothing can or should be written there.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    if not is_trusted(folder.parent):
        raise PermissionError(1, "a link, another user's, or writable by others")
    for left in folder.parent.glob(f"*{PARTIAL}*"):
        # Another job may be clearing up as well.
        with contextlib.suppress(OSError):
            if time.time() - left.lstat().st_mtime > ABANDONED:
                remove(left)
    partial = folder.with_name(f"{folder.name}{PARTIAL}{secrets.token_hex(4)}")
    partial.mkdir()
    return partial


def fill(partial: Path, lock: bytes, patience: Patience) -> None:
    """Make the environment in an empty folder.

    Raises:
        SetUpError: it did not work; the folder is gone then.
        SystemExit: the job is cancelled; likewise.
    """
    try:
        install(partial, patience)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    if not is_complete(partial, lock):
        shutil.rmtree(partial, ignore_errors=True)
        raise SetUpError("pip has not installed exactly what is locked; is something wrong with this runner's pip?")


def install(partial: Path, patience: Patience) -> None:
    """Make a virtual environment, put the locked packages into it, and compile what a run loads of them.

    Raises:
        SetUpError: it did not work.
        SystemExit: the job is cancelled.
    """
    temporary = partial / "tmp"
    temporary.mkdir()
    python = str(python_of(partial))
    call([sys.executable, "-I", "-B", "-m", "venv", "--without-pip", str(partial)], temporary, patience)
    pip = [python, "-I", "-B", "-c", RUN_PIP, str(place_of_pip()), "install", "-r", str(LOCK)]
    packages = "--no-deps --require-hashes --only-binary :all: --no-cache-dir --no-user --no-compile"
    manners = "--no-input --progress-bar off --disable-pip-version-check --no-warn-script-location"
    call([*pip, *packages.split(), *manners.split()], temporary, patience)
    call([python, "-I", "-X", "utf8", "-c", LOAD, str(ROOT)], temporary, patience)
    shutil.rmtree(temporary)


def place_of_pip() -> Path:
    """The folder or the wheel that has a pip: this Python's own, or the one that it brings for new environments.

    Its own is there as byte code, the other is to be compiled first.

    Raises:
        SetUpError: there is none.
    """
    spec = importlib.util.find_spec("pip")
    if spec and spec.origin:
        version = re.match(r"(\d+)\.(\d+)", str(getattr(importlib.import_module("pip"), "__version__", "")))
        if version and (int(version[1]), int(version[2])) >= PIP_NEEDED:
            return Path(spec.origin).parents[1]
    bundled = importlib.util.find_spec("ensurepip")
    places = [Path(bundled.origin).parent / "_bundled"] if bundled and bundled.origin else []
    # Where a distribution keeps it.
    places += map(Path, filter(None, [sysconfig.get_config_var("WHEEL_PKG_DIR"), "/usr/share/python-wheels"]))
    for place in places:
        for wheel in place.glob("pip-*.whl"):
            return wheel
    raise SetUpError(f"{sys.executable} has neither a pip from 22.3 on nor ensurepip (python3-venv on Debian).")


def variables(environ: Mapping[str, str]) -> dict[str, str]:
    """What a command that is started here gets of the environment: not the gate's own variables, the key among them.

    Of pip's settings only those that say how to reach the packages, whether a variable or the file that the job itself
    names with PIP_CONFIG_FILE has them. No other configuration file is read: one could add packages that nobody locked.

    Raises:
        SetUpError: that file cannot be read.
    """
    settings = configured(environ.get("PIP_CONFIG_FILE", ""))
    settings |= {name: value for name, value in environ.items() if name.startswith("PIP_")}
    clean = {
        name: value
        for name, value in environ.items()
        if not name.upper().startswith(("PIP_", "PYTHON", "__PYVENV", "THREADFIX_"))
    }
    return clean | {name: settings[name] for name in PIP_VARIABLES & settings.keys()} | {"PIP_CONFIG_FILE": os.devnull}


def configured(file: str) -> dict[str, str]:
    """The settings in a configuration file of pip that concern `pip install`, by the names of their variables.

    Raises:
        SetUpError: it cannot be read.
    """
    import configparser

    parser = configparser.RawConfigParser()
    if file:
        try:
            with open(file, encoding="utf-8") as lines:  # noqa: PTH123 - os.devnull is no path everywhere
                parser.read_file(lines)
        except (OSError, ValueError, configparser.Error) as error:
            what = " ".join(str(error).split())
            raise SetUpError(f"PIP_CONFIG_FILE names a file that cannot be read: {what}.") from error
    return {
        f"PIP_{name.lstrip('-').replace('-', '_').upper()}": value
        for section in ("global", "install")
        if parser.has_section(section)
        for name, value in parser.items(section)
    }


def call(command: list[str], temporary: Path, patience: Patience) -> None:
    """Run a command in silence.

    Raises:
        SetUpError: it failed; what it printed is in the log then, folded. Or the time is over.
        SystemExit: the job is cancelled.
    """
    clean = variables(os.environ) | dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(temporary))
    patience.check()
    process = subprocess.Popen(command, env=clean, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, encoding="utf-8", errors="replace",
        start_new_session=os.name != "nt")  # fmt: skip
    try:
        while True:
            try:
                said, _ = process.communicate(timeout=LOOK)
                break
            except subprocess.TimeoutExpired:
                patience.check()
    except BaseException:
        # With whatever it has started.
        if sys.platform == "win32":
            process.kill()
        else:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        raise
    if process.returncode == 0:
        return
    show(said)
    last = [line for line in said.splitlines() if line.startswith(("ERROR:", "Error:"))][-1:]
    raise SetUpError(
        f"The gate's packages could not be installed (exit code {process.returncode}; all that was said is in the "
        f"folded group above): {' '.join(last)[:300] or 'no reason was given'} On a runner that does not reach PyPI, "
        "set PIP_INDEX_URL, PIP_CERT and HTTPS_PROXY in the job's environment, or PIP_CONFIG_FILE; no other pip.conf "
        "is read."
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
            remove(aside)
    # Without its name it works as well; only the next job cannot find it.
    return partial


def remove(path: Path) -> None:
    """Remove a folder, or a link instead of what it leads to, as far as that goes."""
    with contextlib.suppress(OSError):
        if path.is_symlink():
            path.unlink()
        else:
            shutil.rmtree(path, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
