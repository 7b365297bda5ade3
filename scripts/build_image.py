"""Builds and runs the image with docker, podman or buildah.

`build_image.py build` builds the image `threadfix-gate` from the Dockerfile. If its base cannot be pulled, the script
uses mmdebstrap once to create a replacement with Debian's Python. `build_image.py run …` has the arguments of
`docker run …`, so a script named `docker` can call it on a machine without docker.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT = Path(__file__).parent.parent
DOCKERFILE = ROOT / "Dockerfile"
BASE = re.compile(r"^FROM (\S+) AS base$", re.MULTILINE)
IMAGE = "localhost/threadfix-gate"
STAND_IN = "localhost/threadfix-gate-base"
# Debian 12, whose Python is 3.11.
SUITE = "bookworm"
PACKAGES = ("ca-certificates", "python3", "python3-venv")
# EX_UNAVAILABLE: a required program is missing.
UNAVAILABLE = 69
# The exit code of docker if it cannot start a container.
NOT_STARTED = 125


def succeeds(*command: str) -> bool:
    """Run a command without its output; return whether its exit code is 0."""
    return subprocess.run(command, capture_output=True, check=False, stdin=subprocess.DEVNULL).returncode == 0


def output(*command: str) -> str:
    """Run a command; return its output, stripped."""
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.strip()


def unavailable(message: str) -> NoReturn:
    """Print a message about a missing program; exit with a code that differs from a failed build's."""
    print(message, file=sys.stderr)
    sys.exit(UNAVAILABLE)


@cache
def engine() -> str:
    """Return the engine: the value of THREADFIX_GATE_ENGINE, or the first installed engine that works."""
    chosen = os.environ.get("THREADFIX_GATE_ENGINE")
    if chosen:
        return chosen
    for name, works in WORKS.items():
        if not shutil.which(name):
            continue
        if works():
            return name
        print(f"{name} is installed but cannot run containers.", file=sys.stderr)
    unavailable("Neither docker nor podman nor buildah works. On Debian: apt-get install podman runc")


def docker_works() -> bool:
    """Return whether docker has a running server for Linux containers. Often only the client is installed."""
    result = subprocess.run(
        ["docker", "version", "--format", "{{.Server.Os}}"], capture_output=True, text=True, check=False
    )
    return result.stdout.strip() == "linux"


def podman_works() -> bool:
    """Return whether podman works and, if the image exists, may start a container."""
    if not tagged("podman"):
        return succeeds("podman", "info")
    # Run a program of the base instead of the gate, so that a broken gate does not look like a broken podman.
    return succeeds("podman", "run", "--rm", *run_options("podman"), "--entrypoint", "true", IMAGE)


def buildah_works() -> bool:
    """Return whether buildah works. It needs a kernel that allows user namespaces."""
    return succeeds("buildah", "info")


WORKS = {"docker": docker_works, "podman": podman_works, "buildah": buildah_works}
"""The engines in the order of preference, with the functions that check them."""


def make(name: str, folder: Path, tag: str, *options: str) -> None:
    """Build the Dockerfile in `folder`."""
    # Without a daemon, a build in a chroot needs the fewest permissions.
    isolation = () if name == "docker" else ("--isolation", "chroot")
    subprocess.run([name, "build", *isolation, "--tag", tag, *options, str(folder)], check=True)


def with_base(dockerfile: str, base: str | None = None) -> tuple[str, str]:
    """Return the base of a Dockerfile, and the Dockerfile with another base."""
    matched = BASE.search(dockerfile)
    if not matched:
        sys.exit("The Dockerfile has no base image (FROM ... AS base).")
    return matched[1], BASE.sub(f"FROM {base or matched[1]} AS base", dockerfile)


def base(name: str) -> str:
    """Return the base of the Dockerfile, or its replacement if it cannot be pulled."""
    named, _ = with_base(DOCKERFILE.read_text(encoding="utf-8"))
    return named if succeeds(name, "pull", "--quiet", named) else stand_in(name, named)


def stand_in(name: str, instead_of: str) -> str:
    """Create an image with Debian's Python, unless it exists; return its tag."""
    # If the package index has a certificate of a private authority, pip must trust that authority inside the image too.
    trusted = Path(os.environ.get("PIP_CERT") or os.devnull).read_bytes()
    recipe = hashlib.sha256(repr((SUITE, PACKAGES)).encode() + trusted).hexdigest()[:12]
    tag = f"{STAND_IN}:{SUITE}-{recipe}"
    if succeeds(name, "inspect", "--type", "image", tag):
        return tag
    print(f"{instead_of} cannot be pulled; building a base from Debian's packages instead.", file=sys.stderr)
    if not shutil.which("mmdebstrap"):
        unavailable("mmdebstrap is not here. On Debian: apt-get install mmdebstrap")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        archive = folder / "base.tar"
        subprocess.run(
            ["mmdebstrap", "--quiet", "--variant=apt", f"--include={','.join(PACKAGES)}", SUITE, str(archive)],
            check=True,
        )
        recipe_file = "FROM scratch\nADD base.tar /\n"
        if trusted:
            (folder / "pip.crt").write_bytes(trusted)
            (folder / "pip.conf").write_text("[global]\ncert = /etc/pip.crt\n", encoding="utf-8")
            recipe_file += "COPY pip.crt pip.conf /etc/\n"
        (folder / "Dockerfile").write_text(recipe_file, encoding="utf-8")
        make(name, folder, tag)
    return tag


def build(requested: str | None) -> None:
    """Build the image on the requested base, or on the base that is available."""
    name = engine()
    before = tagged(name)
    _, text = with_base(DOCKERFILE.read_text(encoding="utf-8"), requested or base(name))
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "Dockerfile"
        file.write_text(text, encoding="utf-8")
        make(name, ROOT, IMAGE, "--file", str(file))
    if before not in {"", tagged(name)}:
        # The old image no longer has this name. It remains if it has another name or a container.
        succeeds(name, "rmi", before)


def tagged(name: str) -> str:
    """Return the id of the current image; empty if the image does not exist."""
    result = subprocess.run([name, "images", "--quiet", IMAGE], capture_output=True, text=True, check=False)
    return result.stdout.strip()


def run_options(name: str) -> list[str]:
    """Return the options of each run. The host's network makes a sandbox on loopback reachable."""
    options = ["--network=host"]
    if name == "podman":
        # Podman's default limits may exceed the machine's, and podman then refuses to start.
        options += ["--ulimit=nofile=1024:1024", "--ulimit=nproc=1024:1024"]
        # crun, the default runtime, refuses to run on a machine with both versions of cgroups.
        options += ["--runtime=runc"] if shutil.which("runc") else []
    return options


def run(arguments: Sequence[str]) -> NoReturn:
    """Replace this process with the engine's version of `docker run`, so that signals reach the container."""
    name = engine()
    if name == "buildah":
        sys.exit(run_with_buildah(arguments))
    os.execvp(name, [name, "run", *run_options(name), *arguments])  # noqa: S606 - no shell is wanted


def run_with_buildah(arguments: Sequence[str]) -> int:
    """Run a container with buildah. It supports neither a separate process id 1 nor --read-only."""
    parser = argparse.ArgumentParser(prog="build_image.py run", allow_abbrev=False)
    parser.add_argument("--rm", action="store_true")
    parser.add_argument("--interactive", "-i", action="store_true")
    parser.add_argument("--env", "-e", action="append", default=[])
    parser.add_argument("--volume", "-v", action="append", default=[])
    parser.add_argument("--workdir", "-w")
    parser.add_argument("--user", "-u")
    parser.add_argument("--entrypoint")
    parser.add_argument("image")
    parser.add_argument("command", nargs=argparse.REMAINDER)
    parsed = parser.parse_args(arguments)
    if not succeeds("buildah", "inspect", "--type", "image", parsed.image):
        print(f"There is no image {parsed.image}.", file=sys.stderr)
        return NOT_STARTED
    config = json.loads(output("buildah", "inspect", "--type", "image", parsed.image))["OCIv1"]["config"]
    if parsed.entrypoint is None:
        command = [*config.get("Entrypoint", []), *(parsed.command or config.get("Cmd", []))]
    else:
        command = [*parsed.entrypoint.split(), *parsed.command]
    options = [f"--volume={volume}" for volume in parsed.volume]
    for variable in parsed.env:
        given = variable if "=" in variable else f"{variable}={os.environ[variable]}"
        options += [f"--env={given}"] if "=" in variable or variable in os.environ else []
    options += [f"--user={parsed.user}"] if parsed.user else []
    options += [f"--workingdir={parsed.workdir}"] if parsed.workdir else []
    container = output("buildah", "from", "--pull-never", parsed.image)
    try:
        started = ["buildah", "run", "--isolation", "chroot", *options, container, "--", *command]
        return subprocess.run(started, check=False).returncode
    finally:
        subprocess.run(["buildah", "rm", container], stdout=subprocess.DEVNULL, check=True)


def main() -> None:
    """Execute the command on the command line."""
    if sys.argv[1:2] == ["run"]:
        run(sys.argv[2:])
    parser = argparse.ArgumentParser(description="Build the image, or run it as `docker run` would.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    builder = commands.add_parser("build", help="build the Dockerfile")
    builder.add_argument(
        "--base", help="base image (default: that of the Dockerfile, or a substitute if it cannot be pulled)"
    )
    commands.add_parser("run", help="like docker run: OPTIONS IMAGE ARGUMENTS")
    commands.add_parser("engine", help="print the name of the engine")
    parsed = parser.parse_args()
    if "base" in parsed:
        build(parsed.base)
    else:
        print(engine())


if __name__ == "__main__":
    main()
