"""Links as ThreadFix hands them out, and the base URL that they start from. Pure.

The host of such a link is the server's own view of itself (the vendor's sample has a private address and plain http
behind a proxy), so only the two ids are taken from it.
"""

from __future__ import annotations

import re
from contextlib import suppress
from ipaddress import IPv6Address
from typing import Final
from urllib.parse import urlsplit

from gate.model.subjects import Target

MAX_ID: Final = 2**63 - 1
_STATUS_PATH: Final = re.compile(r"/applications/([1-9][0-9]{0,18})/pendingScan/([1-9][0-9]{0,18})/status/?\Z")
_LABEL: Final = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)\Z")
_PATH: Final = re.compile(r"[A-Za-z0-9._~!$&'()*+,;=:@%/-]*\Z")

STATUS_PATH: Final = "rest/{version}/applications/{application_id}/pendingScan/{pending_scan_id}/status"
"""The status endpoint, below the base URL."""
APPLICATION_PATH: Final = "rest/{version}/applications/{application_id}"
"""The endpoint that describes an application."""
SCANS_PATH: Final = "rest/{version}/applications/{application_id}/scans"
"""The endpoint that lists an application's scans."""
UPLOAD_PATH: Final = "rest/{version}/applications/{application_id}/upload"
"""The endpoint that takes a file."""
LOOKUP_PATH: Final = "rest/{version}/applications/{team}/lookup"
"""The endpoint that finds an application by its name or unique id within a team."""
TEAM_PATH: Final = "rest/{version}/teams/lookup"
"""The endpoint that finds a team by its name."""
TEAMS_PATH: Final = "rest/{version}/teams"
"""The endpoint that lists the teams."""
POLICY_EVALUATION_PATH: Final = "rest/{version}/applications/{application_id}/policy/eval"
"""The endpoint that evaluates one policy for an application."""
POLICY_STATUSES_PATH: Final = "rest/{version}/applications/{application_id}/policyStatuses"
"""The endpoint that lists the policies attached to an application."""
CRITERIA_PATH: Final = "rest/{version}/policy/status/application/{application_id}/evaluate"
"""The endpoint that evaluates the CI/CD pass criteria of an application."""
SEVERITIES_PATH: Final = "rest/{version}/severities"
"""The endpoint that lists the severities and what they are called."""
VULNERABILITIES_PATH: Final = "rest/{version}/vulnerabilities"
"""The endpoint that searches vulnerabilities."""
APPLICATION_PAGE: Final = "{url}/organizations/{team_id}/applications/{application_id}"
"""The page of an application, for people."""
UI_URL: Final = "{url}/organizations/{team_id}/applications/{application_id}/scans/{scan_id}"
"""The page of a scan, for people."""
URL_EXAMPLE: Final = "https://tf.example.com/threadfix"


def number(text: str) -> int:
    """An id: a whole number from 1 to 2^63-1, in ASCII digits.

    Raises:
        ValueError: it is not one.
    """
    if re.fullmatch("[0-9]{1,19}", text) and 1 <= int(text) <= MAX_ID:
        return int(text)
    raise ValueError("is not a valid id; ids are whole numbers from 1, such as 41")


def status_link(link: str) -> Target:
    """Return the two ids of a link such as `https://host/threadfix/rest/latest/applications/6/pendingScan/41/status`.

    Raises:
        ValueError: it is not such a link.
    """
    with suppress(ValueError):
        # `urlsplit` removes line breaks, also from the middle of a number.
        found = None if re.search(r"[\x00-\x20\x7f]", link) else _STATUS_PATH.search(urlsplit(link).path)
        if found:
            return Target(number(found[1]), number(found[2]))
    raise ValueError("is not a status link; such a link ends in /applications/6/pendingScan/41/status")


def base_url(text: str) -> str:
    """The base URL in its normal form: with its context path, without a trailing `/`, `/rest` or `/rest/…`.

    Raises:
        ValueError: it is not a usable one. The sentence does not repeat it: it may hold a password.
    """
    wanted = f"write it as {URL_EXAMPLE}"
    if not text.isascii():
        raise ValueError(f"has characters outside ASCII; write the host in its xn-- form, and {wanted}")
    if re.search(r"[\x00-\x20\x7f\\]", text):
        raise ValueError(f"has whitespace, a control character or a backslash in it; {wanted}")
    try:
        parts = urlsplit(text)
        host, port = parts.hostname or "", parts.port
        if ":" in host:
            IPv6Address(host)  # Before 3.11.4 Python accepts any text in brackets.
    except ValueError as error:
        raise ValueError(f"is not a URL; {wanted}") from error
    if parts.scheme not in ("http", "https") or not host:
        raise ValueError(f"is not an http or https URL; {wanted}")
    if "@" in parts.netloc or "?" in text or "#" in text:
        raise ValueError(f"has a user, a query or a fragment in it (not shown); {wanted}")
    if not _is_host(parts.netloc, host) or port == 0:
        raise ValueError(f"has no usable host or port; {wanted}")
    segments = [segment for segment in parts.path.split("/") if segment]
    if "rest" in segments:
        segments = segments[: segments.index("rest")]
    path = "/".join(segments)
    if not _PATH.match(path) or {".", ".."} & set(segments):
        raise ValueError(f"has a path that no ThreadFix has; {wanted}")
    shown = f"[{host}]" if ":" in host else host
    standard = {"http": 80, "https": 443}[parts.scheme]
    origin = f"{parts.scheme}://{shown}" if port in (None, standard) else f"{parts.scheme}://{shown}:{port}"
    return f"{origin}/{path}".rstrip("/")


def origin(url: str) -> str:
    """Scheme, host and port of a base URL."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def _is_host(netloc: str, host: str) -> bool:
    if {"[", "]"} & set(netloc):
        # Some versions of Python accept text around the brackets. A zone means nothing to another machine.
        return bool(re.fullmatch(r"\[[0-9a-f:.]+\](:\d*)?", netloc, re.IGNORECASE)) and ":" in host
    return len(host) <= 253 and all(_LABEL.match(label) for label in host.removesuffix(".").split("."))  # noqa: PLR2004
