"""The versions of ThreadFix, and what came with which: one table. Pure.

A version is a tuple of numbers, such as (2, 8, 8). What a request gets depends on the version in its path (vendor page
"API Versioning"): `latest` is the server's own, `v2.6` that one, and `legacy`, or none at all, is 2.3 or the one that
introduced the endpoint.
"""

from __future__ import annotations

import re
from enum import Enum, auto
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

Version = tuple[int, ...]

LEGACY: Final[Version] = (2, 3)
"""The version whose upload waits until the scan is processed."""
NEWEST: Final[Version] = (2, 8, 8)
"""What the sandbox is unless it is told otherwise."""


class Feature(Enum):
    """What not every version has."""

    QUEUE = auto()
    """An upload queues the scan, and its response has no scan in it."""
    PENDING_SCANS = auto()
    """An upload's response has a link to a pending scan, and the link can be asked for its status."""
    STATUS_DETAILS = auto()
    """`scanId` with DONE, and `modifiedDate` before that."""
    VERSIONED_LINK = auto()
    """The link has a version in it."""
    FORM_LOOKUP = auto()
    """An application is looked up by POST, too."""
    POLICIES = auto()
    """Policies, and their statuses."""
    CURRENT_STATUS = auto()
    """The word `currentStatus` of a policy instead of the boolean `passing`."""
    STATUSES_IN_APPLICATION = auto()
    """Policy statuses stand in an application object; before, they are an array."""
    APPLICATION_DETAILS = auto()
    """More of the application beside its policy statuses."""
    EVALUATION = auto()
    """A policy is evaluated on request."""
    POLICY_TYPE = auto()
    """Policies of two types: one that goes by its name needs the type, too."""
    EVALUATION_BY_FORM = auto()
    """That request is a POST; before, it is a GET."""
    PASS_CRITERIA = auto()
    """Pass criteria for CI/CD."""
    SEARCH_BY_FLAGS = auto()
    """A search for vulnerabilities filters by what is given only; before, it leaves out what is closed or hidden."""
    UNASSIGNED_COUNT = auto()
    """The number of unassigned vulnerabilities of an application."""


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
"""The version with which each came, oldest first."""


def has(version: Version, feature: Feature) -> bool:
    """Whether that version has it."""
    return version >= SINCE[feature]


def parse(text: str) -> Version | None:
    """The version in `2.8.8`, `v2.8.8` or `legacy`; None where it is none."""
    if text.lower() == "legacy":
        return LEGACY
    found = re.fullmatch(r"v?([0-9]{1,4}(?:\.[0-9]{1,4}){0,4})", text, re.IGNORECASE)
    return tuple(map(int, found[1].split("."))) if found else None


def asked_for(segment: str, server: Version, introduced: Version) -> Version | None:
    """The version of an endpoint that a request's path asks for; None where the endpoint is not there in it.

    Args:
        segment: the path's version; empty for none.
        server: the version of the server.
        introduced: the version that introduced the endpoint.
    """
    if server < introduced:
        return None
    if segment.lower() in ("", "legacy"):
        return max(introduced, LEGACY)
    version = server if segment.lower() == "latest" else parse(segment)
    return min(version, server) if version is not None and version >= introduced else None
