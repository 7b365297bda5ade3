"""Turns flags and environment into settings, or into all invalid options; functions for files are arguments."""

from __future__ import annotations

import os
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, Final

from gate.model.errors import InvalidOption
from gate.model.reasons import Reason
from gate.model.subjects import PassCriteria, Plan
from gate.net.peer import Certificates, is_loopback
from gate.options import table, targets
from gate.options.reader import OptionReader, resembled_option, unknown_variables
from gate.options.settings import Reports, Settings
from gate.options.values import LONGEST_KEY, api_key
from gate.reporters.reports import REPORTS, Destination
from gate.text.sanitizer import Sanitizer, Secret
from gate.threadfix import links
from gate.threadfix.links import Server
from gate.threadfix.rules import Rules

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from gate.model.history import Accept
    from gate.model.subjects import Check, ScanFile
    from gate.options.table import Option

SHORTEST_KEY: Final = 8  # characters of a key that is searched for in other options
TEXT_LIMIT: Final = 1000  # characters of the text of an invalid option


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
    find: Callable[[Sequence[str]], tuple[ScanFile, ...]],
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
    warnings = _check_variables(reader)
    reports = _reports(reader)
    secrets = _key(reader)
    # Messages contain paths and names of variables, which may contain the key.
    sanitizer = Sanitizer(secrets)
    server = _server(reader, secrets[0] if secrets else Secret(""))
    checks = _checks(reader)
    target = targets.parse(reader, find, sanitizer, needs_scan=needs_scan, has_checks=bool(checks))
    _reject_own_reports(reader, target.files, reports)
    plan = _plan(reader)
    rules = _rules(reader)
    limits = ((table.ON_TIMEOUT, Reason.TIMEOUT), (table.ON_UNREACHABLE, Reason.UNREACHABLE))
    downgraded = frozenset(reason for option, reason in limits if reader.value(option) == "warn")
    ui_url = reader.value(table.UI_URL)
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
            downgraded=downgraded,
            ui_url=ui_url,
            arguments=reader.arguments(),
        )
    return Parsed(
        settings=settings,
        invalid=tuple(replace(option, text=sanitizer.sanitize(option.text, TEXT_LIMIT)) for option in reader.invalid),
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
            reader.reject(options[-1], f"{names} name the same file; give each report its own file.")
    verbose, quiet = reader.value(table.VERBOSE), reader.value(table.QUIET)
    if verbose and quiet:
        names = f"{reader.name(table.VERBOSE)} and {reader.name(table.QUIET)}"
        reader.reject(table.VERBOSE, f"{names} contradict each other; leave one out.")
    return Reports(requested, verbose, quiet)


def _absolute(path: str) -> str:
    return os.path.abspath(path)  # noqa: PTH100 - follows no link


def _key(reader: OptionReader) -> tuple[Secret, ...]:
    """Return the texts that may be the key and must be hidden; first the key, if it is valid."""
    key, file = reader.name(table.API_KEY), reader.name(table.API_KEY_FILE)
    from_env = reader.env.get(table.KEY_VARIABLE, "").strip()
    in_file = bool(reader.given(table.API_KEY_FILE))
    content = reader.file(table.API_KEY_FILE)
    from_file = "" if content is None else content.decode("utf-8", "replace").strip()
    given = list(filter(None, (from_file, from_env)))
    reader.keys += given
    if in_file and from_env:
        reader.reject(table.API_KEY_FILE, f"{key} and {file} are both given; leave one out.")
    elif in_file and content is not None and not from_file:
        reader.reject(table.API_KEY_FILE, f"{file}: the file is empty; it must contain the API key.")
    elif not in_file and not from_env:
        is_pull_request = reader.env.get("GITHUB_EVENT_NAME", "").startswith("pull_request")
        fork = " GitHub gives no secrets to pull requests from forks." if is_pull_request else ""
        text = f"set it from a secret of your CI, or name a file with {file}.{fork}"
        reader.reject(table.API_KEY, f"the API key is missing ({key}); {text}")
    if given:
        try:
            api_key(given[0])
        except ValueError as error:
            reader.reject(table.API_KEY, f"{file if from_file else key}: the key {error}.")
    return _secrets(given)


def _secrets(values: Iterable[str]) -> tuple[Secret, ...]:
    """Return the values that must be hidden. A longer value is not a key, and hiding it would take long."""
    return tuple(Secret(value) for value in values if 0 < len(value) <= LONGEST_KEY)


def _reject_leaked_key(reader: OptionReader, secrets: tuple[Secret, ...]) -> None:
    """Reject the other options that contain the key, because logs, links and reports show many of them."""
    sanitizer = Sanitizer(tuple(secret for secret in secrets if len(secret.reveal()) >= SHORTEST_KEY))
    for option in table.OPTIONS:
        given = None if option is table.API_KEY or reader.has_error(option) else reader.text_of(option)
        if given and sanitizer.redact(given[0]) != given[0]:
            reader.reject(option, f"{given[1]}: contains the API key, which would be shown; leave it out.")


def _server(reader: OptionReader, key: Secret) -> Server:
    url, name = reader.optional(table.URL), reader.name(table.URL)
    if not reader.given(table.URL):
        example = reader.name(table.URL, links.URL_EXAMPLE)
        variable = "" if reader.naming.inputs else f", or set {table.URL.variable}"
        text = f"give the base URL of ThreadFix with its context path, for example {example}{variable}."
        reader.reject(table.URL, f"{name} is missing; {text}")
    allow_http = reader.value(table.ALLOW_HTTP)
    if url and url.startswith("http://") and not is_loopback(url) and not allow_http:
        text = f"write https://, or add {reader.naming.switch(table.ALLOW_HTTP.name)} if the network is protected."
        reader.reject(table.URL, f"{name}: with plain http the API key is sent unencrypted; {text}")
    ca_file = _ca_file(reader)
    client_cert, client_key = reader.optional(table.CLIENT_CERT), reader.optional(table.CLIENT_KEY)
    if reader.given(table.CLIENT_KEY) and not reader.given(table.CLIENT_CERT):
        names = f"{reader.name(table.CLIENT_KEY)} requires {reader.name(table.CLIENT_CERT)}"
        reader.reject(table.CLIENT_KEY, f"{names} too.")
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


def _plan(reader: OptionReader) -> Plan:
    names = (field.name for field in fields(Plan))
    plan = Plan(**{name: reader.value(table.BY_NAME[name.replace("_", "-")]) for name in names})
    longest = f"{reader.name(table.MAX_INTERVAL)} ({plan.max_interval:g}s)"
    invalid_settling = reader.has_error(table.SETTLE_TIMEOUT, table.MAX_INTERVAL, table.PASS_CRITERIA)
    if reader.value(table.PASS_CRITERIA) and 0 < plan.settle_timeout < plan.max_interval and not invalid_settling:
        shorter = f"{reader.name(table.SETTLE_TIMEOUT)} ({plan.settle_timeout:g}s) is shorter than {longest}"
        text = f"{shorter}, the time between two responses about the pass criteria; write for example 2m."
        reader.reject(table.SETTLE_TIMEOUT, text)
    if plan.interval > plan.max_interval and not reader.has_error(table.INTERVAL, table.MAX_INTERVAL):
        longer = f"{reader.name(table.INTERVAL)} ({plan.interval:g}s) is longer than {longest}"
        reader.reject(table.INTERVAL, f"{longer}; raise {reader.name(table.MAX_INTERVAL)} too.")
    return plan


def _reject_own_reports(reader: OptionReader, files: Sequence[ScanFile], reports: Reports) -> None:
    """Reject files that are reports of the gate: a pattern may match the report of an earlier run."""
    own = set(map(_absolute, reports.paths))
    for file in files:
        if _absolute(file.path) in own:
            text = f"'{file.shown}' is also a report of the gate; choose another path for the report."
            reader.reject(table.SCAN_FILE, f"{reader.name(table.SCAN_FILE)}: {text}")


def _checks(reader: OptionReader) -> tuple[Check, ...]:
    """Return the rules to evaluate after the wait: the pass criteria, then the policies in their order."""
    since, wanted = reader.optional(table.CRITERIA_FROM), reader.value(table.PASS_CRITERIA)
    if reader.given(table.CRITERIA_FROM) and not wanted:
        text = f"add {reader.naming.switch(table.PASS_CRITERIA.name)}, or leave it out."
        reader.reject(table.CRITERIA_FROM, f"{reader.name(table.CRITERIA_FROM)} narrows the pass criteria; {text}")
    criteria: tuple[Check, ...] = (PassCriteria(since),) if wanted else ()
    return (*criteria, *(reader.optional(table.POLICY) or ()))


def _rules(reader: OptionReader) -> Rules:
    success, failure = reader.value(table.SUCCESS_STATUSES), reader.value(table.FAILURE_STATUSES)
    accepted: tuple[Accept, ...] = reader.optional(table.ACCEPT) or ()
    rules = Rules(
        frozenset(success), frozenset(failure), reader.value(table.ON_UNKNOWN_STATUS) == "fail", frozenset(accepted)
    )
    both = ", ".join(sorted(rules.success & rules.failure))
    if both and not reader.has_error(table.SUCCESS_STATUSES, table.FAILURE_STATUSES):
        names = f"{reader.name(table.SUCCESS_STATUSES)} and {reader.name(table.FAILURE_STATUSES)}"
        reader.reject(table.SUCCESS_STATUSES, f"{names} both contain {both}; leave it in one of them.")
    return rules
