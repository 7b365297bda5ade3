"""What the sandbox sends: the envelope around every response of ThreadFix, and its way to refuse."""

from __future__ import annotations

import json
from typing import Final

from gate.sandbox.scenarios import Raw

JSON: Final = "application/json;charset=UTF-8"


def envelope(content: object, *, links: object = None) -> Raw:
    """A successful response around `content`. Its `message` repeats the scan's own, as ThreadFix does."""
    message = content.get("scanMessage", "") if isinstance(content, dict) else ""
    body: dict[str, object] = {"message": message, "success": True, "responseCode": -1, "object": content}
    if links is not None:
        body["links"] = links
    return Raw(200, json.dumps(body).encode(), JSON)


def refusal(message: str, code: int = 200) -> Raw:
    """A refusal: `success: false`, with HTTP 200 unless `code` says otherwise, as ThreadFix refuses."""
    body = {"message": message, "success": False, "responseCode": -1, "object": None}
    return Raw(code, json.dumps(body).encode(), JSON)


UNRECOGNIZED: Final = refusal("Bad rest request due to unrecognized path.", 404)
"""The response to a path, a method or an `Accept` header for which ThreadFix has no endpoint."""
LOOKUP_FAILED: Final = refusal("Application lookup failed. Check your ID.")
"""The response about an application that is not there."""
