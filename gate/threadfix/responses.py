"""Turns ThreadFix's JSON into typed shapes.

Every response of ThreadFix 2.x and 3.0 is an envelope. Its `responseCode` is -1 on success too, so it is not read; its
`message` is plain English. `shapes` checks the types of the shapes below: a field must have exactly its type. A
field of type `Any` is decoration, and counts as unknown if its type is wrong. Other fields are ignored.

A function that reads an envelope raises NotThreadFixError if its content has another shape or contradicts itself.
"""

# No `from __future__ import annotations` here: `shapes` needs the types of the fields, not their names.

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from gate.text.sanitizer import fold
from gate.threadfix import shapes
from gate.threadfix.links import MAX_ID
from gate.threadfix.shapes import parse_json, to_shape

NotThreadFixError = shapes.NotThreadFixError
NOT_OF_A_SCAN: Final = ("status", "error", "name")  # fields of a pending scan or an application only
OWNERS: Final = ("appId", "applicationId", "app", "application")  # each is an application's id, or an object with it
PASSING: Final = "PASSING"
FAILING: Final = "FAILING"
LAST_MOMENT: Final = 32_503_680_000_000  # milliseconds, in the year 3000; later dates are unknown: calendars end there


class Envelope(NamedTuple):
    """The parts of every response."""

    success: bool
    message: Any = None
    object: Any = None
    links: Any = None


class PendingScan(NamedTuple):
    """The `object` of a pending scan's status (vendor page "Check Pending Scan Status").

    Its `id` is not read: in the vendor's sample it differs from the requested id.
    """

    status: str
    error: bool
    app_id: int
    error_message: Any = None
    scan_id: Any = None  # with DONE, from ThreadFix 2.7.7 on
    name: Any = None
    scan_message: Any = None
    modified_date: Any = None
    file_data_list: Any = None


class FinishedScan(NamedTuple):
    """The `object` in the response to an upload with version `legacy` (recorded with ThreadFix 2.3)."""

    id: int
    import_time: int
    scanner_name: str
    number_new_vulnerabilities: int
    number_old_vulnerabilities: int
    number_resurfaced_vulnerabilities: int
    number_closed_vulnerabilities: int
    number_total_vulnerabilities: int
    number_repeat_results: int
    number_repeat_findings: int
    number_info_vulnerabilities: int
    number_low_vulnerabilities: int
    number_medium_vulnerabilities: int
    number_high_vulnerabilities: int
    number_critical_vulnerabilities: int


class Application(NamedTuple):
    """An application (vendor page "Application Lookup")."""

    id: int
    name: Any = None
    organization: Any = None
    unique_id: Any = None


class Team(NamedTuple):
    """A team with its applications (vendor pages "Get Team by ID" and "List Teams")."""

    applications: Any
    id: Any = None
    name: Any = None


class PolicyReference(NamedTuple):
    """The policy of a status."""

    id: int
    name: str
    filter_name: Any = ""  # null for a remediation policy, which has no filter

    @property
    def is_remediation(self) -> bool | None:
        """Whether it is for remediation; None if the response does not state it."""
        return True if self.filter_name is None else False if non_empty(self.filter_name) else None


class PolicyStatus(NamedTuple):
    """The status of a policy (vendor pages "Get Application Policy Status" and "Ad Hoc Policy Evaluation")."""

    policy: PolicyReference
    current_status: str | None = None  # from ThreadFix 2.5.1.12 on
    passing: bool | None = None  # before ThreadFix 2.5.1.12
    last_evaluated: Any = None


class PolicyStatuses(NamedTuple):
    """The policies of an application, from ThreadFix 2.6.2 on; older versions send only the list."""

    id: int
    policy_statuses: list[PolicyStatus]


class Criterion(NamedTuple):
    """The limits that a pass criterion sets for a severity (vendor page "CI/CD Pass Criteria")."""

    severity: Any
    max_allowed: Any = None
    max_introduced: Any = None
    not_allowed: Any = None
    not_introduced: Any = None


class PassCriteria(NamedTuple):
    """The result of the pass criteria (vendor page "Evaluate CI/CD Pass Criteria")."""

    passing: bool
    passed: list[Criterion]
    failed: list[Criterion]


class ListedScan(NamedTuple):
    """An application's scan (vendor page "List Scans")."""

    id: Any = None
    updated_date: Any = None  # from ThreadFix 2.5.1 on; `importTime` is the date in the report
    scanner_name: Any = None


class Link(NamedTuple):
    """An entry of the `links` in the response to an upload."""

    href: str


def parse(body: bytes | bytearray, digits: Sequence[str] = ()) -> Envelope:
    """Return the envelope in `body`. `digits` are secrets made of digits; see `shapes.parse_json`."""
    return to_shape(parse_json(body, digits), Envelope, "$")


def pending_scan(envelope: Envelope) -> PendingScan:
    """Return the pending scan in an envelope."""
    scan = to_shape(envelope.object, PendingScan, "$.object")
    if not scan.status.strip():
        raise NotThreadFixError("its status is empty")
    return scan


def application(envelope: Envelope) -> Application:
    """Return the application in an envelope; its id may not be valid."""
    return to_shape(envelope.object, Application, "$.object")


def applications(envelope: Envelope) -> tuple[Application, ...]:
    """Return the applications in the response to a look-up: an application, a list of them, or null."""
    content = envelope.object
    return _applications(content if isinstance(content, list) else [] if content is None else [content])


def _applications(content: object) -> tuple[Application, ...]:
    matches = to_shape(content, list[Application], "$.object")
    if any(identity(application.id) is None for application in matches):
        raise NotThreadFixError("the id of an application is not valid")
    return tuple(matches)


def team(envelope: Envelope) -> Team:
    """Return the team in an envelope. Each of its applications has it as `organization`."""
    return _owning(to_shape(envelope.object, Team, "$.object"))


def teams(envelope: Envelope) -> tuple[Team, ...]:
    """Return the teams in a list; as `team`."""
    return tuple(map(_owning, to_shape(envelope.object, list[Team], "$.object")))


def _owning(owner: Team) -> Team:
    organization = {"id": owner.id, "name": owner.name}
    owned = _applications([] if owner.applications is None else owner.applications)
    return owner._replace(applications=tuple(application._replace(organization=organization) for application in owned))


def pending_scan_links(envelope: Envelope) -> tuple[str, ...]:
    """Return the links to pending scans in the response to an upload, without its other links."""
    links = [] if envelope.links is None else to_shape(envelope.links, list[Link], "$.links")
    return tuple(link.href for link in links if "PENDINGSCAN" in fold(link.href))


def finished_scan(envelope: Envelope, application_id: int) -> FinishedScan:
    """Return the scan in the response to an upload with version `legacy`, which does not queue the file."""
    scan = to_shape(envelope.object, FinishedScan, "$.object")
    others = [field for field in NOT_OF_A_SCAN if field in envelope.object]
    if others:
        raise NotThreadFixError(f"a finished scan has no `{others[0]}`")
    if identity(scan.id) is None or scan.import_time <= 0 or non_empty(scan.scanner_name) is None:
        raise NotThreadFixError("the scan's id, importTime or scannerName is not valid")
    if min(value for value in scan if isinstance(value, int)) < 0:
        raise NotThreadFixError("a number of the scan is negative")
    owners = [envelope.object[field] for field in OWNERS if field in envelope.object]
    if any(identity(owner.get("id") if isinstance(owner, dict) else owner) != application_id for owner in owners):
        raise NotThreadFixError("the scan is of another application")
    return scan


def policy_status(envelope: Envelope) -> PolicyStatus:
    """Return the status of the policy in an envelope."""
    return _consistent(to_shape(envelope.object, PolicyStatus, "$.object"))


def policy_statuses(envelope: Envelope) -> PolicyStatuses | list[PolicyStatus]:
    """Return the statuses of the policies in an envelope, in either of their shapes."""
    content: PolicyStatuses | list[PolicyStatus]
    if isinstance(envelope.object, list):
        content = statuses = to_shape(envelope.object, list[PolicyStatus], "$.object")
    else:
        content = to_shape(envelope.object, PolicyStatuses, "$.object")
        statuses = content.policy_statuses
    for status in statuses:
        _consistent(status)
    return content


def _consistent(status: PolicyStatus) -> PolicyStatus:
    """Return the status if its policy has a name and its fields do not contradict each other."""
    word, passing = status.current_status, status.passing
    if not status.policy.name.strip():
        raise NotThreadFixError("the policy's name is empty")
    if identity(status.policy.id) is None:
        raise NotThreadFixError("the policy's id is not valid")
    if word is None and passing is None:
        raise NotThreadFixError("the policy has neither currentStatus nor passing")
    if word is not None and passing is not None and passing is not (word == PASSING):
        raise NotThreadFixError("the policy's currentStatus and passing contradict each other")
    return status


def pass_criteria(envelope: Envelope) -> PassCriteria:
    """Return the result of the pass criteria in an envelope; it may have no criteria."""
    criteria = to_shape(envelope.object, PassCriteria, "$.object")
    if criteria.passing and criteria.failed:
        raise NotThreadFixError("passing is true, but a criterion failed")
    if criteria.passed and not criteria.passing and not criteria.failed:
        raise NotThreadFixError("passing is false without a criterion that failed")
    return criteria


def upload_response(body: bytes) -> tuple[str, ...] | str:
    """Return the links in the response to an upload, or ThreadFix's message if it refused the file.

    Only the links have the pending scan's id (vendor page "Upload Scan"). Raises NotThreadFixError also if ThreadFix
    accepted the file without a link.
    """
    try:
        envelope = parse(body)
        links = pending_scan_links(envelope) if envelope.success else ()
    except NotThreadFixError as error:
        raise NotThreadFixError(f"this is not ThreadFix's response to an upload: {error}") from error
    if not envelope.success:
        return non_empty(envelope.message) or ""
    if not links:
        raise NotThreadFixError(
            "the response has no link to a pending scan; ThreadFix returns it from 2.5 on, but not for version `legacy`"
        )
    return links


def listed_scans(envelope: Envelope) -> tuple[ListedScan, ...]:
    """Return the scans in a list; an id, date or scanner that is not valid is None."""
    scans = to_shape(envelope.object, list[ListedScan], "$.object")
    return tuple(ListedScan(identity(id_), moment(updated), non_empty(scanner)) for id_, updated, scanner in scans)


def file_names(scan: PendingScan) -> tuple[str, ...]:
    """Return the names of the files of a pending scan; empty if any is unknown."""
    entries = scan.file_data_list if isinstance(scan.file_data_list, list) else []
    names = [non_empty(entry.get("originalName")) if isinstance(entry, dict) else None for entry in entries]
    return tuple(name for name in names if name) if all(names) else ()


def team_id(organization: object) -> int | None:
    """Return the id of an application's team, from its `organization`; None if it is unknown."""
    return identity(organization.get("id")) if isinstance(organization, dict) else None


def team_name(organization: object) -> str | None:
    """Return the name of an application's team, from its `organization`; None if it is unknown."""
    return non_empty(organization.get("name")) if isinstance(organization, dict) else None


def moment(milliseconds: object) -> float | None:
    """Return seconds since the epoch for ThreadFix's milliseconds; None if the value is not such a moment."""
    return milliseconds / 1000 if type(milliseconds) is int and 0 < milliseconds < LAST_MOMENT else None


def non_empty(value: object) -> str | None:
    """Return the value if it is text that is not blank."""
    return value if isinstance(value, str) and value.strip() else None


def identity(value: object) -> int | None:
    """Return the value if it is a valid id."""
    return value if type(value) is int and 0 < value <= MAX_ID else None
