"""A ThreadFix with a truth: its responses, and the run of the gate that asks for them. It does not use the gate."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qs, urlsplit

from proof.changes import DONE_AT, NOW, Reply, compose, dressed, hostile

if TYPE_CHECKING:
    from random import Random

OWN: Final = 6
OTHER: Final = 1295
AGAIN: Final = "Scan file has already been uploaded."
EMPTY: Final = "The scan file contained 0 results."
KINDS: Final = ("New", "Old", "Resurfaced", "Closed", "Total", "Info", "Low", "Medium", "High", "Critical")
NUMBERS: Final = (*(f"{kind}Vulnerabilities" for kind in KINDS), "RepeatResults", "RepeatFindings")


@dataclass
class Flaw:
    """A stage's flaw: `truth` (ThreadFix reports something bad), `weak`, `destroyed` or `wire` (in its bytes)."""

    kind: str
    first: bool = False  # only the first response has it
    detail: str = ""


class World:
    """A ThreadFix with a truth, and the command line of a run against it."""

    def __init__(self, rng: Random, *, wire: bool = False, source: str = "") -> None:
        """Draw the truth; `wire` is whether time is real, so that nothing may last. `source` is that of the scan."""
        self.rng, self.wire = rng, wire
        self.key = rng.choice(("r31OPbW9LEAYnnAskBjYRACYmF2mGmOWgQAKmtPYE5YY", "Zk7!&<\"%2B+/=\\{}~a|b'c" + "q8Xw" * 5))
        self.source = source or rng.choice(("pending", "pending", "upload", "upload", "parts", "response", "rules"))
        self.subject = (
            "id" if self.source == "response" else rng.choice(("id", "id", "name", "team", "unique", "slash"))
        )
        self.version = rng.choice(("latest", "latest", "v2.8", "legacy", "none"))
        self.finished = self.source in {"upload", "parts"} and self.version in {"legacy", "none"} and rng.random() < 0.5
        self.generation = rng.choice(("new", "new", "old", "oldest"))
        self.accept = rng.choice(("", "", "duplicate", "duplicate,empty"))
        self.settles = rng.random() < 0.8
        several = {"pending": rng.choice((1, 1, 2)), "upload": rng.choice((1, 1, 2)), "parts": 2}.get(self.source, 1)
        self.same = rng.random() < 0.3  # the files have one extension, and are of one scanner
        self.files = [f"{number}.{'fpr' if self.same or not number else 'xml'}" for number in range(several)]
        rules = ["criteria", "id", "name", "remediation", "all"]
        self.rules = rng.sample(rules, rng.choice((0, 1, 1, 2) if self.source != "rules" else (1, 2)))
        self.name = rng.choice(("Shop", "Web Goat", "A & B <b>", "日本"))
        self.team = "A/B 100%" if self.subject == "slash" else "Payments"
        self.policy = rng.choice(("Low Policy", "No <b>highs</b>, please", "Ärger"))
        numbers = (41, 42)[:several] if self.source != "parts" else (41,)
        self.numbers = () if self.finished or self.source == "rules" else numbers
        self.flaws: dict[str, Flaw] = {}
        self.codes: set[int] = set()
        stages = self.stages
        for stage in rng.sample(stages, min(len(stages), rng.choice((0, 0, 1, 1, 1, 2)))):
            self.flaws[stage] = self.new_flaw(stage)
        self.served: dict[str, list[Reply]] = {}

    # --- The plan.

    @property
    def stages(self) -> list[str]:
        """The stages of the run, by their names."""
        stages = []
        if self.source in {"upload", "parts", "rules"} or self.subject != "id":
            looked_up = {"id": ["application"], "name": ["teams:1", "teams:2"]}
            stages += looked_up.get(self.subject, ["lookup"])
        if self.source in {"upload", "parts", "response"}:
            stages += [f"upload:{place}" for place in range(1 if self.source != "upload" else len(self.files))]
        stages += [f"status:{number}" for number in self.numbers]
        if self.rules:
            stages += ["scans", *(self.stage_of(rule) for rule in self.rules)]
        return stages

    def stage_of(self, rule: str) -> str:
        """Return the stage that decides a rule."""
        if rule in {"criteria", "all"}:
            return {"criteria": "criteria", "all": "policies"}[rule]
        return f"eval:{rule}" if self.generation != "oldest" else "policies"

    def new_flaw(self, stage: str) -> Flaw:
        """Draw a flaw for a stage."""
        kind = self.rng.choice(
            ("truth", "weak", "destroyed", "wire" if self.wire and self.source != "response" else "destroyed")
        )
        flaw = Flaw(kind, first=kind != "truth" and not stage.startswith("upload") and self.rng.random() < 0.3)
        if kind == "truth":
            flaw.detail, code = self.rng.choice(self._bad(stage.partition(":")[0]))
            # ThreadFix may evaluate a moment later.
            flaw.first = flaw.detail == "stale" and self.rng.random() < 0.5
            self.codes |= set() if flaw.first else {code}
        return flaw

    def _bad(self, stage: str) -> tuple[tuple[str, int], ...]:
        """Return the bad truths of a stage, with the exit code of each."""
        stale = (("stale", 8),) if self.settles else (("FAILING", 1),)
        dup = tuple((name, 1) for name in ("duplicate", "empty"))
        lasting = () if self.wire else (("QUEUED", 3), ("NEW", 3))
        foreign = (("foreign", 7),) if self.source in {"upload", "parts"} else ()
        return {
            "application": (("other", 7), ("refused", 5)),
            "lookup": (("other", 7), ("none", 5), ("twin", 5), ("refused", 5)),
            "teams": (("twin", 5), ("refused", 5)),
            "upload": (*dup, ("refused", 1), ("key", 4), ("other", 7 if self.source != "response" else 2)),
            "status": (
                *dup, *lasting, *foreign, ("SCAN_DELETED", 1), ("SCAN_INTERRUPTED", 1), ("error", 1), ("other", 7),
                ("refused", 5), ("key", 4),
            ),
            "scans": (("none", 8),),
            "eval": (*stale, ("FAILING", 1), ("NO SCANS FOUND", 8), ("other", 7), ("refused", 8), ("key", 4)),
            "policies": (*stale, ("FAILING", 1), ("NO SCANS FOUND", 8), ("other", 7), ("none", 8), ("key", 4)),
            "criteria": (("fails", 1), ("none", 8), ("flaps", 8) if self.settles else ("fails", 1), ("key", 4)),
        }[stage]  # fmt: skip

    @property
    def _scanners(self) -> tuple[str, str]:
        return "ZAP", "ZAP" if self.same else "Fortify"

    # --- Serving.

    def answer(self, method: str, url: str, form: str = "") -> Reply:
        """Return the response to a request, and remember it."""
        parts = urlsplit(url)
        fields = {name: values[0] for name, values in parse_qs(f"{parts.query}&{form}").items()}
        path = re.sub(r"^/threadfix/rest/(?:latest/|legacy/|v2\.8/)?", "", parts.path)
        stage = self._stage(method, path, fields)
        return self.reply(stage) if stage else Reply(None, b"<html>404</html>", 404)

    def _stage(self, method: str, path: str, fields: dict[str, str]) -> str:
        if path == "applications/6":
            return "application"
        if path in {"applications/Payments/lookup", "teams/lookup", "applications/allTeamLookup"}:
            return "lookup" if (path == "teams/lookup") is (self.subject == "slash") else "team"
        if path == "teams":
            return f"teams:{fields['page']}"
        if match := re.fullmatch(r"applications/6/upload(/multi)?", path):
            return (
                f"upload:{len([stage for stage in self.served if stage.startswith('upload')])}"
                if method == "POST" and bool(match[1]) is (self.source == "parts")
                else ""
            )
        if match := re.fullmatch(r"applications/6/pendingScan/([0-9]+)/status", path):
            return f"status:{match[1]}" if int(match[1]) in self.numbers else ""
        if path == f"applications/{OTHER}/pendingScan/41/status":
            return "foreign"
        if path == "applications/6/policy/eval":
            key = "remediation" if fields.get("type") == "remediation" else "name" if "policyName" in fields else "id"
            if fields.get("policyId", "3") != "3":
                key = f"other {fields['policyId']}"
            lacking = self.generation == "oldest" or (self.generation == "old" and method == "POST")
            return "lacking" if lacking else f"eval:{key}"
        paths = {
            "applications/6/scans": "scans", "applications/6/policyStatuses": "policies", "severities": "severities",
            "policy/status/application/6/evaluate": "criteria", "vulnerabilities": "vulnerabilities",
        }  # fmt: skip
        return paths.get(path, "")

    def reply(self, stage: str) -> Reply:
        """Return the next response of a stage."""
        served = self.served.setdefault(stage, [])
        kind, _, rest = stage.partition(":")
        flaw = self.flaws.get(stage)
        if flaw and flaw.first and served:
            flaw = None
        if stage == "lacking":
            return Reply(None, b"", self.rng.choice((404, 405, 204)))
        bad = flaw.detail if flaw and flaw.kind == "truth" else ""
        if kind == "status" and not flaw and self.rng.random() < 0.3 and len(served) < 3:
            bad = self.rng.choice(("QUEUED", "CHANNEL_MERGING", "SCAN_QUEUED_FOR_DELETE"))
        word, document = getattr(self, f"_{kind}")(rest, bad)
        reply = compose(
            self.rng, kind, word, document, flaw=flaw.kind if flaw else "", key=self.key, settles=self.settles
        )
        if flaw and flaw.kind == "wire":
            reply = Reply(None, reply.body, reply.code, reply.headers, whole=False, wire=True)
        served.append(reply)
        return reply

    def text(self, name: str = "Contoso") -> str:
        """Return a text that means nothing."""
        return hostile(self.rng, self.key) if self.rng.random() < 0.4 else name

    def _refused(self, message: str) -> dict[str, Any]:
        return {"message": message, "success": False, "responseCode": -1, "object": None}

    def _envelope(self, content: Any, **more: Any) -> dict[str, Any]:
        return {"message": self.text(""), "success": True, "responseCode": -1, "object": content, **more}

    def _app(self, number: int = OWN, name: str = "", team: str = "") -> dict[str, Any]:
        name, team = name or self.name, team or self.team
        # In any case of its ASCII letters; of two names, the exact name counts.
        varies = self.rng.random() < 0.2 and all(flaw.detail != "twin" for flaw in self.flaws.values())
        name = name.upper() if name.isascii() and varies else name
        owner = {"id": 2, "name": team}
        return {"id": number, "name": name, "uniqueId": "u-1", "organization": owner, "scans": [], "highVulnCount": 2}

    def _application(self, _: str, bad: str) -> tuple[Any, dict[str, Any]]:
        if bad == "refused":
            return False, self._refused("Application lookup failed. Check your ID.")
        app = self._app(OTHER if bad == "other" else OWN)
        return not bad, self._envelope(app | {"name": self.text()})

    def _lookup(self, _: str, bad: str) -> tuple[Any, dict[str, Any]]:
        if bad == "refused":
            return False, self._refused("Application lookup failed. Check your ID.")
        apps = {
            "none": [],
            "other": [self._app() | {"name": "Blog", "uniqueId": "u-2"}],
            "twin": [self._app(), self._app(OTHER)],
        }.get(bad, [self._app()])
        if self.subject == "slash":
            return self._whole_team(apps, bad)
        return not bad, self._envelope(apps[0] if len(apps) == 1 and self.rng.random() < 0.5 else apps)

    def _whole_team(self, apps: list[Any], bad: str) -> tuple[Any, dict[str, Any]]:
        return not bad, self._envelope(
            {"id": 2, "name": "Other" if bad == "other" else self.team, "applications": apps}
        )

    def _team(self, *_: str) -> tuple[Any, dict[str, Any]]:
        return False, self._envelope({"id": 2, "name": self.team, "applications": [self._app(OTHER, self.text())]})

    def _teams(self, page: str, bad: str) -> tuple[Any, dict[str, Any]]:
        if bad == "refused":
            return False, self._refused("No teams found.")
        own = [self._app()] if page == "1" and self.subject == "name" else []
        own += [self._app(OTHER)] if bad == "twin" else []
        teams = [{"id": 9, "name": self.text(), "applications": []}, {"id": 2, "name": self.team, "applications": own}]
        return not bad, self._envelope(teams if own or page == "1" else [])

    def _upload(self, place: str, bad: str) -> tuple[Any, dict[str, Any]]:
        messages = {
            "duplicate": AGAIN, "empty": EMPTY, "refused": "Failed to determine the scan type.",
            "key": "API Key not found in database.",
        }  # fmt: skip
        if bad in messages:
            return bad if bad in {"duplicate", "empty"} else False, self._refused(messages[bad])
        if self.finished:
            scan: dict[str, Any] = {f"number{name}": 1 for name in NUMBERS}
            scan |= {"scannerName": self._scanners[int(place)], "importTime": NOW * 1000, "findings": []}
            scan |= {"appId": OTHER} if bad else {}
            return ("finished" if not bad else False), self._envelope(scan | {"id": 112 + int(place)})
        numbers = self.numbers if self.source == "response" else (self.numbers[int(place)],)
        hosts = (
            "http://10.150.1.155:8080/threadfix/rest/latest",
            "https://zq9.example/rest",
            "",
            "/threadfix/rest/v2.8.8",
        )
        ends = ("", "", ";jsessionid=ABC", "/")
        start = f"{self.rng.choice(hosts)}/applications/{OTHER if bad else OWN}/pendingScan"
        hrefs = (f"{start}/{number}/status{self.rng.choice(ends)}" for number in numbers)
        links = [{"method": "GET", "rel": self.text("related"), "href": href} for href in hrefs]
        links += [{"href": "http://zq9.example/help"}] if self.rng.random() < 0.2 else []
        return (numbers if not bad else False), self._envelope("Scan upload process started.", links=links)

    def _status(self, number: str, bad: str) -> tuple[Any, dict[str, Any]]:
        if bad in {"refused", "key"}:
            return False, self._refused("No scan exists for requested id" if bad == "refused" else "API Key not found.")
        place = int(number) - 41
        words = {"SCAN_DELETED": "bad", "SCAN_INTERRUPTED": "bad", "foreign": "foreign", "error": "bad", "other": False}
        flight = bad in {"QUEUED", "CHANNEL_MERGING", "SCAN_QUEUED_FOR_DELETE", "NEW"}
        status = (
            bad if flight or bad.startswith("SCAN") else self.rng.choice(("DONE", "DONE", "FINISHED_FINDING_PULLING"))
        )
        text = {"duplicate": AGAIN, "empty": EMPTY, "error": self.text("Failed.")}.get(bad)
        content = {
            "id": 2, "modifiedDate": (NOW - 10**6 if bad == "foreign" else DONE_AT) * 1000, "active": True,
            "fileDataList": [{"id": 12, "originalName": self.files[place]}], "appId": OTHER if bad == "other" else OWN,
            "errorMessage": text, "status": dressed(self.rng, status), "error": bad in {"duplicate", "empty", "error"},
            "scanId": None if flight else 112 + place, "type": "upload", "name": self.text(), "time": DONE_AT * 1000,
            "scanMessage": self.text(),
        }  # fmt: skip
        return "flight" if flight else words.get(bad, bad or "good"), self._envelope(content)

    def _foreign(self, *_: str) -> tuple[Any, dict[str, Any]]:
        word, document = self._status("41", "")
        return word, document | {"object": document["object"] | {"appId": OTHER}}

    def _scans(self, _: str, bad: str) -> tuple[Any, dict[str, Any]]:
        if bad:
            return False, self._refused(f"No scans associated with application: {OWN}")
        scans = [
            {"id": 112 + place, "importTime": 0, "updatedDate": DONE_AT * 1000, "scannerName": name, "buildId": None}
            for place, name in enumerate(self._scanners[: max(1, len(self.files))])
        ]
        return True, self._envelope([*scans, {"id": 5, "importTime": NOW, "updatedDate": (NOW - 10**6) * 1000}])

    def _entry(self, key: str, bad: str, number: int = 3) -> tuple[str, dict[str, Any]]:
        evaluated = DONE_AT - 3600 * self.rng.choice((1, 24)) if bad == "stale" else DONE_AT + self.rng.choice((0, 5))
        name = f"Policy {number}" if number != 3 else "Another" if bad == "other" and key != "id" else self.policy
        policy = {
            "id": 4 if bad == "other" else number,
            "name": name,
            "filterName": None if key == "remediation" else "Low",
        }
        status = {"FAILING": "FAILING", "NO SCANS FOUND": "NO SCANS FOUND"}.get(bad, "PASSING")
        word = "stale" if bad == "stale" else "bad" if bad else "fresh"
        entry = {
            "id": None,
            "statusLastChanged": None,
            "name": self.text(),
            "lastEvaluated": evaluated * 1000,
            "policy": policy,
        }
        if bad != "NO SCANS FOUND" and self.rng.random() < 0.2:  # before 2.5.1.12
            return word, entry | {"passing": status == "PASSING"}
        return word, entry | {"currentStatus": status}

    def _eval(self, key: str, bad: str) -> tuple[Any, dict[str, Any]]:
        if bad in {"refused", "key"}:
            return "bad", self._refused("Policy not found." if bad == "refused" else "API Key not found in database.")
        if key.startswith("other"):
            word, entry = self._entry(key, "", int(key.split()[1]))
        else:
            word, entry = self._entry(key, bad)
        return word, self._envelope(entry)

    def _policies(self, _: str, bad: str) -> tuple[Any, dict[str, Any]]:
        """Return the list of the attached policies; its word has the word of each."""
        if bad == "key":
            return (), self._refused("API Key not found in database.")
        kinds = [rule for rule in ("remediation", "name") if rule in self.rules] or ["name"]
        entries: list[tuple[str, str, dict[str, Any]]] = [
            (kind, *self._entry(kind, bad if bad != "other" else "")) for kind in kinds[:1]
        ]
        if len(kinds) > 1:
            # The other kind with the same name, and another id.
            word, entry = self._entry("name", bad if bad != "other" else "")
            entries.append(("name", word, entry | {"policy": entry["policy"] | {"id": 8}}))
        entries.append(("more", *self._entry("", "", 7)))
        self.rng.shuffle(entries)
        content: Any = [] if bad == "none" else [entry for *_, entry in entries]
        words = (
            ()
            if bad in {"none", "other"}
            else tuple((kind, word, entry["policy"]["id"]) for kind, word, entry in entries)
        )
        if bad == "other" or self.rng.random() < 0.5:
            content = {"id": OTHER if bad == "other" else OWN, "name": self.text(), "policyStatuses": content}
        return words, self._envelope(content)

    def _criteria(self, _: str, bad: str) -> tuple[Any, dict[str, Any]]:
        if bad == "key":
            return (False, ()), self._refused("The requested URL is restricted for your API Key.")
        limits = [("Critical", 9), ("High", 3)]
        self.rng.shuffle(limits)
        odd = bad == "flaps" and bool(len(self.served["criteria"]) % 2)
        shown = [{"id": 1, "severity": name, "maxAllowed": most + odd, "maxIntroduced": 8} for name, most in limits]
        failing = "High" if bad == "fails" else ""
        failed = [criterion for criterion in shown if criterion["severity"] == failing]
        passed = [criterion for criterion in shown if criterion["severity"] != failing and bad != "none"]
        content = {
            "id": 1,
            "passed": passed,
            "failed": failed,
            "fromDate": 0,
            "toDate": NOW * 1000,
            "passing": bad != "fails",
        }
        return (bad not in {"fails", "none"}, odd), self._envelope(content)

    def _severities(self, *_: str) -> tuple[Any, dict[str, Any]]:
        return True, self._envelope([{"id": n, "name": self.text("High"), "intValue": n} for n in range(1, 6)])

    def _vulnerabilities(self, *_: str) -> tuple[Any, dict[str, Any]]:
        severity = {"name": self.text(), "intValue": self.rng.choice((4, 5))}
        vulnerability = {
            "id": 77, "genericSeverity": severity, "path": self.text(), "parameter": self.text(),
            "genericVulnerability": {"name": self.text()},
        }  # fmt: skip
        return True, self._envelope([vulnerability] * self.rng.choice((0, 1, 12)))
