"""The shell steps of the release workflow, run as they are written."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.ci.recipes import load

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[2]
WORKFLOWS = ROOT / ".github/workflows"
VERSION = "1.2.3"
BUILT = "Compare the packages with the checksums of the build"
PREPARED = "Compare notes and bill of materials with their checksums"

pytestmark = pytest.mark.skipif(sys.platform != "linux" or not shutil.which("bash"), reason="the steps run on Linux")


def jobs(workflow: str = "release.yml") -> dict[str, Any]:
    found: dict[str, Any] = load(WORKFLOWS / workflow)["jobs"]
    return found


def run_step(
    job: str, name: str, folder: Path, workflow: str = "release.yml", **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run one step as the runner does."""
    [step] = [step for step in jobs(workflow)[job]["steps"] if step.get("name") == name]
    command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]]
    env = {**os.environ, "TAG": f"v{VERSION}", "VERSION": VERSION, **environment}
    cwd = folder / step.get("working-directory", ".")
    return subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, check=False)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Return a checkout that is ready for a release."""
    for folder in ("dist", "gate"):
        (tmp_path / folder).mkdir()
    (tmp_path / "dist" / f"threadfix_gate-{VERSION}-py3-none-any.whl").touch()
    (tmp_path / "dist/threadfix-gate.pyz").write_bytes(b"the single file")
    (tmp_path / "gate/__init__.py").write_text(f'"""Doc."""\n\n__version__ = "{VERSION}"\n', encoding="utf-8")
    shutil.copy(ROOT / ".gitignore", tmp_path)
    (tmp_path / "CHANGELOG.md").write_text(
        f"# Changelog\n\n## [{VERSION}] - 2027-01-31\n\n- new\n\n## [1.2.2] - 2026-12-24\n\n- old\n", encoding="utf-8"
    )
    git(tmp_path, "init", "--quiet", "--initial-branch", "main")
    git(tmp_path, "add", ".gitignore", "gate")
    git(tmp_path, "commit", "--quiet", "--message", "on main")
    git(tmp_path, "update-ref", "refs/remotes/origin/main", "HEAD")
    return tmp_path


def git(folder: Path, *arguments: str) -> str:
    command = ["git", "-c", "user.name=t", "-c", "user.email=t@example.com", *arguments]
    return subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, text=True, check=True).stdout.strip()


def check(repository: Path) -> int:
    """Return the exit code of the step that checks the commit."""
    name = "Check that the commit is on main, and that its version was built and described"
    given = {"GITHUB_SHA": git(repository, "rev-parse", "HEAD"), "GITHUB_OUTPUT": str(repository / "output")}
    return run_step("prepare", name, repository, **given).returncode


def version(number: str) -> Callable[[Path], object]:
    return lambda repository: (repository / "gate/__init__.py").write_text(f'__version__ = "{number}"\n')


def heading(text: str) -> Callable[[Path], object]:
    return lambda repository: (repository / "CHANGELOG.md").write_text(f"## {text}\n\n- new\n")


FLAWS: dict[str, Callable[[Path], object]] = {
    "pre-release": version("1.2.3rc1"),
    "command": version("1.2.3; id"),
    "no version": version(""),
    "no single file": lambda repository: (repository / "dist/threadfix-gate.pyz").unlink(),
    "not merged": lambda repository: git(repository, "commit", "--quiet", "--allow-empty", "--message", "branch"),
    "another wheel": lambda repository: next((repository / "dist").glob("*.whl")).rename(
        repository / "dist/threadfix_gate-1.2.2-py3-none-any.whl"
    ),
    "no date": heading(f"[{VERSION}] - Unreleased"),
    "longer version": heading("[1.2.30] - 2027-01-31"),
    "pattern": heading("[1x2x3] - 2027"),
}


@pytest.mark.parametrize("flaw", FLAWS)
def test_a_commit_that_is_no_release_is_stopped(repository: Path, flaw: str) -> None:
    """Only a commit of main with the version X.Y.Z, built with its single file, and in the changelog with its date."""
    assert check(repository) == 0
    assert (repository / "output").read_text(encoding="utf-8") == f"version={VERSION}\ntag=v{VERSION}\n"
    FLAWS[flaw](repository)
    assert check(repository) != 0


@pytest.fixture
def origin(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the repository on the server, and a `gh` that does nothing."""
    origin = tmp_path_factory.mktemp("origin")
    git(origin, "init", "--quiet", "--bare", "--initial-branch", "main")
    git(repository, "remote", "add", "origin", str(origin))
    git(repository, "push", "--quiet", "origin", "HEAD:refs/heads/main")
    gh = repository / "bin/gh"
    gh.parent.mkdir()
    gh.write_text("#!/bin/sh\n", encoding="utf-8")
    gh.chmod(0o755)
    return origin


def tag(repository: Path, commit: str) -> tuple[int, str]:
    """Run the step that tags a commit of main. Return its exit code and the tagged commit."""
    output = repository / "output"
    output.unlink(missing_ok=True)
    env = {
        "PATH": f"{repository / 'bin'}:{os.environ['PATH']}",
        "HOME": str(repository),
        "GITHUB_SHA": commit,
        "GITHUB_OUTPUT": str(output),
    }
    code = run_step("tag", "Commit and tag", repository, **env).returncode
    return code, output.read_text(encoding="utf-8").removeprefix("sha=").strip() if output.exists() else ""


def test_the_tag_adds_only_the_single_file(repository: Path, origin: Path) -> None:
    """The parent of the tagged commit is the commit of main. Main does not change."""
    main = git(repository, "rev-parse", "HEAD")
    code, tagged = tag(repository, main)
    assert code == 0
    assert git(origin, "rev-parse", f"v{VERSION}^{{commit}}") == tagged
    assert git(origin, "rev-parse", f"{tagged}^") == git(origin, "rev-parse", "main") == main
    assert git(origin, "diff", "--name-only", main, tagged) == "dist/threadfix-gate.pyz"
    assert git(origin, "show", f"{tagged}:dist/threadfix-gate.pyz") == "the single file"


def test_a_tag_can_be_created_again(repository: Path, origin: Path) -> None:
    main = git(repository, "rev-parse", "HEAD")
    _, tagged = tag(repository, main)
    git(repository, "checkout", "--quiet", "--force", main)
    (repository / "dist").mkdir(exist_ok=True)
    (repository / "dist/threadfix-gate.pyz").write_bytes(b"the single file")
    assert tag(repository, main) == (0, tagged)
    (repository / "dist/threadfix-gate.pyz").write_bytes(b"another file")
    assert tag(repository, main)[0] != 0
    assert git(origin, "rev-parse", f"v{VERSION}^{{commit}}") == tagged


def test_a_tag_on_another_commit_is_stopped(repository: Path, origin: Path) -> None:
    """A version that was tagged before, on main or on a branch, is not released."""
    main = git(repository, "rev-parse", "HEAD")
    git(repository, "commit", "--quiet", "--allow-empty", "--message", "beside main")
    git(repository, "tag", f"v{VERSION}")
    assert tag(repository, main)[0] != 0
    assert git(origin, "tag") == ""


PINNED = f"python:3.13-slim@sha256:{'0123456789abcdef' * 4}"
NOTHING_ELSE = "\n\nFROM base AS build\n"


@pytest.mark.parametrize(("base", "code"), [(PINNED, 0), ("python:3.13-slim", 1), (f"{PINNED}f", 1)])
def test_a_release_wants_the_digest_of_its_base(tmp_path: Path, base: str, code: int) -> None:
    (tmp_path / "Dockerfile").write_text(f"FROM {base} AS base{NOTHING_ELSE}")
    assert run_step("prepare", "Check that the base of the image has a digest", tmp_path).returncode == code


def rebuilt(repository: Path, base: str) -> tuple[int, dict[str, str]]:
    """Return the exit code and the outputs of the weekly rebuild, with this base in main's Dockerfile."""
    (repository / "Dockerfile").write_text(f"# main\nFROM {base} AS base{NOTHING_ELSE}")
    git(repository, "add", "Dockerfile")
    git(repository, "commit", "--quiet", "--message", "the next base")
    output = repository / "output"
    output.touch()
    name = "Check out the newest release, with the base of main"
    given = {"GITHUB_OUTPUT": str(output), "GITHUB_REPOSITORY": "Owner/threadfix-gate"}
    ran = run_step("image", name, repository, "image.yml", **given)
    return ran.returncode, dict(line.split("=", 1) for line in output.read_text().splitlines())


def test_the_weekly_image_is_the_newest_release_on_the_current_base(repository: Path) -> None:
    """Code and Dockerfile come from the release, the base from main, and the tag of the release does not move."""
    for tag in ("v1.9.0", "v1.10.0"):
        (repository / "Dockerfile").write_text(f"# {tag}\nFROM {PINNED} AS base{NOTHING_ELSE}")
        git(repository, "add", "Dockerfile")
        git(repository, "commit", "--quiet", "--message", tag)
        git(repository, "tag", tag)
    newer = PINNED.replace("0123", "3210")
    code, outputs = rebuilt(repository, newer)
    assert code == 0
    assert (repository / "Dockerfile").read_text() == f"# v1.10.0\nFROM {newer} AS base{NOTHING_ELSE}"
    assert outputs["revision"] == git(repository, "rev-parse", "v1.10.0^{commit}")
    dated, *moved = outputs["tags"].split(",")
    assert dated.startswith("ghcr.io/owner/threadfix-gate:1.10.0-20")
    assert moved == ["ghcr.io/owner/threadfix-gate:1", "ghcr.io/owner/threadfix-gate:latest"]


def test_the_weekly_image_needs_a_release_and_a_digest(repository: Path) -> None:
    assert rebuilt(repository, PINNED) == (0, {})
    git(repository, "tag", "v1.0.0")
    assert rebuilt(repository, "python:3.13-slim") == (1, {})


def test_the_notes_are_the_changelog_s_section(repository: Path) -> None:
    """Without notes there is no release; 9 is the code of the part that needs Python and a network."""
    (repository / "python").write_text("#!/bin/sh\nexit 9\n", encoding="utf-8")
    (repository / "python").chmod(0o755)
    step = ("prepare", "Release notes and bill of materials", repository)
    path = f"{repository}:{os.environ['PATH']}"
    assert run_step(*step, PATH=path).returncode == 9
    assert (repository / "release/notes.md").read_text(encoding="utf-8").split() == ["-", "new"]
    (repository / "CHANGELOG.md").write_text(f"## [{VERSION}] - 2027\n## [1.2.2] - 2026\n- old\n", encoding="utf-8")
    assert run_step(*step, PATH=path).returncode == 1


def with_gh(folder: Path, name: str, responses: str) -> list[str]:
    """Run a step of the last job with a `gh` that gives these responses, and return the calls to it."""
    gh = folder / "gh"
    gh.write_text(f'#!/bin/sh\necho "$@" >> calls\ncase "$*" in {responses} esac\n', encoding="utf-8")
    gh.chmod(0o755)
    path = f"{folder}:{os.environ['PATH']}"
    (folder / "dist").mkdir()
    (folder / "dist/threadfix-gate.pyz").write_bytes(b"the single file")
    run = run_step("github", name, folder, PATH=path, GH_REPO="own/gate", SHA="5ha")
    assert run.returncode == 0, run.stderr
    return (folder / "calls").read_text(encoding="utf-8").splitlines()


@pytest.mark.parametrize(
    ("releases", "there", "call"),
    [
        (r"v2.0.0\nv1.2.3\nv1.2.2\nv10.0.0\n", "true", "refs/tags/v1 --method PATCH"),
        (r"v2.0.0\nv1.2.3\nv1.2.2\nv10.0.0\n", "false", "--method POST"),
        (r"v1.2.3\nv1.10.0\nv1.9.0\n", "true", ""),
    ],
)
def test_the_major_tag_never_moves_back(tmp_path: Path, releases: str, there: str, call: str) -> None:
    """A fix for an older version, or an older job run again, leaves `v1` at the newest, compared by number."""
    _, *calls = with_gh(tmp_path, "Major tag", f"*--silent) {there};; 'release list'*) printf '{releases}';;")
    if not call:
        assert calls == []
        return
    assert calls[0] == "api repos/own/gate/git/ref/tags/v1 --silent"
    assert call in calls[1]
    assert "sha=5ha" in calls[1]


@pytest.mark.parametrize(
    ("response", "steps"),
    [("exit 1", ["view", "create", "edit"]), ("echo true", ["view", "upload", "edit"]), ("echo false", ["view"])],
)
def test_a_release_can_be_run_again(tmp_path: Path, response: str, steps: list[str]) -> None:
    """A draft of an earlier run is filled and published; a published release does not change."""
    calls = with_gh(tmp_path, "Release", f"'release view'*) {response};;")
    assert [call.split()[1] for call in calls] == steps
    assert all("dist/threadfix-gate.pyz dist/threadfix-gate.pyz.sha256" in call for call in calls[1:-1])
    checked = ["sha256sum", "--check", "threadfix-gate.pyz.sha256"]
    subprocess.run(checked, cwd=tmp_path / "dist", stdout=subprocess.DEVNULL, check=True)


NEW, OLD = "1.10.0", "1.2.4"


@pytest.mark.parametrize(
    ("tags", "released", "moved"),
    [
        ("v1.2.3", "1.2.3", {"1", "latest"}), ("v1.2.3 v1.10.0", NEW, {"1", "latest"}),
        ("v1.2.3 v1.2.4 v1.10.0", OLD, set()), ("v1.2.3 v1.10.0 v2.0.0", NEW, {"1"}),
        ("v1.2.4 v1.10.0 v2.0.0", OLD, set()), ("v1.2.3 v2.0.0 v10.0.0", "10.0.0", {"10", "latest"}),
        ("v1.2.3 v2.0.0 v10.0.0", "2.0.0", {"2"}), ("v1 v1.2.3 v1.3.0-rc.1 w9.9.9 v1x9.9", "1.2.3", {"1", "latest"}),
    ],
)  # fmt: skip
def test_an_images_tag_never_moves_back(tmp_path: Path, tags: str, released: str, moved: set[str]) -> None:
    """`1` is the newest 1.x and `latest` the newest of all, even after a fix or a rerun of an older version."""
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "commit", "--quiet", "--allow-empty", "--message", "released")
    for tag in tags.split():
        git(tmp_path, "tag", tag)
    [checkout] = [step for step in jobs()["image"]["steps"] if step.get("uses", "").startswith("actions/checkout@")]
    assert checkout["with"]["fetch-depth"] == 0
    outputs = tmp_path / "outputs"
    given = {"GITHUB_REPOSITORY": "Own/Gate", "TAG": f"v{released}", "GITHUB_OUTPUT": str(outputs)}
    assert run_step("image", "Name and tags", tmp_path, **given).returncode == 0
    values = dict(line.split("=", 1) for line in outputs.read_text(encoding="utf-8").splitlines())
    assert (values["image"], values["version"]) == ("ghcr.io/own/gate", released)
    assert values["tags"].split(",")[0] == f"ghcr.io/own/gate:{released}"
    assert set(values["tags"].split(",")[1:]) == {f"ghcr.io/own/gate:{tag}" for tag in moved}


def sums(folder: Path, workflow: str, job: str, name: str) -> str:
    """Return the checksums that a job passes on, as GitHub reads them from its output file."""
    outputs = folder / "outputs"
    assert run_step(job, name, folder, workflow, GITHUB_OUTPUT=str(outputs)).returncode == 0
    first, *lines, last = outputs.read_text(encoding="utf-8").splitlines()
    assert first == f"sums<<{last}"
    return "\n".join(lines)


CHANGES: dict[str, Callable[[Path], object]] = {
    "nothing": lambda _: None,
    "other bytes": lambda dist: (dist / "gate.whl").write_bytes(b"other"),
    "one more": lambda dist: (dist / "more.whl").touch(),
    "one less": lambda dist: (dist / "gate.whl").unlink(),
    "another name": lambda dist: (dist / "gate.whl").rename(dist / "gate2.whl"),
    "a folder": lambda dist: (dist / "zzz").mkdir(),
}


@pytest.mark.parametrize(
    ("folder", "name", "made"),
    [
        ("dist", BUILT, ("ci.yml", "build", "Sums of the packages")),
        ("release", PREPARED, ("release.yml", "prepare", "Sums of notes and bill of materials")),
    ],
)
@pytest.mark.parametrize("change", CHANGES)
def test_a_replaced_artifact_is_not_published(
    tmp_path: Path, folder: str, name: str, made: tuple[str, str, str], change: str
) -> None:
    """If another job of the run replaces an artifact, adds a file or removes one, each job that uses it stops."""
    files = tmp_path / folder
    files.mkdir()
    (files / "gate.whl").write_bytes(b"wheel")
    (files / "gate.tar.gz").write_bytes(b"sources")
    expected = sums(tmp_path, *made)
    CHANGES[change](files)
    assert (run_step("github", name, tmp_path, SUMS=expected).returncode == 0) is (change == "nothing")
    assert run_step("github", name, tmp_path, SUMS="").returncode != 0


def test_every_job_checks_its_artifacts() -> None:
    """The checksums come from the job that built, and are compared before any other step uses an artifact.

    The commands are those of the job `github`, which the test above runs.
    """
    run = {step["name"]: step["run"] for step in jobs()["github"]["steps"] if "run" in step}
    checks = {
        "dist": (BUILT, "${{ needs.ci.outputs.sums }}", run[BUILT]),
        "release": (PREPARED, "${{ needs.prepare.outputs.sums }}", run[PREPARED]),
    }
    taking = 0
    for name, job in jobs().items():
        steps = job.get("steps", [])
        taken = [n for n, step in enumerate(steps) if step.get("uses", "").startswith("actions/download-artifact@")]
        if not taken:
            continue
        taking += 1
        following = steps[taken[-1] + 1 :][: len(taken)]
        expected = [checks[steps[n]["with"]["name"]] for n in taken]
        assert [(step["name"], step["env"]["SUMS"], step["run"]) for step in following] == expected, name
        assert {"ci", "prepare"} - {name} <= set([job["needs"]] if isinstance(job["needs"], str) else job["needs"])
    assert taking == 4
    ci = load(WORKFLOWS / "ci.yml")
    assert ci["on"]["workflow_call"]["outputs"]["sums"]["value"] == "${{ jobs.build.outputs.sums }}"
    assert ci["jobs"]["build"]["outputs"] == {"sums": "${{ steps.sums.outputs.sums }}"}
    assert jobs()["prepare"]["outputs"]["sums"] == "${{ steps.sums.outputs.sums }}"


@pytest.mark.skipif(not shutil.which("make"), reason="make is missing")
def test_the_build_tools_have_hashes(tmp_path: Path) -> None:
    """From a fresh clone, `make dist` installs nothing without a hash, and pip fetches nothing for the build."""
    for name in ("Makefile", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    shutil.copytree(ROOT / "requirements", tmp_path / "requirements")
    command = ["make", "--dry-run", "dist"]
    shown = subprocess.run(command, cwd=tmp_path, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True)
    lines = shown.stdout.splitlines()
    installing = [line for line in lines if " install " in line]
    assert installing
    assert [line for line in installing if "--require-hashes" not in line] == []
    [wheel] = [line for line in lines if " wheel " in line]
    assert {"--no-build-isolation", "--no-deps"} <= set(wheel.split())
