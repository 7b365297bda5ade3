"""The table of endpoints, and the dispatch of a request by path, method, version, key and permission."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote

from gate.sandbox import applications, forms, policies, scans, versions, vulnerabilities
from gate.sandbox.responses import LOOKUP_FAILED, UNRECOGNIZED, Call, refusal
from gate.sandbox.scenarios import SYSTEM_ERROR, Raw
from gate.sandbox.state import State
from gate.sandbox.versions import LEGACY, SINCE, Feature

if TYPE_CHECKING:
    from collections.abc import Callable

    from gate.sandbox.scenarios import Fault
    from gate.sandbox.versions import Version

CONTEXT: Final = "/threadfix"
"""The context path of the base URL."""
LOGIN: Final = f"{CONTEXT}/login.jsp"
LOGIN_PAGE: Final = Raw(200, b"<!DOCTYPE html><html><head><title>ThreadFix Login</title></head></html>")
_REST: Final = re.compile(r"/rest/(?:(latest|legacy|v[0-9][0-9.]*)/)?(.*)", re.IGNORECASE)


class Permission(Enum):
    """A permission of an API key."""

    READ = auto()
    UPLOAD_SCANS = auto()
    MANAGE_CICD = auto()


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An endpoint.

    Attributes:
        method: such as `GET`.
        path: a pattern for the path after the version; its groups are named.
        handler: returns the response.
        permission: the permission that the key needs.
        since: the version that introduced it.
        until: the first version that serves this path with another method; None if no version does.
    """

    method: str
    path: str
    handler: Callable[[State, Call], Fault]
    permission: Permission = Permission.READ
    since: Version = LEGACY
    until: Version | None = None


_APPLICATION: Final = r"applications/(?P<application>[0-9]{1,19})"
_LOOK_UP: Final = "applications/(?P<team>[^/]+)/lookup"
_EVALUATE: Final = f"{_APPLICATION}/policy/eval"
ENDPOINTS: Final = (
    Endpoint("GET", _APPLICATION, applications.by_id),
    Endpoint("GET", _LOOK_UP, applications.look_up),
    Endpoint("POST", _LOOK_UP, applications.look_up, since=SINCE[Feature.FORM_LOOKUP]),
    Endpoint("GET", "applications/allTeamLookup", applications.look_up_in_all_teams),
    Endpoint("GET", "teams", applications.teams),
    Endpoint("GET", "teams/(?P<team>[0-9]{1,19})", applications.team_by_id),
    Endpoint("GET", "teams/lookup", applications.team_by_name),
    Endpoint("POST", f"{_APPLICATION}/upload", scans.upload, Permission.UPLOAD_SCANS),
    Endpoint("GET", f"{_APPLICATION}/scans", scans.listed),
    Endpoint(
        "GET",
        f"{_APPLICATION}/pendingScan/(?P<scan>[0-9]{{1,19}})/status",
        scans.status,
        Permission.UPLOAD_SCANS,
        SINCE[Feature.PENDING_SCANS],
    ),
    Endpoint("GET", f"{_APPLICATION}/policyStatuses", policies.statuses, since=SINCE[Feature.POLICIES]),
    Endpoint(
        "GET",
        _EVALUATE,
        policies.evaluate,
        since=SINCE[Feature.EVALUATION],
        until=SINCE[Feature.EVALUATION_BY_FORM],
    ),
    Endpoint("POST", _EVALUATE, policies.evaluate, since=SINCE[Feature.EVALUATION_BY_FORM]),
    Endpoint(
        "GET",
        "policy/status/application/(?P<application>[0-9]{1,19})/evaluate",
        policies.evaluate_criteria,
        Permission.MANAGE_CICD,
        SINCE[Feature.PASS_CRITERIA],
    ),
    Endpoint("POST", "vulnerabilities", vulnerabilities.search),
    Endpoint("GET", "severities", vulnerabilities.severities),
)
"""Every endpoint of the sandbox."""


@dataclass(slots=True)
class ThreadFix(State):
    """The embedded ThreadFix. Tests override `respond`, `receive` or `refuse_early` to change its responses."""

    def respond(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Fault:
        """Return the response to a request.

        Args:
            method: such as `GET`.
            path: the path with its query.
            headers: the headers by name in lower case.
            body: the body; empty for a request without a body.
        """
        form = {}
        if headers.get("content-type", "").partition(";")[0].strip().lower() == "application/x-www-form-urlencoded":
            form = forms.urlencoded(body.decode("utf-8", "replace"))
        return self._dispatch(method, path, headers, forms.Form(form))

    def receive(self, path: str, headers: dict[str, str], form: forms.Form | None) -> Fault:
        """Return the response to a POST with a multipart form, such as an upload.

        Args:
            path: the path with its query.
            headers: the headers by name in lower case.
            form: the form; None if it was malformed.
        """
        # ThreadFix does not catch Spring's exception about a malformed form.
        return SYSTEM_ERROR if form is None else self._dispatch("POST", path, headers, form)

    def refuse_early(self, path: str, headers: dict[str, str]) -> Fault | None:
        """Return the response to a POST before its body is read, or None to read the body first.

        Args:
            path: the path with its query.
            headers: the headers by name in lower case.
        """
        del path, headers
        return None

    def _dispatch(self, method: str, path: str, headers: dict[str, str], form: forms.Form) -> Fault:
        path, _, query = path.partition("?")
        matched = _match(self.generation, method, path)
        if isinstance(matched, Raw):
            return matched
        endpoint, call = matched
        if "application/json" not in headers.get("accept", ""):
            return UNRECOGNIZED
        fields = forms.urlencoded(query) | form.fields
        refused = self._refused(headers, fields, endpoint.permission)
        if refused:
            return refused
        number = call.parts.get("application")
        application = self.applications.get(int(number)) if number else None
        if number and application is None:
            return LOOKUP_FAILED
        return endpoint.handler(self, replace(call, fields=fields, files=form.files, known=application))

    def _refused(self, headers: dict[str, str], fields: dict[str, str], permission: Permission) -> Raw | None:
        scheme, _, key = headers.get("authorization", "").partition(" ")
        # The Community Edition accepts only the `apiKey` field, which is still in use.
        key = key if scheme == "APIKEY" else fields.get("apiKey", "")
        if not key:
            return refusal("Authentication failed, check your API Key.")
        granted = {
            Permission.READ: self.keys | self.uploaders | self.readers,
            Permission.UPLOAD_SCANS: self.keys | self.uploaders,
            Permission.MANAGE_CICD: self.keys,
        }
        if key not in granted[Permission.READ]:
            return refusal("API Key not found in database.")
        if key not in granted[permission]:
            return refusal("The requested URL is restricted for your API Key.")
        return None


def _match(generation: Version, method: str, path: str) -> tuple[Endpoint, Call] | Raw:
    """Return the endpoint of a request and its parsed path, or the error response."""
    # Tomcat merges repeated slashes; a public client sends them.
    path = re.sub("/{2,}", "/", path)
    if not path.startswith(f"{CONTEXT}/rest/"):
        return LOGIN_PAGE if path == LOGIN else Raw(302, headers=(("Location", LOGIN),))
    if re.search("%2f|%5c", path, re.IGNORECASE):
        # Tomcat rejects encoded slashes in a path.
        return Raw(400, b"<html><head><title>HTTP Status 400 - Bad Request</title></head></html>")
    rest = _REST.fullmatch(path.removeprefix(CONTEXT))
    segment, rest_path = (rest[1] or "", rest[2]) if rest else ("", "")
    error = UNRECOGNIZED
    for endpoint in ENDPOINTS:
        matched = re.fullmatch(endpoint.path, rest_path)
        version = versions.requested(segment, generation, endpoint.since)
        if matched and version and endpoint.method == method:
            if endpoint.until is None or version < endpoint.until:
                return endpoint, Call(
                    version, segment, {name: unquote(part) for name, part in matched.groupdict().items()}
                )
            error = refusal(f"Request method '{method}' not supported", 405)
    return error
