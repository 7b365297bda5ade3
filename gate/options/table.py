"""Holds the table of options, and lays out `--help` from it.

The environment's names, the action's inputs and the documentation come from `OPTIONS` too.
"""

from __future__ import annotations

import re
import textwrap
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar, cast

from gate.model.reasons import REASONS, SIGNAL_EXIT_CODES, Reason
from gate.options import values
from gate.threadfix import links
from gate.threadfix.rules import FAILURE, SUCCESS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import click

T = TypeVar("T")

KEY_VARIABLE: Final = "THREADFIX_API_KEY"


@dataclass(frozen=True, slots=True, eq=False)
class Option(Generic[T]):
    """An option, under the same name everywhere."""

    name: str  # of the input too; on the command line after two dashes
    parse: Callable[[str], T]  # raises ValueError with the error and an example
    help: str  # one or two sentences; a template of `gate.text.wording`
    group: str  # heading in `--help` and in the documentation
    metavar: str = ""  # placeholder of the value in `--help`
    default: str | None = None  # as a user would write it; None for no default
    many: bool = False  # whether the flag may be repeated and its values form one list
    flag: bool = True  # whether there is a command-line flag; the key has none
    shown: bool = False  # whether messages may repeat an invalid value: it holds no secret, and is no free text

    @property
    def variable(self) -> str:
        """Its name in the environment."""
        return f"THREADFIX_{self.name.replace('-', '_').upper()}"

    @property
    def label(self) -> str:
        """Its name in messages and documents outside the action."""
        return f"--{self.name}" if self.flag else self.variable

    @property
    def is_switch(self) -> bool:
        """Whether its flags are `--name` and `--no-name`."""
        return cast("object", self.parse) is values.boolean


_SERVER = "ThreadFix"
_TLS = "TLS"
TARGET: Final = "Target"
_UPLOAD = "Upload"
_TIMING = "Timing"
_RELEASE = "Release checks"
_REPORTS = "Reports"
EXPERT: Final = "Expert options"


def _switch(name: str, text: str, group: str, default: str = "false") -> Option[bool]:
    return Option(name, values.boolean, text, group, "", default, shown=True)


def _choice(name: str, text: str, group: str, *choices: str) -> Option[str]:
    return Option(name, values.choice(*choices), text, group, "CHOICE", choices[0], shown=True)


def _duration(
    name: str, text: str, group: str, default: str, parse: Callable[[str], float] = values.duration
) -> Option[float]:
    return Option(name, parse, text, group, "DURATION", default, shown=True)


def _statuses(name: str, text: str, default: Iterable[str]) -> Option[tuple[str, ...]]:
    return Option(name, values.statuses, text, EXPERT, "STATUS", ",".join(default), many=True)


def _path(name: str, text: str, group: str) -> Option[str]:
    return Option(name, values.path, text, group, "PATH")


URL = Option(
    "url", links.base_url, f"Base URL of ThreadFix with its context path, such as {links.URL_EXAMPLE}.", _SERVER, "URL"
)
API_KEY = Option(
    "api-key",
    values.api_key,
    "API key, from the environment or from `{--api-key-file}`, never from the command line.",
    _SERVER,
    "KEY",
    flag=False,
)
API_KEY_FILE = _path("api-key-file", "File that contains the API key.", _SERVER)
API_VERSION = Option(
    "api-version",
    values.api_version,
    "Version segment of the REST API: `latest`, `legacy`, a version such as `v2.8`, or `none` (ThreadFix 2.5 to 2.7).",
    _SERVER,
    "VERSION",
    "latest",
)
CA_FILE = _path(
    "ca-file",
    "CA certificates to trust instead of the operating system's: a PEM file, or a folder in OpenSSL's layout. "
    "`REQUESTS_CA_BUNDLE`, `SSL_CERT_FILE` and `SSL_CERT_DIR` do the same.",
    _TLS,
)
CLIENT_CERT = _path("client-cert", "Client certificate (PEM) for mutual TLS.", _TLS)
CLIENT_KEY = _path(
    "client-key", "Unencrypted private key of the client certificate, unless it is in the same file.", _TLS
)
INSECURE = _switch("insecure", "Do not verify the server's certificate. Warns on every run.", _TLS)
ALLOW_HTTP = _switch(
    "allow-http", "Allow plain http to other hosts; the API key is then sent unencrypted. Warns on every run.", _TLS
)
APPLICATION_ID = Option(
    "application-id",
    links.number,
    "Id of the application. Required unless a name or an upload response identifies it.",
    TARGET,
    "ID",
    shown=True,
)
TEAM_NAME = Option(
    "team-name",
    values.text,
    "Name of the application's team. Without it, the name or the unique id must be that of one application only.",
    TARGET,
    "NAME",
)
APPLICATION_NAME = Option("application-name", values.text, "Name of the application.", TARGET, "NAME")
APPLICATION_UNIQUE_ID = Option(
    "application-unique-id",
    values.text,
    "Unique id of the application, as set in ThreadFix.",
    TARGET,
    "ID",
)
PENDING_SCAN_ID = Option(
    "pending-scan-id",
    values.ids,
    "Id of a pending scan to wait for; several are polled in parallel.",
    TARGET,
    "ID",
    many=True,
    shown=True,
)
UPLOAD_RESPONSE = _path(
    "upload-response",
    "File with the JSON response of ThreadFix's upload endpoint (`-` is standard input); its links contain the ids.",
    TARGET,
)
SCAN_FILE = Option(
    "scan-file",
    values.paths,
    "Scan results to upload and wait for: a file, or a pattern with `*`, `?`, `[...]` or `**`; one per line.",
    _UPLOAD,
    "PATH",
    many=True,
)
ONE_SCAN = _switch(
    "one-scan",
    "Upload all files in one request, as the parts of one scan of one scanner. No effect with one file.",
    _UPLOAD,
)
UPLOAD_TIMEOUT = _duration("upload-timeout", "Time limit for each upload, including the response.", _UPLOAD, "10m")
ACCEPT = Option(
    "accept",
    values.accepted,
    "Refusals that count as a pass, with a notice: `duplicate` (ThreadFix has a scan of this scanner with this date), "
    "`empty` (no results).",
    _UPLOAD,
    "REFUSAL",
    many=True,
    shown=True,
)
TIMEOUT = _duration(
    "timeout", "Time limit for the whole wait; `0` polls once.", _TIMING, "30m", values.duration_or_zero
)
ON_TIMEOUT = _choice(
    "on-timeout",
    "With `warn`, a timeout ends with exit code 0 and a warning, so the job continues. The verdict stays unknown.",
    _TIMING,
    "fail",
    "warn",
)
ON_UNREACHABLE = _choice(
    "on-unreachable",
    "With `warn`, an unreachable ThreadFix also ends with exit code 0 and a warning.",
    _TIMING,
    "fail",
    "warn",
)
PASS_CRITERIA = _switch(
    "pass-criteria", "After the wait, ask ThreadFix whether the application meets its CI/CD pass criteria.", _RELEASE
)
CRITERIA_FROM = Option(
    "criteria-from",
    values.day,
    "With `{--pass-criteria}`: vulnerabilities newer than this date, such as 2026-01-31, count as introduced.",
    _RELEASE,
    "DATE",
    shown=True,
)
POLICY = Option(
    "policy",
    values.policies,
    "ThreadFix policy that must be PASSING after the wait: its id, its name, `remediation:NAME`, or `all` for "
    "every policy attached to the application; one per line.",
    _RELEASE,
    "POLICY",
    many=True,
)
RULES_ONLY = _switch(
    "rules-only",
    "Judge the rules without a scan of this run, as a deployment job does. Requires a rule; a scan is then invalid.",
    _RELEASE,
)
SETTLE_TIMEOUT = _duration(
    "settle-timeout",
    "How long ThreadFix may take to evaluate the rules after the scan; with `{--pass-criteria}` at least "
    "`{--max-interval}`. `0` accepts the first response even if it is out of date, and warns on every run.",
    _RELEASE,
    "2m",
    values.duration_or_zero,
)
RESULT_FILE = _path("result-file", "Write the result document (JSON) to this file.", _REPORTS)
JUNIT_FILE = _path("junit-file", "Write a JUnit report to this file.", _REPORTS)
DOTENV_FILE = _path("dotenv-file", "Write the outputs as dotenv variables to this file (GitLab).", _REPORTS)
HTML_FILE = _path("html-file", "Write a self-contained HTML report to this file.", _REPORTS)
SUMMARY = _switch("summary", "Write GitHub's job summary.", _REPORTS, "true")
JSON = _switch("json", "Write the result document to standard output.", _REPORTS)
VERBOSE = _switch(
    "verbose", "Log every request: method, path, HTTP status, milliseconds; no header, no body.", _REPORTS
)
QUIET = _switch("quiet", "Log only the verdict and warnings.", _REPORTS)
STATUS_PATH = Option(
    "status-path",
    values.status_path,
    "Path of the status endpoint, if the server has a different path.",
    EXPERT,
    "PATH",
    links.STATUS_PATH,
)
INTERVAL = _duration("interval", "Shortest time between two polls.", EXPERT, "2s", values.interval)
MAX_INTERVAL = _duration("max-interval", "Longest time between two polls.", EXPERT, "15s")
REQUEST_TIMEOUT = _duration(
    "request-timeout", "Time limit for one whole request: DNS lookup, connection, headers and body.", EXPERT, "30s"
)
FIRST_CONTACT_LIMIT = _duration(
    "first-contact-limit", "How long errors are tolerated before the first good response.", EXPERT, "60s"
)
OUTAGE_LIMIT = _duration(
    "outage-limit", "How long one outage is tolerated after the first good response.", EXPERT, "5m"
)
SUCCESS_STATUSES = _statuses(
    "success-statuses", "Statuses that mean that the scan was processed; whole words, in any ASCII case.", SUCCESS
)
FAILURE_STATUSES = _statuses("failure-statuses", "Statuses that mean that the scan will never be processed.", FAILURE)
ON_UNKNOWN_STATUS = _choice(
    "on-unknown-status", "Wait (with a warning) or fail if a status is not documented.", EXPERT, "wait", "fail"
)
UI_URL = Option(
    "ui-url",
    values.ui_url,
    "URL template of the link to the scan. Replace `{team_id}` with your team's id: the status endpoint does not "
    "return it, and without it there is no link.",
    EXPERT,
    "TEMPLATE",
    links.UI_URL,
)

OPTIONS: Final[tuple[Option[Any], ...]] = tuple(
    value for value in tuple(globals().values()) if isinstance(value, Option)
)
"""Every option of this module, in the order of `--help` and of the documentation."""
BY_NAME: Final = {option.name: option for option in OPTIONS}

DOCTOR_OPTIONS: Final = tuple(
    option
    for option in OPTIONS
    if option.group in (_SERVER, _TLS, TARGET)
    or option in (STATUS_PATH, REQUEST_TIMEOUT, PASS_CRITERIA, POLICY, JSON, VERBOSE, QUIET)
)
"""The options that `doctor` uses."""


# --- The layout of `--help`: requirements, an example and the exit codes, then the options in their groups.

NEEDS: Final = (
    ("--url URL", "Base URL of ThreadFix with its context path."),
    (KEY_VARIABLE, "The API key, in the environment; or --api-key-file PATH."),
    ("an application", "--application-id ID; or --application-name NAME, with --team-name NAME."),
    ("a scan", "--scan-file PATH uploads a file; --pending-scan-id ID waits for a scan."),
)
EXAMPLE: Final = (
    f"export {KEY_VARIABLE}=...  # from a secret of your CI",
    "threadfix-gate run \\",
    f"  --url {links.URL_EXAMPLE} \\",
    "  --application-id 6 --scan-file report.fpr",
)
NO_BREAK: Final = "\N{NO-BREAK SPACE}"
INDENT: Final = 6  # columns before the text of an option


def exit_codes() -> list[tuple[str, str]]:
    """Return each exit code, and its verdict with the reasons."""
    codes: dict[str, list[Reason]] = {}
    for reason in sorted(REASONS, key=lambda reason: reason.row.exit_code):
        code = ", ".join(map(str, SIGNAL_EXIT_CODES)) if reason is Reason.CANCELLED else str(reason.row.exit_code)
        codes.setdefault(code, []).append(reason)
    return [(code, f"{reasons[0].row.kind.value}: {', '.join(reasons)}") for code, reasons in codes.items()]


def write_introduction(formatter: click.HelpFormatter) -> None:
    """Write the requirements, an example, the exit codes, and the names of variables."""
    with formatter.section("What you need"):
        _write_columns(formatter, NEEDS)
    with formatter.section("Example"):
        for line in EXAMPLE:
            _write_line(formatter, line)
    with formatter.section("Exit codes"):
        _write_columns(formatter, exit_codes())
    formatter.write_paragraph()
    formatter.write_text(
        "Every option can be set in the environment: --some-name is THREADFIX_SOME_NAME. A flag overrides the variable."
    )


def write_options(formatter: click.HelpFormatter, records: Iterable[tuple[str, tuple[str, str]]]) -> None:
    """Write the options under their groups, the expert options last, each text below its flag.

    A record has the name of the option, its flag with the placeholder, and its text.
    """
    of_option = {option.label: option.group for option in OPTIONS}
    groups: dict[str, list[tuple[str, str]]] = {}
    for name, record in records:
        groups.setdefault(of_option.get(name, "Other"), []).append(record)
    for group in sorted(groups, key=EXPERT.__eq__):
        with formatter.section(group):
            for flag, text in groups[group]:
                _write_line(formatter, flag)
                for line in wrap(text, formatter.width - INDENT):
                    _write_line(formatter, line, INDENT)


def wrap(text: str, width: int) -> list[str]:
    """Return `text` in lines of `width`. A longer word is broken after a slash, never within a placeholder."""
    # A default stays on the line of its word.
    text = text.replace("default: ", f"default:{NO_BREAK}")
    words = []
    for word in text.split(" "):
        words += _pieces(word, width) if len(word) > width else [word]
    lines = textwrap.wrap(" ".join(words), width, break_long_words=False, break_on_hyphens=False)
    return [line.replace(NO_BREAK, " ") for line in lines]


def _pieces(word: str, width: int) -> list[str]:
    pieces = [""]
    for part in re.findall("[^/]+/*|/+", word):
        if pieces[-1] and len(pieces[-1]) + len(part) > width:
            pieces.append("")
        pieces[-1] += part
    return pieces


def _write_columns(formatter: click.HelpFormatter, rows: Iterable[tuple[str, str]]) -> None:
    """Write rows of two columns, with the second column wrapped."""
    rows = tuple(rows)
    start = formatter.current_indent + max(len(left) for left, _ in rows) + 2
    for left, text in rows:
        first, *others = wrap(text, formatter.width - start)
        _write_line(formatter, f"{left:<{start - formatter.current_indent}}{first}")
        for line in others:
            _write_line(formatter, line, start)


def _write_line(formatter: click.HelpFormatter, line: str, indent: int | None = None) -> None:
    formatter.write(f"{'':{formatter.current_indent if indent is None else indent}}{line}\n")
