"""Builds the image and runs it, with what this machine has: docker, podman or buildah.

`build_image.py build` makes the image `threadfix-gate` from the Dockerfile. Where its base cannot be pulled, Debian's
own Python stands in for it, put together once by mmdebstrap. `build_image.py run …` takes what `docker run …` takes, so
that a script named `docker` which calls it can play docker where there is none.
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
# EX_UNAVAILABLE, a program that is needed is not here.
UNAVAILABLE = 69
# What docker ends with when it could not start a container.
NOT_STARTED = 125


def succeeds(*command: str) -> bool:
    """Whether the command ends with 0; what it says is not shown."""
    return subprocess.run(command, capture_output=True, check=False, stdin=subprocess.DEVNULL).returncode == 0


def output(*command: str) -> str:
    """What the command prints, stripped."""
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.strip()


def unavailable(what: str) -> NoReturn:
    """Say what is missing, and end so that a caller can tell it from a build that failed."""
    print(what, file=sys.stderr)
    sys.exit(UNAVAILABLE)


@cache
def engine() -> str:
    """The engine to use: the first that is there and works, or the one that THREADFIX_GATE_ENGINE names."""
    chosen = os.environ.get("THREADFIX_GATE_ENGINE")
    if chosen:
        return chosen
    for name, works in WORKS.items():
        if not shutil.which(name):
            continue
        if works():
            return name
        print(f"{name} is here but cannot run containers.", file=sys.stderr)
    unavailable("Neither docker nor podman nor buildah works here. On Debian: apt-get install podman runc")


def docker_works() -> bool:
    """Whether docker's client, which is often there alone, has a server to talk to, and that runs Linux containers."""
    asked = subprocess.run(
        ["docker", "version", "--format", "{{.Server.Os}}"], capture_output=True, text=True, check=False
    )
    return asked.stdout.strip() == "linux"


def podman_works() -> bool:
    """Whether podman has all that it needs and, once the image is there, is allowed to start it."""
    if not tagged("podman"):
        return succeeds("podman", "info")
    # Not the gate but a program that is in every base: a gate that is broken must not be podman's fault.
    return succeeds("podman", "run", "--rm", *run_options("podman"), "--entrypoint", "true", IMAGE)


def buildah_works() -> bool:
    """Whether buildah has what little it needs: a kernel that lets this user have ids of his own."""
    return succeeds("buildah", "info")


WORKS = {"docker": docker_works, "podman": podman_works, "buildah": buildah_works}
"""The engines, the best first, and how to find out whether each works."""


def make(name: str, folder: Path, tag: str, *options: str) -> None:
    """Build the Dockerfile in `folder`."""
    # Without a daemon, a build in a plain chroot needs the fewest rights.
    isolation = () if name == "docker" else ("--isolation", "chroot")
    subprocess.run([name, "build", *isolation, "--tag", tag, *options, str(folder)], check=True)


def with_base(dockerfile: str, base: str | None = None) -> tuple[str, str]:
    """The base that a Dockerfile names, and the Dockerfile with another one in its place."""
    found = BASE.search(dockerfile)
    if not found:
        sys.exit("The Dockerfile names no base (FROM ... AS base).")
    return found[1], BASE.sub(f"FROM {base or found[1]} AS base", dockerfile)


def base(name: str) -> str:
    """The Dockerfile's base where it can be pulled, else the stand-in."""
    named, _ = with_base(DOCKERFILE.read_text(encoding="utf-8"))
    return named if succeeds(name, "pull", "--quiet", named) else stand_in(name, named)


def stand_in(name: str, instead_of: str) -> str:
    """Put Debian's Python into an image, unless that was done before."""
    # Where packages come through a private certificate authority, pip has to know it inside the image too.
    trusted = Path(os.environ.get("PIP_CERT") or os.devnull).read_bytes()
    recipe = hashlib.sha256(repr((SUITE, PACKAGES)).encode() + trusted).hexdigest()[:12]
    tag = f"{STAND_IN}:{SUITE}-{recipe}"
    if succeeds(name, "inspect", "--type", "image", tag):
        return tag
    print(f"{instead_of} cannot be pulled; putting a base together from Debian's packages instead.", file=sys.stderr)
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


def build(asked: str | None) -> None:
    """Build the image on the base that is asked for, or on the one that can be had."""
    name = engine()
    before = tagged(name)
    _, text = with_base(DOCKERFILE.read_text(encoding="utf-8"), asked or base(name))
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "Dockerfile"
        file.write_text(text, encoding="utf-8")
        make(name, ROOT, IMAGE, "--file", str(file))
    if before not in {"", tagged(name)}:
        # It has lost its name to the new one. It stays where it has another name, or a container of its own.
        succeeds(name, "rmi", before)


def tagged(name: str) -> str:
    """The id of the image as it was built last; empty where it was not."""
    asked = subprocess.run([name, "images", "--quiet", IMAGE], capture_output=True, text=True, check=False)
    return asked.stdout.strip()


def run_options(name: str) -> list[str]:
    """What is added to each run: the host's network, so that a sandbox on loopback can be reached, and what helps."""
    options = ["--network=host"]
    if name == "podman":
        # Podman asks for more files and processes than a machine may allow, and then refuses to start.
        options += ["--ulimit=nofile=1024:1024", "--ulimit=nproc=1024:1024"]
        # crun, which it would rather use, refuses a machine with both kinds of cgroups.
        options += ["--runtime=runc"] if shutil.which("runc") else []
    return options


def run(arguments: Sequence[str]) -> NoReturn:
    """`docker run`, by what is here. Signals reach the container as they do with docker."""
    name = engine()
    if name == "buildah":
        sys.exit(run_with_buildah(arguments))
    os.execvp(name, [name, "run", *run_options(name), *arguments])  # noqa: S606 - no shell is wanted


def run_with_buildah(arguments: Sequence[str]) -> int:
    """As much of `docker run` as buildah can do: no process id 1 of its own, and no --read-only."""
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
    asked = parser.parse_args(arguments)
    if not succeeds("buildah", "inspect", "--type", "image", asked.image):
        print(f"There is no image {asked.image}.", file=sys.stderr)
        return NOT_STARTED
    config = json.loads(output("buildah", "inspect", "--type", "image", asked.image))["OCIv1"]["config"]
    if asked.entrypoint is None:
        command = [*config.get("Entrypoint", []), *(asked.command or config.get("Cmd", []))]
    else:
        command = [*asked.entrypoint.split(), *asked.command]
    options = [f"--volume={volume}" for volume in asked.volume]
    for variable in asked.env:
        given = variable if "=" in variable else f"{variable}={os.environ[variable]}"
        options += [f"--env={given}"] if "=" in variable or variable in os.environ else []
    options += [f"--user={asked.user}"] if asked.user else []
    options += [f"--workingdir={asked.workdir}"] if asked.workdir else []
    container = output("buildah", "from", "--pull-never", asked.image)
    try:
        started = ["buildah", "run", "--isolation", "chroot", *options, container, "--", *command]
        return subprocess.run(started, check=False).returncode
    finally:
        subprocess.run(["buildah", "rm", container], stdout=subprocess.DEVNULL, check=True)


def main() -> None:
    """Build or run."""
    if sys.argv[1:2] == ["run"]:
        run(sys.argv[2:])
    parser = argparse.ArgumentParser(description="Build the image, or run it as `docker run` would.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    builder = commands.add_parser("build", help="build the Dockerfile")
    builder.add_argument("--base", help="image to build on; without it the Dockerfile's own, or a stand-in")
    commands.add_parser("run", help="like docker run: OPTIONS IMAGE ARGUMENTS")
    commands.add_parser("engine", help="name the engine that is used")
    asked = parser.parse_args()
    if "base" in asked:
        build(asked.base)
    else:
        print(engine())


if __name__ == "__main__":
    main()
