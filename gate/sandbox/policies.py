"""The endpoints of policies and pass criteria, with the response shapes of every version."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any, Final

from gate.sandbox import model, versions
from gate.sandbox.applications import in_short
from gate.sandbox.responses import envelope, refusal

if TYPE_CHECKING:
    from gate.sandbox.model import Application, Criterion, Policy, Vulnerability
    from gate.sandbox.responses import Call, Fault
    from gate.sandbox.state import State
    from gate.sandbox.versions import Version

FIRST_DAY: Final = "1969-12-31"


def statuses(state: State, call: Call) -> Fault:
    """Return the status of each policy that is attached to an application [DOC]."""
    application = call.application
    attached = [state.policies[number] for number in application.policies]
    shown = [_status(state, policy, application, call.version) for policy in attached]
    if call.version < versions.STATUSES_IN_APPLICATION:
        return envelope(shown)
    broken = any(_word(state, policy, application) == model.FAILING for policy in attached)
    overall = model.FAILING if broken else model.PASSING
    described = in_short(application) | {"overallPolicyStatus": overall, "policyStatuses": shown}
    if call.version >= versions.APPLICATION_DETAILS:
        described |= {"testEnvironment": None, "releaseFrequency": None, "isInternal": False}
    return envelope(described)


def evaluate(state: State, call: Call) -> Fault:
    """Evaluate one policy for an application, attached or not [DOC]."""
    number, name, kind = (call.fields.get(field, "") for field in ("policyId", "policyName", "type"))
    if call.version < versions.POLICY_TYPE:
        kind = "filter"
    elif name and kind not in ("filter", "remediation"):
        return refusal("Parameter 'type' must be filter or remediation.")  # [INFER]
    for policy in state.policies.values():
        if str(policy.id) == number or (not number and (policy.name, policy.type) == (name, kind)):
            status = _status(state, policy, call.application, call.version)
            return envelope(status | {"id": None, "statusLastChanged": None})
    return refusal("Policy lookup failed. Check your ID.")  # [INFER]


def evaluate_criteria(state: State, call: Call) -> Fault:
    """Evaluate the pass criteria of every group that is attached to an application [DOC]."""
    try:
        since = _day(call.fields.get("fromDate") or FIRST_DAY)
        until = _day(call.fields.get("toDate") or state.now().date().isoformat())
    except ValueError:
        return refusal("Dates must be in the format yyyy-MM-dd.")  # [INFER]
    end = until + timedelta(days=1, seconds=-1)
    application = call.application
    counted = [vulnerability for vulnerability in state.vulnerabilities(application) if vulnerability.counts]
    introduced = [
        vulnerability for vulnerability in counted if since <= state.now() - timedelta(days=vulnerability.days) <= end
    ]
    verdicts = [(criterion, _holds(criterion, counted, introduced)) for criterion in application.criteria]
    failed = [_criterion(state, criterion) for criterion, holds in verdicts if not holds]
    return envelope(
        {
            "id": application.id,
            "passed": [_criterion(state, criterion) for criterion, holds in verdicts if holds],
            "failed": failed,
            "fromDate": int(since.timestamp() * 1000),
            "toDate": int(end.timestamp() * 1000),
            # If no criteria are attached, the value is a guess [INFER].
            "passing": not failed,
        }
    )


def _day(text: str) -> datetime:
    return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=timezone.utc)


def _holds(criterion: Criterion, counted: list[Vulnerability], introduced: list[Vulnerability]) -> bool:
    pairs = ((criterion.max_allowed, counted), (criterion.max_introduced, introduced))
    return all(
        limit is None or sum(vulnerability.severity == criterion.severity for vulnerability in limited) <= limit
        for limit, limited in pairs
    )


def _criterion(state: State, criterion: Criterion) -> dict[str, Any]:
    return {
        "id": criterion.id,
        "severity": state.severity_name(criterion.severity),
        "maxAllowed": criterion.max_allowed,
        "maxIntroduced": criterion.max_introduced,
    }


def _word(state: State, policy: Policy, application: Application) -> str:
    if state.evaluated(application) is None:
        return model.NO_SCANS
    return policy.evaluate(state.vulnerabilities(application))


def _status(state: State, policy: Policy, application: Application, version: Version) -> dict[str, Any]:
    evaluated, word = state.evaluated(application), _word(state, policy, application)
    last = None if evaluated is None else state.moment(evaluated)
    shared = {
        "id": 100 * application.id + policy.id,
        "statusLastChanged": last,
        "name": application.name,
        "lastEvaluated": last,
        "policy": {"id": policy.id, "name": policy.name, "filterName": policy.filter_name or None},
    }
    if version >= versions.CURRENT_STATUS:
        return shared | {"currentStatus": word}
    return shared | {"passing": word == model.PASSING}
