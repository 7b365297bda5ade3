"""What ThreadFix says when it refuses a file: in the response to the upload, or later as a pending scan's error.

The texts are those of the source of ThreadFix Community Edition (`ScanImportStatus` and its REST controllers). They are
compared whole, without case: a text that only contains one of them is somebody else's.
"""

from __future__ import annotations

import re
from typing import Final

from gate.history import Accept, Refusal

_EXPORT: Final = "Check that the scanner's job wrote its report to the end, in a format that ThreadFix imports."

REFUSALS: Final = (
    Refusal(
        "Scan file has already been uploaded.",
        "ThreadFix has this file already, from an earlier upload: often the job was run again on the same commit.",
        "If the same file may pass, set `{--accept duplicate}`; else check that the scanner's job made a new report.",
        Accept.DUPLICATE,
    ),
    Refusal(
        "The scan file contained 0 results.",
        "There are no results in the file. The scanner found nothing, or it did not scan what it should.",
        "If a scan without results may pass, set `{--accept empty}`; else check the scanner's log.",
        Accept.EMPTY,
    ),
    Refusal(
        "A newer scan from this scanner has been uploaded.",
        "ThreadFix has a newer scan of this application by this scanner, and takes no older one after it.",
        "Let only one pipeline at a time upload for this application, and upload scans in the order in which they were "
        "made.",
    ),
    Refusal(
        "There was a more recent scan for this application and scanner on the queue.",
        "A newer scan of this application by this scanner is waiting in ThreadFix, and it takes no older one after it.",
        "Let only one pipeline at a time upload for this application; the newer one's gate has the verdict.",
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
        "Upload each scanner's report as a file of its own.",
    ),
    Refusal(
        "Something went wrong while processing the scan.",
        "ThreadFix could not read the file, and does not say why.",
        f"{_EXPORT} Ask your ThreadFix administrator for the server's log.",
    ),
)
"""Every documented refusal of a file."""

_BY_TEXT: Final = {refusal.text.casefold(): refusal for refusal in REFUSALS}


def refusal_of(text: str) -> Refusal | None:
    """The documented refusal that `text` is, as the server wrote it; None where it is none."""
    return _BY_TEXT.get(text.strip().casefold())


# `success: false` beside HTTP 200 is how ThreadFix refuses a key (Community Edition: "Authentication failed, check your
# API Key.", "API Key not found in database.", "The requested URL is restricted for your API Key.").
_MENTIONS_KEY: Final = re.compile(
    r"api[ _-]?key|authenticat|authoriz|authoris|permission|credential|access (is )?denied|forbidden|restricted"
    r"|privilege",
    re.IGNORECASE,
)
_NAMES_KEY: Final = re.compile(r"api[ _-]?key", re.IGNORECASE)
"""What only a refusal of the key says; in a response that something is not there, the other words may be its name."""
# No quoted text may run over the beginning of another: trying each of a million such beginnings to the end would stop
# every thread.
_QUOTED: Final = re.compile(r"'[^']*'|\"[^\"]*\"|“[^“”]*”")


def mentions_key(text: str) -> bool:
    """Whether a refusal speaks of the key or of a permission; what it quotes does not count, since it may be a name."""
    return _MENTIONS_KEY.search(_QUOTED.sub("", text)) is not None


def names_key(text: str) -> bool:
    """As `mentions_key`, but only by what nothing else is called."""
    return _NAMES_KEY.search(_QUOTED.sub("", text)) is not None
