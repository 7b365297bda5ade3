"""The table of endpoints, and the dispatch of a request by path, method, version, key and permission."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote

from gate.sandbox import applications, forms, policies, responses, scans, versions
from gate.sandbox.responses import CONTEXT, LOGIN, LOOKUP_FAILED, SYSTEM_ERROR, UNRECOGNIZED, Call, Raw, refusal
from gate.sandbox.state import State
from gate.sandbox.versions import LEGACY

if TYPE_CHECKING:
    from collections.abc import Callable

    from gate.sandbox.responses import Fault
    from gate.sandbox.versions import Version

MOST: Final = 2**31 - 1
"""The greatest id."""
_REST: Final = re.compile(r"/rest/(?:(latest|legacy|v[0-9][0-9.]*)/)?(.*)", re.IGNORECASE)
_UNREADABLE: Final = re.compile(r"[^!-~]|[\"<>\[\\\]^`{|}]")
"""Characters that Tomcat does not read in a path or query [RUN]."""


class Permission(Enum):
    """A permission of an API key."""

    READ = auto()
    UPLOAD_SCANS = auto()
    MANAGE_CICD = auto()
    MANAGE_APPLICATIONS = auto()


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An endpoint."""

    method: str  # such as `GET`
    path: str  # a pattern for the path after the version; its groups are named
    handler: Callable[[State, Call], Fault]  # returns the response
    permission: Permission = Permission.READ  # the permission that the key needs
    since: Version = LEGACY  # the version that introduced it
    until: Version | None = None  # the first version that serves this path with another method; None if no version does
    unknown: Raw = LOOKUP_FAILED  # the response to the id of an unknown application
    form: bool = False  # whether a missing part `file` is an error, before anything else is checked [RUN]


_APPLICATION: Final = "applications/(?P<application>[^/]+)"
_LOOK_UP: Final = "applications/(?P<team>[^/]+)/lookup"
_EVALUATE: Final = f"{_APPLICATION}/policy/eval"
_STATUS: Final = f"{_APPLICATION}/pendingScan/(?P<pending>[^/]+)/status"
_CRITERIA: Final = "policy/status/application/(?P<application>[^/]+)/evaluate"
_NO_ID: Final = refusal("Invalid application ID.")
_BY_FORM: Final = versions.EVALUATION_BY_FORM
_MAY_UPLOAD: Final = Permission.UPLOAD_SCANS
_MAY_CREATE: Final = Permission.MANAGE_APPLICATIONS
ENDPOINTS: Final = (
    Endpoint("GET", "applications/allTeamLookup", applications.look_up_in_all_teams),
    Endpoint("GET", _APPLICATION, applications.by_id),
    Endpoint("GET", _LOOK_UP, applications.look_up),
    Endpoint("POST", _LOOK_UP, applications.look_up, since=versions.FORM_LOOKUP),
    Endpoint("GET", "teams", applications.teams),
    Endpoint("GET", "teams/lookup", applications.team_by_name),
    Endpoint("GET", "teams/(?P<number>[^/]+)", applications.team_by_id),
    Endpoint("POST", "teams/new", applications.create_team, _MAY_CREATE),
    Endpoint("POST", "teams/(?P<number>[^/]+)/applications/new", applications.create, _MAY_CREATE),
    Endpoint("POST", f"{_APPLICATION}/upload", scans.upload, _MAY_UPLOAD, unknown=_NO_ID, form=True),
    Endpoint("POST", f"{_APPLICATION}/upload/multi", scans.upload_together, _MAY_UPLOAD, unknown=_NO_ID),
    Endpoint("GET", f"{_APPLICATION}/scans", scans.listed),
    Endpoint("GET", "scans/(?P<scan>[^/]+)", scans.by_id),
    Endpoint("GET", _STATUS, scans.status, _MAY_UPLOAD, versions.PENDING_SCANS),
    Endpoint("GET", f"{_APPLICATION}/policyStatuses", policies.statuses, since=versions.POLICIES),
    Endpoint("GET", _EVALUATE, policies.evaluate, since=versions.EVALUATION, until=_BY_FORM),
    Endpoint("POST", _EVALUATE, policies.evaluate, since=_BY_FORM),
    Endpoint("GET", _CRITERIA, policies.evaluate_criteria, Permission.MANAGE_CICD, versions.PASS_CRITERIA),
    Endpoint("POST", "vulnerabilities", scans.search_vulnerabilities),
    Endpoint("GET", "severities", scans.severities),
)
"""Every endpoint of the sandbox."""


@dataclass(slots=True)
class ThreadFix(State):
    """The embedded ThreadFix. Tests override `respond`, `receive` or `refuse_early` to change its responses."""

    def respond(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Fault:
        """Return the response to a request. `path` has the query; the names of the headers are in lower case."""
        form = {}
        if headers.get("content-type", "").partition(";")[0].strip().lower() == "application/x-www-form-urlencoded":
            form = forms.urlencoded(body.decode("utf-8", "replace"))
        return self._dispatch(method, path, headers, forms.Form(form))

    def receive(self, path: str, headers: dict[str, str], form: forms.Form | None) -> Fault:
        """Return the response to a POST with a multipart form, such as an upload; None is a malformed form."""
        # ThreadFix does not catch Spring's exception about a malformed form [RUN].
        return SYSTEM_ERROR if form is None else self._dispatch("POST", path, headers, form)

    def refuse_early(self, path: str, headers: dict[str, str]) -> Fault | None:
        """Return the response to a POST before its body is read, or None to read the body first."""
        del path, headers
        return None

    def _dispatch(self, method: str, target: str, headers: dict[str, str], form: forms.Form) -> Fault:
        matched = _match(self.generation, method, target, headers.get("host", ""))
        if isinstance(matched, Raw):
            return matched
        endpoint, call = matched
        # The id is checked first, then the form, then the key [RUN].
        ids = [part for name, part in call.parts.items() if name != "team"]
        if any(not re.fullmatch("[0-9]{1,10}", part) or int(part) > MOST for part in ids):
            return responses.to_login()
        if endpoint.form and all(file.field != "file" for file in form.files):
            return SYSTEM_ERROR
        fields = forms.urlencoded(target.partition("?")[2]) | form.fields
        refused = self._refused(headers, fields, endpoint.permission)
        if refused:
            return refused
        number = call.parts.get("application")
        application = self.applications.get(int(number)) if number else None
        if number and application is None:
            return endpoint.unknown
        return endpoint.handler(self, replace(call, fields=fields, files=form.files, known=application))

    def _refused(self, headers: dict[str, str], fields: dict[str, str], permission: Permission) -> Raw | None:
        scheme, _, key = headers.get("authorization", "").partition(" ")
        # The header [DOC]; the Community Edition reads only the field `apiKey`, which is still in use [RUN, CLIENT].
        key = key if scheme == "APIKEY" else fields.get("apiKey", "")
        if not key:
            return refusal("Authentication failed, check your API Key.")
        granted = {
            Permission.READ: self.keys | self.uploaders | self.readers,
            Permission.UPLOAD_SCANS: self.keys | self.uploaders,
            Permission.MANAGE_CICD: self.keys,
            Permission.MANAGE_APPLICATIONS: self.keys,
        }
        if key not in granted[Permission.READ]:
            return refusal("API Key not found in database.")
        if key not in granted[permission]:
            return refusal("The requested URL is restricted for your API Key.")
        return None


def _match(generation: Version, method: str, target: str, host: str) -> tuple[Endpoint, Call] | Raw:
    """Return the endpoint of a request and its parsed path, or the response to a path without an endpoint."""
    # Tomcat merges repeated slashes [RUN]; a public client sends them.
    path = re.sub("/{2,}", "/", target.partition("?")[0])
    # The path is decoded twice: a percent sign in a name is an error, if it does not begin another character [RUN].
    once = unquote(path.removeprefix(CONTEXT))
    # A slash at the end and the suffix `.json` mean nothing [RUN].
    rest = _REST.fullmatch(unquote(once).removesuffix("/").removesuffix(".json"))
    elsewhere = (
        (_UNREADABLE.search(target) or re.search("%2f|%5c", path, re.IGNORECASE), responses.TOMCAT_400),
        (not f"{path}/".startswith(f"{CONTEXT}/"), responses.TOMCAT_404),
        (path == CONTEXT, responses.TO_CONTEXT),
        (path.startswith(LOGIN), responses.LOGIN_PAGE),
        (re.search("[?#]", once), responses.to_login()),
        (re.search("%(?![0-9a-fA-F]{2})", once), responses.BROKEN_PATH),
        (once.removesuffix("/") == "/rest", responses.NOTHING),
        (rest is None, responses.to_login(f"http://{host}")),
        (method == "OPTIONS", responses.OPTIONS),
    )
    for applies, response in elsewhere:
        if applies:
            return response
    segment, path = rest.groups("") if rest else ("", "")
    for endpoint in ENDPOINTS:
        matched = re.fullmatch(endpoint.path, path)
        version = versions.requested(segment, generation, endpoint.since)
        if matched and version and endpoint.method == method and not (endpoint.until and version >= endpoint.until):
            return endpoint, Call(version, segment, matched.groupdict())
    # Another method is an unknown path. A filter stops a POST with other characters, but not in a version [RUN, INFER].
    return responses.NOTHING if method == "POST" and re.search("[^A-Za-z0-9/]", path) else UNRECOGNIZED
