"""Turns flags and environment into settings, or into all invalid options; functions for files are arguments."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, Final

from gate.model.history import Failure, Refused, Upload
from gate.model.reasons import Reason
from gate.model.subjects import ApplicationId, ApplicationName, FolderError, PassCriteria, Plan, ScanFile, one_scan
from gate.net.peer import Certificates, is_loopback
from gate.options import table
from gate.options.reader import OptionReader, check_variables
from gate.options.settings import Reports, Settings
from gate.options.values import LONGEST_KEY, api_key
from gate.reporters.reports import REPORTS, Destination
from gate.text.sanitizer import Sanitizer, Secret
from gate.threadfix import links
from gate.threadfix.links import Server
from gate.threadfix.refusals import mentions_key, refusal_of
from gate.threadfix.rules import Rules

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from gate.model.reasons import InvalidOption
    from gate.model.subjects import Check, Target
    from gate.options.table import Option

    Find = Callable[[Sequence[str]], tuple[ScanFile, ...]]

SHORTEST_KEY: Final = 8  # characters of a key that is searched for in other options
TEXT_LIMIT: Final = 1000  # characters of the text of an invalid option
NAMES: Final = (table.TEAM_NAME, table.APPLICATION_NAME, table.APPLICATION_UNIQUE_ID)  # look an application up
IDS: Final = (table.APPLICATION_ID, table.UPLOAD_RESPONSE)  # contain an application's id
SCANS: Final = (table.PENDING_SCAN_ID, table.UPLOAD_RESPONSE, table.SCAN_FILE)  # specify scans
NO_FILE: Final = "There is no report to upload, so nothing was sent to ThreadFix."
OF_AN_ACTION: Final = "The job's `working-directory` does not apply to an action."
NO_FILE_ADVICE: Final = "Check in the scanner's log that it wrote a report, and that this job has it at this path."


@dataclass(frozen=True, slots=True)
class Parsed:
    """The result of flags and environment: settings, or every invalid option."""

    settings: Settings | None  # None if an option is invalid
    invalid: tuple[InvalidOption, ...]  # with safe texts
    reports: Reports  # as far as they are valid
    secrets: tuple[Secret, ...] = ()  # must be hidden, even if options are invalid
    server: Server | None = None  # as far as it is valid
    warnings: tuple[str, ...] = ()  # safe texts

    @property
    def origin(self) -> str:
        """The origin of the server; empty if unknown."""
        return links.origin(self.server.url) if self.server and self.server.url else ""


def parse_early(flags: Mapping[str, Sequence[str]], env: Mapping[str, str]) -> Parsed:
    """Parse the options that need no file: the reports, and the key in the environment.

    If a signal arrives while a file is read, the reports are known.
    """
    # None of these options names a file to read.
    reports = _reports(OptionReader(flags, env, read=str.encode))
    return Parsed(None, (), reports, _secrets([env.get(table.KEY_VARIABLE, "").strip()]))


def parse(  # noqa: PLR0913 - the sources, and the ways to read files
    flags: Mapping[str, Sequence[str]],
    env: Mapping[str, str],
    read: Callable[[str], bytes],
    find: Find,
    invalid: Sequence[InvalidOption] = (),
    *,
    needs_scan: bool = True,
) -> Parsed:
    """Turn flags and environment into settings.

    Args:
        flags: the values of each given flag by option name; `true` or `false` for a switch.
        env: the environment.
        read: reads a file; `-` is standard input.
        find: finds the files of paths and patterns; raises ValueError with the reason.
        invalid: the invalid arguments of the command line.
        needs_scan: whether a scan must be specified.
    """
    reader = OptionReader(flags, env, read)
    reader.invalid += invalid
    warnings = check_variables(reader)
    reports = _reports(reader)
    secrets = _key(reader)
    # Messages contain paths and names of variables, which may contain the key.
    sanitizer = Sanitizer(secrets)
    server = _server(reader, secrets[0] if secrets else Secret(""))
    checks = _checks(reader)
    rules_only = _rules_only(reader)
    target = _target(reader, find, sanitizer, needs_target=needs_scan, has_checks=bool(checks) or rules_only)
    application, scans, files, uploaded = target
    _reject_own_reports(reader, files, reports)
    plan, rules = _plan(reader), _rules(reader)
    limits = ((table.ON_TIMEOUT, Reason.TIMEOUT), (table.ON_UNREACHABLE, Reason.UNREACHABLE))
    downgraded = frozenset(reason for option, reason in limits if reader.value(option) == "warn")
    ui_url = reader.value(table.UI_URL)
    _reject_leaked_key(reader, secrets)
    settings = None
    if not reader.invalid:
        arguments = reader.arguments()
        settings = Settings(
            server, application, scans, files, uploaded, checks, plan, rules, downgraded, ui_url, rules_only, arguments
        )
    return Parsed(
        settings=settings,
        invalid=tuple(replace(option, text=sanitizer.sanitize(option.text, TEXT_LIMIT)) for option in reader.invalid),
        reports=reports,
        secrets=secrets,
        server=server,
        warnings=tuple(sanitizer.sanitize(warning, TEXT_LIMIT) for warning in warnings),
    )


def _reports(reader: OptionReader) -> Reports:
    requested: dict[str, str | bool] = {}
    files: dict[str, list[Option[Any]]] = {}
    for report in REPORTS:
        option = table.BY_NAME[report.option]
        value = reader.value(option)
        if value:
            requested[option.name] = value
        if value and report.destination is Destination.FILE:
            files.setdefault(_absolute(value), []).append(option)
    for options in files.values():
        if len(options) > 1:
            names = ", ".join(map(reader.name, options))
            reader.reject(options[-1], "{names} name the same file; give each report its own file.", names=names)
    verbose, quiet = reader.value(table.VERBOSE), reader.value(table.QUIET)
    if verbose and quiet:
        reader.reject(table.VERBOSE, "{verbose} and {quiet} contradict each other; leave one out.")
    return Reports(requested, verbose, quiet)


def _absolute(path: str) -> str:
    return os.path.abspath(path)  # noqa: PTH100 - follows no link


def _key(reader: OptionReader) -> tuple[Secret, ...]:
    """Return the texts that may be the key and must be hidden; first the key, if it is valid."""
    from_env = reader.env.get(table.KEY_VARIABLE, "").strip()
    in_file = bool(reader.given(table.API_KEY_FILE))
    content = reader.file(table.API_KEY_FILE)
    from_file = "" if content is None else content.decode("utf-8", "replace").strip()
    given = list(filter(None, (from_file, from_env)))
    reader.keys += given
    if in_file and from_env:
        reader.reject(table.API_KEY_FILE, "{api-key} and {api-key-file} are both given; leave one out.")
    elif in_file and content is not None and not from_file:
        reader.reject(table.API_KEY_FILE, "{api-key-file}: the file is empty; it must contain the API key.")
    elif not in_file and not from_env and not reader.has_error(table.API_KEY, table.API_KEY_FILE):
        text = "set it from a secret of your CI, or name a file with {api-key-file}."
        reader.reject(table.API_KEY, "the API key is missing ({api-key}); " + text + _why_no_secret(reader))
    if given:
        try:
            api_key(given[0])
        except ValueError as error:
            source = reader.name(table.API_KEY_FILE if from_file else table.API_KEY)
            reader.reject(table.API_KEY, "{source}: the key {error}.", source=source, error=error)
    return _secrets(given)


def _why_no_secret(reader: OptionReader) -> str:
    """Return why this build gets no secret, if its CI system has such a reason; otherwise an empty text."""
    env = reader.env
    if env.get("GITHUB_ACTOR") == "dependabot[bot]":
        return " GitHub gives runs of Dependabot only the secrets for Dependabot."
    if env.get("GITHUB_EVENT_NAME") == "pull_request" and _is_fork(reader):
        return " GitHub gives no secrets to pull requests from forks."
    if env.get("GITLAB_CI") and env.get("CI_COMMIT_REF_PROTECTED") == "false":
        return " GitLab gives protected variables only to protected branches and tags, and this one is not protected."
    return ""


def _is_fork(reader: OptionReader) -> bool:
    """Return whether GitHub's event is a pull request from another repository."""
    try:
        event = json.loads(reader.read(reader.env.get("GITHUB_EVENT_PATH", "")))
        head, base = (event["pull_request"][side]["repo"]["full_name"] for side in ("head", "base"))
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return False
    return bool(head != base)


def _secrets(values: Iterable[str]) -> tuple[Secret, ...]:
    """Return the values that must be hidden. A longer value is not a key, and hiding it would take long."""
    return tuple(Secret(value) for value in values if 0 < len(value) <= LONGEST_KEY)


def _reject_leaked_key(reader: OptionReader, secrets: tuple[Secret, ...]) -> None:
    """Reject the other options that contain the key, because logs, links and reports show many of them."""
    sanitizer = Sanitizer(tuple(secret for secret in secrets if len(secret.reveal()) >= SHORTEST_KEY))
    for option in table.OPTIONS:
        given = None if option is table.API_KEY or reader.has_error(option) else reader.text_of(option)
        if given and sanitizer.redact(given[0]) != given[0]:
            text = "{source}: contains the API key, which would be shown; leave it out."
            reader.reject(option, text, source=given[1])


def _server(reader: OptionReader, key: Secret) -> Server:
    url = reader.optional(table.URL)
    if not reader.given(table.URL) and not reader.has_error(table.URL):
        text = (
            "{url} is missing; give the base URL of ThreadFix with its context path, for example {example}{variable}."
        )
        variable = "" if reader.naming.inputs else f", or set {table.URL.variable}"
        reader.reject(table.URL, text, example=reader.name(table.URL, links.URL_EXAMPLE), variable=variable)
    allow_http = reader.value(table.ALLOW_HTTP)
    if url and url.startswith("http://") and not is_loopback(url) and not allow_http:
        text = "{source}: with plain http the API key is sent unencrypted; write https://, or add {on} if the network "
        on = reader.naming.switch(table.ALLOW_HTTP.name)
        reader.reject(table.URL, text + "is protected.", source=reader.source(table.URL), on=on)
    ca_file = _ca_file(reader)
    client_cert, client_key = reader.optional(table.CLIENT_CERT), reader.optional(table.CLIENT_KEY)
    if reader.given(table.CLIENT_KEY) and not reader.given(table.CLIENT_CERT):
        reader.reject(table.CLIENT_KEY, "{client-key} requires {client-cert} too.")
    return Server(
        url=url or "",
        api_key=key,
        api_version=reader.value(table.API_VERSION),
        status_path=reader.value(table.STATUS_PATH),
        ca_file=ca_file,
        client_cert=client_cert,
        client_key=client_key,
        insecure=reader.value(table.INSECURE),
        allow_http=allow_http,
    )


def _ca_file(reader: OptionReader) -> tuple[Certificates, ...]:
    """Return the first trust store that is set: the option, then the variables of other tools."""
    option = reader.optional(table.CA_FILE)
    if reader.given(table.CA_FILE):
        return (Certificates(reader.name(table.CA_FILE), option),) if option else ()
    for names in (("REQUESTS_CA_BUNDLE",), ("SSL_CERT_FILE", "SSL_CERT_DIR")):
        chosen = [Certificates(name, value) for name in names if (value := reader.env.get(name, "").strip())]
        if chosen:
            return tuple(chosen)
    return ()


def _checks(reader: OptionReader) -> tuple[Check, ...]:
    """Return the rules to evaluate after the wait: the pass criteria, then the policies in their order."""
    since, wanted = reader.optional(table.CRITERIA_FROM), reader.value(table.PASS_CRITERIA)
    if reader.given(table.CRITERIA_FROM) and not wanted:
        text = "{criteria-from} narrows the pass criteria; add {on}, or leave it out."
        reader.reject(table.CRITERIA_FROM, text, on=reader.naming.switch(table.PASS_CRITERIA.name))
    criteria: tuple[Check, ...] = (PassCriteria(since),) if wanted else ()
    return (*criteria, *(reader.optional(table.POLICY) or ()))


def _rules_only(reader: OptionReader) -> bool:
    """Return whether to judge the rules without a scan. Reject it with a scan, and without a rule."""
    rules_only = reader.value(table.RULES_ONLY)
    scans = reader.given(*SCANS)
    if rules_only and scans:
        text = "{rules-only} judges the rules without a scan; leave out {names}, or leave out {rules-only}."
        reader.reject(table.RULES_ONLY, text, names=", ".join(map(reader.name, scans)))
    if rules_only and not reader.value(table.PASS_CRITERIA) and not reader.given(table.POLICY):
        text = "{rules-only}: there is no rule to judge; set {policy} or {pass-criteria} too."
        reader.reject(table.RULES_ONLY, text)
    return rules_only


def _target(
    reader: OptionReader, find: Find, sanitizer: Sanitizer, *, needs_target: bool, has_checks: bool
) -> tuple[ApplicationId | ApplicationName | None, tuple[int, ...], tuple[ScanFile, ...], Upload | None]:
    """Return the application, its pending scans, the files to upload, and an earlier upload that was refused."""
    scans = reader.optional(table.PENDING_SCAN_ID) or ()
    linked, uploaded = _uploaded(reader, sanitizer)
    files = _files(reader, find, sanitizer)
    requested = bool(reader.given(*SCANS))
    if needs_target and not requested and not reader.value(table.RULES_ONLY) and not reader.has_error(*SCANS):
        text = "no scan is specified; set {scan-file} to the file to upload. For a scan that is uploaded already, set "
        text += "{pending-scan-id} or {upload-response} instead."
        text += " To judge the rules without a scan, as a deployment job does, set {on}." if has_checks else ""
        reader.reject(table.PENDING_SCAN_ID, text, on=reader.naming.switch(table.RULES_ONLY.name))
    # An earlier upload that was refused is judged without a request.
    needed = (requested or needs_target) and bool(has_checks or not uploaded or scans or files)
    application = _application(reader, {target.application_id for target in linked}, needed=needed)
    ids = dict.fromkeys([*scans, *(target.pending_scan_id for target in linked)])
    return application, tuple(ids), files, uploaded


def _application(reader: OptionReader, linked: set[int], *, needed: bool) -> ApplicationId | ApplicationName | None:
    """Return the application of the options. `linked` are the ids in an upload's response."""
    number = reader.optional(table.APPLICATION_ID)
    by_name = _application_name(reader)
    named, ids = reader.given(*NAMES), linked | ({number} if number else set())
    if named and (ids or reader.given(table.APPLICATION_ID)):
        text = "{name}: the application is known from {source} already; leave one out."
        reader.reject(named[0], text, source=reader.source(reader.given(*IDS)[0]))
        return None
    if named:
        return by_name
    if len(ids) > 1:
        text = "{application-id}, {upload-response}: they name several applications ({ids}); "
        shown = ", ".join(map(str, sorted(ids)))
        reader.reject(reader.given(*IDS)[0], text + "run the gate once for each of them.", ids=shown)
    if needed and not ids and not reader.has_error(*IDS, *NAMES):
        text = (
            "{application-id} is missing; set it to the number in the address of the application's page in ThreadFix, "
            "for example {example}{variable}; or set {application-name} to look it up."
        )
        variable = "" if reader.naming.inputs else f", or {table.APPLICATION_ID.variable}"
        example = reader.name(table.APPLICATION_ID, "6")
        reader.reject(table.APPLICATION_ID, text, example=example, variable=variable)
    return ApplicationId(number or min(ids)) if ids else None


def _application_name(reader: OptionReader) -> ApplicationName | None:
    team, name, unique_id = (reader.optional(option) for option in NAMES)
    if not reader.given(*NAMES) or reader.has_error(*NAMES):
        return None
    if name is None and unique_id is None:
        reader.reject(table.TEAM_NAME, "{team-name} requires {application-name} or {application-unique-id} too.")
    elif name is not None and unique_id is not None:
        text = "{application-name} and {application-unique-id} both name the application; leave one of them out."
        reader.reject(table.APPLICATION_NAME, text)
    else:
        return ApplicationName(team, name, unique_id)
    return None


def _files(reader: OptionReader, find: Find, sanitizer: Sanitizer) -> tuple[ScanFile, ...]:
    patterns = reader.optional(table.SCAN_FILE)
    try:
        files = tuple(file._replace(shown=sanitizer.sanitize(file.shown)) for file in find(patterns or ()))
        return (one_scan(files),) if len(files) > 1 and reader.value(table.ONE_SCAN) else files
    except ValueError as error:
        of_an_action = f" {OF_AN_ACTION}" if reader.naming.inputs else ""
        advice = None if isinstance(error, FolderError) else f"{NO_FILE_ADVICE}{of_an_action}"
        reader.reject(table.SCAN_FILE, "{scan-file}: {error}.", error=error, meaning=NO_FILE, advice=advice)
        return ()


def _reject_own_reports(reader: OptionReader, files: Sequence[ScanFile], reports: Reports) -> None:
    """Reject files that are reports of the gate: a pattern may match the report of an earlier run."""
    own = set(map(_absolute, reports.paths))
    for file in (part for upload in files for part in upload.files):
        if _absolute(file.path) in own:
            text = "{scan-file}: '{file}' is also a report of the gate; choose another path for the report."
            reader.reject(table.SCAN_FILE, text, file=file.shown)


def _uploaded(reader: OptionReader, sanitizer: Sanitizer) -> tuple[list[Target], Upload | None]:
    """Return the pending scans of an earlier upload, or the upload itself if ThreadFix refused it."""
    body = _response(reader)
    if body is None:
        return [], None
    from gate.threadfix import responses

    try:
        response = responses.upload_response(body)
        if not isinstance(response, str):
            return [links.status_link(sanitizer.redact(link)) for link in response], None
    except ValueError as error:
        start = "" if isinstance(error, responses.NotThreadFixError) else "a link in it "
        reader.reject(table.UPLOAD_RESPONSE, "{upload-response}: {start}{error}.", start=start, error=error)
        return [], None
    path = reader.optional(table.UPLOAD_RESPONSE) or ""
    file = ScanFile(path, len(body), sanitizer.sanitize(path))
    text, refusal = sanitizer.sanitize(response), refusal_of(response)
    if refusal is None and mentions_key(response):
        return [], Upload(file, Failure(Reason.DENIED, f"refused; ThreadFix says: '{text.rstrip('.')}'."))
    return [], Upload(file, Refused(text, refusal))


def _response(reader: OptionReader) -> bytes | None:
    """Return the content of the file with the upload's response; None if it was not given, or is empty."""
    option = table.UPLOAD_RESPONSE
    key_file, response = reader.text_of(table.API_KEY_FILE), reader.text_of(option)
    if key_file and response and key_file[0] == response[0] == "-":
        reader.reject(option, "{api-key-file}, {upload-response}: only one can come from standard input.")
        return None
    body = reader.file(option, "does not exist: the upload left no response there; look at the upload's log")
    if body is not None and not body.strip():
        text = "{upload-response}: is empty: the upload left no response in it; look at the upload's log."
        reader.reject(option, text)
        return None
    return body


def _plan(reader: OptionReader) -> Plan:
    plan = Plan(**{field.name: reader.value(table.BY_NAME[field.name.replace("_", "-")]) for field in fields(Plan)})
    values = {name: f"{getattr(plan, name):g}s" for name in ("interval", "max_interval", "settle_timeout")}
    invalid_settling = reader.has_error(table.SETTLE_TIMEOUT, table.MAX_INTERVAL, table.PASS_CRITERIA)
    if reader.value(table.PASS_CRITERIA) and 0 < plan.settle_timeout < plan.max_interval and not invalid_settling:
        text = (
            "{settle-timeout} ({settle_timeout}) is shorter than {max-interval} ({max_interval}), the time between two "
            "responses about the pass criteria; write for example 2m."
        )
        reader.reject(table.SETTLE_TIMEOUT, text, **values)
    if plan.interval > plan.max_interval and not reader.has_error(table.INTERVAL, table.MAX_INTERVAL):
        text = "{interval} ({shorter}) is longer than {max-interval} ({max_interval}); raise {max-interval} too."
        reader.reject(table.INTERVAL, text, shorter=values["interval"], max_interval=values["max_interval"])
    return plan


def _rules(reader: OptionReader) -> Rules:
    success, failure = reader.value(table.SUCCESS_STATUSES), reader.value(table.FAILURE_STATUSES)
    accepted = reader.optional(table.ACCEPT)
    fails = reader.value(table.ON_UNKNOWN_STATUS) == "fail"
    rules = Rules(frozenset(success), frozenset(failure), fails, frozenset(accepted or ()))
    both = ", ".join(sorted(rules.success & rules.failure))
    if both and not reader.has_error(table.SUCCESS_STATUSES, table.FAILURE_STATUSES):
        text = "{success-statuses} and {failure-statuses} both contain {both}; leave it in one of them."
        reader.reject(table.SUCCESS_STATUSES, text, both=both)
    return rules
