"""Parses the options of the target: application, pending scans and files, and how they fit together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from gate.model.history import Failure, Refused, Upload
from gate.model.reasons import Reason
from gate.model.subjects import ApplicationId, ApplicationName, ScanFile
from gate.options import table
from gate.threadfix import links
from gate.threadfix.refusals import mentions_key, refusal_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gate.model.subjects import Target
    from gate.options.reader import OptionReader
    from gate.text.sanitizer import Sanitizer

NAMES: Final = (table.TEAM_NAME, table.APPLICATION_NAME, table.APPLICATION_UNIQUE_ID)  # look an application up
NO_FILE: Final = "There is no report to upload, so nothing was sent to ThreadFix."
NO_FILE_ADVICE: Final = (
    "Check in the log of the scanner's job that it wrote its report, and that the job of the gate has it at this path."
)


@dataclass(frozen=True, slots=True)
class ParsedTarget:
    """The target as far as it is valid; the fields are those of `Settings`."""

    application: ApplicationId | ApplicationName | None = None
    pending_scan_ids: tuple[int, ...] = ()
    files: tuple[ScanFile, ...] = ()
    uploaded: Upload | None = None


def parse(
    reader: OptionReader,
    find: Callable[[Sequence[str]], tuple[ScanFile, ...]],
    sanitizer: Sanitizer,
    *,
    needs_scan: bool,
    has_checks: bool,
) -> ParsedTarget:
    """Return the application, its pending scans and the files to upload.

    Args:
        reader: looks options up, and collects invalid options.
        find: finds files; raises ValueError with the reason.
        sanitizer: makes untrusted texts safe.
        needs_scan: whether a pending scan or a file must be specified.
        has_checks: whether the application has checks after the wait.
    """
    scans = reader.optional(table.PENDING_SCAN_ID) or ()
    uploaded = _uploaded(reader, sanitizer)
    earlier = uploaded if isinstance(uploaded, Upload) else None
    linked = [] if isinstance(uploaded, Upload) else uploaded
    files = _files(reader, find, sanitizer)
    requested = bool(reader.given(table.PENDING_SCAN_ID, table.UPLOAD_RESPONSE, table.SCAN_FILE))
    if needs_scan and not requested:
        names = f"{reader.name(table.PENDING_SCAN_ID)} or {reader.name(table.UPLOAD_RESPONSE)}"
        text = f"to the file to upload. For a scan that is uploaded already set {names} instead."
        reader.reject(table.PENDING_SCAN_ID, f"no scan is specified; set {reader.name(table.SCAN_FILE)} {text}")
    # An earlier upload that was refused is judged without a request.
    needs_application = requested and (has_checks or not earlier or bool(scans or files))
    application = _application(reader, linked, needed=needs_application)
    ids = dict.fromkeys([*scans, *(target.pending_scan_id for target in linked)])
    return ParsedTarget(application, tuple(ids), files, earlier)


def _application(
    reader: OptionReader, linked: Sequence[Target], *, needed: bool
) -> ApplicationId | ApplicationName | None:
    number = reader.optional(table.APPLICATION_ID)
    application = _application_name(reader)
    by_name, by_id = reader.given(*NAMES), (table.APPLICATION_ID, table.UPLOAD_RESPONSE)
    applications = {target.application_id for target in linked} | ({number} if number else set())
    if by_name and (applications or reader.given(table.APPLICATION_ID)):
        source = reader.name(reader.given(*by_id)[0])
        text = f"the application is known from {source} already; leave one out."
        reader.reject(by_name[0], f"{reader.name(by_name[0])}: {text}")
        return None
    if by_name:
        return application
    if len(applications) > 1:
        names = ", ".join(reader.name(option) for option in by_id)
        ids = ", ".join(map(str, sorted(applications)))
        text = f"they name several applications ({ids}); run the gate once for each of them."
        reader.reject(reader.given(*by_id)[0], f"{names}: {text}")
    if needed and not applications and not reader.has_error(*by_id):
        variable = "" if reader.naming.inputs else f", or {table.APPLICATION_ID.variable}"
        text = (
            "set it to the number in the address of the application's page in ThreadFix, for example "
            f"{reader.name(table.APPLICATION_ID, '6')}{variable}; or set {reader.name(table.TEAM_NAME)} and "
            f"{reader.name(table.APPLICATION_NAME)} to look it up."
        )
        reader.reject(table.APPLICATION_ID, f"{reader.name(table.APPLICATION_ID)} is missing; {text}")
    return ApplicationId(number or linked[0].application_id) if applications else None


def _application_name(reader: OptionReader) -> ApplicationName | None:
    team, name, unique_id = (reader.optional(option) for option in NAMES)
    given = reader.given(*NAMES)
    if not given or reader.has_error(*NAMES):
        return None
    of_team, of_name, of_unique_id = map(reader.name, NAMES)
    if team is None:
        reader.reject(given[0], f"{reader.name(given[0])} requires {of_team} too: names are unique within a team.")
    elif name is None and unique_id is None:
        reader.reject(table.TEAM_NAME, f"{of_team} requires {of_name} or {of_unique_id} too.")
    elif name is not None and unique_id is not None:
        text = f"{of_name} and {of_unique_id} both name the application; leave one of them out."
        reader.reject(table.APPLICATION_NAME, text)
    else:
        return ApplicationName(team, name, unique_id)
    return None


def _files(
    reader: OptionReader, find: Callable[[Sequence[str]], tuple[ScanFile, ...]], sanitizer: Sanitizer
) -> tuple[ScanFile, ...]:
    patterns = reader.optional(table.SCAN_FILE)
    if patterns is None:
        return ()
    try:
        return tuple(file._replace(shown=sanitizer.sanitize(file.shown)) for file in find(patterns))
    except ValueError as error:
        text = f"{reader.name(table.SCAN_FILE)}: {error}."
        reader.reject(table.SCAN_FILE, text, meaning=NO_FILE, advice=NO_FILE_ADVICE)
        return ()


def _uploaded(reader: OptionReader, sanitizer: Sanitizer) -> list[Target] | Upload:
    """Return the pending scans of an earlier upload, or the upload itself if ThreadFix refused it."""
    body = _response(reader)
    if body is None:
        return []
    from gate.threadfix import responses

    try:
        response = responses.upload_response(body)
        if not isinstance(response, str):
            return [links.status_link(sanitizer.redact(link)) for link in response]
    except ValueError as error:
        start = "" if isinstance(error, responses.NotThreadFixError) else "a link in it "
        reader.reject(table.UPLOAD_RESPONSE, f"{reader.name(table.UPLOAD_RESPONSE)}: {start}{error}.")
        return []
    path = reader.optional(table.UPLOAD_RESPONSE) or ""
    file = ScanFile(path, len(body), sanitizer.sanitize(path))
    text, refusal = sanitizer.sanitize(response), refusal_of(response)
    if refusal is None and mentions_key(response):
        return Upload(file, Failure(Reason.DENIED, f"refused; ThreadFix says: '{text.rstrip('.')}'."))
    return Upload(file, Refused(text, refusal))


def _response(reader: OptionReader) -> bytes | None:
    """Return the content of the file with the upload's response; None if it was not given, or is empty."""
    option, name = table.UPLOAD_RESPONSE, reader.name(table.UPLOAD_RESPONSE)
    key_file, response = reader.text_of(table.API_KEY_FILE), reader.text_of(option)
    if key_file and response and key_file[0] == response[0] == "-":
        reader.reject(option, f"{reader.name(table.API_KEY_FILE)}, {name}: only one can come from standard input.")
        return None
    body = reader.file(option, "does not exist: the upload left no response there; look at the upload's log")
    if body is not None and not body.strip():
        reader.reject(option, f"{name}: is empty: the upload left no response in it; look at the upload's log.")
        return None
    return body
