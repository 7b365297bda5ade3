"""The versions of ThreadFix and their features, in one table. Pure.

A version is a tuple of numbers, such as (2, 8, 8). A response depends on the version in the request's path (vendor page
"API Versioning"): `latest` is the version of the server, and `v2.6` is version 2.6. `legacy`, or a path without a
version, is 2.3 or the version that introduced the endpoint.
"""

from __future__ import annotations

import re
from enum import Enum, auto
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

Version = tuple[int, ...]

LEGACY: Final[Version] = (2, 3)
"""The version that processes a scan during the upload."""
NEWEST: Final[Version] = (2, 8, 8)
"""The default version of the sandbox."""


class Feature(Enum):
    """A feature that only some versions have."""

    QUEUE = auto()
    """An upload queues the scan; the response contains no scan."""
    PENDING_SCANS = auto()
    """The response to an upload links to the status of a pending scan."""
    STATUS_DETAILS = auto()
    """DONE has `scanId`, and the statuses before DONE have `modifiedDate`."""
    VERSIONED_LINK = auto()
    """The link contains a version."""
    FORM_LOOKUP = auto()
    """The lookup of an application also accepts POST."""
    POLICIES = auto()
    """There are policies with statuses."""
    CURRENT_STATUS = auto()
    """A policy has the string `currentStatus` instead of the boolean `passing`."""
    STATUSES_IN_APPLICATION = auto()
    """Policy statuses are in an application object; before, the response is an array."""
    APPLICATION_DETAILS = auto()
    """The application object with the policy statuses has further fields."""
    EVALUATION = auto()
    """A policy is evaluated on request."""
    POLICY_TYPE = auto()
    """Policies have two types; a name needs a type."""
    EVALUATION_BY_FORM = auto()
    """The request for an evaluation is a POST; before, it is a GET."""
    PASS_CRITERIA = auto()
    """There are pass criteria for CI/CD."""
    SEARCH_BY_FLAGS = auto()
    """A search applies only the given filters; before, it also excludes closed, hidden and false-positive results."""
    UNASSIGNED_COUNT = auto()
    """An application has the number of its unassigned vulnerabilities."""


SINCE: Final[Mapping[Feature, Version]] = {
    Feature.POLICIES: (2, 4),
    Feature.QUEUE: (2, 4, 5),
    Feature.PENDING_SCANS: (2, 5),
    Feature.PASS_CRITERIA: (2, 5),
    Feature.CURRENT_STATUS: (2, 5, 1, 12),
    Feature.EVALUATION: (2, 6),
    Feature.STATUSES_IN_APPLICATION: (2, 6, 2),
    Feature.SEARCH_BY_FLAGS: (2, 7),
    Feature.APPLICATION_DETAILS: (2, 7, 5),
    Feature.FORM_LOOKUP: (2, 7, 6),
    Feature.STATUS_DETAILS: (2, 7, 7),
    Feature.UNASSIGNED_COUNT: (2, 7, 9),
    Feature.POLICY_TYPE: (2, 8),
    Feature.EVALUATION_BY_FORM: (2, 8, 5),
    Feature.VERSIONED_LINK: (2, 8, 8),
}
"""The version that introduced each feature, oldest first."""


def has(version: Version, feature: Feature) -> bool:
    """Return whether a version has a feature."""
    return version >= SINCE[feature]


def parse(text: str) -> Version | None:
    """Parse a version such as `2.8.8`, `v2.8.8` or `legacy`; None if it is malformed."""
    if text.lower() == "legacy":
        return LEGACY
    matched = re.fullmatch(r"v?([0-9]{1,4}(?:\.[0-9]{1,4}){0,4})", text, re.IGNORECASE)
    return tuple(map(int, matched[1].split("."))) if matched else None


def requested(segment: str, server: Version, introduced: Version) -> Version | None:
    """Return the version of an endpoint that a request's path selects; None if that version lacks the endpoint.

    Args:
        segment: the version in the path; empty if the path has no version.
        server: the version of the server.
        introduced: the version that introduced the endpoint.
    """
    if server < introduced:
        return None
    if segment.lower() in ("", "legacy"):
        return max(introduced, LEGACY)
    version = server if segment.lower() == "latest" else parse(segment)
    return min(version, server) if version is not None and version >= introduced else None
