"""Tests that the build is read from the variables of each CI system."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gate.model.build import SYSTEMS, Build, current
from gate.text.sanitizer import Sanitizer, Secret

SHA = "8c2f0e6d1b3a4958671f0e2d3c4b5a69788f9e0d"
SANITIZER = Sanitizer((Secret("hunter2hunter2"),))

BUILDS = {
    "github": (
        {"GITHUB_ACTIONS": "true", "GITHUB_REPOSITORY": "octo/shop", "GITHUB_SHA": SHA, "GITHUB_REF_NAME": "main",
         "GITHUB_HEAD_REF": "", "GITHUB_SERVER_URL": "https://github.com", "GITHUB_RUN_ID": "7",
         "GITHUB_ACTOR": "octocat"},
        Build("GitHub Actions", "octo/shop", SHA, "main", "https://github.com/octo/shop/actions/runs/7", "octocat"),
    ),
    "gitlab": (
        {"GITLAB_CI": "true", "CI_PROJECT_PATH": "group/shop", "CI_COMMIT_SHA": SHA, "CI_COMMIT_REF_NAME": "v1.2",
         "CI_PIPELINE_URL": "https://gitlab.example/p/7", "CI_JOB_URL": "https://gitlab.example/j/8",
         "GITLAB_USER_LOGIN": "octocat"},
        Build("GitLab CI/CD", "group/shop", SHA, "v1.2", "https://gitlab.example/j/8", "octocat"),
    ),
    "azure": (
        {"TF_BUILD": "True", "BUILD_REPOSITORY_NAME": "shop", "BUILD_SOURCEVERSION": SHA,
         "BUILD_SOURCEBRANCH": "refs/heads/main", "SYSTEM_COLLECTIONURI": "https://dev.azure.com/octo/",
         "SYSTEM_TEAMPROJECT": "web", "BUILD_BUILDID": "7", "BUILD_REQUESTEDFOR": "Mona Lisa"},
        Build("Azure Pipelines", "shop", SHA, "refs/heads/main",
              "https://dev.azure.com/octo/web/_build/results?buildId=7", "Mona Lisa"),
    ),
    "circleci": (
        {"CIRCLECI": "true", "CIRCLE_PROJECT_USERNAME": "octo", "CIRCLE_PROJECT_REPONAME": "shop", "CIRCLE_SHA1": SHA,
         "CIRCLE_TAG": "v1", "CIRCLE_BUILD_URL": "https://circleci.com/gh/octo/shop/7",
         "CIRCLE_USERNAME": "octocat"},
        Build("CircleCI", "octo/shop", SHA, "v1", "https://circleci.com/gh/octo/shop/7", "octocat"),
    ),
    "bitbucket": (
        {"BITBUCKET_BUILD_NUMBER": "7", "BITBUCKET_REPO_FULL_NAME": "octo/shop", "BITBUCKET_COMMIT": SHA,
         "BITBUCKET_BRANCH": "main", "BITBUCKET_STEP_TRIGGERER_UUID": "{5f3a}"},
        Build("Bitbucket Pipelines", "octo/shop", SHA, "main", "https://bitbucket.org/octo/shop/pipelines/results/7",
              "{5f3a}"),
    ),
    "jenkins": (
        {"JENKINS_URL": "https://ci.example/", "GIT_URL": "https://robot:hunter3@git.example/octo/shop.git",
         "GIT_COMMIT": SHA, "GIT_BRANCH": "origin/main", "BUILD_URL": "https://ci.example/job/shop/7/",
         "BUILD_USER_ID": "octocat"},
        Build("Jenkins", "https://git.example/octo/shop.git", SHA, "origin/main", "https://ci.example/job/shop/7/",
              "octocat"),
    ),
}  # fmt: skip


@pytest.mark.parametrize(("env", "build"), BUILDS.values(), ids=BUILDS)
def test_each_ci_system_has_a_build(env: dict[str, str], build: Build) -> None:
    """A password in the repository's URL is left out."""
    assert current(env, SANITIZER) == build


def test_a_build_without_details_is_only_a_known_ci_system() -> None:
    assert {build.system for _, build in BUILDS.values()} == {name for name, *_ in SYSTEMS}
    assert current({"JENKINS_URL": "x"}, SANITIZER) == Build("Jenkins")
    assert current({"HOME": "/root"}, SANITIZER) is None


@pytest.mark.parametrize("pull_request", ["feature", "main"])
def test_a_pull_request_has_the_name_of_its_own_branch(pull_request: str) -> None:
    """The ref of the run is a temporary merge."""
    env = BUILDS["github"][0] | {"GITHUB_REF_NAME": "7/merge", "GITHUB_HEAD_REF": pull_request}
    build = current(env, SANITIZER)
    assert build
    assert build.ref == pull_request


@pytest.mark.parametrize(("variable", "field"), [("GITHUB_REF_NAME", "ref"), ("GITHUB_ACTOR", "actor")])
def test_the_name_of_a_branch_or_a_user_is_untrusted_text(variable: str, field: str) -> None:
    env = BUILDS["github"][0] | {variable: "x\n::error::##[group]\x1b[2Jhunter2hunter2\u202e" + "y" * 999}
    text = getattr(current(env, SANITIZER), field)
    assert not {"\n", "\x1b", "\u202e"} & set(text)
    assert "##[" not in text
    assert "hunter2hunter2" not in text
    assert len(text) <= 200


@pytest.mark.parametrize("url", ["javascript:alert(1)", "https://x/\n", "https://x/ y", "https://x/hunter2hunter2"])
def test_an_unsafe_link_or_commit_is_left_out(url: str) -> None:
    assert current(BUILDS["gitlab"][0], Sanitizer((Secret(SHA),))) == replace(BUILDS["gitlab"][1], commit=None)
    build = current(BUILDS["gitlab"][0] | {"CI_JOB_URL": url, "CI_COMMIT_SHA": "not a hash"}, SANITIZER)
    assert build
    assert (build.url, build.commit) == (None, None)
