"""The result document: everything that the gate knows, as JSON. Its schema is `docs/result.schema.json`."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from gate.model.history import FRESH, Finished
from gate.model.subjects import AllPolicies, PassCriteria, Policy
from gate.reporters.outputs import conclusion_fields, document_fields, scan_fields
from gate.text.wording import timestamp, utc

if TYPE_CHECKING:
    from gate.judge.checks import CheckVerdict
    from gate.judge.conclusions import Conclusion
    from gate.judge.scans import ScanVerdict
    from gate.judge.verdict import Verdict
    from gate.model.history import Application, CheckResult, History, NewestScan, Upload
    from gate.model.subjects import ScanFile

SCHEMA_VERSION: Final = 1
KINDS: Final = {PassCriteria: "criteria", Policy: "policy", AllPolicies: "policies"}


def document(verdict: Verdict) -> dict[str, Any]:
    """Return the document as Python data."""
    return {
        "schema_version": SCHEMA_VERSION,
        "gate_version": verdict.version,
        **document_fields(verdict),
        "scans": [_scan(scan) for scan in verdict.scans],
        "uploads": [_upload(upload, *file, verdict) for upload in verdict.uploads for file in upload.hashed],
        "checks": [_check(check) for check in verdict.checks],
        "hint": verdict.conclusion.hint or None,
        "resume": verdict.resume or None,
        "mistakes": [{"option": mistake.option, "message": mistake.text} for mistake in verdict.invalid],
        "newest_scan": _newest(verdict.newest_scan),
        "application": _application(verdict.application),
        "server": verdict.server or None,
        "build": asdict(verdict.build) if verdict.build else None,
        "started_at": timestamp(verdict.started_at),
        "finished_at": timestamp(verdict.finished_at),
    }


def render(verdict: Verdict) -> str:
    """Return the document as JSON text, in ASCII."""
    return json.dumps(document(verdict), indent=2, ensure_ascii=True) + "\n"


def _application(application: Application | None) -> dict[str, Any] | None:
    if application is None:
        return None
    return {"id": application.id, "name": application.name or None, "team": application.team or None}


def _newest(scan: NewestScan | None) -> dict[str, Any] | None:
    """Return the newest scan of the application, by which the rules were judged; None if there was one of this run."""
    if scan is None:
        return None
    at = None if scan.updated is None else utc(scan.updated)
    return {"scan_id": scan.id, "updated_at": timestamp(at) if at else None}


def _scan(scan: ScanVerdict) -> dict[str, Any]:
    file = scan.upload.file.shown if scan.upload else None
    return scan_fields(scan) | {"file": file, "exit_code": scan.conclusion.exit_code} | _history(scan.history)


def _upload(upload: Upload, file: ScanFile, digest: str | None, verdict: Verdict) -> dict[str, Any]:
    """Return a file of an upload with its verdict; without a verdict, if its pending scans have it."""
    ended = verdict.ended(upload)
    return {
        "file": file.shown,
        "size_bytes": file.size,
        "sha256": digest,
        "elapsed_seconds": round(upload.elapsed, 3),
        "pending_scan_ids": [target.pending_scan_id for target in upload.targets],
        "scan_id": upload.receipt.scan_id if isinstance(upload.receipt, Finished) else None,
        "scan_url": ended.url if ended else None,
        **_conclusion(ended.conclusion if ended else None),
    }


def _check(check: CheckVerdict) -> dict[str, Any]:
    requested = check.check if isinstance(check.check, Policy) else None
    policy = next(iter(check.results), None) if requested else None
    return {
        "check": check.subject,
        "kind": KINDS[type(check.check)],
        "policy_id": policy.policy_id if policy else requested and requested.id,
        "policy_name": policy.name if policy else None,
        **_conclusion(check.conclusion),
        "fresh": bool(check.history.reading and check.history.reading.status == FRESH),
        "url": check.url,
        "elapsed_seconds": round(check.history.elapsed, 3),
        "polls": check.history.polls,
        "errors": check.history.errors,
        "results": [_result(result) for result in check.results],
        "obstacles": [obstacle._asdict() | {"place": obstacle.place or None} for obstacle in check.obstacles],
        **_history(check.history),
    }


def _conclusion(conclusion: Conclusion | None) -> dict[str, Any]:
    if conclusion is None:
        return dict.fromkeys(("verdict", "reason", "message", "exit_code"))
    return {**conclusion_fields(conclusion), "exit_code": conclusion.exit_code}


def _result(result: CheckResult) -> dict[str, Any]:
    at = None if result.evaluated is None else utc(result.evaluated)
    return {
        "name": result.name,
        "policy_id": result.policy_id,
        "holds": result.holds,
        "word": result.word,
        "limits": list(result.limits),
        "severity": result.severity,
        "count": result.count,
        "evaluated_at": timestamp(at) if at else None,
        "behind_seconds": None if result.behind is None else round(result.behind, 3),
    }


def _history(history: History[Any, Any]) -> dict[str, Any]:
    return {
        "history": [
            {
                "status": phase.status,
                "first_seen_seconds": round(phase.first_seen, 3),
                "lasted_seconds": round(history.lasted(index), 3),
                "polls": phase.polls,
                "errors": phase.errors,
            }
            for index, phase in enumerate(history.phases)
        ],
        "outages": [
            {
                "began_seconds": round(outage.began, 3),
                "lasted_seconds": round(history.outage_lasted(outage), 3),
                "polls": outage.polls,
                "over": outage.ended is not None,
                "reason": outage.newest.reason.value,
                "message": outage.newest.what,
            }
            for outage in history.outages
        ],
    }
