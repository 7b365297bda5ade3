"""Runs pip on the virtual environment that this script is started in, which needs no pip of its own.

The pip is that of the Python which the environment was made from; where that has none, or one that is too old for it,
the one that Python brings along for new environments. Making an environment without pip takes a tenth of the time.
"""

import subprocess
import sys
from pathlib import Path

# Says which pips there are, in the Python that the environment was made from. Debian keeps the second one elsewhere.
FIND = """
import glob, importlib.util, importlib.metadata, os, sysconfig
try:
    print(importlib.metadata.version("pip"))
except importlib.metadata.PackageNotFoundError:
    print("0")
found = importlib.util.find_spec("ensurepip")
bundled = found and os.path.join(os.path.dirname(found.origin), "_bundled")
for folder in (sysconfig.get_config_var("WHEEL_PKG_DIR"), bundled):
    for wheel in sorted(glob.glob(os.path.join(folder or os.devnull, "pip-*.whl"))):
        print(wheel)
"""
# From 22.3 on pip takes the option --python.
OLDEST = (22, 3)


def pip() -> list[str]:
    """The command that runs a pip on this environment."""
    # Of the environment's own, `base` is where it comes from.
    base = getattr(sys, "_base_executable", sys.executable)
    version, *wheels = subprocess.check_output([base, "-c", FIND], text=True).splitlines()
    if tuple(int(part) for part in version.split(".")[:2] if part.isdigit()) >= OLDEST:
        return [base, "-m", "pip", "--python", sys.executable]
    if wheels:
        return [sys.executable, str(Path(wheels[-1]) / "pip")]
    sys.exit(f"{base} has no pip. On Debian: apt-get install python3-venv")


def main() -> int:
    """Run pip with the arguments that were given; its exit code."""
    return subprocess.run([*pip(), "--disable-pip-version-check", *sys.argv[1:]], check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
