"""Ask ThreadFix about the checks of a release. Each generation of its endpoints is a row of a table.

The words of a policy are compared exactly: PASSING is a pass, FAILING is a fail, and any other word, such as
`NO SCANS FOUND`, is neither. `overallPolicyStatus` is not read: it is about more than the requested policies.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode

from gate.model.history import CheckReading, CheckResult, Failure, all_hold
from gate.model.reasons import Reason
from gate.model.subjects import AllPolicies, PassCriteria, Policy
from gate.text.sanitizer import TEXT_LIMIT
from gate.threadfix import criteria, links, responses
from gate.threadfix.api import lacks_endpoint, left

if TYPE_CHECKING:
    from collections.abc import Callable

    from gate.model.subjects import Check
    from gate.threadfix.api import ApiResponse, RestApi

NO_CONTENT: Final = 204
WORD_LIMIT: Final = 60
"""Characters of a policy's status; the longest documented status has 14."""

PERMISSIONS: Final = {
    PassCriteria: "Give the key's user a role with the *Manage CI/CD* permission for the application: ThreadFix "
    "requires it for the pass criteria; *Upload Scans* is not enough.",
    Policy: "Give the key's user read access to the application, with any role: ThreadFix requires it for policies; "
    "*Upload Scans* alone is not enough.",
}
"""The advice if ThreadFix refuses a check, by its kind."""
VERSIONS: Final = {
    PassCriteria: "Check that your ThreadFix is 2.5 or later, which is the first with CI/CD pass criteria, and that "
    "`{--api-version}` matches it.",
    Policy: "Check the policy's name in ThreadFix, and that `{--api-version}` matches your ThreadFix. "
    "Before 2.6 the policy must be attached to the application. `remediation:` requires 2.8.",
}
"""The advice if ThreadFix does not know a check, by its kind."""
ANOTHER_HINT: Final = (
    "Check `{--application-id}`, and what the policy is called in ThreadFix; a policy can also be named by its id."
)
ANOTHER: Final = "The response is about something else than what was asked for, so it says nothing about the release."


class AnotherError(ValueError):
    """The response is about another application or policy than was requested. The text is safe."""

    def __init__(self, found: str, asked: str) -> None:
        """Name both."""
        super().__init__(f"returned {found}, but {asked} was requested")


class UnknownError(ValueError):
    """ThreadFix does not know the policy, or has several that fit. The text is safe."""


@dataclass(frozen=True, slots=True)
class Question:
    """A check, and everything that is needed to read the response.

    Attributes:
        check: the check.
        application_id: of the application that it is about.
        sanitize: makes a text safe, and cuts it to a length.
        sent: the moment of the response: its `Date`.
        kind_requested: whether the request had the kind of the policy in it, and ThreadFix read it.
    """

    check: Check
    application_id: int
    sanitize: Callable[[str, int], str]
    sent: float | None = None
    kind_requested: bool = False


@dataclass(frozen=True, slots=True)
class Generation:
    """A way to ask.

    Attributes:
        since: the first version of ThreadFix that has it.
        path: of the endpoint, as in `gate.threadfix.links`.
        fields: returns the fields of the request.
        read: reads the response; raises NotThreadFixError, AnotherError or UnknownError.
        posted: whether the fields are the form of a POST; otherwise they are the query of a GET. Every ThreadFix with
            the POST reads the kind of a policy; an older version may ignore it.
    """

    since: str
    path: str
    fields: Callable[[Check], dict[str, str]]
    read: Callable[[responses.Envelope, Question], CheckReading]
    posted: bool = False


def _no_fields(_: Check) -> dict[str, str]:
    return {}


# --- Pass criteria.


def _first_day(check: Check) -> dict[str, str]:
    assert isinstance(check, PassCriteria)  # noqa: S101 - by the table
    return {"fromDate": check.since.isoformat()} if check.since else {}


def _criteria(reply: responses.Envelope, question: Question) -> CheckReading:
    return criteria.read(reply, question.sanitize, question.sent)


# --- Policies.


def _policy_fields(check: Check) -> dict[str, str]:
    assert isinstance(check, Policy)  # noqa: S101 - by the table
    if check.name is None:
        return {"policyId": str(check.id)}
    return {"policyName": check.name, "type": "remediation" if check.remediation else "filter"}


def _evaluated(reply: responses.Envelope, question: Question) -> CheckReading:
    """Return the status of the policy that was evaluated, which must be the requested policy."""
    status = responses.policy_status(reply)
    if not _is_called(status, question.check):
        found = f"policy {status.policy.id} ('{_name(status, question)}')"
        raise AnotherError(found, question.sanitize(str(question.check), TEXT_LIMIT))
    _confirm_kind(status, question)
    return _reading([status], question)


def _entry(reply: responses.Envelope, question: Question) -> CheckReading:
    """Return the status of the requested policy from the list of those that are attached."""
    called = [status for status in _attached(reply, question) if _is_called(status, question.check)]
    entries = [status for status in called if _has_kind(status, question.check) is not False]
    if not entries:
        raise UnknownError("does not know this policy, and has none like it attached to the application")
    if len(entries) > 1:
        raise UnknownError(f"has {len(entries)} policies that are called so, attached to the application")
    _confirm_kind(entries[0], question)
    return _reading(entries, question)


def _all(reply: responses.Envelope, question: Question) -> CheckReading:
    return _reading(_attached(reply, question), question)


def _attached(reply: responses.Envelope, question: Question) -> list[responses.PolicyStatus]:
    """Return the policies that are attached to the application."""
    found = responses.policy_statuses(reply)
    if isinstance(found, list):
        return found
    if found.id != question.application_id:
        raise AnotherError(f"application {found.id}", f"application {question.application_id}")
    return found.policy_statuses


def _is_called(status: responses.PolicyStatus, check: Check) -> bool:
    """Return whether a policy has the requested id or name."""
    assert isinstance(check, Policy)  # noqa: S101 - by the table
    return status.policy.id == check.id if check.name is None else status.policy.name == check.name


def _has_kind(status: responses.PolicyStatus, check: Check) -> bool | None:
    """Return whether a policy is of the requested kind; None if the response does not state its kind.

    From 2.8 on, a filter policy and a remediation policy may have the same name.
    """
    assert isinstance(check, Policy)  # noqa: S101 - by the table
    found = status.policy.is_remediation
    return True if check.name is None else None if found is None else found is check.remediation


def _confirm_kind(status: responses.PolicyStatus, question: Question) -> None:
    """Accept a policy of the requested kind.

    Raises:
        UnknownError: the policy is of the other kind, or neither request nor response state that it is a remediation
            policy. Before 2.8 there are only filter policies, so a name alone means a filter policy.
    """
    assert isinstance(question.check, Policy)  # noqa: S101 - by the table
    match _has_kind(status, question.check):
        case False:
            raise UnknownError("has a policy with this name, but of the other kind (filter or remediation)")
        case None if question.check.remediation and not question.kind_requested:
            raise UnknownError("has a policy with this name, but does not say whether it is one for remediation")


def _reading(statuses: list[responses.PolicyStatus], question: Question) -> CheckReading:
    """Return a reading of policies, broken policies first. The caller sets its status."""
    ordered = sorted(statuses, key=lambda status: RANK[_answer(status)[0]])
    results = tuple(_result(status, question, shown=row < criteria.ROWS) for row, status in enumerate(ordered))
    return CheckReading("", all_hold(results), results, question.sent)


def _answer(status: responses.PolicyStatus) -> tuple[bool | None, str]:
    """Return whether a policy holds, and the server's word for it, which is not safe text yet."""
    if isinstance(status.current_status, str):
        word = status.current_status
        return {responses.PASSING: True, responses.FAILING: False}.get(word), word
    return status.passing is True, responses.PASSING if status.passing is True else responses.FAILING


def _result(status: responses.PolicyStatus, question: Question, *, shown: bool) -> CheckResult:
    """Return a row. If it is not shown, it has no text of the server."""
    number, (holds, word) = status.policy.id, _answer(status)
    if holds is None:
        word = (question.sanitize(word, WORD_LIMIT) if shown else "") or "nothing"
    name = _name(status, question) if shown else f"policy {number}"
    evaluated = responses.moment(status.last_evaluated)
    return CheckResult(name, holds, word, evaluated=evaluated, policy_id=responses.identity(number))


def _name(status: responses.PolicyStatus, question: Question) -> str:
    return question.sanitize(status.policy.name, criteria.NAME_LIMIT) or str(status.policy.id)


RANK: Final = {False: 0, None: 1, True: 2}
"""The order of the rows: those that do not hold come first."""

# --- The table.

GENERATIONS: Final[dict[type[Check], tuple[Generation, ...]]] = {
    PassCriteria: (Generation("2.5", links.CRITERIA_PATH, _first_day, _criteria),),
    Policy: (
        Generation("2.8.5", links.POLICY_EVALUATION_PATH, _policy_fields, _evaluated, posted=True),
        Generation("2.6", links.POLICY_EVALUATION_PATH, _policy_fields, _evaluated),
        Generation("2.4", links.POLICY_STATUSES_PATH, _no_fields, _entry),
    ),
    AllPolicies: (Generation("2.4", links.POLICY_STATUSES_PATH, _no_fields, _all),),
}
"""How to ask for each kind of check, the newest generation first. A missing generation leads to the next."""
EVALUATIONS: Final = tuple(row for row in GENERATIONS[Policy] if row.path == links.POLICY_EVALUATION_PATH)
"""How to have a policy evaluated that is attached to the application."""


class Asker:
    """Asks about one check. The first generation that responds is used from then on.

    Args:
        api: asks the endpoints.
        check: the check.
        application_id: of the application that it is about.
        cached: whether a copy from a cache counts.
    """

    def __init__(self, api: RestApi, check: Check, application_id: int, *, cached: bool = False) -> None:
        """Start with the newest generation."""
        self._api = api
        # Each response has the same names, and sanitizing them takes longest.
        self._question = Question(check, application_id, lru_cache(2 * criteria.ROWS)(api.sanitize))
        self._cached = cached
        self._generations = GENERATIONS[type(check)]

    def __call__(self, timeout: float) -> CheckReading | Failure:
        """Ask once, within `timeout` seconds, with as many requests as needed.

        Raises:
            BaseException: a bug; a failure is a value.
        """
        until = time.monotonic() + timeout
        *others, last = self._generations
        for generation in others:
            response = self._request(generation, until)
            if not _leads_on(response):
                return self._read(generation, response)
        return self._read(last, self._request(last, until))

    def evaluate(self, policy_id: int, timeout: float) -> CheckReading | Failure:
        """Have a policy evaluated, once, within `timeout` seconds.

        Raises:
            BaseException: a bug; a failure is a value.
        """
        evaluator = Asker(self._api, Policy(id=policy_id), self._question.application_id, cached=self._cached)
        evaluator._generations = EVALUATIONS
        return evaluator(timeout)

    def _request(self, generation: Generation, until: float) -> ApiResponse | Failure:
        question, api = self._question, self._api
        url = api.server.endpoint(generation.path, application_id=question.application_id)
        fields = generation.fields(question.check)
        seconds = left(until)
        if generation.posted:
            return api.request(url, seconds, fields)
        return api.request(f"{url}?{urlencode(fields)}" if fields else url, seconds)

    def _read(self, generation: Generation, response: ApiResponse | Failure) -> CheckReading | Failure:
        """Return the reading or the failure that a response means."""
        check, host = self._question.check, self._api.http.host
        kind = PassCriteria if isinstance(check, PassCriteria) else Policy
        if isinstance(response, Failure):
            return _failure(response, kind)
        if response.http.age and not self._cached:
            return self._api.cached(response.http)
        question = replace(self._question, sent=response.http.date, kind_requested=generation.posted)
        try:
            reading = generation.read(response.envelope, question)
        except responses.NotThreadFixError as error:
            return self._api.malformed(response, f"no {NOUNS[type(check)]}", error)
        except AnotherError as error:
            return Failure(Reason.PROTOCOL, f"{host} {error}.", ANOTHER_HINT, final=True, meaning=ANOTHER)
        except UnknownError as error:
            return Failure(Reason.POLICY_UNKNOWN, f"{host} {error}.", VERSIONS[kind], final=True)
        self._generations = (generation,)
        return reading


NOUNS: Final[dict[type[Check], str]] = {
    PassCriteria: "pass criteria",
    Policy: "status of a policy",
    AllPolicies: "policies",
}
"""The expected content of a response, by the kind of check."""


def _leads_on(response: ApiResponse | Failure) -> bool:
    """Return whether to ask the next generation. A refused key is final, with any HTTP status."""
    if not isinstance(response, Failure):
        return lacks_endpoint(response)
    return (lacks_endpoint(response) or response.http_status == NO_CONTENT) and response.reason is not Reason.DENIED


def _failure(failure: Failure, kind: type[Check]) -> Failure:
    """Return the failure of a check from that of its request. ThreadFix's own refusal is final; a web page is not."""
    if failure.reason is Reason.DENIED:
        return replace(failure, hint=PERMISSIONS[kind])
    if failure.reason is Reason.NOT_FOUND:
        return replace(failure, reason=Reason.POLICY_UNKNOWN, hint=VERSIONS[kind], final=failure.refused)
    return failure
