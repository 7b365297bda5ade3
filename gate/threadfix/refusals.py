"""ThreadFix's messages for a refused file: in the response to the upload, or later as a pending scan's error.

The texts are from the source of ThreadFix Community Edition (`ScanImportStatus` and its REST controllers). A message
must equal a text, except for case; a message that only contains a text has another meaning.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from gate.model.history import Accept, Refusal
from gate.text.sanitizer import fold, trim

if TYPE_CHECKING:
    from collections.abc import Iterator

_EXPORT: Final = "Check that the scanner's job wrote its report to the end, in a format that ThreadFix imports."
_BUSY: Final = "Another upload at the same moment, also to another application, can cause it too: run the gate again."
_DATES: Final = (
    "Check the date in the report: ThreadFix reads it in the time zone of its server, and one report from the future "
    "blocks all later reports of its scanner. Let only one pipeline at a time upload for this application"
)
_REMOTE: Final = "Import {} scans using the Remote Provider functionality."
UNRECOGNIZED: Final = "Bad rest request due to unrecognized path."  # no such endpoint (CE, `UnknownRestController`)


def _rows(meaning: str, advice: str, *texts: str, accept: Accept | None = None) -> Iterator[Refusal]:
    return (Refusal(text, meaning, advice, accept) for text in texts)


REFUSALS: Final = (
    *_rows(
        "ThreadFix has a scan of this scanner with this date already. It compares the dates in the reports, not their "
        "content: often the job was run again on the same commit, or the reports are parts of one scan.",
        "If the same report may pass, set `{--accept duplicate}`; send the parts of one scan together with "
        "`{--one-scan}`; otherwise check that the scanner wrote a new report.",
        "Scan file has already been uploaded.",
        accept=Accept.DUPLICATE,
    ),
    *_rows(
        "There are no results in the file. The scanner found nothing, or it did not scan what it should.",
        "If a scan without results may pass, set `{--accept empty}`; otherwise check the scanner's log.",
        "The scan file contained 0 results.",
        accept=Accept.EMPTY,
    ),
    *_rows(
        "ThreadFix has a scan of this application by this scanner with a later date, and does not accept older scans.",
        f"{_DATES}, in the order of the scans.",
        "A newer scan from this scanner has been uploaded.",
    ),
    *_rows(
        "A scan of this scanner with a later date is waiting in ThreadFix, so older scans are not accepted.",
        f"{_DATES}; the newer pipeline's gate has the verdict.",
        "There was a more recent scan for this application and scanner on the queue.",
    ),
    *_rows(
        "ThreadFix does not recognize the file as the report of a scanner that it knows.",
        f"{_EXPORT} {_BUSY}",
        "Scan file is in the wrong format.",
        "Failed to determine the scan type.",
        "Unable to determine scan type.",
    ),
    *_rows(
        "ThreadFix takes the files of one upload only from one scanner.",
        f"Upload each scanner's report separately, without `{{--one-scan}}`. {_BUSY}",
        "Scans are not of the same type.",
    ),
    *_rows(
        "ThreadFix does not take files of this scanner: it fetches the results from the scanner's server.",
        "Have the remote provider set up in ThreadFix, and wait for its import with `{--pending-scan-id}`.",
        *map(_REMOTE.format, ("Veracode", "QualysGuard WAS", "Contrast")),
    ),
    *_rows(
        "The disk of the ThreadFix server is full.",
        "Ask your ThreadFix administrator to free disk space; then run the gate again.",
        "Not enough disk space to store temporary scan file.",
    ),
    *_rows(
        "The scan is too large for the database of ThreadFix.",
        "Ask your ThreadFix administrator to raise max_allowed_packet of its MySQL server, or make the report smaller.",
        "Scan is too large to be handled by your MySQL Server. You can remediate this by increasing the "
        "'max_allowed_packet' size for your MySQL Server instance.",
    ),
    *_rows(
        "ThreadFix read nothing from the file. It takes every file whose name ends in .html for a report of Clang.",
        f"Give the file the extension that its scanner uses. {_BUSY}",
        "The scan could not be completed because there was null input",
    ),
    *_rows(
        "ThreadFix could not read the file.",
        f"{_EXPORT} {_BUSY} If it happens again, ask your ThreadFix administrator for the server's log.",
        "Encountered SAXException while trying to read data. Can't continue.",
        "Encountered IOException while trying to read data. Can't continue.",
        "The XML was not well-formed and could not be parsed.",
        "Something went wrong while processing the scan.",
        "The scan file encountered an unknown error.",
    ),
    *_rows(
        "ThreadFix received the upload without its files. A proxy may have changed the request.",
        "Check each proxy between the gate and ThreadFix; then run the gate again.",
        "No files selected.",
    ),
    *_rows(
        "ThreadFix does not have this application any more.",
        "Check `{--application-id}` against the URL of the application's page in ThreadFix.",
        "Invalid application ID.",
    ),
    *_rows(
        "This ThreadFix has no such endpoint: it is older, or the version in the path is wrong.",
        "Check `{--api-version}`. Without `{--one-scan}` the gate uses the older endpoint, for a single file.",
        UNRECOGNIZED,
    ),
)
_BY_TEXT: Final = {fold(refusal.text): refusal for refusal in REFUSALS}


def refusal_of(text: str) -> Refusal | None:
    """Return the documented refusal with this text, as the server wrote it, or None."""
    return _BY_TEXT.get(fold(trim(text)))


# ThreadFix refuses a key with `success: false` and HTTP 200 (Community Edition: "Authentication failed, check your
# API Key.", "API Key not found in database.", "The requested URL is restricted for your API Key.").
_MENTIONS_KEY: Final = re.compile("API[ _-]?KEY|PERMISSION|AUTHENTICAT|AUTHORIZ|RESTRICTED")
# An apostrophe within a word is not a quotation mark. No quoted text may contain another opening mark: with a million
# of them the search would be quadratic and would stop every thread.
_SEARCHED: Final = 10_000  # characters of a message; the search for quoted text takes 130 times the memory of the text
_QUOTED: Final = re.compile(r"(?<!\w)'(?:[^']|(?<=\w)'(?=\w))*'(?!\w)|\"[^\"]*\"|“[^“”]*”")


def mentions_key(text: str) -> bool:
    """Return whether a refusal is about the key or a permission. Quoted text does not count: it may be a name."""
    return _MENTIONS_KEY.search(fold(_QUOTED.sub("", text[:_SEARCHED]))) is not None
