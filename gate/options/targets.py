"""Parses the options of the target: application, pending scans and files, and how they fit together."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from gate.model.history import Failure, Refused, Upload
from gate.model.reasons import Reason
from gate.model.subjects import ApplicationId, ApplicationName, ScanFile
from gate.options.table import (
    API_KEY_FILE,
    APPLICATION_ID,
    APPLICATION_NAME,
    APPLICATION_UNIQUE_ID,
    PENDING_SCAN_ID,
    SCAN_FILE,
    TEAM_NAME,
    UPLOAD_RESPONSE,
)
from gate.threadfix import links
from gate.threadfix.refusals import mentions_key, refusal_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gate.model.subjects import Target
    from gate.options.reader import OptionReader
    from gate.text.sanitizer import Sanitizer

NAMES = (TEAM_NAME, APPLICATION_NAME, APPLICATION_UNIQUE_ID)
"""The options that look an application up."""

NO_FILE: Final = "There is no report to upload, so nothing was sent to ThreadFix."
NO_FILE_ADVICE: Final = (
    "Check in the log of the scanner's job that it wrote its report, and that the job of the gate has it at this path."
)


@dataclass(frozen=True, slots=True)
class ParsedTarget:
    """The target as far as it could be read; the fields are those of `Settings`."""

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
        find: finds files; raises ValueError with the error.
        sanitizer: makes untrusted texts safe.
        needs_scan: whether it is an error to specify neither a pending scan nor a file.
        has_checks: whether the application is asked about after the wait.
    """
    scans = reader.optional(PENDING_SCAN_ID) or ()
    uploaded = _uploaded(reader, sanitizer)
    earlier = uploaded if isinstance(uploaded, Upload) else None
    linked = [] if isinstance(uploaded, Upload) else uploaded
    files = _files(reader, find, sanitizer)
    sources = (PENDING_SCAN_ID, UPLOAD_RESPONSE, SCAN_FILE)
    requested = any(reader.text_of(option) for option in sources)
    if needs_scan and not requested:
        reader.reject(
            PENDING_SCAN_ID,
            f"no scan is specified; set {reader.name(SCAN_FILE)} to the file to upload. For a scan that is uploaded "
            f"already set {reader.name(PENDING_SCAN_ID)} or {reader.name(UPLOAD_RESPONSE)} instead.",
        )
    # An upload that was refused before is judged without a request.
    needs_application = requested and (has_checks or not earlier or bool(scans or files))
    application = _application(reader, linked, needed=needs_application)
    ids = dict.fromkeys([*scans, *(target.pending_scan_id for target in linked)])
    return ParsedTarget(application, tuple(ids), files, earlier)


def _application(
    reader: OptionReader, linked: Sequence[Target], *, needed: bool
) -> ApplicationId | ApplicationName | None:
    number = reader.optional(APPLICATION_ID)
    name = _application_name(reader)
    by_name = any(reader.text_of(option) for option in NAMES)
    applications = {target.application_id for target in linked} | ({number} if number else set())
    if by_name and (applications or reader.text_of(APPLICATION_ID)):
        origin = next(option for option in (APPLICATION_ID, UPLOAD_RESPONSE) if reader.text_of(option))
        given = next(option for option in NAMES if reader.text_of(option))
        reader.reject(
            given, f"{reader.name(given)}: the application is known from {reader.name(origin)} already; leave one out."
        )
        return None
    if by_name:
        return name
    if len(applications) > 1:
        options = (APPLICATION_ID, UPLOAD_RESPONSE)
        names = ", ".join(reader.name(option) for option in options)
        ids = ", ".join(map(str, sorted(applications)))
        reader.reject(
            next(option for option in options if reader.text_of(option)),
            f"{names}: they name several applications ({ids}); one gate judges one application, so start one for each.",
        )
    if needed and not applications and not reader.has_error(APPLICATION_ID, UPLOAD_RESPONSE):
        variable = "" if reader.naming.inputs else f", or {APPLICATION_ID.variable}"
        reader.reject(
            APPLICATION_ID,
            f"{reader.name(APPLICATION_ID)} is missing; set it to the number in the address of the application's page "
            f"in ThreadFix, for example {reader.naming.option(APPLICATION_ID.name, '6')}{variable}; or set "
            f"{reader.name(TEAM_NAME)} and {reader.name(APPLICATION_NAME)} to look it up.",
        )
    return ApplicationId(number or linked[0].application_id) if applications else None


def _application_name(reader: OptionReader) -> ApplicationName | None:
    team, name, unique_id = (reader.optional(option) for option in NAMES)
    given = [option for option in NAMES if reader.text_of(option)]
    if not given or reader.has_error(*NAMES):
        return None
    both = f"{reader.name(APPLICATION_NAME)} or {reader.name(APPLICATION_UNIQUE_ID)}"
    if team is None:
        reader.reject(
            given[0], f"{reader.name(given[0])} requires {reader.name(TEAM_NAME)} too: names are unique within a team."
        )
    elif name is None and unique_id is None:
        reader.reject(TEAM_NAME, f"{reader.name(TEAM_NAME)} requires {both} too.")
    elif name is not None and unique_id is not None:
        reader.reject(
            APPLICATION_NAME, f"{both.replace(' or ', ' and ')} both name the application; leave one of them out."
        )
    else:
        return ApplicationName(team, name, unique_id)
    return None


def _files(
    reader: OptionReader, find: Callable[[Sequence[str]], tuple[ScanFile, ...]], sanitizer: Sanitizer
) -> tuple[ScanFile, ...]:
    patterns = reader.optional(SCAN_FILE)
    if patterns is None:
        return ()
    try:
        return tuple(replace(file, shown=sanitizer.sanitize(file.shown)) for file in find(patterns))
    except ValueError as error:
        reader.reject(SCAN_FILE, f"{reader.name(SCAN_FILE)}: {error}.", meaning=NO_FILE, advice=NO_FILE_ADVICE)
        return ()


def _uploaded(reader: OptionReader, sanitizer: Sanitizer) -> list[Target] | Upload:
    """Return the pending scans of an earlier upload, or the upload itself if ThreadFix refused it."""
    body = _response(reader)
    if body is None:
        return []
    from gate.threadfix import responses

    name = reader.name(UPLOAD_RESPONSE)
    try:
        refused = responses.upload_refusal(body)
        if refused is None:
            return [links.status_link(sanitizer.redact(link)) for link in responses.upload_links(body)]
    except responses.NotThreadFixError as error:
        reader.reject(UPLOAD_RESPONSE, f"{name}: {error}.")
        return []
    except ValueError as error:
        reader.reject(UPLOAD_RESPONSE, f"{name}: a link in it {error}.")
        return []
    path = reader.optional(UPLOAD_RESPONSE) or ""
    file = ScanFile(path, len(body), sanitizer.sanitize(path))
    text, refusal = sanitizer.sanitize(refused), refusal_of(refused)
    if refusal is None and mentions_key(refused):
        return Upload(file, Failure(Reason.DENIED, f"refused; ThreadFix says: '{text.rstrip('.')}'."))
    return Upload(file, Refused(text, refusal))


def _response(reader: OptionReader) -> bytes | None:
    """Return the content of the file with the upload's response; None if it was not given, or is empty."""
    key_file, response = reader.text_of(API_KEY_FILE), reader.text_of(UPLOAD_RESPONSE)
    name = reader.name(UPLOAD_RESPONSE)
    if key_file and response and key_file[0] == response[0] == "-":
        reader.reject(UPLOAD_RESPONSE, f"{reader.name(API_KEY_FILE)}, {name}: only one can come from standard input.")
        return None
    body = reader.file(UPLOAD_RESPONSE, "does not exist: the upload left no response there; look at the upload's log")
    if body is not None and not body.strip():
        reader.reject(
            UPLOAD_RESPONSE, f"{name}: is empty: the upload left no response in it; look at the upload's log."
        )
        return None
    return body
