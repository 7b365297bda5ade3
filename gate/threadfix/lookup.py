"""Finds an application by the names that people gave it; where there is none, or several, says which ones there are."""

from __future__ import annotations

import difflib
import heapq
import re
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from gate.model.history import Application, Failure
from gate.model.reasons import Reason
from gate.text.sanitizer import fold, trim
from gate.threadfix import links, responses
from gate.threadfix.api import NO_APPLICATION_MEANING, NO_ENDPOINT_MEANING, NOT_FOUND, lacks_endpoint, left

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from gate.model.subjects import ApplicationName
    from gate.threadfix.api import Asked, RestApi

SHOWN: Final = 5
"""Candidates that are named."""
COMPARED: Final = 2000
"""Candidates that are looked at."""
PROMISING: Final = 50
"""Candidates that have the most letters in common with what was looked for, and are compared to it letter by letter."""
NAME_LIMIT: Final = 80
"""Characters that are kept of a name, and compared for its being near."""
# What a query can hold whatever stands in between; ThreadFix has the POST form for all others, from 2.7.6 on.
_PLAIN: Final = re.compile(r"[A-Za-z0-9 ._-]+")

NAMES_HINT: Final = "Write {{--team-name}} and {{--{option}}} as they are in ThreadFix, or set {{--application-id}}."
ENDPOINT_HINT: Final = "Check that {--url} includes its context path, and that {--api-version} matches your ThreadFix."
DOTS: Final = (".", "..")
DOTS_HINT: Final = "Set {--application-id}, and leave the names out."
SEVERAL_MEANING: Final = "ThreadFix has several applications of this name in this team."
SEVERAL_HINT: Final = "Set {--application-id} to the one that is meant, and leave its names out."


class Finder:
    """Finds applications by their names; safe to use from several threads.

    Args:
        api: which ThreadFix.
    """

    def __init__(self, api: RestApi) -> None:
        """Nothing is asked yet."""
        self._api = api
        # Asked for once: they are decoration, and a search is repeated for as long as it finds nothing.
        self._candidates: dict[ApplicationName, str] = {}

    def find(self, subject: ApplicationName, timeout: float) -> Application | Failure:
        """Ask once for an application; the response is here within `timeout` seconds.

        Raises:
            BaseException: a bug; a failure is a value.
        """
        ends = time.monotonic() + timeout
        asked = self._ask(subject, ends)
        found = asked if isinstance(asked, Failure) else self._chosen(asked, subject)
        if isinstance(found, Application) or found.reason is not Reason.NOT_FOUND or found.final:
            return found
        if subject not in self._candidates:
            self._candidates[subject] = self._describe_candidates(subject, ends)
        hint, meaning = _names_hint(subject), NO_APPLICATION_MEANING
        if found.http_status in NOT_FOUND:
            hint, meaning = f"{ENDPOINT_HINT} {hint}", NO_ENDPOINT_MEANING
        candidates = self._candidates[subject]
        # Where ThreadFix has said which names there are, asking again for another one cannot help.
        return replace(found, what=f"{found.what}{candidates}", hint=hint, meaning=meaning, final=bool(candidates))

    def _ask(self, subject: ApplicationName, ends: float) -> Asked | Failure:
        """Ask for the application, in the form that fits its name and the version of ThreadFix."""
        if subject.team in DOTS:
            what = f"a team named '{subject.team}' cannot be looked up, because its name would change the URL's path."
            return Failure(Reason.NOT_FOUND, what, DOTS_HINT, final=True)
        field, wanted = _key(subject)
        url = self._api.server.endpoint(links.LOOKUP_PATH, team=quote(subject.team, safe=""))
        if not _PLAIN.fullmatch(wanted):
            asked = self._api.ask(url, left(ends), {field: wanted}, refusals=True)
            if not lacks_endpoint(asked):
                return asked if isinstance(asked, Failure) else self._api.read(asked.response)
        return self._api.ask(f"{url}?{field}={quote(wanted, safe='')}", left(ends))

    def _chosen(self, asked: Asked, subject: ApplicationName) -> Application | Failure:
        """The one application that was asked for, of those in a response."""
        api = self._api
        try:
            found = responses.applications(asked.envelope)
        except responses.NotThreadFixError as error:
            return api.malformed(asked, "no application", error)
        if not found:
            return Failure(Reason.NOT_FOUND, f"{api.http.host} found no such application.", http_status=200)
        wanted = _key(subject)[1]
        same = [one for one in found if _is(_own(one, subject), wanted) and _is_of_team(one, subject.team)]
        # Where names differ in case only, the one that was written is meant.
        exact = [one for one in same if _own(one, subject) == wanted]
        ids = {one.id: one for one in exact or same}
        if not ids:
            names = ", ".join(f"'{self._shown(_own(one, subject))}' (id {one.id})" for one in found[:SHOWN])
            what = f"{api.http.host} returned {names}, but another application was requested."
            return Failure(Reason.PROTOCOL, what, _names_hint(subject), final=True)
        if len(ids) > 1:
            numbers = ", ".join(map(str, list(ids)[:SHOWN]))
            more = f" and {len(ids) - SHOWN} more" if len(ids) > SHOWN else ""
            what = f"{api.http.host} found {len(ids)} of them: {numbers}{more}."
            return Failure(Reason.NOT_FOUND, what, SEVERAL_HINT, final=True, meaning=SEVERAL_MEANING)
        (one,) = ids.values()
        return Application(one.id, self._shown(one.name), responses.team_id(one.organization))

    def _describe_candidates(self, subject: ApplicationName, ends: float) -> str:
        """Which applications the team has; which teams there are, where it is not found. Empty where that fails."""
        api = self._api
        asked = api.ask(f"{api.server.endpoint(links.TEAM_PATH)}?name={quote(subject.team, safe='')}", left(ends))
        if isinstance(asked, Failure):
            if asked.reason is not Reason.NOT_FOUND:
                return ""
            asked = api.ask(api.server.endpoint(links.TEAMS_PATH), left(ends))
            teams = [] if isinstance(asked, Failure) else responses.named(asked.envelope.object)
            return f" Teams that the key's user can see: {self._listed(teams, subject.team)}." if teams else ""
        team = asked.envelope.object
        applications = responses.named(team.get("applications") if isinstance(team, dict) else None)
        if not applications:
            return ""
        return f" Applications of this team: {self._listed(applications, _key(subject)[1])}."

    def _listed(self, candidates: Sequence[responses.Named], wanted: str) -> str:
        """Some of the candidates, the nearest ones first; with the ids of those that share their name."""
        names = [one.name[:NAME_LIMIT].casefold() for one in candidates[:COMPARED]]
        near = _nearest(wanted[:NAME_LIMIT].casefold(), dict.fromkeys(names))
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
        """A name of the server's as safe text."""
        return self._api.sanitize(responses.non_empty(name) or "", NAME_LIMIT)


def _nearest(wanted: str, names: Iterable[str]) -> list[str]:
    """The names that are near to one, the nearest ones first."""
    matcher = difflib.SequenceMatcher(b=wanted)

    def promise(name: str) -> float:
        matcher.set_seq1(name)
        return matcher.quick_ratio()

    # To compare two names letter by letter may take a hundredth of a second, so it is done for a few of them.
    return difflib.get_close_matches(wanted, heapq.nlargest(PROMISING, names, promise), SHOWN, 0.5)


def _names_hint(subject: ApplicationName) -> str:
    return NAMES_HINT.format(option="application-unique-id" if subject.name is None else "application-name")


def _key(subject: ApplicationName) -> tuple[str, str]:
    """The field by which an application is found, and its value."""
    return ("uniqueId", subject.unique_id or "") if subject.name is None else ("name", subject.name)


def _own(found: responses.Application, subject: ApplicationName) -> object:
    """What an application that was found has in that field."""
    return found.unique_id if subject.name is None else found.name


def _is(value: object, wanted: str) -> bool:
    """Whether it is the name that is wanted; ThreadFix's databases take no notice of its case."""
    return isinstance(value, str) and fold(trim(value)) == fold(trim(wanted))


def _is_of_team(found: responses.Application, team: str) -> bool:
    """Whether it is of that team, as far as that is told."""
    name = responses.non_empty(found.organization.get("name")) if isinstance(found.organization, dict) else None
    return name is None or _is(name, team)
