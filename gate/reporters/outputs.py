"""The table of outputs, with the same names for GitHub's step outputs, the dotenv file and the result document."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from gate.model.reasons import Kind
from gate.reporters.phrases import urgent_first
from gate.text.sanitizer import escape_dotenv, shorten

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gate.judge.conclusions import Conclusion
    from gate.judge.scans import ScanVerdict
    from gate.judge.verdict import Verdict

OUTPUTS: Final[dict[str, str]] = {
    "verdict": "`pass`, `fail` or `unknown`.",
    "reason": "Why, in one word of the table of reasons, such as `processed` or `timeout`.",
    "message": "The result in a sentence.",
    "exit-code": "The exit code of the gate.",
    "status": "The last status that ThreadFix returned; with several scans, that of the deciding scan.",
    "application-id": "Id of the application.",
    "application-name": "Name of the application; empty if the run did not need to ask for the application.",
    "pending-scan-id": "Id of the pending scan; several are separated by commas.",
    "scan-id": "Id of the finished scan, if ThreadFix returned it; several are separated by commas.",
    "scan-url": "Link to the scan in ThreadFix, if all its parts are known.",
    "elapsed-seconds": "Duration of the run in seconds.",
    "polls": "Number of polls.",
    "result-file": "Path of the result document, if it was requested.",
    "scans": "All scans as a JSON array: ids, verdict, reason, message, status, link, seconds, polls. "
    "If it would be longer than 100 KiB, those that passed are left out.",
}
"""The name of each output in GitHub, and its description."""
MESSAGE_LIMIT: Final = 300  # characters in the dotenv file
SIZE_LIMIT: Final = 5 * 1024  # bytes of a dotenv file that GitLab takes
STEP_LIMIT: Final = 100 * 1024  # characters of a step's output; Linux passes no variable above 128 KiB to a program


def document_fields(verdict: Verdict) -> dict[str, Any]:
    """Return every output but `scans` by its name in `snake_case`, in the types of the result document.

    With several scans `pending_scan_id` and `scan_id` are lists of equal length. A scan that ThreadFix finished
    immediately has no pending scan.
    """
    deciding, scans = verdict.deciding_scan, verdict.scans
    finished = [upload.scan_id for upload in verdict.ended_uploads if upload.scan_id is not None]
    return {
        **conclusion_fields(verdict.conclusion),
        "exit_code": verdict.conclusion.exit_code,
        "status": deciding.history.reading.status if deciding and deciding.history.reading else None,
        "application_id": verdict.application.id if verdict.application else None,
        "application_name": (verdict.application.name or None) if verdict.application else None,
        "pending_scan_id": _id_or_ids([*(None for _ in finished), *(scan.target.pending_scan_id for scan in scans)]),
        "scan_id": _id_or_ids([*finished, *(scan.scan_id for scan in scans)]),
        "scan_url": verdict.scan_url,
        "elapsed_seconds": round(verdict.elapsed, 1),
        "polls": verdict.polls,
        "result_file": verdict.result_file or None,
    }


def conclusion_fields(conclusion: Conclusion) -> dict[str, Any]:
    """Return the verdict, the reason and the message."""
    return {"verdict": conclusion.kind.value, "reason": conclusion.reason.value, "message": conclusion.message}


def scan_fields(scan: ScanVerdict) -> dict[str, Any]:
    """Return the entry of a scan in the output `scans`."""
    return {
        "application_id": scan.target.application_id,
        "pending_scan_id": scan.target.pending_scan_id,
        "scan_id": scan.scan_id,
        "scan_url": scan.url,
        "name": scan.name,
        **conclusion_fields(scan.conclusion),
        "status": scan.history.reading.status if scan.history.reading else None,
        "elapsed_seconds": round(scan.history.elapsed, 1),
        "polls": scan.history.polls,
        "errors": scan.history.errors,
    }


def output_values(verdict: Verdict) -> dict[str, str]:
    """Return every output by its name, as text; empty if unknown."""
    fields = document_fields(verdict) | {"scans": _compact(verdict.scans)}
    return {name: _as_text(fields[name.replace("-", "_")]) for name in OUTPUTS}


def step_outputs(verdict: Verdict) -> tuple[dict[str, str], str]:
    """Return the outputs for GitHub, and a notice if some are too long: they are empty.

    `scans` keeps those that did not pass; if they are too many, then the first that failed or are undecided.
    """
    values, scans = output_values(verdict), list(verdict.scans)
    empty = [name for name, value in values.items() if len(value) > STEP_LIMIT and name != "scans"]
    if len(values["scans"]) > STEP_LIMIT:
        scans = urgent_first(scan for scan in scans if scan.conclusion.kind is not Kind.PASS)
    while len(kept := _compact(scans)) > STEP_LIMIT:
        scans = scans[: len(scans) * STEP_LIMIT // len(kept)]
    left_out = len(verdict.scans) - len(scans)
    missing = [*empty, *([f"{left_out} of {len(verdict.scans)} entries of scans"] if left_out else [])]
    return values | dict.fromkeys(empty, "") | {"scans": kept}, _notice(verdict, missing, "the outputs (100 KiB each)")


def _compact(scans: Sequence[ScanVerdict]) -> str:
    # In ASCII, so that neither an encoding nor a line separator in a name can break it.
    return json.dumps([scan_fields(scan) for scan in scans], ensure_ascii=True, separators=(",", ":"))


def _notice(verdict: Verdict, missing: Sequence[str], place: str) -> str:
    everything = f"{verdict.naming.option('result-file')} has everything."
    return f"left out of {place}: {', '.join(missing)}; {everything}" if missing else ""


def _id_or_ids(ids: Sequence[int | None]) -> int | list[int | None] | None:
    return list(ids) if len(ids) > 1 else next(iter(ids), None)


def _as_text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, list):
        return ",".join(_as_text(item) for item in value)
    return str(value)


def variable(output: str) -> str:
    """Return the variable of an output."""
    return f"THREADFIX_GATE_{output.replace('-', '_').upper()}"


def render(verdict: Verdict) -> str:
    """Return the dotenv file for GitLab's later jobs: one variable per line, within GitLab's limit.

    Values that do not fit are left empty, the longest first: half a list of ids would name scans that do not exist.
    """
    outputs = output_values(verdict)
    # A path or a link with a changed character would be wrong; a sentence stays readable.
    values = {name: value if escape_dotenv(value, SIZE_LIMIT) == value else "" for name, value in outputs.items()}
    values["message"] = shorten(escape_dotenv(outputs["message"], SIZE_LIMIT), MESSAGE_LIMIT)
    del values["scans"]
    while len(text := "".join(f"{variable(name)}={values[name]}\n" for name in values).encode()) > SIZE_LIMIT:
        values[max(values, key=lambda name: len(values[name]))] = ""
    return text.decode()


def notice(verdict: Verdict) -> str:
    """Return a sentence about the values that do not fit into the dotenv file; empty if all do."""
    lines, values = render(verdict).splitlines(), output_values(verdict)
    missing = [variable(name) for name, value in values.items() if value and f"{variable(name)}=" in lines]
    return _notice(verdict, missing, "the dotenv file (5 KiB)")
