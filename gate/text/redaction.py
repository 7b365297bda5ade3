"""Replace secrets in a text, in each form that servers return.

The forms are: unchanged, in any case, percent-encoded, HTML-escaped, JSON-escaped, in base64, and with blanks or
invisible characters in between. Every search takes time in proportion to the text.
"""

from __future__ import annotations

import html
import re
from base64 import b64encode
from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CONTROLS: Final = "\x00-\x1f\x7f-\x9f\u2028\u2029\u2800\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff" + "".join(
    f"{chr(plane * 0x10000 + 0xFFFE)}{chr(plane * 0x10000 + 0xFFFF)}" for plane in range(1, 17)
)
"""Characters that show as a blank, as a set of a regular expression: C0, DEL, C1, line and paragraph separators, the
blank of Braille, lone surrogates and non-characters (XML forbids the last two)."""
INVISIBLE: Final = (
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f"
    "\ufeff\uffa0\ufff0-\ufffb\U00013430-\U0001343f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
"""Characters that show as nothing: all that Unicode calls default ignorable (soft hyphens, zero-width and bidirectional
marks, variation selectors, fillers, tags), and the other marks that only control the layout."""
LONGEST_ESCAPE: Final = 8
"""Characters of the longest usual form of one character, `&#x0027;`."""
_SHORTEST_IN_BASE64: Final = 8
"""Characters of the shortest secret that is searched in base64: a shorter secret would match by chance."""
_JSON_LETTERS: Final = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}


def _from_json(match: re.Match[str]) -> str:
    if digits := match[0][2:]:
        return chr(int(digits, 16))
    letter = match[0][1:]
    return _JSON_LETTERS.get(letter, letter or match[0])


_NOTHING: Final = re.compile("(?!)")
_ESCAPES: Final[dict[re.Pattern[str], Callable[[re.Match[str]], str]]] = {
    _NOTHING: lambda match: match[0],
    re.compile("%[0-9A-Fa-f]{2}"): lambda match: chr(int(digits, 16)) if (digits := match[0][1:]) else match[0],
    re.compile("&(?:#[0-9]{1,7}|#[xX][0-9A-Fa-f]{1,6}|[A-Za-z]{1,31});"): lambda match: html.unescape(match[0]),
    re.compile(r"\\(?:u[0-9A-Fa-f]{4}|[^u])"): _from_json,
}
"""The pattern of each kind of escape, and its decoder; any other character means itself."""


class _Needle(NamedTuple):
    """A form of a secret."""

    form: str
    ignored: re.Pattern[str]  # removed from a text before the search
    any_case: bool
    before: bool = False  # whether ignored characters before the form may belong to the secret, or after it
    after: bool = False

    def reduced(self, text: str) -> str:
        text = self.ignored.sub("", text)
        return text.lower() if self.any_case else text


@lru_cache(maxsize=8)
def _needles(secrets: tuple[str, ...]) -> tuple[_Needle, ...]:
    # Web forms write a blank as `+`. URLs write `+/` of base64 as `-_`, and mail breaks its lines.
    blanks, punctuation = re.compile(rf"[\s+{CONTROLS}{INVISIBLE}]+"), re.compile("[^A-Za-z0-9]+")
    needles = []
    for secret in secrets:
        ignored = blanks if blanks.sub("", secret) else _NOTHING
        form, edges = ignored.sub("", secret), ignored.split(secret)
        needles.append(_Needle(form.lower(), ignored, any_case=True, before=not edges[0], after=not edges[-1]))
        octets = secret.encode("utf-8", "surrogatepass")
        for before in range(3) if len(secret) >= _SHORTEST_IN_BASE64 else ():
            # Only the characters that hold no bits of a neighbour.
            encoded = b64encode(bytes(before) + octets).decode()
            inner = encoded[(8 * before + 5) // 6 : 8 * (before + len(octets)) // 6]
            needles.append(_Needle(punctuation.sub("", inner), punctuation, any_case=False))
    return tuple(needles)


def _spans(value: str, secrets: tuple[str, ...]) -> Iterator[tuple[int, int]]:
    """Yield start and end of every secret in `value`."""
    # Most texts are shorter than a key.
    needles = [needle for needle in _needles(secrets) if len(needle.form) <= len(value)]
    for escape, meaning in _ESCAPES.items() if needles else ():
        read = escape.sub(meaning, value)
        reduced: dict[re.Pattern[str], str] = {}
        for needle in needles if escape is _NOTHING or read != value else ():
            text = reduced.get(needle.ignored) or reduced.setdefault(needle.ignored, needle.reduced(read))
            start = text.find(needle.form)
            if start < 0:
                continue
            # The places in `value` of the characters of the reduced text, between the beginning and the end.
            tokens = re.finditer(f"{escape.pattern}|(?s:.)", value)
            inner = [token.span() for token in tokens for _ in needle.reduced(meaning(token))]
            places = [(0, 0), *inner, (len(value), len(value))]
            while start >= 0:
                end = start + len(needle.form)
                first = places[start][1] if needle.before else places[start + 1][0]
                yield first, places[end + 1][0] if needle.after else places[end][1]
                start = text.find(needle.form, end)


def hide(value: str, secrets: tuple[str, ...], instead: str) -> str:
    """Return `value` with `instead` for every secret in it."""
    kept: list[str] = []
    done = 0
    for start, end in sorted(_spans(value, secrets)):
        if start >= done:
            kept += value[done:start], instead
        done = max(done, end)
    return "".join([*kept, value[done:]])
