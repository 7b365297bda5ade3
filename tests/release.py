"""ThreadFix's endpoints for the checks of a release, in the documented shapes of each version.

Tests use them instead of the sandbox. They follow only the vendor's pages, so that the tests are independent of the
gate and of the sandbox.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

import pytest

from gate.flow.stages import Stages
from gate.model.reasons import Reason
from gate.sandbox.scenarios import Scenario
from gate.sandbox.server import APPLICATION_ID, CONTEXT, ThreadFix, envelope, refusal

if TYPE_CHECKING:
    from collections.abc import Callable

    from gate.judge.checks import CheckVerdict
    from gate.judge.verdict import Verdict
    from gate.sandbox.scenarios import Fault
    from tests.conftest import Gate, Ran

Version = tuple[int, ...]
VERSIONS: tuple[Version, ...] = (
    (2, 4), (2, 5), (2, 5, 1, 12), (2, 6), (2, 6, 2), (2, 7), (2, 7, 5), (2, 8), (2, 8, 5), (3, 0),
)  # fmt: skip
"""The versions that changed an endpoint."""

DONE = Scenario("done", "", Reason.PROCESSED)
"""A pending scan that is processed immediately."""

CRITERIA = f"policy/status/application/{APPLICATION_ID}/evaluate"
STATUSES = f"applications/{APPLICATION_ID}/policyStatuses"
EVALUATION = f"applications/{APPLICATION_ID}/policy/eval"
SEVERITIES, VULNERABILITIES = "severities", "vulnerabilities"
APPLICATION = f"applications/{APPLICATION_ID}"
NO_PATH = refusal("Bad rest request due to unrecognized path.", 404)
RESTRICTED = refusal("The requested URL is restricted for your API Key.")


def later(seconds: float = 3600) -> int:
    """Return the time in `seconds` from now, in milliseconds since the epoch."""
    return round((time.time() + seconds) * 1000)


def policy(
    word: object = "PASSING", number: int = 3, name: str = "Low Policy", evaluated: object = None, **more: object
) -> dict[str, Any]:
    """Return the status of a policy in the shape since ThreadFix 2.5.1.12 (vendor page "Ad Hoc Policy Evaluation").

    By default the evaluation is an hour from now, after every scan.
    """
    return {
        "id": 17, "currentStatus": word, "statusLastChanged": None, "name": "Contoso shop",
        "lastEvaluated": later() if evaluated is None else evaluated,
        "policy": {"name": name, "filterName": "Low Filter", "id": number},
    } | more  # fmt: skip


def old_policy(word: str = "PASSING", number: int = 3, name: str = "Low Policy", **more: object) -> dict[str, Any]:
    """Return the status of a policy in the shape before ThreadFix 2.5.1.12, with a boolean."""
    status = policy(word, number, name, **more)
    del status["currentStatus"]
    return status | {"passing": word == "PASSING"}


def application(*statuses: dict[str, Any], **more: object) -> dict[str, Any]:
    """Return an application object with statuses (vendor page "Get Application Policy Status", since 2.6.2)."""
    return {
        "id": APPLICATION_ID, "name": "Contoso shop", "url": "http://contoso.example.com",
        "applicationCriticality": {"id": 2, "name": "Medium"}, "overallPolicyStatus": "PASSING",
        "policyStatuses": list(statuses),
    } | more  # fmt: skip


def criterion(severity: object = "Critical", **limits: object) -> dict[str, Any]:
    """Return a pass criterion."""
    return {"id": 1, "severity": severity} | (limits or {"maxAllowed": 9, "maxIntroduced": 8})


def criteria(*, passed: object = None, failed: object = None, passing: object = None) -> dict[str, Any]:
    """Return evaluated pass criteria (vendor page "Evaluate CI/CD Pass Criteria"); by default one met criterion."""
    failed = [] if failed is None else failed
    return {
        "id": 1, "passed": [criterion()] if passed is None else passed, "failed": failed,
        "fromDate": 1491022800000, "toDate": 1493355599059, "passing": not failed if passing is None else passing,
    }  # fmt: skip


@dataclass(slots=True)
class Release(ThreadFix):
    """A sandbox with scripted responses.

    Attributes:
        scripts: by method and path after the version, the response or a function from the request's fields to it.
        requests: all requests to these paths, as (method, path, fields).
    """

    scripts: dict[tuple[str, str], Fault | Callable[[dict[str, str]], Fault]] = field(
        default_factory=lambda: {("GET", APPLICATION): envelope({"id": APPLICATION_ID})}
    )
    requests: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)

    def respond(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Fault:
        endpoint, _, query = path.partition("?")
        rest = endpoint.removeprefix(f"{CONTEXT}/rest/").partition("/")[2]
        is_mine = rest in {CRITERIA, STATUSES, EVALUATION, SEVERITIES, VULNERABILITIES}
        if not is_mine and (method, rest) not in self.scripts:
            return super(Release, self).respond(method, path, headers, body)
        assert headers["accept"] == "application/json"
        fields = dict(parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query)))
        if method == "POST":
            assert headers["content-type"] == "application/x-www-form-urlencoded"
            fields |= dict(parse_qsl(body.decode(), strict_parsing=True))
        with self.lock:
            self.requests.append((method, rest, fields))
        response = self.scripts.get((method, rest), NO_PATH)
        return response(fields) if callable(response) else response

    def set(self, endpoint: str, *contents: object, method: str = "GET") -> Release:
        """Respond with these objects in their order, and repeat the last. A `Fault` gets no envelope."""
        script = list(contents)

        def respond(_: dict[str, str]) -> Any:  # noqa: ANN401 - a fault
            with self.lock:
                content = script.pop(0) if len(script) > 1 else script[0]
            return envelope(content) if isinstance(content, dict | list | str | int | None) else content

        self.scripts[method, endpoint] = respond
        return self

    def count(self, endpoint: str) -> int:
        """Count the requests to an endpoint."""
        return sum(path == endpoint for _, path, _ in self.requests)


class Run:
    """Runs the gate with checks and a scan that passes."""

    def __init__(self, gate: Gate, threadfix: Release) -> None:
        self.gate = gate
        self.threadfix = threadfix
        self.verdict: Verdict | None = None

    def __call__(self, *args: str, settle: str = "150ms", outage: str = "150ms") -> Ran:
        limits = ("--settle-timeout", settle, "--outage-limit", outage)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Stages, "run", lambda stages: self._spy(stages))  # noqa: PLW0108 - a method of a class
            ran = self.gate.play(DONE, *limits, *args)
        assert ran.document["scans"][0]["verdict"] == "pass"
        return ran

    def _spy(self, stages: Stages, run: Callable[[Stages], Verdict] = Stages.run) -> Verdict:
        self.verdict = run(stages)
        return self.verdict

    @property
    def checks(self) -> tuple[CheckVerdict, ...]:
        """The verdicts on the checks of the newest run."""
        assert self.verdict
        return self.verdict.checks

    def ends(self, reason: Reason, text: str, *args: str, **limits: str) -> Ran:
        """Run the gate; assert that it ends with `reason`, and that its message contains `text`."""
        ran = self(*args, **limits)
        assert (ran.document["reason"], ran.code) == (reason, reason.row.exit_code), ran.err
        assert text in ran.document["message"]
        assert ran.document["verdict"] == reason.row.kind
        return ran


def of_version(version: Version, word: str) -> Release:
    """Return a ThreadFix of a version with the same result for every policy and the pass criteria.

    It has the attached filter policy 3 (`Low Policy`), and since 2.8 also the remediation policy 4 (`30 days`).
    """
    release = Release()
    entry = old_policy if version < (2, 5, 1, 12) else policy
    attached = [entry(word)]
    if version >= (2, 8):
        attached.append(policy(word, 4, "30 days", policy={"name": "30 days", "filterName": None, "id": 4}))
    extra = {"testEnvironment": None, "releaseFrequency": None, "isInternal": False} if version >= (2, 7, 5) else {}
    release.set(STATUSES, application(*attached, **extra) if version >= (2, 6, 2) else attached)
    if version >= (2, 5):
        broken = {"passed": [], "failed": [criterion()]}
        results: dict[str, Any] = {"PASSING": {}, "FAILING": broken, "NO SCANS FOUND": {"passed": []}}
        release.set(CRITERIA, criteria(**results[word]))

    def evaluate(fields: dict[str, str]) -> Fault:
        """Return the requested policy if this version supports the request."""
        if version >= (2, 8) and "policyName" in fields and "type" not in fields:
            return refusal("type is required")
        number = fields.get("policyId") or {"Low Policy": "3", "30 days": "4"}.get(fields["policyName"], "")
        kind = {"3": "filter", "4": "remediation"}.get(number)
        if version >= (2, 8) and fields.get("type", kind) != kind:
            return refusal("Policy not found")
        matches = [status for status in attached if str(status["policy"]["id"]) == number]
        return envelope(matches[0] | {"id": None}) if matches else refusal("Policy not found")

    if version >= (2, 8, 5):
        release.scripts["POST", EVALUATION] = evaluate
        release.scripts["GET", EVALUATION] = refusal("Request method 'GET' not supported", 405)
    elif version >= (2, 6):
        release.scripts["GET", EVALUATION] = evaluate
    return release
