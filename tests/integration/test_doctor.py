"""The reports of the doctor over real sockets: a single fault per test, and the step that fails."""

from __future__ import annotations

import io
import json
import os
import re
import socket
import ssl
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote, urlsplit

import pytest
from cryptography import x509
from jsonschema import Draft202012Validator

from gate.cli import main
from gate.doctor import OPTION_STEPS, STEPS, UNUSED_ID
from gate.flow.signals import Signals
from gate.model.reasons import Reason
from gate.sandbox.model import NO_CRITERIA_KEY, Criterion
from gate.sandbox.scenarios import Fault, Raw, Scenario, Trickle
from gate.sandbox.server import API_KEY, APPLICATION_ID, READ_ONLY_KEY, ThreadFix, envelope, refusal
from tests.certificates import LOOPBACK, Authority, context

if TYPE_CHECKING:
    from gate.model.history import ScanReading
    from tests.conftest import Serve

ROOT = Path(__file__).parents[2]
SCHEMA: dict[str, Any] = json.loads((ROOT / "docs" / "doctor.schema.json").read_text(encoding="utf-8"))
NAMES: list[str] = SCHEMA["$defs"]["check"]["properties"]["name"]["enum"]
NOT_VERIFIED = {"tls", "certificate", "expiry"}
"""Skipped with plain http."""
NOT_REQUESTED = {"criteria", "policies"}
"""Skipped without their own options."""


@dataclass(frozen=True)
class Seen:
    """The output of the doctor."""

    code: int
    document: dict[str, Any]
    log: str

    def states(self, state: str) -> set[str]:
        """Return the steps with this state."""
        return {check["name"] for check in self.document["checks"] if check["state"] == state}

    def check(self, name: str) -> dict[str, Any]:
        """Return a step."""
        step: dict[str, Any] = next(check for check in self.document["checks"] if check["name"] == name)
        return step

    def blamed(self, name: str, reason: Reason, words: str, hint: str) -> None:
        """Assert that only this step failed, with this message and hint."""
        check = self.check(name)
        assert (self.states("failed"), check["reason"], self.code) == ({name}, reason, reason.row.exit_code)
        assert words in check["message"]
        assert hint in check["hint"]
        assert self.document["reason"] == reason
        assert f"\n✗ {name}" in self.log
        assert f"→ {check['hint']}" in self.log
        assert f"NOT OK ({reason}, exit code {self.code}): " in self.log


class Doctor:
    """Runs `threadfix-gate doctor --json` in this process. Each document has its schema, and each request is a GET."""

    def __init__(self, threadfix: ThreadFix, serve: Serve, capfd: pytest.CaptureFixture[str]) -> None:
        self.threadfix = threadfix
        self.url = serve(threadfix)
        self.serve = serve
        self.signals = Signals()
        self._capfd = capfd

    def __call__(self, *args: str, **env: str) -> Seen:
        pipeline = {"THREADFIX_URL": self.url, "THREADFIX_API_KEY": API_KEY}
        ids = {"THREADFIX_APPLICATION_ID": str(APPLICATION_ID), "THREADFIX_PENDING_SCAN_ID": "41"}
        self._capfd.readouterr()
        with pytest.MonkeyPatch.context() as patch:
            for name, value in (pipeline | ids | env).items():
                patch.setenv(name, value)
            code = main(["doctor", "--json", *args], self.signals)
            assert "THREADFIX_API_KEY" not in os.environ
        out, err = self._capfd.readouterr()
        document = json.loads(out)
        Draft202012Validator(SCHEMA).validate(document)
        assert [check["name"] for check in document["checks"]] == NAMES
        assert document["exit_code"] == code
        assert {method for method, _, _ in self.threadfix.seen} <= {"GET"}
        # A quoted sentence has no full stop; three dots mark a shortened text.
        doubled = r"(?<!\.)\.\)?\.(?![\w.])"
        assert not [message for check in document["checks"] if re.search(doubled, message := check["message"])]
        return Seen(code, document, err)


@pytest.fixture
def examine(threadfix: ThreadFix, serve: Serve, capfd: pytest.CaptureFixture[str]) -> Doctor:
    return Doctor(threadfix, serve, capfd)


def scan(threadfix: ThreadFix, response: Fault) -> str:
    """Add a pending scan with the same response to every request, and return its id."""
    return str(threadfix.add(Scenario("test", "", Reason.PROCESSED, fault=lambda _: response)))


UNKNOWN_PATH = refusal("Bad rest request due to unrecognized path.", 404)


@dataclass(slots=True)
class Altered(ThreadFix):
    """A ThreadFix with another response to the paths that match; `proxied` takes the path from a whole URL."""

    pattern: str = "(?!)"
    about: Fault = UNKNOWN_PATH
    proxied: bool = False

    def respond(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Fault:
        if re.search(self.pattern, path):
            return self.about
        return ThreadFix.respond(self, method, urlsplit(path).path if self.proxied else path, headers, body)


# --- All is well.


def test_without_faults_every_step_has_a_line(examine: Doctor, threadfix: ThreadFix) -> None:
    seen, skipped = examine(), NOT_VERIFIED | NOT_REQUESTED
    assert (seen.code, seen.document["ok"], seen.states("skipped")) == (0, True, skipped)
    assert [line[0] for line in seen.log.splitlines()[1:-1]] == ["–" if name in skipped else "✓" for name in NAMES]
    assert seen.log.splitlines()[-1] == "OK: 11 passed, 0 failed, 5 skipped."
    assert seen.check("pending-scan")["message"] == "41 is QUEUED."
    assert seen.check("application")["message"] == "6 is 'Contoso shop'."
    paths = [path.partition("/applications/")[2] for _, path, _ in threadfix.seen]
    assert paths == ["6/pendingScan/41/status", "6"]


@pytest.mark.parametrize(
    ("unset", "skipped", "requests"),
    [(("PENDING_SCAN",), set(), 2), (("PENDING_SCAN", "APPLICATION"), {"permission", "application"}, 1)],
)
def test_without_ids_the_key_is_still_checked(
    unset: tuple[str, ...], skipped: set[str], requests: int, examine: Doctor
) -> None:
    """A pending scan that does not exist is requested: a look-up is not a refusal."""
    seen = examine(**{f"THREADFIX_{name}_ID": "" for name in unset})
    assert (seen.code, seen.states("skipped")) == (0, NOT_VERIFIED | NOT_REQUESTED | {"pending-scan"} | skipped)
    assert ("--application-id" in str(seen.check("permission")["hint"])) is bool(skipped)
    assert f"/pendingScan/{UNUSED_ID}/" in examine.threadfix.seen[0][1]
    assert len(examine.threadfix.seen) == requests


def test_several_pending_scans_are_all_requested(examine: Doctor, threadfix: ThreadFix) -> None:
    """Each pending scan has its status. A missing pending scan fails, and the others still show the permission."""
    first, second = (str(threadfix.add(Scenario("", "", Reason.PROCESSED))) for _ in range(2))
    assert (
        examine("--pending-scan-id", f"{first},{second}").check("pending-scan")["message"]
        == f"{first} is DONE, {second} is DONE."
    )
    seen = examine("--pending-scan-id", f"4711,{second}")
    seen.blamed("pending-scan", Reason.NOT_FOUND, "Pending scan lookup failed", "--pending-scan-id")
    assert "permission" in seen.states("passed")


def test_quiet_logs_only_what_fails_and_verbose_the_requests(examine: Doctor) -> None:
    """The options of the gate are accepted: users only change the name of the command."""
    assert len(examine("--quiet", "--timeout", "45m", "--on-timeout", "warn").log.splitlines()) == 1
    assert [line[0] for line in examine("--quiet", "--application-id", "9").log.splitlines()] == ["✗", " ", "N"]
    assert "GET /threadfix/rest/latest/applications/6 → 200" in examine("--verbose").log


def test_a_log_that_cannot_show_the_marks(examine: Doctor, monkeypatch: pytest.MonkeyPatch) -> None:
    log = io.TextIOWrapper(io.BytesIO(), encoding="cp1252")
    monkeypatch.setattr(sys, "stderr", log)
    examine("--application-id", "9")
    log.seek(0)
    lines = log.read().splitlines()
    assert {line[0] for line in lines[1:-1]} == {"+", "x", "-", "\x20"}
    assert sum(line.strip().startswith("> Check --application-id") for line in lines) == 1


# --- Options.


def test_a_valid_url_is_shown_with_its_path(examine: Doctor) -> None:
    """Also if another option is invalid."""
    seen = examine("--interval", "x")
    assert seen.check("url")["message"].endswith("/threadfix")


def test_all_invalid_options_are_reported_together(examine: Doctor, threadfix: ThreadFix) -> None:
    """The flaws of the URL are in a separate step, and nothing is sent."""
    seen = examine("--url", "ftp://tf.example.com", "--frob", "--json", THREADFIX_API_KEY="", THREADFIX_INTERVAL="x")
    assert (seen.code, seen.states("failed"), seen.states("passed")) == (2, {"url", "options"}, set())
    assert "is not an http or https URL" in seen.check("url")["message"]
    for mistake in ("unknown option --frob", "THREADFIX_API_KEY", "--interval"):
        assert mistake in seen.check("options")["message"]
        assert sum(mistake in line for line in seen.log.splitlines()) == 1
    assert sum(line.startswith("✗") for line in seen.log.splitlines()) == 2
    assert len(seen.check("options")["message"].splitlines()) == 3
    assert seen.document["server"] is None
    assert threadfix.connections == 0


def test_a_dns_lookup_and_a_handshake_that_hang_are_cut_off(examine: Doctor, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"https://127.0.0.1:{silent.getsockname()[1]}/threadfix"
        seen = examine("--url", url, "--request-timeout", "1s")
    seen.blamed("tls", Reason.UNREACHABLE, "did not respond within 1s", "firewall")
    over = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: over.wait())
    seen = examine("--url", "http://localhost:1/threadfix", "--request-timeout", "50ms")
    over.set()
    seen.blamed("dns", Reason.UNREACHABLE, "did not respond within", "DNS server")


# --- Single faults, and single differences without a fault.

RESTRICTED = refusal("The requested URL is restricted for your API Key.")
BY_NAME = ("--team-name", "Contoso", "--application-name", "Contoso shop")
UNKNOWN = {"THREADFIX_APPLICATION_ID": ""}


class Case(NamedTuple):
    """A step, its reason if it fails, words of its message and its hint, and the states of other steps."""

    step: str
    reason: Reason | None
    words: str
    hint: str
    args: tuple[str, ...] = ()
    env: dict[str, str] = {}  # noqa: RUF012 - never changed
    fault: Fault | None = None  # the response about the pending scan
    altered: tuple[str, Fault] | None = None  # a pattern of paths, and their response
    passed: str = ""
    skipped: str = ""


FAULTS = {
    "unknown-option": Case(
        "options", Reason.USAGE, "unknown option --tiemout; did you mean --timeout?", "--help",
        ("--tiemout", "x", "--application-id", "six"), passed="url",
    ),
    "no-certificate": Case(
        "options", Reason.USAGE, "--ca-file", "--help",
        ("--url", "https://127.0.0.1:1/threadfix", "--ca-file", str(ROOT / "README.md")),
    ),
    "host": Case(
        "dns", Reason.UNREACHABLE, "DNS lookup of tf.invalid failed", "host in --url",
        ("--url", "https://tf.invalid/threadfix"), skipped=" ".join(NAMES[3:]),
    ),
    "port": Case(
        "tcp", Reason.UNREACHABLE, "refused the connection", "port in --url", ("--url", "http://{closed}/threadfix")
    ),
    "plain-http": Case(
        "tls", Reason.UNREACHABLE, "TLS with", "uses https on this port", ("--url", "https://{open}/threadfix")
    ),
    "proxy": Case(
        "rest", Reason.UNREACHABLE, "proxy", "HTTPS_PROXY", ("--url", "https://tf.invalid/threadfix"),
        {"HTTPS_PROXY": "http://robot:hunter2@{closed}"}, skipped="tls certificate dns tcp redirects key clock",
    ),
    "redirect-to-https": Case(
        "redirects", Reason.PROTOCOL, "HTTP 301", "--url with https://",
        fault=Raw(301, headers=(("Location", "HTTPS://127.0.0.1/threadfix/"),)),
    ),
    **{
        name: Case("rest", reason, words, hint, fault=fault, skipped="key permission application pending-scan")
        for name, fault, reason, words, hint in (
            ("page", Raw(200, b"<title>Sign in</title>"), Reason.PROTOCOL, "with the page 'Sign in'", "context path"),
            ("appId", envelope({"status": "DONE", "error": False, "appId": 7}), Reason.PROTOCOL, "application 7", ""),
            ("400", Raw(400, b"no"), Reason.PROTOCOL, "HTTP 400", "not ThreadFix's REST API"),
            ("503", Raw(503, b"busy"), Reason.UNREACHABLE, "HTTP 503", "try again later"),
        )
    },
    "trickle": Case(
        "rest", Reason.UNREACHABLE, "did not respond within", "try again later", ("--request-timeout", "200ms"),
        fault=Trickle(), skipped="key",
    ),
    "older": Case(
        "rest", Reason.NOT_FOUND, "it has the path without a version segment", "--api-version none",
        altered=("/latest/", UNKNOWN_PATH),
    ),
    "newer": Case(
        "rest", Reason.NOT_FOUND, "it has the path with a version segment", "--api-version",
        ("--api-version", "none"), altered=("/rest/applications/", UNKNOWN_PATH),
    ),
    "unknown-key": Case(
        "key", Reason.DENIED, "API Key not found in database", "secret is set and current",
        env={"THREADFIX_API_KEY": "x" * 44}, passed="rest",
    ),
    **{
        # Anything between may have sent it.
        f"401{number}": Case(
            "key", Reason.DENIED, "HTTP 401", "secret is set and current", altered=("/rest/", Raw(401)),
            env={"THREADFIX_APPLICATION_ID": number, "THREADFIX_PENDING_SCAN_ID": ""}, skipped="rest",
        )
        for number in ("", "6")
    },
    **{
        f"read-only{number}": Case(
            "permission", Reason.DENIED, "restricted for your API Key", "Upload Scans", passed="key application",
            env={"THREADFIX_API_KEY": READ_ONLY_KEY, "THREADFIX_PENDING_SCAN_ID": number},
        )
        for number in ("", "41")
    },
    "application": Case(
        "application", Reason.NOT_FOUND, "Application lookup failed", "--application-id", ("--application-id", "9"),
        skipped="permission pending-scan",
    ),
    "pending-scan": Case(
        "pending-scan", Reason.NOT_FOUND, "Pending scan lookup failed", "--pending-scan-id",
        ("--pending-scan-id", "4711"), passed="key permission application",
    ),
    "look-up-refused": Case(
        "application", Reason.DENIED, "restricted", "read access", BY_NAME, UNKNOWN, altered=("/lookup", RESTRICTED)
    ),
    "no-permission-for-criteria": Case(
        "criteria", Reason.DENIED, "restricted", "Manage CI/CD", ("--pass-criteria", "--policy", "all"),
        {"THREADFIX_API_KEY": NO_CRITERIA_KEY}, passed="policies",
    ),
    "no-criteria": Case(
        "criteria", Reason.POLICY_UNKNOWN, "HTTP 404", "2.5 or later", ("--pass-criteria",),
        altered=("/policy/status/", UNKNOWN_PATH),
    ),
    **{
        f"policies-{code}": Case(
            "policies", reason, f"HTTP {code}", hint, ("--policy", policy), altered=("/policyStatuses", fault)
        )
        for code, fault, policy, reason, hint in (
            (404, UNKNOWN_PATH, "all", Reason.POLICY_UNKNOWN, "--api-version"),
            (403, Raw(403), "Release", Reason.DENIED, "read access"),
        )
    },
}  # fmt: skip
NOT_ATTACHED = "not attached. Attached to the application: 'Release' ("
FINE = {
    "failed-scan": Case("pending-scan", None, " is SCAN_DELETED.", "",
                        fault=envelope({"status": "SCAN_DELETED", "error": True, "appId": 6})),
    "addresses": Case("dns", None, "127.0.0.1", "", ("--url", "http://localhost:{port}/threadfix")),
    "application-without-a-name": Case(
        "application", None, "6 exists.", "", altered=("/applications/6$", envelope({"id": 6}))
    ),
    # The policy is evaluated by itself, so the result without the list cannot be determined.
    "named-policy-without-the-list": Case(
        "policies", None, "cannot be determined", "", ("--policy", "Release"), altered=("/policyStatuses", UNKNOWN_PATH)
    ),
    **{
        f"not-attached-{policy}": Case(
            "policies", None, NOT_ATTACHED, "ends the gate as policy-unknown", ("--policy", f"Release\n{policy}")
        )
        for policy in ("Realease", "77", "remediation:Release")
    },
    "rules-without-an-application": Case(
        "criteria", None, "no application is specified", "", ("--pass-criteria", "--policy", "all"),
        UNKNOWN | {"THREADFIX_PENDING_SCAN_ID": ""}, skipped="criteria policies",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", (FAULTS | FINE).values(), ids=FAULTS | FINE)
def test_a_fault_fails_its_step_and_no_other(case: Case, examine: Doctor) -> None:
    """A step that depends on the failed step is skipped, and no password is shown."""
    server = urlsplit(examine.url)
    places = {"closed": "127.0.0.1:1", "open": server.netloc, "port": server.port}
    args = [arg.format_map(places) for arg in case.args]
    if case.fault:
        args += ["--pending-scan-id", scan(examine.threadfix, case.fault)]
    if case.altered:
        args += ["--url", examine.serve(Altered(pattern=case.altered[0], about=case.altered[1]))]
    seen = examine(*args, **{name: value.format_map(places) for name, value in case.env.items()})
    if case.reason:
        seen.blamed(case.step, case.reason, case.words, case.hint)
    else:
        check = seen.check(case.step)
        assert (seen.code, case.words in check["message"], case.hint in str(check["hint"])) == (0, True, True)
    assert seen.states("passed") >= set(case.passed.split())
    assert seen.states("skipped") >= set(case.skipped.split())
    if "dns" in seen.states("failed"):
        assert {check["message"] for check in seen.document["checks"][3:]} == {"skipped, because dns failed."}
    assert "hunter2" not in seen.log + json.dumps(seen.document)


@pytest.mark.parametrize(
    ("numbers", "step", "reason", "requests"),
    [("{busy},{other}", "rest", Reason.UNREACHABLE, 1), ("4711,{busy}", "pending-scan", Reason.NOT_FOUND, 3)],
)
def test_the_first_failure_counts_if_no_pending_scan_can_be_read(
    numbers: str, step: str, reason: Reason, requests: int, examine: Doctor
) -> None:
    """After a failure that is not from ThreadFix, another request would fail too."""
    busy, other = scan(examine.threadfix, Raw(503)), str(examine.threadfix.add(Scenario("", "", Reason.PROCESSED)))
    seen = examine("--pending-scan-id", numbers.format(busy=busy, other=other))
    assert (seen.states("failed"), seen.check(step)["reason"]) == ({step}, reason)
    assert len(examine.threadfix.seen) == requests


# --- Certificates.


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """Return an authority whose name is untrusted text."""
    return Authority(tmp_path, "Contoso ::error::\x1b[31m")


@pytest.mark.parametrize(("days", "left"), [(61, "60 days left, until 2"), (2, "1 day left")])
def test_a_certificate_that_verifies(days: int, left: str, examine: Doctor, authority: Authority) -> None:
    """A certificate that expires soon passes, with a hint to renew it."""
    tls = context(authority.issue("server", LOOPBACK, days=days))
    seen = examine("--url", examine.serve(examine.threadfix, tls=tls), "--ca-file", str(authority.file))
    assert (seen.code, seen.states("skipped")) == (0, NOT_REQUESTED)
    assert "TLSv1" in seen.check("tls")["message"]
    store = f"trust store: --ca-file {authority.file}; 1 certificate."
    assert f"for 127.0.0.1, issued by Contoso ::error:: [31m; {store}" in seen.check("certificate")["message"]
    assert seen.check("expiry")["message"].startswith(left)
    assert ("→ Have the certificate renewed" in seen.log) is (days == 2)


@pytest.mark.parametrize(
    ("names", "days", "words", "hint"),
    [
        ((), 9, "unable to get", "--ca-file"),
        ((LOOPBACK,), -1, "expired", "renew"),
        ((LOOPBACK,), 100, "not yet valid", "clock"),
        ((x509.DNSName("tf.example.com"),), 9, "mismatch", "host in --url"),
    ],
    ids=["chain", "expired", "not-yet", "name"],
)
def test_a_certificate_that_does_not_verify(  # noqa: PLR0913, PLR0917 - a table
    names: tuple[x509.GeneralName, ...], days: int, words: str, hint: str, examine: Doctor, authority: Authority
) -> None:
    """The key is not sent."""
    tls = context(authority.issue("server", *names, days=days))
    store = ("--ca-file", str(authority.file)) if names else ()
    seen = examine("--url", examine.serve(examine.threadfix, tls=tls), *store)
    message = seen.check("certificate")["message"]
    assert words in message
    assert f"; trust store: {f'--ca-file {authority.file}; 1 cert' if store else 'the operating system'}" in message
    seen.blamed("certificate", Reason.UNREACHABLE, "does not verify", hint)
    assert "tls" in seen.states("passed")
    assert examine.threadfix.seen == []


def test_insecure_skips_the_certificate(examine: Doctor, authority: Authority) -> None:
    seen = examine("--url", examine.serve(examine.threadfix, tls=context(authority.issue("server"))), "--insecure")
    assert (seen.code, seen.states("skipped")) == (0, {"certificate", "expiry"} | NOT_REQUESTED)
    assert "The API key may be sent to an impostor" in seen.check("certificate")["hint"]


def test_a_client_certificate_is_sent(examine: Doctor, authority: Authority) -> None:
    tls = context(authority.issue("server", LOOPBACK), clients=authority)
    tls.maximum_version = ssl.TLSVersion.TLSv1_2  # 1.3 would refuse only after the handshake
    options = ("--url", examine.serve(examine.threadfix, tls=tls), "--ca-file", str(authority.file))
    assert examine(*options).states("failed") == {"tls"}
    cert, key = authority.issue("client")
    assert examine(*options, "--client-cert", str(cert), "--client-key", str(key)).code == 0


# --- Proxies.


def test_through_a_proxy(examine: Doctor, serve: Serve) -> None:
    """DNS, TCP and TLS are skipped, the requests are checked, and the proxy's password is not shown."""
    proxy = serve(Altered(proxied=True)).removesuffix("/threadfix").replace("http://", "http://robot:hunter2@")
    seen = examine("--url", "http://tf.invalid/threadfix", "--allow-http", HTTP_PROXY=proxy)
    assert (seen.code, seen.states("skipped")) == (0, NOT_VERIFIED | NOT_REQUESTED | {"dns", "tcp"})
    assert f"through the proxy {proxy.partition('@')[2]}," in seen.check("dns")["message"]
    assert "hunter2" not in seen.log + json.dumps(seen.document)
    assert "the API key is sent unencrypted" in seen.check("url")["hint"]


def test_a_long_name_of_a_proxy_is_cut(examine: Doctor) -> None:
    """At a hundred characters, port included."""
    for length in (100, 101):
        proxy = f"{'p' * 60}.{'q' * (length - 74)}.invalid:9999"
        seen = examine("--url", "http://tf.invalid/threadfix", "--allow-http", HTTP_PROXY=f"http://{proxy}")
        shown = seen.check("dns")["message"].partition("through the proxy ")[2].partition(",")[0]
        assert shown == (proxy if length == 100 else proxy[:97] + "...")


# --- Other servers.


def test_a_missing_context_path(examine: Doctor, threadfix: ThreadFix) -> None:
    """Tomcat's page is not ThreadFix's, and the step of the URL hints at the context path."""
    seen = examine("--url", examine.url.removesuffix("/threadfix"))
    seen.blamed("rest", Reason.NOT_FOUND, f"ThreadFix itself responds under {examine.url}", "Set --url")
    assert "context path" in seen.check("url")["hint"]
    assert len(threadfix.seen) == 3


def test_a_status_endpoint_that_the_server_does_not_have(examine: Doctor, serve: Serve) -> None:
    """Without the status endpoint the application still passes, and the permission cannot be determined."""
    seen = examine("--url", serve(Altered(pattern="/pendingScan/")))
    seen.blamed("pending-scan", Reason.NOT_FOUND, "it lacks the path without a version segment too", "--api-version")
    assert "permission" in seen.states("skipped")
    seen = examine("--url", seen.check("url")["message"], THREADFIX_PENDING_SCAN_ID="")
    assert (seen.code, "permission" in seen.states("skipped")) == (0, True)
    assert "--status-path" in seen.check("permission")["hint"]


@pytest.mark.parametrize(
    "about", [RESTRICTED, UNKNOWN_PATH, envelope({"id": 7, "name": "Other"}), envelope({"id": "six"})]
)
def test_the_gate_does_not_need_to_read_the_application(about: Fault, examine: Doctor) -> None:
    """If the status endpoint works, no response of the application's endpoint is a failure."""
    url = examine.serve(Altered(pattern="/applications/6$", about=about))
    seen = examine("--url", url)
    assert (seen.code, seen.check("application")["state"]) == (0, "passed")
    seen = examine("--url", url, "--pending-scan-id", "4711")
    seen.blamed("pending-scan", Reason.NOT_FOUND, "lookup failed", "--pending-scan-id")
    assert seen.states("skipped") >= {"permission", "application"}


# --- The application by its names.


def test_an_application_that_goes_by_its_names(examine: Doctor, threadfix: ThreadFix) -> None:
    """It is looked up first, and all other requests use its id."""
    seen = examine(*BY_NAME, "--policy", "all", THREADFIX_APPLICATION_ID="")
    assert (seen.code, seen.states("skipped")) == (0, NOT_VERIFIED | {"criteria"})
    assert seen.check("application")["message"] == "application 'Contoso shop' of team 'Contoso' is 6."
    paths = [path.partition("/applications/")[2].partition("?")[0] for _, path, _ in threadfix.seen]
    assert paths == ["Contoso/lookup", "6/pendingScan/41/status", "6/policyStatuses"]


def test_names_of_no_application(examine: Doctor) -> None:
    """Without its id, nothing of the application can be checked, but the key can."""
    names = ("--team-name", "Contoso", "--application-unique-id", "nobody")
    seen = examine(*names, "--pass-criteria", "--policy", "all", THREADFIX_APPLICATION_ID="")
    seen.blamed("application", Reason.NOT_FOUND, "lookup failed", "--application-unique-id")
    assert seen.states("passed") >= {"rest", "key", "clock"}
    assert seen.states("skipped") >= {"permission", "pending-scan", "criteria", "policies"}
    assert "granted for an application" in seen.check("permission")["message"]
    assert seen.check("pending-scan")["message"].startswith("skipped, because")


def test_a_look_up_that_cannot_connect_is_the_only_request(examine: Doctor) -> None:
    seen = examine(*BY_NAME, "--verbose", "--url", "http://127.0.0.1:1/threadfix", THREADFIX_APPLICATION_ID="")
    seen.blamed("tcp", Reason.UNREACHABLE, "refused the connection", "port in --url")
    assert seen.log.count("GET ") == 1


# --- The checks of a release.


def test_each_requested_check_has_its_permission_checked(examine: Doctor, threadfix: ThreadFix) -> None:
    """One request for each check, with any policies; nothing is evaluated again."""
    seen = examine("--pass-criteria", "--policy", "Release\nNo critical vulnerabilities")
    assert (seen.code, seen.states("skipped")) == (0, NOT_VERIFIED)
    assert re.fullmatch(r"Manage CI/CD: ThreadFix evaluated \d+ criteria\.", seen.check("criteria")["message"])
    assert "listed the policies; 2 policies are attached" in seen.check("policies")["message"]
    assert (seen.check("criteria")["hint"], seen.check("policies")["hint"]) == (None, None)
    paths = [path.rpartition("/")[2] for _, path, _ in threadfix.seen]
    assert paths == ["status", "6", "evaluate", "policyStatuses"]


def test_a_hint_warns_if_nothing_would_be_evaluated(examine: Doctor, threadfix: ThreadFix) -> None:
    """The permission is there, but the gate would end as unknown."""
    for policies, criteria in (([], []), ([1], [Criterion(1, 5, 0)])):
        threadfix.applications[6].policies, threadfix.applications[6].criteria = policies, criteria
        seen = examine("--pass-criteria", "--policy", "all")
        assert seen.code == 0
        for name, words in (("criteria", "ThreadFix evaluated nothing"), ("policies", "no policy is attached")):
            assert (f"policy-unknown: {words}" in str(seen.check(name)["hint"])) is (not policies)
    assert seen.check("criteria")["message"] == "Manage CI/CD: ThreadFix evaluated 1 criterion."
    assert "1 policy is attached to the application." in seen.check("policies")["message"]


# --- Clocks.


@pytest.mark.parametrize(
    ("date", "state", "words"),
    [
        ("Thu, 01 Jan 2099 00:00:00 GMT", "failed", "ahead of this machine's"),
        ("Thu, 01 Jan 1998 00:00:00 GMT", "failed", "behind this machine's"),
        ("", "skipped", "no valid Date header"),
    ],
)
def test_a_clock_that_is_off(
    date: str, state: str, words: str, examine: Doctor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gate.sandbox.server._Handler.date_time_string", lambda _: date)
    seen = examine()
    assert (seen.check("clock")["state"], words in seen.check("clock")["message"]) == (state, True)
    if state == "failed":
        seen.blamed("clock", Reason.UNREACHABLE, words, "Correct the clock")


# --- Promises.

HOSTILE = "::error::x ##[error]y\r\n::set-output name=a::b\x1b[2J\u202e"


def test_text_of_the_server_is_data(examine: Doctor, threadfix: ThreadFix) -> None:
    """Text from the server starts no workflow command and moves no cursor."""
    threadfix.applications[6].name = HOSTILE
    seen = examine("--pending-scan-id", scan(threadfix, refusal(HOSTILE)))
    shown = seen.log + "".join(f"{check['message']}{check['hint']}" for check in seen.document["checks"])
    assert "::set-output name=a::b" in shown
    assert not re.search(r"^\s*::|##\[|\x1b|\u202e|\r", shown, flags=re.MULTILINE)


CORE = "Zq7Core9Xw4Kv"
ODD_KEY = f"a+b/{CORE}=&\"'\\<%"


@pytest.mark.parametrize("echo", [ODD_KEY, quote(ODD_KEY), f"half {ODD_KEY[:-2]}" + ODD_KEY[-2:]])
def test_the_key_is_never_shown(echo: str, examine: Doctor, threadfix: ThreadFix) -> None:
    """The key is sent in a header only, and never shown, even if the server echoes it."""
    threadfix.keys.add(ODD_KEY)
    threadfix.applications[6].name = echo
    for response in (refusal(f"API Key {echo} is odd"), Raw(302, headers=(("Location", f"/login?{echo}"),))):
        seen = examine("--verbose", "--pending-scan-id", scan(threadfix, response), THREADFIX_API_KEY=ODD_KEY)
        assert seen.states("failed")
        assert CORE not in seen.log + json.dumps(seen.document)
    assert all(CORE not in path for _, path, _ in threadfix.seen)
    assert all(CORE in sent["authorization"] for sent in threadfix.headers)


def test_a_bug_is_reported_without_the_key(examine: Doctor, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bug ends with exit code 70, a complete JSON document, and a traceback without the key."""

    def broken(*_: object) -> ScanReading:
        raise RuntimeError(f"with {API_KEY} in it")

    monkeypatch.setattr("gate.threadfix.client.Client.observe", broken)
    seen = examine()
    assert (seen.code, seen.document["reason"], seen.document["ok"]) == (70, "internal", False)
    assert "RuntimeError: with *** in it" in seen.log
    assert API_KEY not in seen.log


def test_a_signal_ends_it_with_the_steps_so_far(examine: Doctor, monkeypatch: pytest.MonkeyPatch) -> None:
    """While a request waits for its response."""
    over = threading.Event()

    def waiting(*_: object) -> None:
        examine.signals.stop(15)
        over.wait(30)

    monkeypatch.setattr("gate.threadfix.client.Client.observe", waiting)
    seen = examine()
    over.set()
    assert (seen.code, seen.document["reason"]) == (143, "cancelled")
    assert [check["state"] for check in seen.document["checks"][:3]] == ["passed"] * 3
    assert {check["message"] for check in seen.document["checks"][3:]} == {"skipped, because the run ended before."}
    assert "NOT OK (cancelled, exit code 143)" in seen.log


def test_the_page_shows_the_printed_log(examine: Doctor, tmp_path: Path) -> None:
    """Line by line, except for numbers, addresses and paths."""
    authority = Authority(tmp_path, "Contoso Root CA")
    tls = context(authority.issue("server", x509.DNSName("localhost"), days=60))
    url = examine.serve(examine.threadfix, tls=tls).replace("127.0.0.1", "localhost")
    log = examine("--url", url, THREADFIX_API_KEY=READ_ONLY_KEY, THREADFIX_CA_FILE=str(authority.file)).log
    page = (ROOT / "docs" / "doctor.md").read_text(encoding="utf-8")

    def timeless(text: str) -> list[str]:
        text = re.sub(r"store: --ca-file \S+|localhost resolves to .*|\S+, port", "…", text)
        return re.sub(r"\d+", "0", text).strip().splitlines()

    shown = re.search(r"```console\n\$ threadfix-gate doctor.*\n((?s:.*?))```", page)
    assert shown
    assert timeless(shown[1]) == timeless(log)


def test_the_schema_is_valid_and_strict() -> None:
    Draft202012Validator.check_schema(SCHEMA)
    assert SCHEMA["additionalProperties"] is False
    assert [*OPTION_STEPS, *STEPS] == NAMES
