"""The versions of ThreadFix, and the version that introduced each feature [DOC]. Pure.

A version is a tuple of numbers, such as (2, 8, 8). A response depends on the version in the request's path (vendor page
"API Versioning"): `latest` is the version of the server, and `v2.6` is version 2.6. `legacy`, or a path without a
version, is 2.3 or the version that introduced the endpoint.
"""

from __future__ import annotations

import re
from typing import Final

Version = tuple[int, ...]

LEGACY: Final[Version] = (2, 3)
"""The version that processes a scan during the upload."""
NEWEST: Final[Version] = (2, 8, 8)
"""The default version of the sandbox."""

POLICIES: Final[Version] = (2, 4)  # there are policies with statuses
QUEUE: Final[Version] = (2, 4, 5)  # an upload queues the scan; the response contains no scan
PENDING_SCANS: Final[Version] = (2, 5)  # the response to an upload links to the status of a pending scan
PASS_CRITERIA: Final[Version] = (2, 5)  # there are pass criteria for CI/CD
UPDATED_DATE: Final[Version] = (2, 5, 1)  # a finished scan has the time of its import
CURRENT_STATUS: Final[Version] = (2, 5, 1, 12)  # a policy has `currentStatus` instead of the boolean `passing`
EVALUATION: Final[Version] = (2, 6)  # a policy is evaluated on request
STATUSES_IN_APPLICATION: Final[Version] = (2, 6, 2)  # policy statuses are in an application object, not in an array
SEARCH_BY_FLAGS: Final[Version] = (2, 7)  # a search applies only the given filters
APPLICATION_DETAILS: Final[Version] = (2, 7, 5)  # that application object has further fields
FORM_LOOKUP: Final[Version] = (2, 7, 6)  # the lookup of an application also accepts POST
STATUS_DETAILS: Final[Version] = (2, 7, 7)  # DONE has `scanId`, and the statuses before it have `modifiedDate`
UNASSIGNED_COUNT: Final[Version] = (2, 7, 9)  # an application has the number of its unassigned vulnerabilities
POLICY_TYPE: Final[Version] = (2, 8)  # policies have two types; a name needs a type
BUILD_ID: Final[Version] = (2, 8, 3)  # a listed scan has the id of its build
PAGES: Final[Version] = (2, 8, 3)  # the list of teams has pages
EVALUATION_BY_FORM: Final[Version] = (2, 8, 5)  # the request for an evaluation is a POST; before, it is a GET
VERSIONED_LINK: Final[Version] = (2, 8, 8)  # the link to a status contains a version


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
