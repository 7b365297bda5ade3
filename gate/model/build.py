"""Identify the build from the variables of the CI system, for the reports. Pure.

The author of a commit chooses the names of branches and repositories, so each text is sanitized like the server's.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gate.text.sanitizer import Sanitizer

TEXT_LIMIT: Final = 200  # characters that are shown of a repository or a ref
URL_LIMIT: Final = 500
_COMMIT: Final = re.compile(r"[0-9a-f]{7,64}\Z", re.IGNORECASE)
_LINK: Final = re.compile(r"https?://[!-~]+\Z")
_USER_INFO: Final = re.compile(r"(?<=//)[^/@]*@")
_VARIABLE: Final = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True, slots=True)
class Build:
    """A run of a CI system. Its texts are safe."""

    system: str  # such as `GitHub Actions`
    repository: str | None = None  # as the system names it, such as `octo/shop`
    commit: str | None = None  # the hash
    ref: str | None = None  # branch or tag
    url: str | None = None  # the page of the run
    actor: str | None = None  # the user who started it, as the system names users


SYSTEMS: Final = (
    ("GitHub Actions", "GITHUB_ACTIONS", "{GITHUB_REPOSITORY}", "{GITHUB_SHA}", "{GITHUB_HEAD_REF}|{GITHUB_REF_NAME}",
     "{GITHUB_SERVER_URL}/{GITHUB_REPOSITORY}/actions/runs/{GITHUB_RUN_ID}", "{GITHUB_ACTOR}"),
    ("GitLab CI/CD", "GITLAB_CI", "{CI_PROJECT_PATH}", "{CI_COMMIT_SHA}",
     "{CI_MERGE_REQUEST_SOURCE_BRANCH_NAME}|{CI_COMMIT_REF_NAME}", "{CI_JOB_URL}|{CI_PIPELINE_URL}",
     "{GITLAB_USER_LOGIN}"),
    ("Azure Pipelines", "TF_BUILD", "{BUILD_REPOSITORY_NAME}", "{BUILD_SOURCEVERSION}",
     "{SYSTEM_PULLREQUEST_SOURCEBRANCH}|{BUILD_SOURCEBRANCH}",
     "{SYSTEM_COLLECTIONURI}{SYSTEM_TEAMPROJECT}/_build/results?buildId={BUILD_BUILDID}",
     "{BUILD_REQUESTEDFOR}"),
    ("CircleCI", "CIRCLECI", "{CIRCLE_PROJECT_USERNAME}/{CIRCLE_PROJECT_REPONAME}", "{CIRCLE_SHA1}",
     "{CIRCLE_BRANCH}|{CIRCLE_TAG}", "{CIRCLE_BUILD_URL}", "{CIRCLE_USERNAME}"),
    ("Bitbucket Pipelines", "BITBUCKET_BUILD_NUMBER", "{BITBUCKET_REPO_FULL_NAME}", "{BITBUCKET_COMMIT}",
     "{BITBUCKET_BRANCH}|{BITBUCKET_TAG}",
     "https://bitbucket.org/{BITBUCKET_REPO_FULL_NAME}/pipelines/results/{BITBUCKET_BUILD_NUMBER}",
     "{BITBUCKET_STEP_TRIGGERER_UUID}"),
    # Last, because Jenkins may have started the others. The plugin "build user vars" sets the user's variables.
    ("Jenkins", "JENKINS_URL", "{GIT_URL}|{JOB_NAME}", "{GIT_COMMIT}", "{CHANGE_BRANCH}|{BRANCH_NAME}|{GIT_BRANCH}",
     "{BUILD_URL}", "{BUILD_USER_ID}|{BUILD_USER}"),
)  # fmt: skip
"""A row has a system's name, a variable of all its builds, and patterns for repository, commit, ref, page and actor.

Of patterns with `|` between them, the first whose variables are all set counts.
"""


def current(env: Mapping[str, str], sanitizer: Sanitizer) -> Build | None:
    """Return the build of this environment; None outside every known CI system."""
    for name, sign, *patterns in SYSTEMS:
        if env.get(sign):
            values = [_filled(pattern, env) for pattern in patterns]
            # A repository's URL may hold a password.
            shown = (sanitizer.sanitize(_USER_INFO.sub("", value), TEXT_LIMIT) or None for value in values)
            repository, _, ref, _, actor = shown
            _, commit, _, url, _ = (value if sanitizer.sanitize(value, URL_LIMIT) == value else "" for value in values)
            commit, url = commit if _COMMIT.match(commit) else "", url if _LINK.match(url) else ""
            return Build(name, repository, commit or None, ref, url or None, actor)
    return None


def _filled(patterns: str, env: Mapping[str, str]) -> str:
    """Return the first pattern whose variables are all set, filled in; otherwise an empty text."""
    for pattern in patterns.split("|"):
        if all(env.get(name) for name in _VARIABLE.findall(pattern)):
            return _VARIABLE.sub(lambda match: env[match[1]], pattern)
    return ""
