"""The table of endpoints, and how a request finds its own: by path, method, version, key and permission."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote

from gate.sandbox import applications, forms, policies, scans, versions, vulnerabilities
from gate.sandbox.calls import Call
from gate.sandbox.responses import LOOKUP_FAILED, UNRECOGNIZED, refusal
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
    """What a key may need."""

    READ = auto()
    UPLOAD_SCANS = auto()
    MANAGE_CICD = auto()


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An endpoint.

    Attributes:
        method: such as `GET`.
        path: behind the version; its groups are named.
        handler: makes the response.
        permission: that a key needs.
        since: the version that introduced it.
        until: the version from which on another method serves this path; None for never.
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
"""Every endpoint that the sandbox has."""


@dataclass(slots=True)
class ThreadFix(State):
    """The embedded ThreadFix. Tests that need another one override `respond`, `receive` or `refuse_early`."""

    def respond(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Fault:
        """The response to a request.

        Args:
            method: such as `GET`.
            path: with its query.
            headers: by name in small letters.
            body: empty where there is none.
        """
        form = {}
        if headers.get("content-type", "").partition(";")[0].strip().lower() == "application/x-www-form-urlencoded":
            form = forms.urlencoded(body.decode("utf-8", "replace"))
        return self._answer(method, path, headers, forms.Form(form))

    def receive(self, path: str, headers: dict[str, str], form: forms.Form | None) -> Fault:
        """The response to a POST with a multipart form, such as an upload.

        Args:
            path: with its query.
            headers: by name in small letters.
            form: what came; None where it was broken.
        """
        # Whatever Spring throws at a broken form is caught nowhere.
        return SYSTEM_ERROR if form is None else self._answer("POST", path, headers, form)

    def refuse_early(self, path: str, headers: dict[str, str]) -> Fault | None:
        """The response to a POST before its body is read; None to read it first.

        Args:
            path: with its query.
            headers: by name in small letters.
        """
        del path, headers
        return None

    def _answer(self, method: str, path: str, headers: dict[str, str], form: forms.Form) -> Fault:
        path, _, query = path.partition("?")
        found = _find(self.generation, method, path)
        if isinstance(found, Raw):
            return found
        endpoint, call = found
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
        word, _, key = headers.get("authorization", "").partition(" ")
        # The only form of the Community Edition; still in use.
        key = key if word == "APIKEY" else fields.get("apiKey", "")
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


def _find(generation: Version, method: str, path: str) -> tuple[Endpoint, Call] | Raw:
    """The endpoint of a request, and what its path says; else the response."""
    # Tomcat takes several slashes for one; a public client sends them.
    path = re.sub("/{2,}", "/", path)
    if not path.startswith(f"{CONTEXT}/rest/"):
        return LOGIN_PAGE if path == LOGIN else Raw(302, headers=(("Location", LOGIN),))
    if re.search("%2f|%5c", path, re.IGNORECASE):
        # Tomcat takes no slash within a name.
        return Raw(400, b"<html><head><title>HTTP Status 400 - Bad Request</title></head></html>")
    rest = _REST.fullmatch(path.removeprefix(CONTEXT))
    segment, rest_path = (rest[1] or "", rest[2]) if rest else ("", "")
    other = UNRECOGNIZED
    for endpoint in ENDPOINTS:
        matched = re.fullmatch(endpoint.path, rest_path)
        version = versions.asked_for(segment, generation, endpoint.since)
        if matched and version and endpoint.method == method:
            if endpoint.until is None or version < endpoint.until:
                return endpoint, Call(
                    version, segment, {name: unquote(part) for name, part in matched.groupdict().items()}
                )
            other = refusal(f"Request method '{method}' not supported", 405)
    return other
