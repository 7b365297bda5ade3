"""Reads from the CI system's variables which build this is, for the reports. Pure.

The author of a commit chooses the names of branches and repositories, so each text is sanitized like the server's.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gate.text.sanitizer import Sanitizer

TEXT_LIMIT: Final = 200
"""Characters of a repository or a ref."""
URL_LIMIT: Final = 500
_COMMIT: Final = re.compile(r"[0-9a-f]{7,64}\Z", re.IGNORECASE)
_LINK: Final = re.compile(r"https?://[!-~]+\Z")
_USER_INFO: Final = re.compile(r"(?<=//)[^/@]*@")
_VARIABLE: Final = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True, slots=True)
class Build:
    """One run of a CI system. Its texts are safe; None means "not known".

    Attributes:
        system: such as `GitHub Actions`.
        repository: as the system names it, such as `octo/shop`.
        commit: its hash.
        ref: branch or tag.
        url: link to the run.
    """

    system: str
    repository: str | None = None
    commit: str | None = None
    ref: str | None = None
    url: str | None = None


@dataclass(frozen=True, slots=True)
class _System:
    """A CI system and its variables. The first pattern whose variables are all set counts.

    Attributes:
        name: for people.
        sign: the variable that is set in this system.
        repository, commit, ref, url: patterns.
    """

    name: str
    sign: str
    repository: tuple[str, ...]
    commit: tuple[str, ...]
    ref: tuple[str, ...]
    url: tuple[str, ...]


SYSTEMS: Final = (
    _System(
        "GitHub Actions",
        "GITHUB_ACTIONS",
        ("{GITHUB_REPOSITORY}",),
        ("{GITHUB_SHA}",),
        ("{GITHUB_HEAD_REF}", "{GITHUB_REF_NAME}"),
        ("{GITHUB_SERVER_URL}/{GITHUB_REPOSITORY}/actions/runs/{GITHUB_RUN_ID}",),
    ),
    _System(
        "GitLab CI/CD",
        "GITLAB_CI",
        ("{CI_PROJECT_PATH}",),
        ("{CI_COMMIT_SHA}",),
        ("{CI_MERGE_REQUEST_SOURCE_BRANCH_NAME}", "{CI_COMMIT_REF_NAME}"),
        ("{CI_JOB_URL}", "{CI_PIPELINE_URL}"),
    ),
    _System(
        "Azure Pipelines",
        "TF_BUILD",
        ("{BUILD_REPOSITORY_NAME}",),
        ("{BUILD_SOURCEVERSION}",),
        ("{SYSTEM_PULLREQUEST_SOURCEBRANCH}", "{BUILD_SOURCEBRANCH}"),
        ("{SYSTEM_COLLECTIONURI}{SYSTEM_TEAMPROJECT}/_build/results?buildId={BUILD_BUILDID}",),
    ),
    _System(
        "CircleCI",
        "CIRCLECI",
        ("{CIRCLE_PROJECT_USERNAME}/{CIRCLE_PROJECT_REPONAME}",),
        ("{CIRCLE_SHA1}",),
        ("{CIRCLE_BRANCH}", "{CIRCLE_TAG}"),
        ("{CIRCLE_BUILD_URL}",),
    ),
    _System(
        "Bitbucket Pipelines",
        "BITBUCKET_BUILD_NUMBER",
        ("{BITBUCKET_REPO_FULL_NAME}",),
        ("{BITBUCKET_COMMIT}",),
        ("{BITBUCKET_BRANCH}", "{BITBUCKET_TAG}"),
        ("https://bitbucket.org/{BITBUCKET_REPO_FULL_NAME}/pipelines/results/{BITBUCKET_BUILD_NUMBER}",),
    ),
    # Last, because the others may have been started by it.
    _System(
        "Jenkins",
        "JENKINS_URL",
        ("{GIT_URL}", "{JOB_NAME}"),
        ("{GIT_COMMIT}",),
        ("{CHANGE_BRANCH}", "{BRANCH_NAME}", "{GIT_BRANCH}"),
        ("{BUILD_URL}",),
    ),
)
"""Every CI system that is known."""


def current(env: Mapping[str, str], sanitizer: Sanitizer) -> Build | None:
    """Return the build of this environment; None outside every known CI system."""
    system = next((system for system in SYSTEMS if env.get(system.sign)), None)
    if system is None:
        return None

    def text(patterns: tuple[str, ...]) -> str | None:
        # A repository's URL may hold a password.
        return sanitizer.sanitize(_USER_INFO.sub("", _filled(patterns, env)), TEXT_LIMIT) or None

    def only(pattern: re.Pattern[str], patterns: tuple[str, ...]) -> str | None:
        value = _filled(patterns, env)
        return value if pattern.match(value) and sanitizer.sanitize(value, URL_LIMIT) == value else None

    return Build(
        system.name, text(system.repository), only(_COMMIT, system.commit), text(system.ref), only(_LINK, system.url)
    )


def _filled(patterns: tuple[str, ...], env: Mapping[str, str]) -> str:
    """Return the first pattern whose variables are all set, filled in; otherwise an empty text."""
    for pattern in patterns:
        if all(env.get(name) for name in _VARIABLE.findall(pattern)):
            return _VARIABLE.sub(lambda found: env[found[1]], pattern)
    return ""
