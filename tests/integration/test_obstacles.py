"""The vulnerabilities that break a release, over real sockets. They never affect the verdict."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from gate.model.reasons import Reason
from gate.sandbox.scenarios import NOT_FOUND, Raw, Reset, Trickle
from gate.sandbox.server import API_KEY, APPLICATION_ID, envelope
from tests.release import (
    APPLICATION,
    CRITERIA,
    NO_PATH,
    SEVERITIES,
    STATUSES,
    VULNERABILITIES,
    Release,
    Run,
    criteria,
    criterion,
    policy,
)

if TYPE_CHECKING:
    from gate.sandbox.scenarios import Fault
    from tests.conftest import Gate


@pytest.fixture
def threadfix() -> Release:
    return Release()


@pytest.fixture
def run(gate: Gate, threadfix: Release) -> Run:
    return Run(gate, threadfix)


XSS = "Cross-site Scripting"
BROKEN = criteria(failed=[criterion("Critical", maxAllowed=0), criterion("Bad", maxAllowed=2)])
NAMES = [
    {"id": 1, "name": "Critical", "intValue": 5, "customName": None, "displayName": "Critical"},
    {"id": 2, "name": "High", "intValue": 4, "customName": "Bad", "displayName": "Bad"},
    {"id": 3, "name": "Odd", "intValue": 9},
    {"id": 4, "intValue": 3},
    None,
]


def vulnerability(number: int, severity: int = 5, **more: object) -> dict[str, Any]:
    """Return an open vulnerability with large findings, as ThreadFix returns it."""
    return {
        "id": number, "active": True, "hidden": False, "isFalsePositive": False, "path": f"/shop/{number}.jsp",
        "parameter": "q", "genericVulnerability": {"id": 79, "name": XSS, "displayId": 79},
        "genericSeverity": {"id": 1, "name": "Critical", "displayName": {5: "Critical", 4: "Bad"}[severity],
                            "intValue": severity},
        "app": {"id": APPLICATION_ID, "name": "Contoso shop"}, "team": {"id": 2, "name": "Contoso"},
        "findings": [{"longDescription": "x" * 120_000}],
    } | more  # fmt: skip


def search(threadfix: Release, pages: dict[str, list[dict[str, Any]]]) -> None:
    """Respond to a search with at most a page of the severity's vulnerabilities."""

    def find(fields: dict[str, str]) -> Fault:
        severity = fields["genericSeverities[0].intValue"]
        assert fields == {
            "applications[0].id": "6", "genericSeverities[0].intValue": severity, "showOpen": "true",
            "showNotFalsePositive": "true", "showNotHidden": "true", "numberVulnerabilities": "10", "page": "1",
        }  # fmt: skip
        return envelope(pages[severity][:10])

    threadfix.scripts["POST", VULNERABILITIES] = find


def test_the_newest_open_vulnerabilities_are_shown(run: Run) -> None:
    """The worst severity is first. Each has the server's name and a link; there are at most ten, of any size."""
    application = {"id": 6, "organization": {"id": 2}, "criticalVulnCount": 3, "highVulnCount": 40}
    run.threadfix.set(CRITERIA, BROKEN).set(SEVERITIES, NAMES).set(APPLICATION, application)
    search(run.threadfix, {"5": [vulnerability(number) for number in (7, 9, 8)],
                           "4": [vulnerability(number, 4) for number in range(20, 60)]})  # fmt: skip
    run.ends(Reason.POLICY_FAILED, "Release blocked. Critical: 3 open, at most 0 allowed; Bad: 40 open, at most 2 ",
                   "--pass-criteria")  # fmt: skip
    (check,) = run.checks
    assert [obstacle.id for obstacle in check.obstacles] == [9, 8, 7, 29, 28, 27, 26, 25, 24, 23]
    assert check.obstacles[3].severity == "Bad"
    first = check.obstacles[0]
    assert (first.name, first.place) == (XSS, "/shop/9.jsp, parameter q")
    assert first.url == f"{run.gate.url}/organizations/2/applications/6/vulnerabilities/9"
    assert check.url == f"{run.gate.url}/organizations/2/applications/6"
    assert [(result.name, result.severity, result.count) for result in check.results] == [
        ("Critical", 5, 3), ("Bad", 4, 40), ("Critical", 5, 3),
    ]  # fmt: skip


def test_ten_of_the_worst_severity_need_no_other_page(run: Run) -> None:
    run.threadfix.set(CRITERIA, BROKEN).set(SEVERITIES, NAMES).set(APPLICATION, {"id": 6, "organization": {"id": 2}})
    run.threadfix.set(VULNERABILITIES, [vulnerability(number) for number in range(1, 12)], method="POST")
    run.ends(Reason.POLICY_FAILED, "", "--pass-criteria", settle="0")
    assert [obstacle.id for obstacle in run.checks[0].obstacles] == list(range(11, 1, -1))
    assert run.threadfix.count(VULNERABILITIES) == 1


def test_a_response_over_eight_mib_shows_nothing(run: Run) -> None:
    run.threadfix.set(CRITERIA, BROKEN).set(SEVERITIES, NAMES).set(APPLICATION, {"id": 6})
    page = Raw(200, envelope([vulnerability(1)]).body + b" " * 8 * 1024 * 1024)
    run.threadfix.set(VULNERABILITIES, page, method="POST")
    ran = run.ends(Reason.POLICY_FAILED, "", "--pass-criteria", settle="0")
    assert run.checks[0].obstacles == ()
    assert "returned more than 8 MiB" in ran.err


@pytest.mark.parametrize("broken", [SEVERITIES, APPLICATION, VULNERABILITIES])
def test_an_error_on_the_way_to_them_changes_nothing(run: Run, broken: str) -> None:
    """The error is logged once. The check has failed, and all other facts are shown."""
    errors = (Raw(500), Raw(401), NO_PATH, Reset(), Raw(200, b"<html>"), Raw(200, b"{}"))
    for response in (*errors, *map(envelope, ("x", None, [1, None, {}, []], {"id": 7}))):
        run.threadfix.set(CRITERIA, BROKEN).set(SEVERITIES, NAMES)
        run.threadfix.set(APPLICATION, {"id": 6, "organization": {"id": 2}, "criticalVulnCount": 3})
        search(run.threadfix, {"5": [vulnerability(7)], "4": [vulnerability(8, 4)]})
        run.threadfix.set(broken, response, method="POST" if broken == VULNERABILITIES else "GET")
        ran = run.ends(Reason.POLICY_FAILED, "Critical: ", "--pass-criteria", settle="0")
        warned = ran.err.count("warning: not all open vulnerabilities could be looked up: 127.0.0.1")
        assert (ran.code, warned) == (1, response in errors), response


def test_after_threadfix_is_unreachable_no_request_is_sent(run: Run) -> None:
    run.threadfix.set(CRITERIA, BROKEN).set(SEVERITIES, Reset())
    run.ends(Reason.POLICY_FAILED, "Critical: at most 0 open; Bad", "--pass-criteria", settle="0")
    assert [path for _, path, _ in run.threadfix.requests] == [CRITERIA, SEVERITIES]


def test_one_time_limit_covers_all_requests(run: Run) -> None:
    run.threadfix.set(CRITERIA, BROKEN).set(SEVERITIES, NAMES).set(APPLICATION, Trickle(headers_too=True))
    ran = run.ends(Reason.POLICY_FAILED, "", "--pass-criteria", "--request-timeout", "300ms", settle="0")
    assert [path for _, path, _ in run.threadfix.requests] == [CRITERIA, SEVERITIES, APPLICATION]
    assert "did not respond within 0." in ran.err


PLACE = "/shop/7.jsp, parameter q"
ODD: list[tuple[dict[str, object], tuple[str, str, str] | None]] = [
    ({}, (XSS, "Critical", PLACE)),
    ({"genericVulnerability": None, "genericSeverity": None}, ("vulnerability 7", "", PLACE)),
    ({"genericSeverity": {"name": "Critical", "intValue": 5}}, (XSS, "Critical", PLACE)),
    ({"genericSeverity": {"customName": "Bad", "intValue": 5, "name": "C"}}, (XSS, "Bad", PLACE)),
    ({"path": None, "calculatedFilePath": "/src/a.c", "parameter": 5}, (XSS, "Critical", "/src/a.c")),
    ({"path": "", "dependency": {"cve": "CVE-2026-1", "componentName": "log4j"}, "parameter": None},
     (XSS, "Critical", "log4j")),
    ({"path": "", "dependency": "log4j:1", "parameter": None}, (XSS, "Critical", "log4j:1")),
    ({"path": [], "parameter": "q"}, (XSS, "Critical", "parameter q")),
    ({"path": "::error::##[add]\u001b[2J" + API_KEY},
     (XSS, "Critical", "::error::# #[add] [2J***, parameter q")),
    ({"app": {"id": 7}}, None),
    ({"active": False}, None),
    ({"hidden": True}, None),
    ({"isFalsePositive": True}, None),
    ({"genericSeverity": {"intValue": 3, "name": "x"}}, None),
    ({"id": "7"}, None),
    ({"id": True}, None),
]  # fmt: skip


def test_a_vulnerability_is_untrusted_text_of_any_shape(run: Run) -> None:
    """A closed or unrequested vulnerability is left out; older servers send such."""
    run.threadfix.set(CRITERIA, criteria(failed=[criterion({"name": "Critical", "intValue": 5})], passed=[]))
    for more, expected in ODD:
        run.threadfix.set(VULNERABILITIES, [vulnerability(7) | more], method="POST")
        run("--pass-criteria", settle="0")
        shown = [(obstacle.name, obstacle.severity, obstacle.place) for obstacle in run.checks[0].obstacles]
        assert shown == ([] if expected is None else [expected]), more
    assert run.threadfix.count(SEVERITIES) == 0


@pytest.mark.parametrize(
    ("application", "text"),
    [
        ({"id": 6, "criticalVulnCount": 2, "lowVulnCount": 0}, " Open in the application: 2 Critical, 0 Low."),
        ({"id": 6}, ""),
        (NOT_FOUND, ""),
    ],
)
def test_a_failing_policy_has_the_numbers_of_all_open_vulnerabilities(run: Run, application: object, text: str) -> None:
    run.threadfix.set(STATUSES, [policy("FAILING")]).set(APPLICATION, application)
    ran = run.ends(Reason.POLICY_FAILED, "Release blocked. All policies: ThreadFix says FAILING of", "--policy", "all")
    assert ran.document["message"].endswith(f"(policy 3).{text}")
    assert run.checks[0].url == f"{run.gate.url}/applications/6" or run.checks[0].url is None
    assert [path for _, path, _ in run.threadfix.requests] == [STATUSES, APPLICATION]


def test_an_unknown_severity_has_no_number(run: Run) -> None:
    run.threadfix.set(CRITERIA, criteria(failed=[criterion("Odd"), criterion({"intValue": 9, "name": "X"})]))
    run.threadfix.set(SEVERITIES, NAMES)
    run("--pass-criteria", settle="0")
    assert run.threadfix.count(VULNERABILITIES) == 0
    assert [result.severity for result in run.checks[0].results] == [None, None, 5]
