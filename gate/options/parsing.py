"""Turns flags and environment into settings, or into all invalid options. Files are read through an argument."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from gate.model.errors import InvalidOption
from gate.model.reasons import Reason
from gate.model.subjects import PassCriteria
from gate.net.addresses import Certificates, is_loopback
from gate.options import targets
from gate.options.reader import OptionReader, resembled_option, unknown_variables
from gate.options.settings import Plan, Reports, Settings
from gate.options.table import (
    ACCEPT,
    ALLOW_HTTP,
    API_KEY,
    API_KEY_FILE,
    API_VERSION,
    CA_FILE,
    CLIENT_CERT,
    CLIENT_KEY,
    CRITERIA_FROM,
    DOTENV_FILE,
    FAILURE_STATUSES,
    FIRST_CONTACT_LIMIT,
    HTML_FILE,
    INSECURE,
    INTERVAL,
    JSON,
    JUNIT_FILE,
    KEY_VARIABLE,
    MAX_INTERVAL,
    ON_TIMEOUT,
    ON_UNKNOWN_STATUS,
    ON_UNREACHABLE,
    OPTIONS,
    OUTAGE_LIMIT,
    PASS_CRITERIA,
    POLICY,
    QUIET,
    REQUEST_TIMEOUT,
    RESULT_FILE,
    SCAN_FILE,
    SETTLE_TIMEOUT,
    STATUS_PATH,
    SUCCESS_STATUSES,
    SUMMARY,
    TIMEOUT,
    UI_URL,
    UPLOAD_TIMEOUT,
    URL,
    VERBOSE,
)
from gate.options.values import LONGEST_KEY, api_key
from gate.text.sanitizer import Sanitizer, Secret
from gate.threadfix import links
from gate.threadfix.links import Server
from gate.threadfix.rules import Rules

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from gate.model.history import Accept
    from gate.model.subjects import Check, ScanFile
    from gate.options.table import Option

SHORTEST_KEY: Final = 8
"""Characters of the shortest key that is looked for in other options; ThreadFix's keys have 40 and more."""
TEXT_LIMIT: Final = 1000
"""Characters of the text of an invalid option."""


@dataclass(frozen=True, slots=True)
class Parsed:
    """The result of flags and environment: settings, or invalid options."""

    settings: Settings | None
    """None if an option is invalid."""
    invalid: tuple[InvalidOption, ...]
    """Every invalid option; their texts are safe."""
    reports: Reports
    """The reports, as far as they could be read."""
    secrets: tuple[Secret, ...] = ()
    """Texts that must be hidden, also if options are invalid."""
    server: Server | None = None
    """The server, as far as it could be read."""
    warnings: tuple[str, ...] = ()
    """Safe texts."""

    @property
    def origin(self) -> str:
        """The origin of the server; empty if unknown."""
        return links.origin(self.server.url) if self.server and self.server.url else ""


def parse_early(flags: Mapping[str, Sequence[str]], env: Mapping[str, str]) -> Parsed:
    """Parse the options that need no file: the reports and the key in the environment.

    A signal while a file is read then still has its reports.
    """

    def unread(_: str) -> bytes:  # pragma: no cover - nothing that is looked up here is a file
        return b""

    key = env.get(KEY_VARIABLE, "").strip()
    reader = OptionReader(flags, env, unread)
    return Parsed(None, (), _reports(reader), _secrets([key]))


def parse(  # noqa: PLR0913 - the sources, and the ways to read files
    flags: Mapping[str, Sequence[str]],
    env: Mapping[str, str],
    read: Callable[[str], bytes],
    find: Callable[[Sequence[str]], tuple[ScanFile, ...]],
    invalid: Sequence[InvalidOption] = (),
    *,
    needs_scan: bool = True,
) -> Parsed:
    """Turn flags and environment into settings.

    Args:
        flags: the values of each flag that was given, by option name; a switch has `true` or `false`.
        env: the environment.
        read: reads a file; `-` is standard input.
        find: finds the files of paths and patterns of paths; raises ValueError with the error.
        invalid: the invalid arguments of the command line.
        needs_scan: whether it is an error to specify no pending scan.
    """
    reader = OptionReader(flags, env, read)
    reader.invalid += invalid
    warnings = _check_variables(reader)
    reports = _reports(reader)
    secrets = _key(reader)
    # Messages contain paths and names of variables, and the key may be in them.
    sanitizer = Sanitizer(secrets)
    server = _server(reader, secrets[0] if secrets else Secret(""))
    checks = _checks(reader)
    target = targets.parse(reader, find, sanitizer, needs_scan=needs_scan, has_checks=bool(checks))
    _reject_own_reports(reader, target.files, reports)
    plan = _plan(reader)
    rules = _rules(reader)
    downgraded = {
        reason
        for option, reason in ((ON_TIMEOUT, Reason.TIMEOUT), (ON_UNREACHABLE, Reason.UNREACHABLE))
        if reader.value(option) == "warn"
    }
    ui_url = reader.value(UI_URL)
    _reject_leaked_key(reader, secrets)
    settings = None
    if not reader.invalid:
        settings = Settings(
            server=server,
            application=target.application,
            pending_scan_ids=target.pending_scan_ids,
            files=target.files,
            uploaded=target.uploaded,
            checks=checks,
            plan=plan,
            rules=rules,
            downgraded=frozenset(downgraded),
            ui_url=ui_url,
            arguments=reader.arguments(),
        )
    return Parsed(
        settings=settings,
        invalid=tuple(replace(one, text=sanitizer.sanitize(one.text, TEXT_LIMIT)) for one in reader.invalid),
        reports=reports,
        secrets=secrets,
        server=server,
        warnings=tuple(sanitizer.sanitize(warning, TEXT_LIMIT) for warning in warnings),
    )


def _check_variables(reader: OptionReader) -> list[str]:
    """Reject the variables that resemble an option, and return a warning about the other unknown variables."""
    others = []
    for variable in unknown_variables(reader.env):
        option = resembled_option(variable)
        if option is None:
            others.append(variable)
            continue
        meant = f"the input {option.name}" if reader.naming.inputs else option.variable
        reader.invalid.append(InvalidOption(option.label, f"{variable} is not an option; did you mean {meant}?"))
    if not others:
        return []
    verb = "is not an option and has" if len(others) == 1 else "are not options and have"
    return [f"{', '.join(others)} {verb} no effect."]


def _reports(reader: OptionReader) -> Reports:
    files: dict[str, list[Option[str]]] = {}
    for option in (RESULT_FILE, JUNIT_FILE, DOTENV_FILE, HTML_FILE):
        name = reader.optional(option)
        if name:
            files.setdefault(os.path.abspath(name), []).append(option)  # noqa: PTH100 - no link is followed
    for options in files.values():
        if len(options) > 1:
            both = ", ".join(reader.name(option) for option in options)
            reader.reject(options[-1], f"{both}: all of them name one file; give each its own.")
    verbose, quiet = reader.value(VERBOSE), reader.value(QUIET)
    if verbose and quiet:
        reader.reject(VERBOSE, f"{reader.name(VERBOSE)} and {reader.name(QUIET)} contradict each other; leave one out.")
    return Reports(
        result_file=reader.optional(RESULT_FILE),
        junit_file=reader.optional(JUNIT_FILE),
        dotenv_file=reader.optional(DOTENV_FILE),
        html_file=reader.optional(HTML_FILE),
        summary=reader.value(SUMMARY),
        json=reader.value(JSON),
        verbose=verbose,
        quiet=quiet,
    )


def _key(reader: OptionReader) -> tuple[Secret, ...]:
    """Return the texts that may be the key and must be hidden. If the key is valid, it is the first of them."""
    key, file = reader.name(API_KEY), reader.name(API_KEY_FILE)
    from_env = reader.env.get(KEY_VARIABLE, "").strip()
    in_file = reader.text_of(API_KEY_FILE) is not None
    content = reader.file(API_KEY_FILE)
    from_file = "" if content is None else content.decode("utf-8", "replace").strip()
    given = list(filter(None, (from_file, from_env)))
    if in_file and from_env:
        reader.reject(API_KEY_FILE, f"{key} and {file} are both given; leave one out.")
    elif in_file and content is not None and not from_file:
        reader.reject(API_KEY_FILE, f"{file}: the file is empty; it must contain the API key.")
    elif not in_file and not from_env:
        is_pull_request = reader.env.get("GITHUB_EVENT_NAME", "").startswith("pull_request")
        fork = " GitHub gives no secrets to pull requests from forks." if is_pull_request else ""
        reader.reject(
            API_KEY,
            f"the API key is missing ({key}); set it from a secret of your CI, or name a file with {file}.{fork}",
        )
    if given:
        try:
            api_key(given[0])
        except ValueError as error:
            reader.reject(API_KEY, f"{file if from_file else key}: the key {error}.")
    return _secrets(given)


def _secrets(values: Iterable[str]) -> tuple[Secret, ...]:
    """Return the values that must be hidden. A longer value is not a key, and hiding it would take long."""
    return tuple(Secret(value) for value in values if 0 < len(value) <= LONGEST_KEY)


def _reject_leaked_key(reader: OptionReader, secrets: tuple[Secret, ...]) -> None:
    """Reject the other options that contain the key: many are shown in logs, links and reports."""
    sanitizer = Sanitizer(tuple(secret for secret in secrets if len(secret.reveal()) >= SHORTEST_KEY))
    for option in OPTIONS:
        given = None if option is API_KEY or reader.has_error(option) else reader.text_of(option)
        if given and sanitizer.redact(given[0]) != given[0]:
            reader.reject(option, f"{given[1]}: contains the API key, which would be shown; leave it out.")


def _server(reader: OptionReader, key: Secret) -> Server:
    url = reader.optional(URL)
    if reader.text_of(URL) is None:
        how = reader.naming.option(URL.name, links.URL_EXAMPLE)
        variable = "" if reader.naming.inputs else f", or set {URL.variable}"
        reader.reject(
            URL,
            f"{reader.name(URL)} is missing; give the base URL of ThreadFix with its context path, for example "
            f"{how}{variable}.",
        )
    allow_http = reader.value(ALLOW_HTTP)
    if url and url.startswith("http://") and not is_loopback(url) and not allow_http:
        allow = reader.naming.switch(ALLOW_HTTP.name)
        reader.reject(
            URL,
            f"{reader.name(URL)}: with plain http the API key is sent unencrypted; write https://, or add {allow} "
            "where the network is protected otherwise.",
        )
    ca_file = _ca_file(reader)
    client_cert, client_key = reader.optional(CLIENT_CERT), reader.optional(CLIENT_KEY)
    if reader.text_of(CLIENT_KEY) and not reader.text_of(CLIENT_CERT):
        reader.reject(CLIENT_KEY, f"{reader.name(CLIENT_KEY)} requires {reader.name(CLIENT_CERT)} too.")
    version, template, insecure = reader.value(API_VERSION), reader.value(STATUS_PATH), reader.value(INSECURE)
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


def _ca_file(reader: OptionReader) -> tuple[Certificates, ...]:
    """Return the first trust store that is set: the option, then the variables of other tools."""
    option = reader.optional(CA_FILE)
    if reader.text_of(CA_FILE):
        return (Certificates(reader.name(CA_FILE), option),) if option else ()
    for names in (("REQUESTS_CA_BUNDLE",), ("SSL_CERT_FILE", "SSL_CERT_DIR")):
        chosen = [Certificates(name, value) for name in names if (value := reader.env.get(name, "").strip())]
        if chosen:
            return tuple(chosen)
    return ()


def _plan(reader: OptionReader) -> Plan:
    plan = Plan(
        timeout=reader.value(TIMEOUT),
        interval=reader.value(INTERVAL),
        max_interval=reader.value(MAX_INTERVAL),
        request_timeout=reader.value(REQUEST_TIMEOUT),
        first_contact_limit=reader.value(FIRST_CONTACT_LIMIT),
        outage_limit=reader.value(OUTAGE_LIMIT),
        upload_timeout=reader.value(UPLOAD_TIMEOUT),
        settle_timeout=reader.value(SETTLE_TIMEOUT),
    )
    settling, longest = plan.settle_timeout, reader.name(MAX_INTERVAL)
    invalid_settling = reader.has_error(SETTLE_TIMEOUT, MAX_INTERVAL, PASS_CRITERIA)
    if reader.value(PASS_CRITERIA) and 0 < settling < plan.max_interval and not invalid_settling:
        reader.reject(
            SETTLE_TIMEOUT,
            f"{reader.name(SETTLE_TIMEOUT)} ({settling:g}s) is shorter than {longest} ({plan.max_interval:g}s), the "
            "time between two responses about the pass criteria; write for example 2m.",
        )
    if plan.interval > plan.max_interval and not reader.has_error(INTERVAL, MAX_INTERVAL):
        reader.reject(
            INTERVAL,
            f"{reader.name(INTERVAL)} ({plan.interval:g}s) is longer than {longest} ({plan.max_interval:g}s); raise "
            f"{longest} too.",
        )
    return plan


def _reject_own_reports(reader: OptionReader, files: Sequence[ScanFile], reports: Reports) -> None:
    """Reject files that are reports of the gate: a pattern may match the report of an earlier run."""
    paths = (reports.result_file, reports.junit_file, reports.dotenv_file, reports.html_file)
    own = {os.path.abspath(path) for path in paths if path}  # noqa: PTH100 - no link is followed
    for file in files:
        if os.path.abspath(file.path) in own:  # noqa: PTH100
            what = f"'{file.shown}' is where a report of the gate goes; keep them apart"
            reader.reject(SCAN_FILE, f"{reader.name(SCAN_FILE)}: {what}.")


def _checks(reader: OptionReader) -> tuple[Check, ...]:
    """Return the rules to evaluate after the wait: the pass criteria, then the policies in their order."""
    since, wanted = reader.optional(CRITERIA_FROM), reader.value(PASS_CRITERIA)
    if reader.text_of(CRITERIA_FROM) and not wanted:
        switch = reader.naming.switch(PASS_CRITERIA.name)
        reader.reject(
            CRITERIA_FROM, f"{reader.name(CRITERIA_FROM)} narrows the pass criteria; add {switch}, or leave it out."
        )
    criteria: tuple[Check, ...] = (PassCriteria(since),) if wanted else ()
    return (*criteria, *(reader.optional(POLICY) or ()))


def _rules(reader: OptionReader) -> Rules:
    success, failure = reader.value(SUCCESS_STATUSES), reader.value(FAILURE_STATUSES)
    accepted: tuple[Accept, ...] = reader.optional(ACCEPT) or ()
    rules = Rules(
        frozenset(success), frozenset(failure), reader.value(ON_UNKNOWN_STATUS) == "fail", frozenset(accepted)
    )
    both = ", ".join(sorted(rules.success & rules.failure))
    if both and not reader.has_error(SUCCESS_STATUSES, FAILURE_STATUSES):
        names = f"{reader.name(SUCCESS_STATUSES)} and {reader.name(FAILURE_STATUSES)}"
        reader.reject(SUCCESS_STATUSES, f"{names} both contain {both}; leave it in one of them.")
    return rules
