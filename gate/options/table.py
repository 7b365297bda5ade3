"""Holds the table of options.

`--help`, the environment's names, the action's inputs and the documentation all come from `OPTIONS`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar, cast

from gate.options import values
from gate.threadfix import links
from gate.threadfix.statuses import FAILURE, SUCCESS

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

KEY_VARIABLE: Final = "THREADFIX_API_KEY"


@dataclass(frozen=True, slots=True, eq=False)
class Option(Generic[T]):
    """An option, under the same name everywhere."""

    name: str
    """As on the command line, without the dashes, and as the action's input."""
    parse: Callable[[str], T]
    """Text to value; raises ValueError with the error and an example."""
    help: str
    """One sentence or two; a template of `gate.text.naming`."""
    group: str
    """Its heading in `--help` and in the documentation."""
    metavar: str = "TEXT"
    """The placeholder of the value in `--help`."""
    default: str | None = None
    """As a user would write it; None for no default."""
    many: bool = False
    """Whether the flag may be repeated, its values adding up to one list."""
    flag: bool = True
    """Whether there is a command-line flag; the key has no flag."""

    @property
    def variable(self) -> str:
        """Its name in the environment."""
        return f"THREADFIX_{self.name.replace('-', '_').upper()}"

    @property
    def label(self) -> str:
        """Its name for people and machines outside of the action."""
        return f"--{self.name}" if self.flag else self.variable

    @property
    def is_switch(self) -> bool:
        """Whether it is `--name` / `--no-name`."""
        return cast("object", self.parse) is values.boolean


_SERVER = "ThreadFix"
_TLS = "TLS"
_TARGET = "Target"
_UPLOAD = "Upload"
_TIMING = "Timing"
_RELEASE = "Release checks"
_REPORTS = "Reports"
EXPERT: Final = "Expert options"

URL = Option(
    "url",
    links.base_url,
    f"Base URL of ThreadFix with its context path, such as {links.URL_EXAMPLE}.",
    _SERVER,
    "URL",
)
API_KEY = Option(
    "api-key",
    values.api_key,
    "The API key. Never on a command line: it comes from the environment or from `{--api-key-file}`.",
    _SERVER,
    "KEY",
    flag=False,
)
API_KEY_FILE = Option("api-key-file", values.path, "File that holds the API key.", _SERVER, "PATH")
API_VERSION = Option(
    "api-version",
    values.api_version,
    "Version segment of the REST API: `latest`, `legacy`, one such as `v2.8`, or `none` (ThreadFix 2.5 to 2.7).",
    _SERVER,
    "VERSION",
    "latest",
)
CA_FILE = Option(
    "ca-file",
    values.path,
    "Certificates to trust instead of the operating system's (PEM, or a folder as OpenSSL has it); "
    "`REQUESTS_CA_BUNDLE`, `SSL_CERT_FILE` and `SSL_CERT_DIR` do the same.",
    _TLS,
    "PATH",
)
CLIENT_CERT = Option("client-cert", values.path, "Client certificate (PEM), for mutual TLS.", _TLS, "PATH")
CLIENT_KEY = Option(
    "client-key",
    values.path,
    "Key of the client certificate, unless it is in the same file; not encrypted.",
    _TLS,
    "PATH",
)
INSECURE = Option(
    "insecure", values.boolean, "Do not verify the server's certificate. Warns on every run.", _TLS, "", "false"
)
ALLOW_HTTP = Option(
    "allow-http",
    values.boolean,
    "Allow plain http to another host than this one: the API key is sent unencrypted. Warns on every run.",
    _TLS,
    "",
    "false",
)
APPLICATION_ID = Option(
    "application-id",
    links.number,
    "Id of the application. Required unless a name or an upload response brings it.",
    _TARGET,
    "ID",
)
TEAM_NAME = Option(
    "team-name",
    values.text,
    "Name of the application's team, to look the application up with `{--application-name}` or "
    "`{--application-unique-id}`.",
    _TARGET,
    "NAME",
)
APPLICATION_NAME = Option("application-name", values.text, "Name of the application within its team.", _TARGET, "NAME")
APPLICATION_UNIQUE_ID = Option(
    "application-unique-id",
    values.text,
    "Unique id of the application, as set in ThreadFix, within its team.",
    _TARGET,
    "ID",
)
PENDING_SCAN_ID = Option(
    "pending-scan-id",
    values.ids,
    "Id of the pending scan; several are waited for in parallel.",
    _TARGET,
    "ID",
    many=True,
)
UPLOAD_RESPONSE = Option(
    "upload-response",
    values.path,
    "File with the JSON response of ThreadFix's upload endpoint (`-` is standard input); the ids come from its links.",
    _TARGET,
    "PATH",
)
SCAN_FILE = Option(
    "scan-file",
    values.paths,
    "Scan results to upload, and then to wait for: a file, or a pattern with `*`, `?`, `[...]` or `**`; one per line.",
    _UPLOAD,
    "PATH",
    many=True,
)
UPLOAD_TIMEOUT = Option(
    "upload-timeout", values.duration, "Limit of each file's upload, its response included.", _UPLOAD, "DURATION", "10m"
)
ACCEPT = Option(
    "accept",
    values.accepted,
    "What counts as a pass, with a notice, instead of a fail: `duplicate`, a file that ThreadFix already has; `empty`, "
    "a file without results.",
    _UPLOAD,
    "REFUSAL",
    many=True,
)
TIMEOUT = Option(
    "timeout", values.duration_or_zero, "Limit of the whole wait; `0` asks once.", _TIMING, "DURATION", "30m"
)
ON_TIMEOUT = Option(
    "on-timeout",
    values.one_of("fail", "warn"),
    "`warn` lets the job continue after a timeout, with exit code 0 and a warning; the verdict stays unknown.",
    _TIMING,
    "CHOICE",
    "fail",
)
ON_UNREACHABLE = Option(
    "on-unreachable",
    values.one_of("fail", "warn"),
    "`warn` does the same when ThreadFix cannot be reached.",
    _TIMING,
    "CHOICE",
    "fail",
)
PASS_CRITERIA = Option(
    "pass-criteria",
    values.boolean,
    "After the wait, ask ThreadFix whether the application meets its CI/CD pass criteria.",
    _RELEASE,
    "",
    "false",
)
CRITERIA_FROM = Option(
    "criteria-from",
    values.day,
    "With `{--pass-criteria}`: count as introduced what is newer than this date, such as 2026-01-31.",
    _RELEASE,
    "DATE",
)
POLICY = Option(
    "policy",
    values.policies,
    "After the wait, this ThreadFix policy must be PASSING: its id, its name, `remediation:NAME`, or `all` for every "
    "one attached to the application; one per line.",
    _RELEASE,
    "POLICY",
    many=True,
)
SETTLE_TIMEOUT = Option(
    "settle-timeout",
    values.duration_or_zero,
    "How long ThreadFix may take to evaluate again after the scan. With `{--pass-criteria}` at least "
    "`{--max-interval}`. `0` judges the first response, fresh or not, and warns on every run.",
    _RELEASE,
    "DURATION",
    "2m",
)
RESULT_FILE = Option("result-file", values.path, "Write the result document (JSON) to this file.", _REPORTS, "PATH")
JUNIT_FILE = Option("junit-file", values.path, "Write a JUnit report to this file.", _REPORTS, "PATH")
DOTENV_FILE = Option(
    "dotenv-file", values.path, "Write the outputs as dotenv variables to this file (GitLab).", _REPORTS, "PATH"
)
HTML_FILE = Option("html-file", values.path, "Write a self-contained HTML report to this file.", _REPORTS, "PATH")
SUMMARY = Option("summary", values.boolean, "Write GitHub's job summary.", _REPORTS, "", "true")
JSON = Option("json", values.boolean, "Write the result document to standard output.", _REPORTS, "", "false")
VERBOSE = Option(
    "verbose",
    values.boolean,
    "Log every request: method, path, HTTP status, milliseconds; never a header or a body.",
    _REPORTS,
    "",
    "false",
)
QUIET = Option("quiet", values.boolean, "Log only the verdict and warnings.", _REPORTS, "", "false")
STATUS_PATH = Option(
    "status-path",
    values.status_path,
    "Path of the status endpoint, for servers that have it elsewhere.",
    EXPERT,
    "PATH",
    links.STATUS_PATH,
)
INTERVAL = Option("interval", values.interval, "Shortest time between two polls.", EXPERT, "DURATION", "2s")
MAX_INTERVAL = Option("max-interval", values.duration, "Longest time between two polls.", EXPERT, "DURATION", "15s")
REQUEST_TIMEOUT = Option(
    "request-timeout",
    values.duration,
    "Limit of one whole request: DNS lookup, connect, headers and body together.",
    EXPERT,
    "DURATION",
    "30s",
)
FIRST_CONTACT_LIMIT = Option(
    "first-contact-limit",
    values.duration,
    "How long errors are tolerated before the first good response.",
    EXPERT,
    "DURATION",
    "60s",
)
OUTAGE_LIMIT = Option(
    "outage-limit", values.duration, "How long one outage is tolerated after that.", EXPERT, "DURATION", "5m"
)
SUCCESS_STATUSES = Option(
    "success-statuses",
    values.statuses,
    "Statuses that mean the scan was processed; compared as whole words, in any ASCII case.",
    EXPERT,
    "STATUS",
    ",".join(SUCCESS),
    many=True,
)
FAILURE_STATUSES = Option(
    "failure-statuses",
    values.statuses,
    "Statuses that mean the scan will never be processed.",
    EXPERT,
    "STATUS",
    ",".join(FAILURE),
    many=True,
)
ON_UNKNOWN_STATUS = Option(
    "on-unknown-status",
    values.one_of("wait", "fail"),
    "What to do at a status that is not documented: `wait` (with a warning) or `fail`.",
    EXPERT,
    "CHOICE",
    "wait",
)
UI_URL = Option(
    "ui-url",
    values.ui_url,
    "URL template of the scan link. Replace `{team_id}` by your team's id: the status endpoint does not return it, and "
    "without it there is no link.",
    EXPERT,
    "TEMPLATE",
    links.UI_URL,
)

OPTIONS: Final[tuple[Option[Any], ...]] = tuple(
    value for value in tuple(globals().values()) if isinstance(value, Option)
)
"""Every option of this module, in the order of the definitions above. `--help` and the documentation keep it."""

DOCTOR_OPTIONS: Final = tuple(
    option
    for option in OPTIONS
    if option.group in (_SERVER, _TLS, _TARGET)
    or option in (STATUS_PATH, REQUEST_TIMEOUT, PASS_CRITERIA, POLICY, JSON, VERBOSE, QUIET)
)
"""The options that `doctor` uses."""
