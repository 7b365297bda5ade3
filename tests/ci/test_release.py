"""The shell steps of the release workflow, run as they are written."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from ruamel.yaml import YAML

WORKFLOW = Path(__file__).parents[2] / ".github/workflows/release.yml"
VERSION = "1.2.3"

pytestmark = pytest.mark.skipif(sys.platform == "win32" or not shutil.which("bash"), reason="the steps run on Linux")


def run_step(job: str, name: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run one step as the runner does."""
    steps = YAML(typ="safe").load(WORKFLOW)["jobs"][job]["steps"]
    [script] = [step["run"] for step in steps if step.get("name") == name]
    command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script]
    env = {**os.environ, "GITHUB_REF_NAME": f"v{VERSION}", **environment}
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A checkout, ready to be released."""
    (tmp_path / "dist").mkdir()
    (tmp_path / "dist" / f"threadfix_gate-{VERSION}-py3-none-any.whl").touch()
    (tmp_path / "CHANGELOG.md").write_text(
        f"# Changelog\n\n## [{VERSION}] - 2027-01-31\n\n- new\n\n## [1.2.2] - 2026-12-24\n\n- old\n", encoding="utf-8"
    )
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "commit", "--quiet", "--allow-empty", "--message", "on main")
    git(tmp_path, "update-ref", "refs/remotes/origin/main", "HEAD")
    return tmp_path


def git(folder: Path, *arguments: str) -> str:
    """What git says."""
    command = ["git", "-c", "user.name=t", "-c", "user.email=t@example.com", *arguments]
    return subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, text=True, check=True).stdout.strip()


def check(repository: Path) -> int:
    """The exit code of the step that looks at the tag."""
    name = "The tag is on main, and names the version that was built and described"
    return run_step("prepare", name, repository, GITHUB_SHA=git(repository, "rev-parse", "HEAD")).returncode


def test_a_release_in_order_goes_on(repository: Path) -> None:
    """A tag on main whose version was built and is in the changelog passes."""
    assert check(repository) == 0


def test_a_tag_beside_main_is_stopped(repository: Path) -> None:
    """What was not merged is not released."""
    git(repository, "commit", "--quiet", "--allow-empty", "--message", "beside main")
    assert check(repository) != 0


def test_another_version_than_the_tag_is_stopped(repository: Path) -> None:
    """The packages carry the tag's version."""
    wheel = next((repository / "dist").iterdir())
    wheel.rename(wheel.with_name("threadfix_gate-1.2.2-py3-none-any.whl"))
    assert check(repository) != 0


@pytest.mark.parametrize("heading", [f"## [{VERSION}] - Unreleased", "## [1.2.30] - 2027-01-31", "## [1x2x3] - 2027"])
def test_an_undescribed_version_is_stopped(repository: Path, heading: str) -> None:
    """The changelog has exactly this version, with its date."""
    (repository / "CHANGELOG.md").write_text(f"{heading}\n\n- new\n", encoding="utf-8")
    assert check(repository) != 0


def describe(repository: Path) -> int:
    """Write the release notes; 9 where the step got past them, to what needs Python and a network."""
    python = repository / "python"
    python.write_text("#!/bin/sh\nexit 9\n", encoding="utf-8")
    python.chmod(0o755)
    path = f"{repository}:{os.environ['PATH']}"
    return run_step("prepare", "Release notes and bill of materials", repository, PATH=path).returncode


def test_the_notes_are_the_changelog_s_section(repository: Path) -> None:
    """The release says what the changelog says of this version, and no more."""
    assert describe(repository) == 9
    assert (repository / "release/notes.md").read_text(encoding="utf-8").split() == ["-", "new"]


def test_without_notes_there_is_no_release(repository: Path) -> None:
    """An empty section stops the release."""
    (repository / "CHANGELOG.md").write_text(f"## [{VERSION}] - 2027\n## [1.2.2] - 2026\n- old\n", encoding="utf-8")
    assert describe(repository) == 1


def with_gh(folder: Path, name: str, answers: str) -> list[str]:
    """Run a step of the last job with a `gh` that gives these answers, and say what it was called with."""
    gh = folder / "gh"
    gh.write_text(f'#!/bin/sh\necho "$@" >> calls\ncase "$*" in {answers} esac\n', encoding="utf-8")
    gh.chmod(0o755)
    path = f"{folder}:{os.environ['PATH']}"
    run = run_step("github", name, folder, PATH=path, GH_REPO="own/gate", GITHUB_SHA="5ha")
    assert run.returncode == 0, run.stderr
    return (folder / "calls").read_text(encoding="utf-8").splitlines()


@pytest.mark.parametrize(("there", "call"), [("true", "refs/tags/v1 --method PATCH"), ("false", "--method POST")])
def test_the_major_tag_is_made_or_moved(tmp_path: Path, there: str, call: str) -> None:
    """`v1` points to the newest 1.x, whether or not there was one before."""
    releases = "v2.0.0\\nv1.2.3\\nv1.2.2\\nv10.0.0\\n"
    calls = with_gh(tmp_path, "Major tag", f"*--silent) {there};; 'release list'*) printf '{releases}';;")
    _, asked, done = calls
    assert asked == "api repos/own/gate/git/ref/tags/v1 --silent"
    assert call in done
    assert "sha=5ha" in done


def test_the_major_tag_is_not_taken_back(tmp_path: Path) -> None:
    """A fix for an older version, or an older job run again, leaves `v1` at the newest, compared by number."""
    calls = with_gh(tmp_path, "Major tag", "'release list'*) printf 'v1.2.3\\nv1.10.0\\nv1.9.0\\n';;")
    assert [call.split()[0] for call in calls] == ["release"]


@pytest.mark.parametrize(
    ("answer", "steps"),
    [("exit 1", ["view", "create", "edit"]), ("echo true", ["view", "upload", "edit"]), ("echo false", ["view"])],
)
def test_a_release_can_be_run_again(tmp_path: Path, answer: str, steps: list[str]) -> None:
    """What an earlier run made is kept: a draft is filled and published, and a published release left alone."""
    calls = with_gh(tmp_path, "Release", f"'release view'*) {answer};;")
    assert [call.split()[1] for call in calls] == steps
