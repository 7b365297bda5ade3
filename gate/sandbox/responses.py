"""The JSON envelope of ThreadFix's responses, for successes and refusals."""

from __future__ import annotations

import json
from typing import Final

from gate.sandbox.scenarios import Raw

JSON: Final = "application/json;charset=UTF-8"


def envelope(content: object, *, links: object = None) -> Raw:
    """Return a successful response with `content`. As in ThreadFix, `message` repeats the scan's message."""
    message = content.get("scanMessage", "") if isinstance(content, dict) else ""
    body: dict[str, object] = {"message": message, "success": True, "responseCode": -1, "object": content}
    if links is not None:
        body["links"] = links
    return Raw(200, json.dumps(body).encode(), JSON)


def refusal(message: str, code: int = 200) -> Raw:
    """Return a refusal with `success: false`. ThreadFix sends most refusals with HTTP 200."""
    body = {"message": message, "success": False, "responseCode": -1, "object": None}
    return Raw(code, json.dumps(body).encode(), JSON)


UNRECOGNIZED: Final = refusal("Bad rest request due to unrecognized path.", 404)
"""The response to a path, method or `Accept` header that matches no endpoint."""
LOOKUP_FAILED: Final = refusal("Application lookup failed. Check your ID.")
"""The response to the id or name of an unknown application."""
