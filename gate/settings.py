"""The one table of options, and how flags and environment become settings.

`--help`, the environment's names, the action's inputs and the README's table all come from `OPTIONS`. Every mistake is
found before any is reported. No I/O of its own: files are read through the function that is handed in.
"""

from __future__ import annotations

import os
import re
import shlex
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar, cast

from gate.history import Target
from gate.reasons import Reason
from gate.rules import Rules
from gate.text import Sanitizer, Secret
from gate.threadfix import links
from gate.threadfix.statuses import FAILURE, SUCCESS, normal
from gate.waiting import Plan

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

T = TypeVar("T")

KEY_VARIABLE: Final = "THREADFIX_API_KEY"
LONGEST: Final = 365 * 24 * 3600.0
"""The longest duration that makes sense, in seconds."""
SHORTEST_INTERVAL: Final = 0.01
"""The shortest time between two polls, in seconds."""
SHORTEST_KEY: Final = 8
"""Characters from which on a key is looked for in other options; ThreadFix's have 40 and more."""
QUOTE_LIMIT: Final = 80
MISTAKE_LIMIT: Final = 1000
"""Characters of one sentence about a mistake."""
_UNITS: Final = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_DURATION: Final = re.compile(r"(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m)?(?:(\d+(?:\.\d+)?)s)?(?:(\d+)ms)?", re.ASCII)
_TRUE: Final = frozenset({"true", "1", "yes", "on"})
_FALSE: Final = frozenset({"false", "0", "no", "off"})


# --- How a text becomes a value. Each raises ValueError with what is wrong and what would be right.


def boolean(value: str) -> bool:
    """`true`, `1`, `yes`, `on` and their opposites, in any case."""
    word = value.lower()
    if word not in _TRUE | _FALSE:
        raise ValueError("is neither true nor false; write true, 1, yes or on, or their opposites")
    return word in _TRUE


def duration(value: str) -> float:
    """Seconds of `90`, `0.5s`, `100ms`, `15m` or `1h30m`; more than 0.

    Raises:
        ValueError: it is not such a duration.
    """
    seconds = duration_or_zero(value)
    if not seconds:
        raise ValueError("must be more than 0; write for example 90, 0.5s, 15m or 1h30m")
    return seconds


def duration_or_zero(value: str) -> float:
    """As `duration`, but 0 is meant too."""
    if re.fullmatch(r"\d+(?:\.\d+)?", value, re.ASCII):
        seconds = float(value)
    else:
        parts = _DURATION.fullmatch(value.lower())
        if not parts or not value:
            raise ValueError("is not a duration; write for example 90, 0.5s, 100ms, 15m or 1h30m")
        seconds = sum(float(part) * unit for part, unit in zip(parts.groups("0"), _UNITS.values(), strict=True))
    if seconds > LONGEST:
        raise ValueError("is more than a year; write for example 15m or 1h30m")
    return seconds


def interval(value: str) -> float:
    """As `duration`, but not so short that the gate does nothing but ask."""
    seconds = duration(value)
    if seconds < SHORTEST_INTERVAL:
        raise ValueError("is too short; write 10ms or more")
    return seconds


def words(value: str) -> tuple[str, ...]:
    """A list: commas, blanks or lines between its words, each word once."""
    return tuple(dict.fromkeys(word for word in re.split(r"[,\s]+", value) if word))


def ids(value: str) -> tuple[int, ...]:
    """A list of ids."""
    return tuple(dict.fromkeys(_parse_each(links.number, value)))


def status_links(value: str) -> tuple[Target, ...]:
    """A list of status links."""
    try:
        found = [links.status_link(word) for word in words(value)]
    except ValueError as error:
        # Not shown: a link may hold a password.
        raise ValueError(f"one of it (not shown here) {error}") from error
    if not found:
        raise ValueError("is empty")
    return tuple(dict.fromkeys(found))


def statuses(value: str) -> tuple[str, ...]:
    """A list of statuses, in their normal form."""
    return tuple(dict.fromkeys(_parse_each(normal, value)))


def one_of(*choices: str) -> Callable[[str], str]:
    """One of `choices`, in any case."""

    def parse(value: str) -> str:
        if value.lower() not in choices:
            raise ValueError(f"is not one of {', '.join(choices)}")
        return value.lower()

    return parse


def api_version(value: str) -> str:
    """The version segment of a path, empty for `none`."""
    if not re.fullmatch(r"latest|legacy|none|v\d{1,4}(\.\d{1,4}){0,4}", value.lower(), re.ASCII):
        raise ValueError("is not a version; write latest, legacy, one such as v2.8 (with its v), or none")
    return "" if value.lower() == "none" else value.lower()


def status_path(value: str) -> str:
    """The path of the status call, relative to the base URL, with placeholders."""
    _placeholders(value, {"version", "application_id", "pending_scan_id"})
    if "{pending_scan_id}" not in value:
        raise ValueError(f"does not say {{pending_scan_id}}; the default is {STATUS_PATH_DEFAULT}")
    if not re.fullmatch(r"[!-\"$-\[\]-~]+", value) or re.search(r"://|(^|/)\.\.?(/|$)|^//", value):
        raise ValueError("is not a path below --url; write it without host, blanks, fragment, `.` and `..`")
    return value.lstrip("/")


def ui_url(value: str) -> str:
    """The pattern of the link that people are shown."""
    _placeholders(value, {"url", "team_id", "application_id", "pending_scan_id", "scan_id"})
    if not re.match(r"(\{url\}|https?://)[!-~]*\Z", value):
        raise ValueError("is not a link; let it start with {url} or https:// and leave out blanks")
    return value


def path(value: str) -> str:
    """The path of a file."""
    if "\0" in value:
        raise ValueError("has a NUL in it, which no file's name can have")
    if not Path(value).is_absolute():
        try:
            Path.cwd()
        except OSError:
            raise ValueError(
                "cannot be found, because the folder that the gate was started in is gone; write the whole path"
            ) from None
    return value


def _is_text(value: str) -> bool:
    """Whether it is text at all, and not bytes that are not UTF-8."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _parse_each(parse: Callable[[str], T], value: str) -> list[T]:
    parsed, wrong, why = [], [], ""
    for word in words(value):
        try:
            parsed.append(parse(word))
        except ValueError as error:
            wrong.append(_quoted(word))
            why = why or str(error)
    if wrong:
        raise ValueError(f"holds {', '.join(wrong)}, which {why}")
    if not parsed:
        raise ValueError("is empty")
    return parsed


def _placeholders(value: str, known: set[str]) -> None:
    unknown = set(re.findall(r"\{[^{}]*\}|[{}]", value)) - {f"{{{name}}}" for name in known}
    if unknown:
        names = ", ".join(f"{{{name}}}" for name in sorted(known))
        raise ValueError(f"has {' '.join(sorted(unknown))} in it, which stands for nothing; there are {names}")


def _quoted(value: str) -> str:
    # Not cut: half of a key would get past the scrubber.
    return f"“{value}”" if len(value) <= QUOTE_LIMIT else f"what was given ({len(value)} characters)"


# --- The table.

STATUS_PATH_DEFAULT: Final = "rest/{version}/applications/{application_id}/pendingScan/{pending_scan_id}/status"
APPLICATION_PATH: Final = "rest/{version}/applications/{application_id}"
UI_URL_DEFAULT: Final = "{url}/organizations/{team_id}/applications/{application_id}/scans/{scan_id}"


@dataclass(frozen=True, slots=True, eq=False)
class Option(Generic[T]):
    """One option, under one name everywhere.

    Attributes:
        name: as on the command line, without the dashes, and as the action's input.
        parse: text to value; raises ValueError with what is wrong and what would be right.
        help: one sentence.
        group: heading under which `--help` and the README show it.
        metavar: what stands for the value in `--help`.
        default: as a user would write it; None where there is none.
        many: whether the flag may be repeated, its values adding up to one list.
        flag: whether there is a command-line flag; the key has none.
    """

    name: str
    parse: Callable[[str], T]
    help: str
    group: str
    metavar: str = "TEXT"
    default: str | None = None
    many: bool = False
    flag: bool = True

    @property
    def variable(self) -> str:
        """Its name in the environment."""
        return f"THREADFIX_{self.name.replace('-', '_').upper()}"

    @property
    def label(self) -> str:
        """How messages call it."""
        return f"--{self.name}" if self.flag else self.variable

    @property
    def is_switch(self) -> bool:
        """Whether it is `--name` / `--no-name`."""
        return cast("object", self.parse) is boolean


_SERVER = "ThreadFix"
_TLS = "TLS"
_WHAT = "What to wait for"
_WAIT = "How long, how often"
_MEANING = "What counts as what"
_REPORTS = "Reports"

URL = Option("url", links.base_url, "Base URL of ThreadFix, with its context path.", _SERVER, "URL")
API_KEY = Option(
    "api-key",
    str,
    "The API key. Never on a command line: it comes from the environment or from `--api-key-file`.",
    _SERVER,
    "KEY",
    flag=False,
)
API_KEY_FILE = Option("api-key-file", path, "File that holds the API key.", _SERVER, "PATH")
API_VERSION = Option(
    "api-version",
    api_version,
    "Version segment of the REST API: `latest`, `legacy`, `v2.8` …, or `none` (ThreadFix 2.5 – 2.7).",
    _SERVER,
    "VERSION",
    "latest",
)
STATUS_PATH = Option(
    "status-path",
    status_path,
    "Path of the status call, for servers that answer elsewhere.",
    _SERVER,
    "PATH",
    STATUS_PATH_DEFAULT,
)
CA_FILE = Option(
    "ca-file",
    path,
    "Certificates to trust instead of the default ones; `REQUESTS_CA_BUNDLE` and `SSL_CERT_FILE` do the same.",
    _TLS,
    "PATH",
)
CLIENT_CERT = Option("client-cert", path, "Client certificate (PEM), for mutual TLS.", _TLS, "PATH")
CLIENT_KEY = Option(
    "client-key", path, "Key of the client certificate, unless it is in the same file; not encrypted.", _TLS, "PATH"
)
INSECURE = Option("insecure", boolean, "Do not verify the server's certificate. Warns on every run.", _TLS, "", "false")
ALLOW_HTTP = Option(
    "allow-http",
    boolean,
    "Send the key over plain http to another host than this one. Warns on every run.",
    _TLS,
    "",
    "false",
)
APPLICATION_ID = Option(
    "application-id",
    links.number,
    "Id of the application. Needed unless a status link or an upload answer brings it.",
    _WHAT,
    "ID",
)
PENDING_SCAN_ID = Option("pending-scan-id", ids, "Id of the pending scan; several are waited for side by side.", _WHAT,
    "ID", many=True)  # fmt: skip
STATUS_URL = Option(
    "status-url",
    status_links,
    "Status link as ThreadFix hands it out. Only its two ids are used; the request goes to `--url`.",
    _WHAT,
    "LINK",
    many=True,
)
UPLOAD_RESPONSE = Option(
    "upload-response",
    path,
    "File with the JSON that ThreadFix's upload call answered (`-` is standard input); the ids come from its links.",
    _WHAT,
    "PATH",
)
TIMEOUT = Option("timeout", duration_or_zero, "For the whole wait; `0` asks once.", _WAIT, "DURATION", "30m")
INTERVAL = Option("interval", interval, "Shortest time between two polls.", _WAIT, "DURATION", "2s")
MAX_INTERVAL = Option("max-interval", duration, "Longest time between two polls.", _WAIT, "DURATION", "15s")
REQUEST_TIMEOUT = Option(
    "request-timeout",
    duration,
    "For one whole request: name look-up, connect, headers and body together.",
    _WAIT,
    "DURATION",
    "30s",
)
FIRST_CONTACT_LIMIT = Option(
    "first-contact-limit",
    duration,
    "How long trouble is put up with before the first good answer.",
    _WAIT,
    "DURATION",
    "60s",
)
OUTAGE_LIMIT = Option(
    "outage-limit", duration, "How long one stretch of trouble is put up with after that.", _WAIT, "DURATION", "5m"
)
STALL_AFTER = Option(
    "stall-after", duration, "Warn once when the status has not changed for so long.", _WAIT, "DURATION", "10m"
)
FAIL_FAST = Option("fail-fast", boolean, "With several scans: stop at the first that fails.", _WAIT, "", "false")
SUCCESS_STATUSES = Option(
    "success-statuses",
    statuses,
    "Statuses that mean the scan was processed; compared whole, in any case.",
    _MEANING,
    "STATUS",
    ",".join(SUCCESS),
    many=True,
)
FAILURE_STATUSES = Option(
    "failure-statuses",
    statuses,
    "Statuses that mean it never will be.",
    _MEANING,
    "STATUS",
    ",".join(FAILURE),
    many=True,
)
ON_UNKNOWN_STATUS = Option(
    "on-unknown-status",
    one_of("wait", "fail"),
    "What a status does that is not documented: `wait` (with a warning) or `fail`.",
    _MEANING,
    "WORD",
    "wait",
)
ON_TIMEOUT = Option(
    "on-timeout",
    one_of("fail", "warn"),
    "`warn` lets the job go on after a timeout, with exit code 0 and a warning; the verdict stays unknown.",
    _MEANING,
    "WORD",
    "fail",
)
ON_UNREACHABLE = Option(
    "on-unreachable",
    one_of("fail", "warn"),
    "`warn` does the same when ThreadFix cannot be reached.",
    _MEANING,
    "WORD",
    "fail",
)
RESULT_FILE = Option("result-file", path, "Write the result document (JSON) here.", _REPORTS, "PATH")
JUNIT_FILE = Option("junit-file", path, "Write a JUnit report here.", _REPORTS, "PATH")
DOTENV_FILE = Option("dotenv-file", path, "Write the outputs as dotenv variables here (GitLab).", _REPORTS, "PATH")
HTML_FILE = Option("html-file", path, "Write a page for people here: one file, nothing loaded.", _REPORTS, "PATH")
SUMMARY = Option("summary", boolean, "Write GitHub's job summary.", _REPORTS, "", "true")
UI_URL = Option(
    "ui-url",
    ui_url,
    "Pattern of the link to the scan that people are shown. Put your team's number in the place of `{team_id}`: "
    "ThreadFix does not tell it with a status, and without it there is no link.",
    _REPORTS,
    "PATTERN",
    UI_URL_DEFAULT,
)
JSON = Option("json", boolean, "Write the result document to standard output.", _REPORTS, "", "false")
VERBOSE = Option(
    "verbose",
    boolean,
    "Log every request: method, path, HTTP status, milliseconds; never a header or a body.",
    _REPORTS,
    "",
    "false",
)
QUIET = Option("quiet", boolean, "Log only the verdict.", _REPORTS, "", "false")

OPTIONS: Final[tuple[Option[Any], ...]] = (
    URL,
    API_KEY,
    API_KEY_FILE,
    API_VERSION,
    STATUS_PATH,
    CA_FILE,
    CLIENT_CERT,
    CLIENT_KEY,
    INSECURE,
    ALLOW_HTTP,
    APPLICATION_ID,
    PENDING_SCAN_ID,
    STATUS_URL,
    UPLOAD_RESPONSE,
    TIMEOUT,
    INTERVAL,
    MAX_INTERVAL,
    REQUEST_TIMEOUT,
    FIRST_CONTACT_LIMIT,
    OUTAGE_LIMIT,
    STALL_AFTER,
    FAIL_FAST,
    SUCCESS_STATUSES,
    FAILURE_STATUSES,
    ON_UNKNOWN_STATUS,
    ON_TIMEOUT,
    ON_UNREACHABLE,
    RESULT_FILE,
    JUNIT_FILE,
    DOTENV_FILE,
    HTML_FILE,
    SUMMARY,
    UI_URL,
    JSON,
    VERBOSE,
    QUIET,
)
"""Every option, in the order in which people read them."""

DOCTOR_OPTIONS: Final = tuple(
    option
    for option in OPTIONS
    if option.group in (_SERVER, _TLS, _WHAT) or option in (REQUEST_TIMEOUT, JSON, VERBOSE, QUIET)
)
"""Those that `doctor` has a use for."""


# --- What they become.


@dataclass(frozen=True, slots=True)
class Reports:
    """Where the verdict is to be written. Known even when other options are wrong."""

    result_file: str | None = None
    junit_file: str | None = None
    dotenv_file: str | None = None
    html_file: str | None = None
    summary: bool = True
    json: bool = False
    verbose: bool = False
    quiet: bool = False


@dataclass(frozen=True, slots=True)
class Server:
    """Which ThreadFix, and how to talk to it.

    Attributes:
        url: base URL in normal form.
        api_version: version segment, empty for none.
        ca_file: path of the trust store, None for the default one.
    """

    url: str
    api_key: Secret
    api_version: str = "latest"
    status_path: str = STATUS_PATH_DEFAULT
    ca_file: str | None = None
    client_cert: str | None = None
    client_key: str | None = None
    insecure: bool = False
    allow_http: bool = False

    def status_url(self, target: Target) -> str:
        """The URL of the status call for `target`."""
        return self._call(
            self.status_path, application_id=target.application_id, pending_scan_id=target.pending_scan_id
        )

    def application_url(self, application_id: int) -> str:
        """The URL of the call that tells of an application."""
        return self._call(APPLICATION_PATH, application_id=application_id)

    def _call(self, template: str, **ids: int) -> str:
        template = template if self.api_version else template.replace("{version}/", "")
        return f"{self.url}/{template.format(version=self.api_version, **ids)}"


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that one run was asked for, checked.

    Attributes:
        targets: the pending scans; none only where none is needed.
        softened: unknown reasons that end in exit code 0.
        arguments: the options that were given, as flags, without secrets and without the scans.
        application_id: also where no pending scan is named.
    """

    server: Server
    targets: tuple[Target, ...]
    plan: Plan = field(default_factory=Plan)
    rules: Rules = field(default_factory=Rules)
    fail_fast: bool = False
    downgraded: frozenset[Reason] = frozenset()
    ui_url: str = UI_URL_DEFAULT
    arguments: tuple[str, ...] = ()
    application_id: int | None = None

    @property
    def resume(self) -> str:
        """The command that waits on. The key is not in it: it comes from the environment again."""
        scans = ",".join(str(target.pending_scan_id) for target in self.targets)
        ids = ("--application-id", str(self.targets[0].application_id), "--pending-scan-id", scans)
        return shlex.join(("threadfix-gate", "run", *self.arguments, *ids))

    def scan_url(self, target: Target, scan_id: int | None) -> str | None:
        """The link that a person is shown, or None where a part of it is not known."""
        if "{team_id}" in self.ui_url or ("{scan_id}" in self.ui_url and scan_id is None):
            return None
        return self.ui_url.format(
            url=self.server.url,
            application_id=target.application_id,
            pending_scan_id=target.pending_scan_id,
            scan_id=scan_id,
        )


@dataclass(frozen=True, slots=True)
class Parsed:
    """What came of flags and environment: settings, or the mistakes that stand in their way.

    Attributes:
        secrets: what must be hidden from here on, also where there are mistakes.
        server: which server; its URL is empty where it could not be read.
        input_limit: seconds from the start that input files may take to be read.
    """

    settings: Settings | None
    mistakes: tuple[str, ...]
    reports: Reports
    secrets: tuple[Secret, ...] = ()
    server: Server | None = None
    input_limit: float = 30.0

    @property
    def origin(self) -> str:
        """Origin of the server; empty where it is not known."""
        return links.origin(self.server.url) if self.server and self.server.url else ""


class _Given:
    """Looks options up, flag before environment, and collects the mistakes."""

    def __init__(
        self, flags: Mapping[str, Sequence[str]], env: Mapping[str, str], read: Callable[[str], bytes]
    ) -> None:
        self.flags = flags
        self.env = env
        self.read = read
        self.mistakes: list[str] = []
        self._reported: set[str] = set()

    def raw(self, option: Option[Any]) -> tuple[str, str] | None:
        """The text that was given, and how messages call its origin."""
        values = self.flags.get(option.name, ()) if option.flag else ()
        if values:
            return ("\n".join(values) if option.many else values[-1]).strip(), option.label
        value = self.env.get(option.variable, "").strip()
        origin = f"{option.label} (from {option.variable})" if option.flag else option.variable
        return (value, origin) if value else None

    def optional(self, option: Option[T]) -> T | None:
        """The value, or None when it was not given or is wrong."""
        given = self.raw(option)
        if given is None:
            return None
        value, origin = given
        try:
            if not value:
                raise ValueError("is empty")  # noqa: TRY301 - one place makes the sentence
            # Python smuggles other bytes through; no report, output or log could show them.
            if not _is_text(value):
                raise ValueError("is not UTF-8, and no report could show it; name it otherwise")  # noqa: TRY301
            return option.parse(value)
        except ValueError as error:
            # A URL may hold a password.
            hidden = option in (URL, STATUS_URL) or "“" in str(error) or not value
            shown = "" if hidden else f" {_quoted(value)}"
            self.mistake(option, f"{origin}:{shown} {error}.")
            return None

    def value(self, option: Option[T]) -> T:
        """The value, or that of the default when it was not given or is wrong."""
        value = self.optional(option)
        return option.parse(option.default or "") if value is None else value

    def file(self, option: Option[str]) -> bytes | None:
        """What is in the file that the option names, or None when it was not given or cannot be read."""
        name = self.optional(option)
        if name is None:
            return None
        try:
            return self.read(name)
        except OSError as error:
            self.mistake(option, f"{option.label}: {_quoted(name)} cannot be read ({error.strerror}).")
            return None

    def mistake(self, option: Option[Any] | None, sentence: str) -> None:
        """Keep a mistake; of one option only the first, the others follow from it."""
        if option is not None:
            if option.name in self._reported:
                return
            self._reported.add(option.name)
        self.mistakes.append(sentence)

    def wrong(self, *options: Option[Any]) -> bool:
        """Whether a mistake in one of these is known already."""
        return any(option.name in self._reported for option in options)

    def arguments(self, leave_out: frozenset[str]) -> tuple[str, ...]:
        """The options that were given, as flags."""
        found: list[str] = []
        for option in OPTIONS:
            given = self.raw(option)
            # CI systems hand over every option, most of them as they are anyway.
            if given is None or not option.flag or option.name in leave_out or given[0] == option.default:
                continue
            if option is TIMEOUT and not option.parse(given[0]):
                continue  # Asking once is not waiting on.
            if option.is_switch:
                found.append(f"--{option.name}" if given[0].lower() in _TRUE else f"--no-{option.name}")
            else:
                found += [f"--{option.name}", ",".join(given[0].split("\n"))]
        return tuple(found)


def early(flags: Mapping[str, Sequence[str]], env: Mapping[str, str]) -> Parsed:
    """What is known before any file is read: where to report, the key in the environment, how long reading may take.

    So that a file that never ends cannot keep the gate from ending, and from saying that it was stopped.
    """

    def unread(_: str) -> bytes:  # pragma: no cover - nothing that is looked up here is a file
        return b""

    key = env.get(KEY_VARIABLE, "").strip()
    given = _Given(flags, env, unread)
    limit = max(given.value(TIMEOUT), given.value(REQUEST_TIMEOUT))
    return Parsed(None, (), _reports(given), (Secret(key),) if key else (), input_limit=limit)


def parse(
    flags: Mapping[str, Sequence[str]],
    env: Mapping[str, str],
    read: Callable[[str], bytes],
    mistakes: Sequence[str] = (),
    *,
    needs_scan: bool = True,
) -> Parsed:
    """Turn flags and environment into settings.

    Args:
        flags: the values of each flag that was given, by option name; a switch has `true` or `false`.
        env: the environment.
        read: reads a file; `-` is standard input.
        mistakes: what is wrong with the command line itself.
        needs_scan: whether it is a mistake to name no pending scan.
    """
    given = _Given(flags, env, read)
    given.mistakes += mistakes
    reports = _reports(given)
    secrets = _key(given)
    server = _server(given, secrets[0] if secrets else Secret(""))
    application, targets = _targets(given, needs_scan=needs_scan)
    plan = _plan(given)
    rules = _rules(given)
    downgraded = {
        reason
        for option, reason in ((ON_TIMEOUT, Reason.TIMEOUT), (ON_UNREACHABLE, Reason.UNREACHABLE))
        if given.value(option) == "warn"
    }
    fail_fast, ui_pattern = given.value(FAIL_FAST), given.value(UI_URL)
    _reject_leaked_key(given, secrets)
    settings = None
    if not given.mistakes:
        once = frozenset({o.name for o in (APPLICATION_ID, PENDING_SCAN_ID, STATUS_URL, UPLOAD_RESPONSE, JSON)})
        settings = Settings(
            server=server,
            targets=targets,
            plan=plan,
            rules=rules,
            fail_fast=fail_fast,
            downgraded=frozenset(downgraded),
            ui_url=ui_pattern,
            arguments=given.arguments(once),
            application_id=application,
        )
    # What was typed comes back in the mistakes, and what was meant to be a number may be the key.
    sanitizer = Sanitizer(secrets)
    return Parsed(
        settings=settings,
        mistakes=tuple(sanitizer.sanitize(mistake, MISTAKE_LIMIT) for mistake in given.mistakes),
        reports=reports,
        secrets=secrets,
        server=server,
    )


def _reports(given: _Given) -> Reports:
    reports = Reports(
        result_file=given.optional(RESULT_FILE),
        junit_file=given.optional(JUNIT_FILE),
        dotenv_file=given.optional(DOTENV_FILE),
        html_file=given.optional(HTML_FILE),
        summary=given.value(SUMMARY),
        json=given.value(JSON),
        verbose=given.value(VERBOSE),
        quiet=given.value(QUIET),
    )
    written = (reports.result_file, reports.junit_file, reports.dotenv_file, reports.html_file)
    files = [name for name in written if name]
    if len(files) > len({os.path.abspath(name) for name in files}):  # noqa: PTH100 - nothing is to be looked up
        given.mistake(
            None, "--result-file, --junit-file, --dotenv-file, --html-file: two name one file; give each its own."
        )
    if reports.verbose and reports.quiet:
        given.mistake(None, "--verbose and --quiet contradict each other; leave one out.")
    return reports


def _key(given: _Given) -> tuple[Secret, ...]:
    """All that may be the key and must be hidden; the first is the one to use, if nothing is wrong with it."""
    from_env = given.env.get(KEY_VARIABLE, "").strip()
    in_file = given.raw(API_KEY_FILE) is not None
    held = given.file(API_KEY_FILE)
    from_file = "" if held is None else held.decode("utf-8", "replace").strip()
    found = tuple(Secret(value) for value in (from_file, from_env) if value)
    if in_file and from_env:
        given.mistake(API_KEY_FILE, f"{KEY_VARIABLE} and --api-key-file are both given; leave one out.")
    elif in_file and held is not None and not from_file:
        given.mistake(API_KEY_FILE, "--api-key-file: the file is empty; it must hold the API key.")
    elif not in_file and not from_env:
        fork = (
            " Pull requests from forks are given no secrets."
            if given.env.get("GITHUB_EVENT_NAME", "").startswith("pull_request")
            else ""
        )
        given.mistake(
            API_KEY,
            f"the API key is missing ({KEY_VARIABLE}); set it from a secret of your CI system, or name a file with "
            f"--api-key-file.{fork}",
        )
    if found and not re.fullmatch(r"[ -~]+", found[0].reveal()):
        given.mistake(
            API_KEY,
            f"{API_KEY_FILE.label if from_file else KEY_VARIABLE}: the key has a line break, a control character or a "
            "character outside ASCII in it; paste it again as one line.",
        )
    return found


def _reject_leaked_key(given: _Given, secrets: tuple[Secret, ...]) -> None:
    """See to it that no other option holds the key: many of them are shown in logs, links and reports."""
    sanitizer = Sanitizer(tuple(secret for secret in secrets if len(secret.reveal()) >= SHORTEST_KEY))
    for option in OPTIONS:
        found = None if option is API_KEY or given.wrong(option) else given.raw(option)
        if found and sanitizer.redact(found[0]) != found[0]:
            given.mistake(option, f"{found[1]}: the API key is in it, and would be shown; leave it out.")


def _server(given: _Given, key: Secret) -> Server:
    url = given.optional(URL)
    if given.raw(URL) is None:
        given.mistake(
            URL,
            f"--url is missing; give the base URL of ThreadFix with its context path, for example --url "
            f"{links.URL_EXAMPLE}, or set {URL.variable}.",
        )
    allow_http = given.value(ALLOW_HTTP)
    if url and url.startswith("http://") and not links.is_loopback(url) and not allow_http:
        given.mistake(
            URL,
            "--url: plain http would show the API key to everybody on the way; write https://, or add --allow-http "
            "where the way is protected otherwise.",
        )
    ca_file = _ca_file(given)
    client_cert, client_key = (
        None if given.file(option) is None else given.optional(option) for option in (CLIENT_CERT, CLIENT_KEY)
    )
    if given.raw(CLIENT_KEY) and not given.raw(CLIENT_CERT):
        given.mistake(CLIENT_KEY, "--client-key needs --client-cert beside it.")
    version, template, insecure = given.value(API_VERSION), given.value(STATUS_PATH), given.value(INSECURE)
    return Server(
        url=url or "",
        api_key=key,
        api_version=version,
        status_path=template,
        ca_file=ca_file,
        client_cert=client_cert,
        client_key=client_key,
        insecure=insecure,
        allow_http=allow_http,
    )


def _ca_file(given: _Given) -> str | None:
    """The trust store: the option before the variables that other tools read too."""
    named = given.optional(CA_FILE)
    found = [(named, CA_FILE.label)] if given.raw(CA_FILE) else []
    if not found:
        variables = ("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE")
        found = [(given.env.get(name, "").strip(), f"{name} (as --ca-file)") for name in variables]
    name, origin = next(((name, origin) for name, origin in found if name), (None, ""))
    if name is None:
        return None
    try:
        given.read(name)
    except IsADirectoryError:
        pass  # OpenSSL keeps certificates under their hashes, in a folder.
    except OSError as error:
        given.mistake(CA_FILE, f"{origin}: {_quoted(name)} cannot be read ({error.strerror}).")
        return None
    return name


def _targets(given: _Given, *, needs_scan: bool) -> tuple[int | None, tuple[Target, ...]]:
    """The application and its pending scans."""
    application = given.optional(APPLICATION_ID)
    scans = given.optional(PENDING_SCAN_ID) or ()
    linked = [*(given.optional(STATUS_URL) or ()), *_uploaded(given)]
    asked = any(given.raw(option) for option in (PENDING_SCAN_ID, STATUS_URL, UPLOAD_RESPONSE))
    if needs_scan and not asked:
        given.mistake(
            PENDING_SCAN_ID,
            "no pending scan is named; give --pending-scan-id 41, the --status-url that the upload answered, or its "
            "whole answer with --upload-response.",
        )
    applications = {target.application_id for target in linked} | ({application} if application else set())
    if len(applications) > 1:
        shown = ", ".join(map(str, sorted(applications)))
        given.mistake(
            None,
            f"--application-id, --status-url, --upload-response: they name several applications ({shown}); one gate "
            "judges one application, so start one for each.",
        )
    if asked and not applications and not given.wrong(APPLICATION_ID, STATUS_URL, UPLOAD_RESPONSE):
        given.mistake(
            APPLICATION_ID,
            "--application-id is missing; a pending scan's number is known only together with its application's, for "
            f"example --application-id 6, or {APPLICATION_ID.variable}.",
        )
    if not applications:
        return None, ()
    one = application or linked[0].application_id
    return one, tuple(dict.fromkeys([*(Target(one, scan) for scan in scans), *linked]))


def _uploaded(given: _Given) -> list[Target]:
    key_file, answer = given.raw(API_KEY_FILE), given.raw(UPLOAD_RESPONSE)
    if key_file and answer and key_file[0] == answer[0] == "-":
        given.mistake(UPLOAD_RESPONSE, "--api-key-file, --upload-response: only one can come from standard input.")
        return []
    body = given.file(UPLOAD_RESPONSE)
    if body is None:
        return []
    from gate.threadfix import responses

    try:
        return [links.status_link(link) for link in responses.upload_links(body)]
    except responses.NotThreadFixError as error:
        given.mistake(UPLOAD_RESPONSE, f"--upload-response: {error}.")
    except ValueError as error:
        given.mistake(UPLOAD_RESPONSE, f"--upload-response: a link in it {error}.")
    return []


def _plan(given: _Given) -> Plan:
    plan = Plan(
        timeout=given.value(TIMEOUT),
        interval=given.value(INTERVAL),
        max_interval=given.value(MAX_INTERVAL),
        request_timeout=given.value(REQUEST_TIMEOUT),
        first_contact_limit=given.value(FIRST_CONTACT_LIMIT),
        outage_limit=given.value(OUTAGE_LIMIT),
        stall_after=given.value(STALL_AFTER),
    )
    if plan.interval > plan.max_interval and not given.wrong(INTERVAL, MAX_INTERVAL):
        given.mistake(
            INTERVAL,
            f"--interval ({plan.interval:g}s) is longer than --max-interval ({plan.max_interval:g}s); raise "
            "--max-interval too.",
        )
    return plan


def _rules(given: _Given) -> Rules:
    success, failure = given.value(SUCCESS_STATUSES), given.value(FAILURE_STATUSES)
    rules = Rules(frozenset(success), frozenset(failure), given.value(ON_UNKNOWN_STATUS) == "fail")
    both = ", ".join(sorted(rules.success & rules.failure))
    if both and not given.wrong(SUCCESS_STATUSES, FAILURE_STATUSES):
        given.mistake(
            SUCCESS_STATUSES, f"--success-statuses and --failure-statuses both have {both}; leave it in one of them."
        )
    return rules
