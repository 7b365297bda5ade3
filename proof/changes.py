"""Compose responses from documents, and change them in ways with a known effect. Nothing here imports the gate.

A response is whole (only its form differs from ThreadFix's), weak (it may lack a detail, but does not contradict the
truth), or destroyed (it is no longer ThreadFix's word).
"""

from __future__ import annotations

import base64
import html
import json
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

if TYPE_CHECKING:
    from random import Random

NOW: Final = 1_795_000_000
DONE_AT: Final = NOW - 30  # ThreadFix processed the scan
CANARY: Final = "zq9"  # in every hostile text; it may be text, and never a name, a tag, a command or a link
WRONG: Final[tuple[Any, ...]] = (None, 0, 1, 6.0, "6", "true", (), (6,), 10**30)
CODES: Final = (201, 202, 203, 204, 206, 226, 302, 304, 307, 401, 402, 403, 404, 405, 407, 408, 409, 410, 413, 425, 429)
SNIPPETS: Final = (
    "::error title=zq9::zq9", "\n::set-output name=zq9::1", "##[error]zq9", "##vso[task.setvariable variable=zq9]1",
    "<script>zq9</script>", "<img src=x onerror=zq9>", '" zq9="', "' zq9='", "]]><zq9>", "</pre><zq9>", "&lt;zq9&gt;",
    "[x](http://zq9.example)", "![zq9](http://zq9.example/i.png)", "http://zq9.example", "www.zq9.example",
    "a@zq9.example", "`zq9`", "```zq9", "| zq9 |", "\n| zq9 | zq9 |\n|---|---|\n", "**zq9**", "\n# zq9", "\n> zq9",
    "~~zq9~~", "<!-- zq9 -->",
    "\nverdict=pass", "\r\nverdict<<EOF\r\npass\r\nEOF\r\n", "EOF", "\nghadelimiter_zq9", "$(zq9)", "${zq9}", "{zq9}",
    "{{ zq9 }}", "{% zq9 %}", "{--timeout zq9}", "{@resume}", "%0A::error::zq9", "%zq9", "\\zq9", "[[ATTACHMENT|zq9]]",
    "\x1b[31mzq9", "\x1b]0;zq9\x07", "\x9b2Jzq9", "\r", "\x00", "\x08", "\t", "\x7f", "\u2028zq9", "\u202ezq9",
    "\u200bzq9", "\ufeff", "\U000e0041", "\ufdd0", "\ud800", "é", "日本", "𝕫", "' OR 1=1", "=zq9()", "@zq9", "#1",
    "zq9" * 200,
)  # fmt: skip


def hostile(rng: Random, key: str) -> str:
    """Return a text of a server that is not kind; some contain the key, in a form that servers return."""
    pieces = [rng.choice(SNIPPETS) for _ in range(rng.choice((1, 1, 2, 3, 6)))]
    if rng.random() < 0.3:
        pieces.insert(rng.randrange(len(pieces) + 1), rng.choice(FORMS)(rng, key))
    return rng.choice(("", " ", "x")).join(pieces)


FORMS: Final = (
    lambda _, key: key,
    lambda _, key: f"Authorization: APIKEY {key}",
    lambda _, key: key.upper(),
    lambda _, key: quote(key, safe=""),
    lambda _, key: "".join(f"%{ord(letter):02x}" for letter in key),
    lambda _, key: html.escape(key),
    lambda _, key: "".join(f"&#{ord(letter)};" for letter in key),
    lambda _, key: json.dumps(key)[1:-1],
    lambda _, key: "".join(f"\\u{ord(letter):04x}" for letter in key),
    lambda rng, key: base64.b64encode(rng.choice(("", "u:", "APIKEY ")).encode() + key.encode()).decode(),
    lambda rng, key: rng.choice("\u200b\u00ad\ufeff \n").join((key[:9], key[9:])),
)  # fmt: skip


class Twin(str):
    """A name that may occur twice in an object."""

    __slots__ = ()
    __hash__ = object.__hash__

    def __eq__(self, other: object) -> bool:
        return self is other


@dataclass
class Reply:
    """A response, and its true content: `word` is None if it is not ThreadFix's word any more."""

    word: Any
    body: bytes
    code: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    whole: bool = True
    wire: bool = False  # whether its bytes must be broken


STRICT: Final[dict[str, tuple[tuple[str, ...], ...]]] = {
    "application": (("id",),),
    "lookup": (("id",),),
    "status": (("status",), ("error",), ("appId",)),
    "upload": (("href",), ("id",), ("importTime",), ("scannerName",), ("numberTotalVulnerabilities",)),
    "eval": (("policy",), ("currentStatus", "passing"), ("policy", "id"), ("policy", "name")),
    "policies": (("policy",), ("currentStatus", "passing"), ("policy", "id"), ("policy", "name")),
    "criteria": (("passing",), ("passed",), ("failed",)),
}
"""The fields of a stage that must have their type, by their place; an entry has only the first or the second of two."""
LOOSE: Final = (
    "modifiedDate", "updatedDate", "lastEvaluated", "scanId", "scannerName", "organization", "fileDataList", "name",
    "scanMessage", "message",
)  # fmt: skip
"""Fields whose loss takes nothing from the truth but a detail."""
UNKNOWN: Final = (
    "Success",
    "SUCCESS",
    "Status",
    "STATUS",
    "Error",
    "appID",
    "Object",
    "result",
    "passing_",
    "zq9",
    "__proto__",
    "",
)


def dressed(rng: Random, status: str) -> str:
    """Return a status in another form that means the same."""
    style = rng.random()
    if style < 0.8:
        return status
    return f"{' ' * rng.randrange(3)}{''.join(rng.choice((c.lower(), c)) for c in status)}{' ' * rng.randrange(3)}"


def _objects(value: object) -> list[dict[str, Any]]:
    """Return every object in a JSON value, outer objects first."""
    found: list[dict[str, Any]] = []
    queue = [value]
    for entry in queue:
        if isinstance(entry, dict):
            found.append(entry)
            queue += entry.values()
        elif isinstance(entry, list):
            queue += entry
    return found


def _neutral(rng: Random, document: dict[str, Any], key: str) -> bytes:
    """Return the JSON of a document: in another order, with unknown fields, and written in another way."""
    if rng.random() < 0.5:
        for entry in _objects(document):
            items = list(entry.items())
            if rng.random() < 0.3:
                items += [
                    (name, rng.choice((*WRONG, hostile(rng, key))))
                    for name in (rng.choice(UNKNOWN),)
                    if name not in entry
                ]
            rng.shuffle(items)
            entry.clear()
            entry.update(items)
    if rng.random() < 0.5:
        return json.dumps(document).encode()
    separators = rng.choice(((",", ":"), (" ,\n", " :\t"), (", ", ": ")))
    indent = rng.choice((None, None, 1, "\t"))
    blank = rng.choice(("", " ", "\n", "\r\n\t"))
    text = json.dumps(document, ensure_ascii=False, separators=separators, indent=indent)
    try:
        return f"{blank}{text}{blank}".encode()
    except UnicodeEncodeError:  # half of a pair
        return json.dumps(document).encode()


def _break_field(rng: Random, stage: str, document: dict[str, Any]) -> bool:
    """Give a field that must have its type another type, or remove it; return whether there is such a field."""
    places = [("success",), *STRICT.get(stage, ())]
    *path, last = rng.choice(places)
    for entry in _objects(document):
        inner = entry
        if path and isinstance(entry.get(path[0]), dict) and path[0] == "policy":
            inner = entry[path[0]]
        elif path == ["currentStatus"]:
            last = last if last in entry else "currentStatus"
        elif path:
            continue
        # The number of a team, a link's and a criterion's are only details.
        if (
            last not in inner
            or (last == "id" and "applications" in inner)
            or (stage == "lookup" and set(inner) == {"id", "name"})
        ):
            continue
        wrong = [
            value for value in WRONG if type(value) is not type(inner[last]) and not (value == () and inner[last] == [])
        ]
        if rng.random() < 0.3:
            del inner[last]
        else:
            inner[last] = rng.choice(wrong)
        return True
    return False


def compose(
    rng: Random, stage: str, word: Any, document: dict[str, Any], *, flaw: str, key: str, settles: bool
) -> Reply:
    """Return the response with a document, changed according to the flaw."""
    headers = {"Date": formatdate(NOW, usegmt=True), "Content-Type": "application/json;charset=UTF-8"}
    if rng.random() < 0.2:
        headers[rng.choice(("X-Zq9", "Set-Cookie", "Server", "Via", "Link"))] = rng.choice(
            ("zq9; a=b", f"APIKEY {key}", "::error::zq9")
        )
    if stage == "upload" and isinstance(word, str) and word != "finished" and rng.random() < 0.3:
        return Reply(word, _neutral(rng, document, key), rng.choice((400, 500, 503)), headers)
    if flaw == "weak":
        return _weakened(rng, word, document, key, headers, settles=settles)
    if flaw == "destroyed":
        return _destroyed(rng, stage, document, key, headers, settles=settles)
    return Reply(word, _neutral(rng, document, key), 200, headers)


def _weakened(
    rng: Random, word: Any, document: dict[str, Any], key: str, headers: dict[str, str], *, settles: bool
) -> Reply:
    way = rng.randrange(6)
    if way == 0:
        headers["Date"] = rng.choice(("", "zq9", "0", "Thu, 99 Foo 2026 00:00:00 GMT"))
    elif way == 1:
        del headers["Date"]
    elif way == 2 and not settles:
        headers["Age"] = "100"
    elif way == 3:
        for entry in _objects(document):
            for name in LOOSE:
                if name in entry and rng.random() < 0.5:
                    entry[name] = rng.choice((None, -1, True, 1.5, (), 2**70))
    body = bytearray(_neutral(rng, document, key))
    if way >= 4:
        for _ in range(rng.choice((1, 1, 3))):
            at = rng.randrange(len(body))
            # A digit could become another id or date.
            if body[at] not in b"0123456789":
                body[at] ^= 1 << rng.randrange(8)
    return Reply(word, bytes(body), 200, headers, whole=False)


def _destroyed(
    rng: Random, stage: str, document: dict[str, Any], key: str, headers: dict[str, str], *, settles: bool
) -> Reply:
    way, code = rng.randrange(12 if settles and stage in {"scans", "eval", "policies", "criteria"} else 11), 200
    if way == 0 and _break_field(rng, stage, document):
        return Reply(None, _neutral(rng, document, key), 200, headers, whole=False)
    if way == 1:
        entry = rng.choice([entry for entry in _objects(document) if entry])
        name = rng.choice(list(entry))
        entry[Twin(name)] = rng.choice((entry[name], None, True))
    body = _neutral(rng, document, key)
    stripped = body.rstrip()
    if way in {0, 2}:
        body = stripped[: rng.randrange(len(stripped))]
    elif way == 3:
        body += rng.choice((b"}", b"x", b"\x00", b"<!-- -->", stripped))
    elif way == 4:
        body = rng.choice((b")]}',\n", b"\x00", b"<html>", b"[", b"HTTP/1.1 200 OK\r\n\r\n")) + body
    elif way == 5:
        page = f"<html><title>{hostile(rng, key)}</title><h1>{hostile(rng, key)}</h1></html>".encode("utf-8", "replace")
        body = rng.choice(
            (page, b"", b"null", b"[]", b"{}", b'"DONE"', b"true", b"{" * 5000, b"[" * 5000 + b"]" * 5000)
        )
        code = rng.choice((200, 200, 403, 404, 500, 503))
    elif way in {6, 7}:
        code = rng.choice((*CODES, *range(500, 505), 599, 999))
    elif way == 8:
        at = stripped.rindex(b"}")
        body = stripped[:at] + b',"zq9":' + rng.choice((b"NaN", b"Infinity", b"-Infinity", b"01", b"'x'", b"")) + b"}"
    elif way == 9:
        body = rng.choice((body.decode().encode("utf-16"), body.replace(b'"', b"'"), b"\xff" + body, body + b"\xff"))
    elif way == 10:
        # Another status or word, almost the same.
        for entry in _objects(document):
            for name in ("status", "currentStatus"):
                if isinstance(entry.get(name), str):
                    entry[name] = rng.choice("\x00\n\t\u200b\u00a0Xſ").join(rng.sample((entry[name].strip(), ""), 2))
        document["success"] = document["success"] if stage == "status" else rng.choice((False, None, "true", 1))
        if stage in {"eval", "policies"} and rng.random() < 0.5:
            document["success"] = True
        body = _neutral(rng, document, key)
        if stage in {"eval", "policies"} and document["success"] is True and b'"passing"' in body:
            body = body[:-1].rstrip()[:-1]
    elif way == 11:
        # From a cache, so it may be older than the scan.
        headers["Age"] = rng.choice(("1", "86400", "zq9", "-1"))
    if 300 <= code < 400:
        headers["Location"] = rng.choice(
            ("/threadfix/login.jsp", "http://zq9.example/", "https://127.0.0.1/", f"/x?apiKey={key}", "http://[", "")
        )
    if code == 429 or code >= 500:
        headers["Retry-After"] = rng.choice(("0", "zq9", "-1", "1"))
    return Reply(None, body, code, headers, whole=False)
