"""ThreadFix's statuses of a pending scan.

The twelve statuses are the complete documented list, the same for ThreadFix 2.5 to 3.0 (vendor page "Check Pending
Scan Status"). The list has no status for a general failure: ThreadFix sends `error: true` with any status. Later
versions may have more statuses, so the gate treats a status outside the list as unknown.
"""

from __future__ import annotations

from typing import Final

from gate.text.sanitizer import fold, trim

# Each status, and the text that ThreadFix shows for it.
STATUSES: Final[dict[str, str]] = {
    "QUEUED": "Queued",
    "UPLOADED": "Uploaded",
    "FINDINGS_GENERATING": "Generating Findings",
    "CHANNEL_MERGING": "Merging Channel Findings",
    "APPLICATION_MERGING": "Merging Application Findings",
    "APPLICATION_MERGED": "Merging Application Findings Completed",
    "LINKING_DEFECTS": "Linking Defects.",
    "DONE": "Scan Processing Completed. Statistics Update Queued.",
    "FINISHED_FINDING_PULLING": "Findings Import From Server Finished.",
    "SCAN_INTERRUPTED": "Scan processing was interrupted",
    "SCAN_QUEUED_FOR_DELETE": "Scan queued to be deleted.",
    "SCAN_DELETED": "Scan Deleted.",
}
"""Each status, and the text that ThreadFix shows for it."""

SUCCESS: Final = ("DONE", "FINISHED_FINDING_PULLING")
FAILURE: Final = ("SCAN_INTERRUPTED", "SCAN_DELETED")
QUEUED_FOR_DELETE: Final = "SCAN_QUEUED_FOR_DELETE"
DELETED: Final = "SCAN_DELETED"
INTERRUPTED: Final = "SCAN_INTERRUPTED"
MERGED: Final = ("APPLICATION_MERGED", "LINKING_DEFECTS")  # the findings are in ThreadFix


def normal(status: str) -> str:
    """Return a status in the form for comparisons: trimmed, in ASCII capitals."""
    return fold(trim(status))


def description(status: str) -> str:
    """Return ThreadFix's text for a documented status; empty for any other status."""
    return STATUSES.get(normal(status), "").rstrip(".")
