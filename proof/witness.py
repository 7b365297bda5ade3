"""The sandbox as a witness: it keeps its statements, and names the reasons why a pass would be wrong."""

from __future__ import annotations

import json
import re
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from gate.sandbox.model import PASSING
from gate.sandbox.responses import Raw
from gate.sandbox.scenarios import DUPLICATE, EMPTY
from gate.sandbox.server import APPLICATION_ID, ThreadFix

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from gate.sandbox.forms import Form
    from gate.sandbox.responses import Fault

CRITERIA: Final = 0
"""The pass criteria, in a list of the ids of policies."""


class Witness(ThreadFix):
    """The sandbox. It keeps each response with the path, the form, and the number of uploaded files."""

    def __post_init__(self) -> None:
        """Start without statements."""
        super().__post_init__()
        self.said: list[tuple[str, dict[str, Any], int]] = []

    def respond(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Fault:
        """Respond, and keep the statement."""
        return self._keep(path, super().respond(method, path, headers, body), 0)

    def receive(self, path: str, headers: dict[str, str], form: Form | None) -> Fault:
        """Respond to an upload, and keep the statement."""
        return self._keep(path, super().receive(path, headers, form), len(form.files) if form else 0)

    def _keep(self, path: str, response: Fault, files: int) -> Fault:
        with suppress(ValueError):
            if isinstance(response, Raw):
                self.said.append((path, json.loads(response.body), files))
        return response

    def scans_of(self, given: Sequence[int]) -> set[int]:
        """Return the pending scans of a run: those given by id, and those of its uploads."""
        return {*given, *(number for number, scan in self.scans.items() if scan.files)}

    def doubts_about_scans(self, given: Sequence[int], files: int, *, accepts: bool) -> Iterator[str]:
        """Yield the reasons why not every scan was processed or accepted."""
        accepted = (DUPLICATE, EMPTY) if accepts else ()
        unfinished, taken = self.scans_of(given), 0
        for path, said, sent in self.said:
            about = said["object"]
            if scan := re.search(r"/pendingScan/(\d+)/status", path):
                done = about and about["status"] in ("DONE", "FINISHED_FINDING_PULLING") and not about["error"]
                if about and about["appId"] == APPLICATION_ID and (done or about["errorMessage"] in accepted):
                    unfinished.discard(int(scan[1]))
            elif said["success"] or said["message"] in accepted:
                taken += sent
        if unfinished:
            yield f"ThreadFix has not processed {sorted(unfinished)}"
        if taken != files:
            yield f"ThreadFix took {taken} of {files} files"

    def doubts_about_rules(self, given: Sequence[int], rules: Sequence[int], *, fresh: bool) -> Iterator[str]:
        """Yield the reasons why a rule does not hold. With `fresh`, it must be newer than the scans."""
        scans = [self.scans[number] for number in self.scans_of(given)]
        if max(Counter(scan.report.scanner for scan in scans).values(), default=0) > 1:
            yield "the scans may be parts of one"
        ends = filter(None, map(self.ended, scans))
        moment = max(map(self.moment, ends), default=0) if fresh else 0
        found = self.vulnerabilities(self.applications[APPLICATION_ID])
        objects = [said["object"] for _, said, _ in self.said]
        criteria = [about["passing"] for about in objects if isinstance(about, dict) and "passed" in about]
        entries = [
            entry
            for about in objects
            for entry in (about.get("policyStatuses", [about]) if isinstance(about, dict) else about or [])
            if "policy" in entry and PASSING in (entry.get("currentStatus"), {True: PASSING}.get(entry.get("passing")))
        ]
        for rule in rules:
            if rule == CRITERIA:
                if criteria[-1:] != [True] or criteria.count(True) < 1 + fresh:
                    yield f"the pass criteria do not hold: {criteria}"
            elif not any(
                entry["policy"]["id"] == rule and (entry["lastEvaluated"] or 0) >= moment for entry in entries
            ):
                yield f"policy {rule} is not passing, or not newer than the scans"
            elif fresh and self.policies[rule].evaluate(found) != PASSING:
                yield f"policy {rule} fails"
