"""ThreadFix's messages for a refused file: in the response to the upload, or later as a pending scan's error.

The texts are from the source of ThreadFix Community Edition (`ScanImportStatus` and its REST controllers). A message
must equal a text, except for case; a message that only contains a text has another meaning.
"""

from __future__ import annotations

import re
from typing import Final

from gate.model.history import Accept, Refusal
from gate.text.sanitizer import fold, trim

_EXPORT: Final = "Check that the scanner's job wrote its report to the end, in a format that ThreadFix imports."

REFUSALS: Final = (
    Refusal(
        "Scan file has already been uploaded.",
        "ThreadFix has this file already, from an earlier upload: often the job was run again on the same commit.",
        "If the same file may pass, set `{--accept duplicate}`; otherwise check that the scanner wrote a new report.",
        Accept.DUPLICATE,
    ),
    Refusal(
        "The scan file contained 0 results.",
        "There are no results in the file. The scanner found nothing, or it did not scan what it should.",
        "If a scan without results may pass, set `{--accept empty}`; otherwise check the scanner's log.",
        Accept.EMPTY,
    ),
    Refusal(
        "A newer scan from this scanner has been uploaded.",
        "ThreadFix has a newer scan of this application by this scanner, and does not accept older scans.",
        "Let only one pipeline at a time upload for this application, and upload scans in the order of their creation.",
    ),
    Refusal(
        "There was a more recent scan for this application and scanner on the queue.",
        "A newer scan of this application by this scanner is waiting in ThreadFix, so older scans are not accepted.",
        "Let only one pipeline at a time upload for this application; the newer pipeline's gate has the verdict.",
    ),
    Refusal(
        "Scan file is in the wrong format.",
        "ThreadFix does not recognize the file as the report of a scanner that it knows.",
        _EXPORT,
    ),
    Refusal(
        "Failed to determine the scan type.",
        "ThreadFix does not recognize the file as the report of a scanner that it knows.",
        _EXPORT,
    ),
    Refusal(
        "Scans are not of the same type.",
        "ThreadFix takes the files of one upload only from one scanner.",
        "Upload each scanner's report separately.",
    ),
    Refusal(
        "Something went wrong while processing the scan.",
        "ThreadFix could not read the file, and gives no reason.",
        f"{_EXPORT} Ask your ThreadFix administrator for the server's log.",
    ),
)
"""Every documented refusal of a file."""

_BY_TEXT: Final = {fold(refusal.text): refusal for refusal in REFUSALS}


def refusal_of(text: str) -> Refusal | None:
    """Return the documented refusal with this text, as the server wrote it, or None."""
    return _BY_TEXT.get(fold(trim(text)))


# ThreadFix refuses a key with `success: false` and HTTP 200 (Community Edition: "Authentication failed, check your
# API Key.", "API Key not found in database.", "The requested URL is restricted for your API Key.").
_MENTIONS_KEY: Final = re.compile("API[ _-]?KEY|PERMISSION|AUTHENTICAT|AUTHORIZ|RESTRICTED")
# An apostrophe within a word is not a quotation mark. No quoted text may contain another opening mark: with a million
# of them the search would be quadratic and would stop every thread.
_QUOTED: Final = re.compile(r"(?<!\w)'(?:[^']|(?<=\w)'(?=\w))*'(?!\w)|\"[^\"]*\"|“[^“”]*”")


def mentions_key(text: str) -> bool:
    """Return whether a refusal is about the key or a permission. Quoted text does not count: it may be a name."""
    return _MENTIONS_KEY.search(fold(_QUOTED.sub("", text))) is not None
