"""The URLs of ThreadFix: the server's settings, its endpoints, its pages, and the links in its responses. Pure."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import IPv6Address
from typing import Final
from urllib.parse import urlsplit

from gate.model.subjects import Target
from gate.net.peer import Peer

MAX_ID: Final = 2**31 - 1  # ThreadFix redirects a request with a larger number to its login page
_STATUS_LINK: Final = re.compile(
    r"/applications/([1-9][0-9]{0,9})/pendingScan/([1-9][0-9]{0,9})/status(?:;jsessionid=[^/]*)?/?\Z"
)
_LABEL: Final = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)\Z")
_PATH: Final = re.compile(r"[A-Za-z0-9._~!$&'()*+,;=:@%/-]*\Z")

# The endpoints, below the base URL.
STATUS_PATH: Final = "rest/{version}/applications/{application_id}/pendingScan/{pending_scan_id}/status"
APPLICATION_PATH: Final = "rest/{version}/applications/{application_id}"
SCANS_PATH: Final = "rest/{version}/applications/{application_id}/scans"
UPLOAD_PATH: Final = "rest/{version}/applications/{application_id}/upload"
UPLOAD_PARTS_PATH: Final = f"{UPLOAD_PATH}/multi"  # several files as one scan
LOOKUP_PATH: Final = "rest/{version}/applications/{team}/lookup"  # by name or unique id within a team
ALL_TEAMS_LOOKUP_PATH: Final = "rest/{version}/applications/allTeamLookup"  # by unique id
TEAM_PATH: Final = "rest/{version}/teams/lookup"  # by name
TEAMS_PATH: Final = "rest/{version}/teams"
POLICY_EVALUATION_PATH: Final = "rest/{version}/applications/{application_id}/policy/eval"
POLICY_STATUSES_PATH: Final = "rest/{version}/applications/{application_id}/policyStatuses"  # of attached policies
CRITERIA_PATH: Final = "rest/{version}/policy/status/application/{application_id}/evaluate"  # CI/CD pass criteria
SEVERITIES_PATH: Final = "rest/{version}/severities"
VULNERABILITIES_PATH: Final = "rest/{version}/vulnerabilities"

# The pages that people open in a browser.
APPLICATION_PAGE: Final = "{url}/organizations/{team_id}/applications/{application_id}"
UI_URL: Final = APPLICATION_PAGE + "/scans/{scan_id}"
URL_EXAMPLE: Final = "https://tf.example.com/threadfix"


@dataclass(frozen=True, slots=True)
class Server(Peer):
    """A ThreadFix server, and how to connect to it."""

    api_version: str = "latest"  # version segment of the path; empty for none
    status_path: str = STATUS_PATH  # path of the status endpoint below the base URL, with placeholders
    allow_http: bool = False  # whether to send the key over plain http to another host

    def status_url(self, target: Target) -> str:
        """Return the URL of a pending scan's status."""
        application_id, pending_scan_id = target
        return self.endpoint(self.status_path, application_id=application_id, pending_scan_id=pending_scan_id)

    def endpoint(self, path: str, **parts: int | str) -> str:
        """Return the URL of an endpoint from its path above and the path's placeholders, except `version`."""
        path = path if self.api_version else path.replace("{version}/", "")
        return f"{self.url}/{path.format(version=self.api_version, **parts)}"

    def application_page(self, team_id: int | None, application_id: int) -> str | None:
        """Return the URL of the application's page; None if its team is unknown."""
        if team_id is None:
            return None
        return APPLICATION_PAGE.format(url=self.url, team_id=team_id, application_id=application_id)

    def vulnerability_page(self, team_id: int | None, application_id: int, vulnerability_id: int) -> str | None:
        """Return the URL of a vulnerability's page; None if the application's team is unknown."""
        page = self.application_page(team_id, application_id)
        return page and f"{page}/vulnerabilities/{vulnerability_id}"


def number(text: str) -> int:
    """Return an id: a whole number from 1 to `MAX_ID`, in ASCII digits.

    Raises:
        ValueError: the text is not an id.
    """
    if re.fullmatch("[0-9]{1,10}", text) and 1 <= int(text) <= MAX_ID:
        return int(text)
    raise ValueError(f"is not a valid id; ids are whole numbers from 1 to {MAX_ID}, such as 41")


def status_link(link: str) -> Target:
    """Return the two ids of a link such as `https://host/threadfix/rest/latest/applications/6/pendingScan/41/status`.

    The link's host is not used: it is the server's view of itself, often a private address and plain http.

    Raises:
        ValueError: the link is not a status link.
    """
    with suppress(ValueError):
        # `urlsplit` removes line breaks, also from the middle of a number.
        match = None if re.search(r"[\x00-\x20\x7f]", link) else _STATUS_LINK.search(urlsplit(link).path)
        if match:
            return Target(number(match[1]), number(match[2]))
    raise ValueError("is not a status link; such a link ends in /applications/6/pendingScan/41/status")


def base_url(text: str) -> str:
    """Return a base URL in normal form: with its context path, without a trailing `/`, `/rest` or `/rest/…`.

    Raises:
        ValueError: the URL is not usable. The message does not repeat it, because it may contain a password.
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
        raise ValueError(f"has a path that is not valid for ThreadFix; {wanted}")
    shown = f"[{host}]" if ":" in host else host
    standard = {"http": 80, "https": 443}[parts.scheme]
    return f"{parts.scheme}://{shown}{'' if port in (None, standard) else f':{port}'}/{path}".rstrip("/")


def origin(url: str) -> str:
    """Return scheme, host and port of a base URL."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def _is_host(netloc: str, host: str) -> bool:
    if {"[", "]"} & set(netloc):
        # Some versions of Python accept text around the brackets. A zone has no meaning on another machine.
        return bool(re.fullmatch(r"\[[0-9a-f:.]+\](:\d*)?", netloc, re.IGNORECASE)) and ":" in host
    return len(host) <= 253 and all(_LABEL.match(label) for label in host.removesuffix(".").split("."))  # noqa: PLR2004
