"""Looks up an application by its names. If none matches, the failure lists the applications or teams that exist."""

from __future__ import annotations

import difflib
import re
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Final, TypeVar
from urllib.parse import quote, urlencode

from gate.model.advice import Doing, FailureKind
from gate.model.history import Application, Failure
from gate.model.reasons import Reason
from gate.net.connections import OK
from gate.net.http import LONG_RESPONSE_LIMIT
from gate.text.sanitizer import fold, trim
from gate.text.wording import some
from gate.threadfix import links, responses
from gate.threadfix.api import NO_CONTENT, NO_METHOD, NOT_FOUND, left

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from gate.model.subjects import ApplicationName
    from gate.threadfix.api import RestApi

T = TypeVar("T")
Matches = tuple[responses.Application, ...]

SHOWN: Final = 5  # candidates that a message lists
COMPARED: Final = 2000  # candidates that are compared with the requested name
NAME_LIMIT: Final = 80  # characters of a name that are compared and shown
PLAIN: Final = re.compile(r"(?!\.+\Z)[A-Za-z0-9 ._-]+")  # a path carries them safely through ThreadFix and any proxy


class Finder:
    """Looks up applications by their names."""

    def __init__(self, api: RestApi) -> None:
        self._api = api
        # Requested once: they are only part of a message, and a look-up is repeated until it succeeds.
        self._candidates: dict[ApplicationName | None, str] = {}
        # The pages of the list of teams so far. After a failure, the next look-up continues with the page that failed.
        self._pages: list[tuple[responses.Team, ...]] = []

    def find(self, subject: ApplicationName, timeout: float) -> Application | Failure:
        """Look up an application, once, within `timeout` seconds."""
        ends = time.monotonic() + timeout
        matches = self._matches(subject, ends)
        result = matches if isinstance(matches, Failure) else self._chosen(matches, subject)
        if isinstance(result, Application):
            return result
        failure = replace(result, doing=Doing.LOOKUP_BY_UNIQUE_ID if subject.name is None else Doing.LOOKUP_BY_NAME)
        if failure.reason is not Reason.NOT_FOUND or failure.final:
            return failure
        return self.explain(failure, ends, subject)

    def explain(self, failure: Failure, ends: float, subject: ApplicationName | None = None) -> Failure:
        """Return the failure for a name or an id (None) that does not exist, with candidates."""
        if subject not in self._candidates:
            self._candidates[subject] = self._describe_candidates(subject, ends)
        return replace(failure, candidates=self._candidates[subject])

    def _matches(self, subject: ApplicationName, ends: float) -> Matches | Failure:
        """Request the application, in the form that fits its names."""
        team, (field, wanted) = subject.team, _key(subject)
        if team is not None and PLAIN.fullmatch(team):
            return self._in_path(quote(team), {field: wanted}, ends)
        if subject.name is None:
            found = self._get(links.ALL_TEAMS_LOOKUP_PATH, responses.applications, {field: wanted}, ends)
            if team is None or isinstance(found, Failure):
                return found
            return tuple(app for app in found if _same(responses.team_name(app.organization), team))
        listed = self._in_all_teams(ends) if team is None else self._in_team(team, ends)
        return listed if isinstance(listed, Failure) else tuple(app for app in listed if _same(app.name, wanted))

    def _in_path(self, team: str, names: Mapping[str, str], ends: float) -> Matches | Failure:
        """Look up an application with its team in the path; by POST too if its name may be lost in a query."""
        found = self._get(links.LOOKUP_PATH, responses.applications, names, ends, team=team)
        is_missing = found.reason is Reason.NOT_FOUND if isinstance(found, Failure) else not found
        if not is_missing or all(map(PLAIN.fullmatch, names.values())):
            return found
        url = self._api.server.endpoint(links.LOOKUP_PATH, team=team)
        response = self._api.request(url, left(ends), names, limit=LONG_RESPONSE_LIMIT)
        if isinstance(response, Failure):
            # ThreadFix has the POST from 2.7.6 on, and a filter that does not accept every path.
            is_lacking = response.http_status in {NO_CONTENT, NO_METHOD, *NOT_FOUND}
            return found if is_lacking or response.reason is Reason.NOT_FOUND else response
        return self._api.converted(response, responses.applications, "no application", ends)

    def _in_team(self, team: str, ends: float) -> Matches | Failure:
        """Return the applications of a team whose name cannot be part of a path."""
        found = self._get(links.TEAM_PATH, responses.team, {"name": team}, ends)
        if isinstance(found, Failure):
            return found
        return found.applications if _same(found.name, team) else self._another(f"'{self._shown(found.name)}'", "team")

    def _in_all_teams(self, ends: float) -> Matches | Failure:
        """Return the applications of all teams. A server before 2.8.3 returns all of them on every page."""
        pages = self._pages
        while not pages or (pages[-1] and pages[-1] not in pages[:-1]):
            page = self._get(links.TEAMS_PATH, responses.teams, {"page": str(len(pages) + 1)}, ends)
            if isinstance(page, Failure):
                what = f"{self._api.http.host} did not return all pages of its teams in time, but {len(pages)} of them."
                return replace(page, what=what) if pages and page.timed_out else page
            pages.append(page)
        self._pages = []
        return tuple(app for page in pages for team in page for app in team.applications)

    def _get(
        self, path: str, read: Callable[[responses.Envelope], T], query: Mapping[str, str], ends: float, **parts: str
    ) -> T | Failure:
        api = self._api
        url = f"{api.server.endpoint(path, **parts)}?{urlencode(query, quote_via=quote, safe='')}"
        response = api.request(url, left(ends), limit=LONG_RESPONSE_LIMIT)
        return response if isinstance(response, Failure) else api.converted(response, read, "no application", ends)

    def _chosen(self, matches: Matches, subject: ApplicationName) -> Application | Failure:
        """Return the requested application from those in a response."""
        host = self._api.http.host
        if not matches:
            what = f"{host} found no such application."
            return Failure(Reason.NOT_FOUND, what, FailureKind.NOT_FOUND, http_status=OK)
        wanted, team = _key(subject)[1], subject.team
        same = [
            app
            for app in matches
            # A server that has looked for the team need not name it.
            if _same(_value(app, subject), wanted)
            and (team is None or _same(responses.team_name(app.organization) or team, team))
        ]
        # If names differ only in case, the exact name is meant.
        same = [app for app in same if _value(app, subject) == wanted] or same
        same = [app for app in same if responses.team_name(app.organization) == team] or same
        ids = {app.id: app for app in same}
        if not ids:
            shown = [f"'{self._shown(_value(app, subject))}' (id {app.id})" for app in matches[:SHOWN]]
            return self._another(", ".join(shown))
        if len(ids) > 1:
            what = f"{host} found {len(ids)} matching applications: {self._some(list(ids.values()))}."
            return Failure(Reason.NOT_FOUND, what, FailureKind.SEVERAL, final=True)
        (app,) = ids.values()
        team_name = self._shown(responses.team_name(app.organization) or team)
        return Application(app.id, self._shown(app.name), responses.team_id(app.organization), team_name)

    def _another(self, returned: str, kind: str = "application") -> Failure:
        what = f"{self._api.http.host} returned {returned}, but another {kind} was requested."
        return Failure(Reason.PROTOCOL, what, FailureKind.ANOTHER, final=True)

    def _some(self, apps: Sequence[responses.Application]) -> str:
        return some([self._with_team(app) for app in apps[:SHOWN]], len(apps))

    def _with_team(self, app: responses.Application) -> str:
        team = responses.team_name(app.organization)
        of_team = f" of team '{self._shown(team)}'" if team else ""
        return f"{app.id} ('{self._shown(app.name)}'{of_team})"

    def _describe_candidates(self, subject: ApplicationName | None, ends: float) -> str:
        """Return a sentence with the applications, or with all teams if the team does not exist; empty on errors."""
        if subject is None:
            teams = self._get(links.TEAMS_PATH, responses.teams, {"page": "1"}, ends)
            seen = [] if isinstance(teams, Failure) else [app for team in teams for app in team.applications]
            return f"Applications that the key's user can see: {self._some(seen)}." if seen else ""
        wanted, team = _key(subject)[1], subject.team
        found: Failure | Sequence[responses.Application | responses.Team]
        if team is None:
            title, found = "Applications", self._in_all_teams(ends)
        else:
            title, found = "Applications of this team", self._in_team(team, ends)
            if isinstance(found, Failure) and found.reason is Reason.NOT_FOUND:
                title, wanted = "Teams that the key's user can see", team
                found = self._get(links.TEAMS_PATH, responses.teams, {"page": "1"}, ends)
        return "" if isinstance(found, Failure) else self._listed(title, found, wanted)

    def _listed(self, title: str, candidates: Sequence[responses.Application | responses.Team], wanted: str) -> str:
        """Return some of the candidates, the most similar first, with an id if several have the name."""
        named = [(name, candidate) for candidate in candidates if (name := responses.non_empty(candidate.name))]
        if not named:
            return ""
        names = [name[:NAME_LIMIT].casefold() for name, _ in named[:COMPARED]]
        # By the letters that they have in common: comparing two names in their order may take 10 ms.
        matcher = difflib.SequenceMatcher(b=wanted[:NAME_LIMIT].casefold())
        likeness = []
        for name in names:
            matcher.set_seq1(name)
            likeness.append(matcher.quick_ratio())
        chosen = sorted(range(len(names)), key=lambda place: -likeness[place])[:SHOWN]
        shown = [
            f"'{self._shown(named[place][0])}'"
            + (f" (id {responses.identity(named[place][1].id)})" if names.count(names[place]) > 1 else "")
            for place in chosen
        ]
        return f"{title}: {some(shown, len(named))}."

    def _shown(self, name: object) -> str:
        """Return a name from the server as sanitized text."""
        return self._api.sanitize(responses.non_empty(name) or "", NAME_LIMIT)


def _key(subject: ApplicationName) -> tuple[str, str]:
    """Return the field of the look-up, and the requested value."""
    return ("uniqueId", subject.unique_id or "") if subject.name is None else ("name", subject.name)


def _value(application: responses.Application, subject: ApplicationName) -> object:
    """Return an application's value of the same field."""
    return application.unique_id if subject.name is None else application.name


def _same(value: object, wanted: str) -> bool:
    """Return whether a value is the requested name. ThreadFix's databases ignore case."""
    return isinstance(value, str) and fold(trim(value)) == fold(trim(wanted))
