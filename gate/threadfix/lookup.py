"""Looks up an application by its names. If none matches, the failure lists the applications or teams that exist."""

from __future__ import annotations

import difflib
import heapq
import re
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from gate.model.advice import Doing, FailureKind
from gate.model.history import Application, Failure
from gate.model.reasons import Reason
from gate.net.http import LONG_RESPONSE_LIMIT
from gate.text.sanitizer import fold, trim
from gate.threadfix import links, responses
from gate.threadfix.api import lacks_endpoint, left

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from gate.model.subjects import ApplicationName
    from gate.threadfix.api import ApiResponse, RestApi

SHOWN: Final = 5
"""Candidates that a message lists."""
COMPARED: Final = 2000
"""Candidates that are compared with the requested name."""
PROMISING: Final = 50
"""Candidates that are compared letter by letter: those with the most letters of the requested name."""
NAME_LIMIT: Final = 80
"""Characters of a name that are compared and shown."""
# Names that a query carries safely through any proxy. For others ThreadFix has a POST, from 2.7.6 on.
_PLAIN: Final = re.compile(r"[A-Za-z0-9 ._-]+")

DOTS: Final = (".", "..")
"""Names that would change the path of a URL."""


class Finder:
    """Looks up applications by their names; safe to use from several threads."""

    def __init__(self, api: RestApi) -> None:
        self._api = api
        # Requested once: they are only part of a message, and a look-up is repeated until it succeeds.
        self._candidates: dict[ApplicationName, str] = {}

    def find(self, subject: ApplicationName, timeout: float) -> Application | Failure:
        """Look up an application, once, within `timeout` seconds."""
        ends = time.monotonic() + timeout
        response = self._request(subject, ends)
        result = response if isinstance(response, Failure) else self._chosen(response, subject)
        if isinstance(result, Application):
            return result
        failure = replace(result, doing=Doing.LOOKUP_BY_UNIQUE_ID if subject.name is None else Doing.LOOKUP_BY_NAME)
        if failure.reason is not Reason.NOT_FOUND or failure.final:
            return failure
        if subject not in self._candidates:
            self._candidates[subject] = self._describe_candidates(subject, ends)
        candidates = self._candidates[subject]
        # If ThreadFix has listed the names, a repeated look-up cannot succeed.
        return replace(failure, what=f"{failure.what}{candidates}", final=bool(candidates))

    def _request(self, subject: ApplicationName, ends: float) -> ApiResponse | Failure:
        """Request the application, in the form that fits its name and the version of ThreadFix."""
        if subject.team in DOTS:
            what = f"a team named '{subject.team}' cannot be looked up, because its name would change the URL's path."
            return Failure(Reason.NOT_FOUND, what, FailureKind.NAME_IN_PATH, final=True)
        field, wanted = _key(subject)
        url = self._api.server.endpoint(links.LOOKUP_PATH, team=quote(subject.team, safe=""))
        if not _PLAIN.fullmatch(wanted):
            response = self._api.request(url, left(ends), {field: wanted}, refusals=True)
            if not lacks_endpoint(response):
                return response if isinstance(response, Failure) else self._api.read(response.http)
        return self._api.request(f"{url}?{field}={quote(wanted, safe='')}", left(ends), limit=LONG_RESPONSE_LIMIT)

    def _chosen(self, response: ApiResponse, subject: ApplicationName) -> Application | Failure:
        """Return the requested application from those in a response."""
        api = self._api
        try:
            applications = responses.applications(response.envelope)
        except responses.NotThreadFixError as error:
            return api.malformed(response, "no application", error)
        if not applications:
            what = f"{api.http.host} found no such application."
            return Failure(Reason.NOT_FOUND, what, FailureKind.NOT_FOUND, http_status=200)
        wanted = _key(subject)[1]
        same = [app for app in applications if _same(_value(app, subject), wanted) and _in_team(app, subject.team)]
        # If names differ only in case, the exact name is meant.
        exact = [app for app in same if _value(app, subject) == wanted]
        ids = {app.id: app for app in exact or same}
        if not ids:
            names = ", ".join(f"'{self._shown(_value(app, subject))}' (id {app.id})" for app in applications[:SHOWN])
            what = f"{api.http.host} returned {names}, but another application was requested."
            return Failure(Reason.PROTOCOL, what, FailureKind.ANOTHER, final=True)
        if len(ids) > 1:
            numbers = ", ".join(map(str, list(ids)[:SHOWN]))
            more = f" and {len(ids) - SHOWN} more" if len(ids) > SHOWN else ""
            what = f"{api.http.host} found {len(ids)} matching applications: {numbers}{more}."
            return Failure(Reason.NOT_FOUND, what, FailureKind.SEVERAL, final=True)
        (app,) = ids.values()
        return Application(app.id, self._shown(app.name), responses.team_id(app.organization))

    def _describe_candidates(self, subject: ApplicationName, ends: float) -> str:
        """Return a sentence with the team's applications, or with all teams if it does not exist; empty on errors."""
        api = self._api
        response = api.request(
            f"{api.server.endpoint(links.TEAM_PATH)}?name={quote(subject.team, safe='')}", left(ends)
        )
        if isinstance(response, Failure):
            if response.reason is not Reason.NOT_FOUND:
                return ""
            response = api.request(api.server.endpoint(links.TEAMS_PATH), left(ends))
            teams = [] if isinstance(response, Failure) else responses.named(response.envelope.object)
            return f" Teams that the key's user can see: {self._listed(teams, subject.team)}." if teams else ""
        team = response.envelope.object
        applications = responses.named(team.get("applications") if isinstance(team, dict) else None)
        if not applications:
            return ""
        return f" Applications of this team: {self._listed(applications, _key(subject)[1])}."

    def _listed(self, candidates: Sequence[responses.Named], wanted: str) -> str:
        """Return some of the candidates, the most similar first, with an id if several have the name."""
        names = [candidate.name[:NAME_LIMIT].casefold() for candidate in candidates[:COMPARED]]
        near = _most_similar(wanted[:NAME_LIMIT].casefold(), dict.fromkeys(names))
        order = {name: place for place, name in enumerate(near)}
        chosen = sorted(range(len(names)), key=lambda place: order.get(names[place], SHOWN))[:SHOWN]
        shown = [
            f"'{self._shown(candidates[place].name)}'"
            + (f" (id {responses.identity(candidates[place].id)})" if names.count(names[place]) > 1 else "")
            for place in chosen
        ]
        more = len(candidates) - len(chosen)
        return ", ".join(shown) + (f" and {more} more" if more else "")

    def _shown(self, name: Any) -> str:  # noqa: ANN401 - decoration may be of any type
        """Return a name from the server as sanitized text."""
        return self._api.sanitize(responses.non_empty(name) or "", NAME_LIMIT)


def _most_similar(wanted: str, names: Iterable[str]) -> list[str]:
    matcher = difflib.SequenceMatcher(b=wanted)

    def promise(name: str) -> float:
        matcher.set_seq1(name)
        return matcher.quick_ratio()

    # Comparing two names letter by letter may take 10 ms, so only a few are compared in this way.
    return difflib.get_close_matches(wanted, heapq.nlargest(PROMISING, names, promise), SHOWN, 0.5)


def _key(subject: ApplicationName) -> tuple[str, str]:
    """Return the field of the look-up, and the requested value."""
    return ("uniqueId", subject.unique_id or "") if subject.name is None else ("name", subject.name)


def _value(application: responses.Application, subject: ApplicationName) -> object:
    """Return an application's value of the same field."""
    return application.unique_id if subject.name is None else application.name


def _same(value: object, wanted: str) -> bool:
    """Return whether a value is the requested name. ThreadFix's databases ignore case."""
    return isinstance(value, str) and fold(trim(value)) == fold(trim(wanted))


def _in_team(application: responses.Application, team: str) -> bool:
    """Return whether an application is of the team, or its team is unknown."""
    organization = application.organization
    name = responses.non_empty(organization.get("name")) if isinstance(organization, dict) else None
    return name is None or _same(name, team)
