"""Runs pip for the current virtual environment, which needs no pip itself.

The script uses the pip of the environment's base Python. If that pip is missing or too old, it uses the bundled wheel
of ensurepip. An environment without pip is created ten times as fast.
"""

import subprocess
import sys
from pathlib import Path

# Prints the version of the base Python's pip, then the paths of bundled wheels. Debian has another folder for them.
FIND = """
import glob, importlib.util, importlib.metadata, os, sysconfig
try:
    print(importlib.metadata.version("pip"))
except importlib.metadata.PackageNotFoundError:
    print("0")
spec = importlib.util.find_spec("ensurepip")
bundled = spec and os.path.join(os.path.dirname(spec.origin), "_bundled")
for folder in (sysconfig.get_config_var("WHEEL_PKG_DIR"), bundled):
    for wheel in sorted(glob.glob(os.path.join(folder or os.devnull, "pip-*.whl"))):
        print(wheel)
"""
# pip has the option --python since 22.3.
OLDEST = (22, 3)


def pip() -> list[str]:
    """Return the command that runs pip for this environment."""
    base = getattr(sys, "_base_executable", sys.executable)
    version, *wheels = subprocess.check_output([base, "-c", FIND], text=True).splitlines()
    if tuple(int(part) for part in version.split(".")[:2] if part.isdigit()) >= OLDEST:
        return [base, "-m", "pip", "--python", sys.executable]
    if wheels:
        return [sys.executable, str(Path(wheels[-1]) / "pip")]
    sys.exit(f"{base} has no pip. On Debian: apt-get install python3-venv")


def main() -> int:
    """Run pip with the arguments of the command line; return its exit code."""
    return subprocess.run([*pip(), "--disable-pip-version-check", *sys.argv[1:]], check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
