"""Requests the checks of a release from ThreadFix: its policies, and its CI/CD pass criteria.

Each generation of ThreadFix's endpoints is a row of a table. The status of a policy is compared exactly: PASSING is a
pass, FAILING is a fail, and any other status, such as `NO SCANS FOUND`, is neither. `overallPolicyStatus` is not read:
it is about more than the requested policies.
"""

from __future__ import annotations

import time
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import urlencode

from gate.model.advice import Doing, FailureKind
from gate.model.history import CheckReading, CheckResult, Failure, all_hold
from gate.model.reasons import Reason
from gate.model.subjects import AllPolicies, PassCriteria, Policy
from gate.net.http import LONG_RESPONSE_LIMIT, RESPONSE_LIMIT
from gate.text.sanitizer import TEXT_LIMIT
from gate.text.wording import some
from gate.threadfix import links, responses
from gate.threadfix.api import NO_CONTENT, NO_METHOD, NOT_FOUND, left

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gate.model.subjects import Check
    from gate.threadfix.api import ApiResponse, RestApi

WORD_LIMIT: Final = 60  # characters of a policy's status; the longest documented status has 14
NAME_LIMIT: Final = 60  # characters of a severity's or a policy's name
ROWS: Final = 100  # that are shown by name; further rows are judged too, but without the cost of sanitizing
RANK: Final = {False: 0, None: 1, True: 2}  # the order of the rows, with broken policies first
CANDIDATES: Final = 10  # policies that a message lists
LARGEST: Final = 999_999_999  # the largest number of vulnerabilities that is shown; a larger number counts as unknown


class AnotherError(ValueError):
    """The response is about another application or policy than was requested. The text is sanitized."""


class UnknownError(ValueError):
    """ThreadFix does not know the policy, or has several that match. The text is sanitized."""


class CheckRequest(NamedTuple):
    """A check, with the facts that are needed to read the response."""

    check: Check
    application_id: int
    sanitize: Callable[[str, int], str]  # sanitizes a text, and cuts it to a length
    sent: float | None = None  # the `Date` of the response
    kind_requested: bool = False  # whether the request contained the kind of the policy, and ThreadFix read it


class Generation(NamedTuple):
    """A form of the request, and the function that reads its response.

    The fields are the form of a POST, or the query of a GET. Every ThreadFix with the POST reads the kind of a policy;
    an older version may ignore it.
    """

    since: str  # the first version of ThreadFix that supports it
    path: str  # path of the endpoint, from `gate.threadfix.links`
    fields: Callable[[Check], dict[str, str]]
    read: Callable[[responses.Envelope, CheckRequest], CheckReading]  # raises NotThreadFix-, Another- or UnknownError
    posted: bool = False


def _first_day(check: Check) -> dict[str, str]:
    assert isinstance(check, PassCriteria)  # noqa: S101 - by the table
    return {"fromDate": check.since.isoformat()} if check.since else {}


def _criteria(envelope: responses.Envelope, request: CheckRequest) -> CheckReading:
    """Return a reading of the pass criteria; the caller sets its status."""
    content = responses.pass_criteria(envelope)
    criteria = [(entry, False) for entry in content.failed] + [(entry, True) for entry in content.passed]
    results = tuple(
        _criterion_result(criterion, request.sanitize if row < ROWS else lambda *_: "not shown", holds=holds)
        for row, (criterion, holds) in enumerate(criteria)
    )
    # Without criteria ThreadFix has evaluated nothing, so `passing` has no meaning.
    holds = content.passing if results else None
    agreement = content.passing, sorted(repr((holds, _criterion_fields(criterion))) for criterion, holds in criteria)
    return CheckReading("", holds, results, request.sent, agreement)


def _criterion_fields(criterion: responses.Criterion) -> tuple[object, ...]:
    """Return the fields that must agree in two responses; those of a severity in a fixed order."""
    severity, *limits = criterion
    return (sorted(severity.items(), key=lambda item: item[0]) if isinstance(severity, dict) else severity, *limits)


def _criterion_result(
    criterion: responses.Criterion, sanitize: Callable[[str, int], str], *, holds: bool
) -> CheckResult:
    name, number = criterion.severity, None
    if isinstance(name, dict):
        number, name = severity_number(name), severity_name(name)
    name = responses.non_empty(name)
    shown = sanitize(name, NAME_LIMIT) if name else ""
    if not shown and number is None:
        raise responses.NotThreadFixError("a criterion does not name its severity")
    return CheckResult(shown or f"severity {number}", holds, "", _limits(criterion), number)


def _limits(criterion: responses.Criterion) -> tuple[str, ...]:
    """Return the limits of a criterion, as text. Early versions of ThreadFix only state whether any are allowed."""
    limits = {
        "open": 0 if criterion.not_allowed is True else criterion.max_allowed,
        "introduced": 0 if criterion.not_introduced is True else criterion.max_introduced,
    }
    known = {kind: most for kind, most in limits.items() if type(most) is int and 0 <= most <= LARGEST}
    return tuple(f"at most {most} {kind}" for kind, most in known.items())


def severity_number(severity: dict[str, object]) -> int | None:
    """Return a severity's number, from 1 (Info) to 5 (Critical). Administrators can only change its name."""
    number = severity.get("intValue")
    return number if type(number) is int and number in range(1, 6) else None


def severity_name(severity: dict[str, object]) -> str | None:
    """Return the name of a severity on this server."""
    names = (severity.get(name) for name in ("displayName", "customName", "name"))
    return next(filter(None, map(responses.non_empty, names)), None)


def _policy_fields(check: Check) -> dict[str, str]:
    assert isinstance(check, Policy)  # noqa: S101 - by the table
    if check.name is None:
        return {"policyId": str(check.id)}
    return {"policyName": check.name, "type": "remediation" if check.remediation else "filter"}


def _evaluated(envelope: responses.Envelope, request: CheckRequest) -> CheckReading:
    """Return the reading of an evaluated policy, which must be the requested policy."""
    status = responses.policy_status(envelope)
    if not _is_called(status, request.check):
        name, requested = _name(status, request), request.sanitize(str(request.check), TEXT_LIMIT)
        raise AnotherError(f"returned policy {status.policy.id} ('{name}'), but {requested} was requested")
    _confirm_kind(status, request)
    return _reading([status], request)


def _entry(envelope: responses.Envelope, request: CheckRequest) -> CheckReading:
    """Return the reading of the requested policy from the list of attached policies."""
    called = [status for status in _attached(envelope, request) if _is_called(status, request.check)]
    entries = [status for status in called if _has_kind(status, request.check) is not False]
    if not entries:
        raise UnknownError("does not know this policy")
    if len(entries) > 1:
        raise UnknownError(f"has {len(entries)} matching policies attached to the application")
    _confirm_kind(entries[0], request)
    return _reading(entries, request)


def _all(envelope: responses.Envelope, request: CheckRequest) -> CheckReading:
    return _reading(_attached(envelope, request), request)


def _attached(envelope: responses.Envelope, request: CheckRequest) -> list[responses.PolicyStatus]:
    """Return the policies that are attached to the application."""
    content = responses.policy_statuses(envelope)
    if isinstance(content, list):
        return content
    if content.id != request.application_id:
        raise AnotherError(f"returned application {content.id}, but application {request.application_id} was requested")
    return content.policy_statuses


def _is_called(status: responses.PolicyStatus, check: Check) -> bool:
    """Return whether a policy has the requested id or name."""
    assert isinstance(check, Policy)  # noqa: S101 - by the table
    return status.policy.id == check.id if check.name is None else status.policy.name == check.name


def _has_kind(status: responses.PolicyStatus, check: Check) -> bool | None:
    """Return whether a policy is of the requested kind; None if the response does not state its kind.

    From 2.8 on, a filter policy and a remediation policy may have the same name.
    """
    assert isinstance(check, Policy)  # noqa: S101 - by the table
    remediation = status.policy.is_remediation
    return True if check.name is None else None if remediation is None else remediation is check.remediation


def _confirm_kind(status: responses.PolicyStatus, request: CheckRequest) -> None:
    """Check that a policy has the requested kind.

    Raises:
        UnknownError: the policy is of the other kind, or neither request nor response state that it is a remediation
            policy. Before 2.8 there are only filter policies, so a name alone means a filter policy.
    """
    assert isinstance(request.check, Policy)  # noqa: S101 - by the table
    match _has_kind(status, request.check):
        case False:
            raise UnknownError("has a policy with this name, but of the other kind (filter or remediation)")
        case None if request.check.remediation and not request.kind_requested:
            raise UnknownError("has a policy with this name, but does not state whether it is a remediation policy")


def _reading(statuses: list[responses.PolicyStatus], request: CheckRequest) -> CheckReading:
    """Return a reading of policies, broken policies first. The caller sets its status."""
    ordered = sorted(statuses, key=lambda status: RANK[_outcome(status)[0]])
    results = tuple(_result(status, request, shown=row < ROWS) for row, status in enumerate(ordered))
    return CheckReading("", all_hold(results), results, request.sent)


def _outcome(status: responses.PolicyStatus) -> tuple[bool | None, str]:
    """Return whether a policy holds, and the server's word for it, which is not sanitized."""
    if isinstance(status.current_status, str):
        word = status.current_status
        return {responses.PASSING: True, responses.FAILING: False}.get(word), word
    return status.passing is True, responses.PASSING if status.passing is True else responses.FAILING


def _result(status: responses.PolicyStatus, request: CheckRequest, *, shown: bool) -> CheckResult:
    """Return a row. A row that is not shown contains no text from the server."""
    number, (holds, word) = status.policy.id, _outcome(status)
    if holds is None:
        word = (request.sanitize(word, WORD_LIMIT) if shown else "") or "nothing"
    name = _name(status, request) if shown else f"policy {number}"
    evaluated = responses.moment(status.last_evaluated)
    policy = status.policy.name, status.policy.is_remediation
    return CheckResult(name, holds, word, evaluated=evaluated, policy_id=responses.identity(number), policy=policy)


def _name(status: responses.PolicyStatus, request: CheckRequest) -> str:
    return request.sanitize(status.policy.name, NAME_LIMIT) or str(status.policy.id)


# The requests for each kind of check, the newest generation first. If a server lacks it, the next is tried.
GENERATIONS: Final[dict[type[Check], tuple[Generation, ...]]] = {
    PassCriteria: (Generation("2.5", links.CRITERIA_PATH, _first_day, _criteria),),
    Policy: (
        Generation("2.8.5", links.POLICY_EVALUATION_PATH, _policy_fields, _evaluated, posted=True),
        Generation("2.6", links.POLICY_EVALUATION_PATH, _policy_fields, _evaluated),
        Generation("2.4", links.POLICY_STATUSES_PATH, lambda _: {}, _entry),
    ),
    AllPolicies: (Generation("2.4", links.POLICY_STATUSES_PATH, lambda _: {}, _all),),
}
EVALUATIONS: Final = tuple(row for row in GENERATIONS[Policy] if row.path == links.POLICY_EVALUATION_PATH)


def candidates(attached: Sequence[CheckResult]) -> str:
    """Return a sentence with the policies that are attached to the application, at most ten."""
    shown = some([f"'{result.name}' (id {result.policy_id})" for result in attached[:CANDIDATES]], len(attached))
    return f"Attached to the application: {shown}." if attached else "No policy is attached to the application."


NOUNS: Final[dict[type[Check], str]] = {
    PassCriteria: "pass criteria",
    Policy: "status of a policy",
    AllPolicies: "policies",
}  # the content of a good response


class CheckReader:
    """Requests a check, each time it is called. The first generation that responds is used from then on.

    With `cached`, a copy from a cache is accepted.
    """

    def __init__(self, api: RestApi, check: Check, application_id: int, *, cached: bool = False) -> None:
        self._api = api
        # Every response has the same names, and sanitizing them takes most of the time.
        self._request = CheckRequest(check, application_id, lru_cache(2 * ROWS)(api.sanitize))
        self._cached = cached
        self._generations = GENERATIONS[type(check)]

    def __call__(self, timeout: float) -> CheckReading | Failure:
        """Return a reading, within `timeout` seconds. Older versions of ThreadFix may need several requests."""
        until = time.monotonic() + timeout
        *_, last = self._generations
        for generation in self._generations:
            response = self._send(generation, until)
            if not _try_next(response):
                break
        reading = self._read(generation, response, until)
        is_last = isinstance(response, Failure) and generation is last
        return reading if is_last else self._with_candidates(reading, until)

    def _with_candidates(self, reading: CheckReading | Failure, until: float) -> CheckReading | Failure:
        """Return a reading; if ThreadFix does not know the policy, with the attached policies."""
        is_named = isinstance(self._request.check, Policy) and self._generations is not EVALUATIONS
        if not is_named or not isinstance(reading, Failure) or not reading.final:
            return reading
        if reading.reason is not Reason.POLICY_UNKNOWN:
            return reading
        listed = CheckReader(self._api, AllPolicies(), self._request.application_id, cached=True)(left(until))
        if isinstance(listed, Failure):
            return reading
        return replace(reading, what=f"{reading.what} {candidates(listed.results)}")

    def evaluate(self, policy_id: int, timeout: float) -> CheckReading | Failure:
        """Request the evaluation of a policy, once, within `timeout` seconds."""
        evaluator = CheckReader(self._api, Policy(id=policy_id), self._request.application_id, cached=self._cached)
        evaluator._generations = EVALUATIONS
        return evaluator(timeout)

    def _send(self, generation: Generation, until: float) -> ApiResponse | Failure:
        request, api = self._request, self._api
        url = api.server.endpoint(generation.path, application_id=request.application_id)
        fields = generation.fields(request.check)
        if generation.posted:
            return api.request(url, left(until), fields)
        # The list of all policies is in the description of the application.
        limit = LONG_RESPONSE_LIMIT if generation.path == links.POLICY_STATUSES_PATH else RESPONSE_LIMIT
        return api.request(f"{url}?{urlencode(fields)}" if fields else url, left(until), limit=limit)

    def _read(self, generation: Generation, response: ApiResponse | Failure, until: float) -> CheckReading | Failure:
        """Return the reading or the failure for a response, at the latest at the moment `until`."""
        check, host = self._request.check, self._api.http.host
        doing = Doing.CRITERIA if isinstance(check, PassCriteria) else Doing.POLICIES
        if isinstance(response, Failure):
            return _failure(response, doing)
        if response.http.age and not self._cached:
            return self._api.cached(response.http)
        request = self._request._replace(sent=response.http.date, kind_requested=generation.posted)

        def read(envelope: responses.Envelope) -> CheckReading | Failure:
            try:
                return generation.read(envelope, request)
            except AnotherError as error:
                return Failure(Reason.PROTOCOL, f"{host} {error}.", FailureKind.ANOTHER, doing, final=True)
            except UnknownError as error:
                return Failure(Reason.POLICY_UNKNOWN, f"{host} {error}.", FailureKind.UNKNOWN_RULE, doing, final=True)

        reading = self._api.converted(response, read, f"no {NOUNS[type(check)]}", until)
        if isinstance(reading, CheckReading):
            self._generations = (generation,)
        return reading


def _try_next(response: ApiResponse | Failure) -> bool:
    """Return whether the server lacks this generation. A refused key is final, with any HTTP status."""
    lacking = {*NOT_FOUND, NO_CONTENT, NO_METHOD}
    return isinstance(response, Failure) and response.http_status in lacking and response.reason is not Reason.DENIED


def _failure(failure: Failure, doing: Doing) -> Failure:
    """Return the failure of a check from its request's failure. A refusal by ThreadFix is final; a web page is not."""
    if failure.reason is Reason.NOT_FOUND:
        failure = replace(failure, reason=Reason.POLICY_UNKNOWN, final=failure.refused)
    return replace(failure, doing=doing)
