"""The JSON that ThreadFix answers, as typed shapes. Parsed here; nobody else sees it as dictionaries.

Every call of ThreadFix 2.x and 3.0 answers an envelope. Its `responseCode` is -1 on success too, so it is not read;
its `message` is plain English. Only what the verdict rests on is strict (`success`, `status`, `error`, `appId`);
everything else is decoration, and of the wrong type it counts as not known.
"""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any, Final, NoReturn, TypeVar

import msgspec

from gate.threadfix.links import MAX_ID

Shape = TypeVar("Shape")

SCAN_FIELDS: Final = frozenset(
    {
        "importTime",
        "updatedDate",
        "scannerName",
        "numberNewVulnerabilities",
        "numberOldVulnerabilities",
        "numberResurfacedVulnerabilities",
        "numberClosedVulnerabilities",
        "numberTotalVulnerabilities",
        "numberRepeatResults",
        "numberRepeatFindings",
        "numberInfoVulnerabilities",
        "numberLowVulnerabilities",
        "numberMediumVulnerabilities",
        "numberHighVulnerabilities",
        "numberCriticalVulnerabilities",
    }
)
"""Fields of a scan beside its id (Community Edition, `Scan`)."""
PASSING: Final = "PASSING"
"""ThreadFix's word for a policy that holds."""
FAILING: Final = "FAILING"
"""ThreadFix's word for a policy that is broken."""
LAST_MOMENT: Final = 32_503_680_000_000
"""Milliseconds since the epoch at which no scan was processed: the year 3000. Calendars end soon after it."""


class Envelope(msgspec.Struct, frozen=True):
    """What every answer is wrapped in."""

    success: bool
    message: Any = None
    object: Any = None
    links: Any = None


class PendingScan(msgspec.Struct, frozen=True, rename="camel"):
    """The `object` of a pending scan's status (vendor page "Check Pending Scan Status").

    `scanId` comes with DONE, from ThreadFix 2.7.7 on. `id` is not read: in the vendor's own sample it is another one
    than was asked for.
    """

    status: str
    error: bool
    app_id: int
    error_message: Any = None
    scan_id: Any = None
    name: Any = None
    scan_message: Any = None
    modified_date: Any = None


class Application(msgspec.Struct, frozen=True, rename="camel"):
    """What the gate needs of an application (vendor page "Application Lookup")."""

    id: int
    name: Any = None
    organization: Any = None
    unique_id: Any = None


class Named(msgspec.Struct, frozen=True):
    """A team or an application in a list, of which only the name is wanted."""

    name: str
    id: Any = None


class PolicyReference(msgspec.Struct, frozen=True, rename="camel"):
    """Which policy a status is about. A policy that filters vulnerabilities names its filter."""

    id: int
    name: str
    filter_name: Any = msgspec.UNSET

    @property
    def tells_filter(self) -> bool:
        """Whether there is anything about a filter, be it that there is none."""
        return self.filter_name is not msgspec.UNSET

    @property
    def has_filter(self) -> bool:
        """Whether it has a filter; one for remediation has none."""
        return non_empty(self.filter_name) is not None


class PolicyStatus(msgspec.Struct, frozen=True, rename="camel"):
    """The status of a policy (vendor pages "Get Application Policy Status" and "Ad Hoc Policy Evaluation").

    It has `passing` before ThreadFix 2.5.1.12, and `currentStatus` from then on. Its own `name` is the application's.
    """

    policy: PolicyReference
    current_status: str | msgspec.UnsetType = msgspec.UNSET
    passing: bool | msgspec.UnsetType = msgspec.UNSET
    last_evaluated: Any = None


class PolicyStatuses(msgspec.Struct, frozen=True, rename="camel"):
    """The policies of an application, from ThreadFix 2.6.2 on; before that there is only the list."""

    id: int
    policy_statuses: list[PolicyStatus]


class Criterion(msgspec.Struct, frozen=True, rename="camel"):
    """What one of the pass criteria allows of a severity (vendor page "CI/CD Pass Criteria")."""

    severity: Any
    max_allowed: Any = None
    max_introduced: Any = None
    not_allowed: Any = None
    not_introduced: Any = None


class PassCriteria(msgspec.Struct, frozen=True):
    """What came of the pass criteria (vendor page "Evaluate CI/CD Pass Criteria")."""

    passing: bool
    passed: list[Criterion]
    failed: list[Criterion]


class ListedScan(msgspec.Struct, frozen=True, rename="camel"):
    """One of an application's scans (vendor page "List Scans"); `updatedDate` came with ThreadFix 2.5.1."""

    updated_date: Any = None
    import_time: Any = None


class Link(msgspec.Struct, frozen=True):
    """One of an upload answer's `links`."""

    href: str


class NotThreadFixError(ValueError):
    """The body is not what ThreadFix answers; the sentence says in which way. It may hold the server's words."""


def envelope(body: bytes) -> Envelope:
    """The envelope in `body`.

    Raises:
        NotThreadFixError: it is none.
    """
    return _shaped(_json(body), Envelope)


def pending_scan(reply: Envelope) -> PendingScan:
    """The pending scan in an envelope.

    Raises:
        NotThreadFixError: there is none.
    """
    scan = _shaped(reply.object, PendingScan)
    if not scan.status.strip():
        raise NotThreadFixError("its status is empty")
    return scan


def application(reply: Envelope) -> Application:
    """The application in an envelope.

    Raises:
        NotThreadFixError: there is none.
    """
    return _shaped(reply.object, Application)


def applications(reply: Envelope) -> tuple[Application, ...]:
    """The applications in an envelope, in the response to a look-up: one, an array of them, or none.

    Raises:
        NotThreadFixError: it holds something else.
    """
    if reply.object is None:
        return ()
    found = reply.object if isinstance(reply.object, list) else [reply.object]
    shaped = tuple(_shaped(one, Application) for one in found)
    if any(identity(one.id) is None for one in shaped):
        raise NotThreadFixError("an application's id is none")
    return shaped


def named(value: object) -> tuple[Named, ...]:
    """What has a name in an array; the rest is left out, and so is all of what is no array."""
    found = []
    for one in value if isinstance(value, list) else ():
        with suppress(msgspec.ValidationError):
            found.append(msgspec.convert(one, Named))
    return tuple(one for one in found if one.name.strip())


def pending_scan_links(reply: Envelope) -> tuple[str, ...]:
    """The links to pending scans in the response to an upload; links to anything else are left out.

    Raises:
        NotThreadFixError: the links are not of ThreadFix's shape.
    """
    links = _shaped(reply.links, list[Link] | None)  # type: ignore[arg-type]
    return tuple(link.href for link in links or () if "pendingscan" in link.href.lower())


def finished_scan(reply: Envelope) -> int | None:
    """The id of the scan that ThreadFix made of an upload at once, as version `legacy` does; None where it made none.

    An `object` with an id is a scan only if it has one of a scan's other fields (vendor page "Upload Scan").
    """
    scan = reply.object
    return identity(scan.get("id")) if isinstance(scan, dict) and SCAN_FIELDS & scan.keys() else None


def policy_status(reply: Envelope) -> PolicyStatus:
    """The status of the policy in an envelope.

    Raises:
        NotThreadFixError: there is none.
    """
    return _complete(_shaped(reply.object, PolicyStatus))


def policy_statuses(reply: Envelope) -> PolicyStatuses | list[PolicyStatus]:
    """The statuses of the policies in an envelope, in either of their shapes.

    Raises:
        NotThreadFixError: there are none.
    """
    # By hand: a union of shapes would have an error that names neither.
    found: PolicyStatuses | list[PolicyStatus]
    if isinstance(reply.object, list):
        found = statuses = _shaped(reply.object, list[PolicyStatus])
    else:
        found = _shaped(reply.object, PolicyStatuses)
        statuses = found.policy_statuses
    for status in statuses:
        _complete(status)
    return found


def _complete(status: PolicyStatus) -> PolicyStatus:
    """A status that names its policy and says one thing.

    Raises:
        NotThreadFixError: it does not.
    """
    word, passing = status.current_status, status.passing
    if not status.policy.name.strip():
        raise NotThreadFixError("the policy's name is empty")
    if word is msgspec.UNSET and passing is msgspec.UNSET:
        raise NotThreadFixError("the policy has neither currentStatus nor passing")
    if word is not msgspec.UNSET and passing is not msgspec.UNSET:
        contradicts = word != PASSING if passing else word == PASSING
        if contradicts:
            raise NotThreadFixError("the policy's currentStatus and passing contradict each other")
    return status


def pass_criteria(reply: Envelope) -> PassCriteria:
    """What came of the pass criteria, in an envelope. It may be that there are none.

    Raises:
        NotThreadFixError: there is no such thing, or it contradicts itself.
    """
    found = _shaped(reply.object, PassCriteria)
    if found.passing and found.failed:
        raise NotThreadFixError("passing is true beside a criterion that failed")
    if found.passed and not found.passing and not found.failed:
        raise NotThreadFixError("passing is false without a criterion that failed")
    return found


def upload_links(body: bytes) -> tuple[str, ...]:
    """The links in the answer to an upload (vendor page "Upload Scan"); the pending scan's id is only in there.

    Raises:
        NotThreadFixError: the answer has no link. The message may hold the server's words.
    """
    try:
        links = pending_scan_links(envelope(body))
    except NotThreadFixError as error:
        raise NotThreadFixError(f"this is not ThreadFix's response to an upload: {error}") from error
    if not links:
        raise NotThreadFixError(
            "there is no link to a pending scan in it; ThreadFix gives one from 2.5 on, and not for version `legacy`"
        )
    return links


def upload_refusal(body: bytes) -> str | None:
    """What ThreadFix says where it refused an upload; empty where it says nothing, None where it did not refuse.

    Raises:
        NotThreadFixError: this is not its response.
    """
    try:
        reply = envelope(body)
    except NotThreadFixError as error:
        raise NotThreadFixError(f"this is not ThreadFix's response to an upload: {error}") from error
    return None if reply.success else non_empty(reply.message) or ""


def newest_scan(reply: Envelope) -> float | None:
    """The moment of the last change of any scan in a list of scans (vendor page "List Scans"); None where none has one.

    Raises:
        NotThreadFixError: there is no list.
    """
    scans = _shaped(reply.object, list[ListedScan])
    moments = (moment(date) for scan in scans for date in (scan.updated_date, scan.import_time))
    return max((at for at in moments if at is not None), default=None)


def team_id(organization: object) -> int | None:
    """The id of an application's team, of its `organization`; None where that is not told."""
    return identity(organization.get("id")) if isinstance(organization, dict) else None


def moment(milliseconds: object) -> float | None:
    """A moment in seconds since the epoch, of one in milliseconds, as ThreadFix writes them; None where it is none."""
    return milliseconds / 1000 if type(milliseconds) is int and 0 < milliseconds < LAST_MOMENT else None


def non_empty(value: object) -> str | None:
    """`value` where it is text with something in it."""
    return value if isinstance(value, str) and value.strip() else None


def identity(value: object) -> int | None:
    """`value` where it is an id."""
    return value if type(value) is int and 0 < value <= MAX_ID else None


def _json(body: bytes) -> object:
    """What the JSON in `body` says, whatever its shape. By the standard library, which takes half an emoji in a name.

    Raises:
        NotThreadFixError: it is no JSON, or says something twice.
    """
    try:
        return json.loads(body.decode(), object_pairs_hook=_object, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise NotThreadFixError(str(error) if isinstance(error, NotThreadFixError) else "it is not JSON") from error


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        # One parser takes the first, another the last: whoever stands between could have both read.
        raise NotThreadFixError("it is JSON, but an object in it has the same name twice")
    return found


def _no_number(_: str) -> NoReturn:
    raise ValueError("NaN and Infinity are not JSON")


def _shaped(value: object, shape: type[Shape]) -> Shape:
    try:
        return msgspec.convert(value, shape)
    except msgspec.ValidationError as error:
        raise NotThreadFixError(f"it is JSON, but not of ThreadFix's shape: {error}") from error
