"""The result document: everything that the gate knows, as JSON. Its schema is `docs/result.schema.json`."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from gate.reporters.outputs import document_fields, scan_fields
from gate.wording import timestamp

if TYPE_CHECKING:
    from gate.parts.scans import ScanVerdict
    from gate.verdict import Verdict

SCHEMA_VERSION: Final = 1


def document(verdict: Verdict) -> dict[str, Any]:
    """The document as Python data."""
    fields = document_fields(verdict)
    fields["scans"] = [scan_fields(scan) | _history(scan) for scan in verdict.scans]
    return {
        "schema_version": SCHEMA_VERSION,
        "gate_version": verdict.version,
        **fields,
        "hint": verdict.conclusion.hint or None,
        "resume": verdict.resume or None,
        "mistakes": [{"option": one.option, "message": one.text} for one in verdict.mistakes],
        "server": verdict.server or None,
        "build": asdict(verdict.build) if verdict.build else None,
        "started_at": timestamp(verdict.started_at),
        "finished_at": timestamp(verdict.finished_at),
    }


def render(verdict: Verdict) -> str:
    """The document as JSON text, in ASCII."""
    return json.dumps(document(verdict), indent=2, ensure_ascii=True) + "\n"


def _history(scan: ScanVerdict) -> dict[str, Any]:
    history = scan.history
    return {
        "exit_code": scan.conclusion.exit_code,
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
                "lasted_seconds": round(history.outage_end(outage) - outage.began, 3),
                "polls": outage.polls,
                "over": outage.ended is not None,
                "reason": outage.newest.reason.value,
                "message": outage.newest.what,
            }
            for outage in history.outages
        ],
    }
