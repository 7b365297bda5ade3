"""Make untrusted text safe for a log line, a workflow command, Markdown, HTML, XML and dotenv.

`Sanitizer.sanitize` is the border. The client passes every text of the server through it once, before it is shown;
after that the text has no secret, no line break, no terminal control and no command of a CI system. The other functions
quote such a text for one format.

Secrets are replaced in each form that servers return: unchanged, in any case, percent-encoded, HTML-escaped,
JSON-escaped, in base64, and with blanks or invisible characters in between. Every search takes time in proportion to
the text.
"""

from __future__ import annotations

import html
import re
from base64 import b64encode
from dataclasses import dataclass, field
from functools import lru_cache
from string import ascii_lowercase, ascii_uppercase
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

REDACTED: Final = "***"
MARKS: Final = "*~=_•"  # the first that is in no secret replaces it; the last can be in no key
TEXT_LIMIT: Final = 500  # characters that are shown of a text of the server
ELLIPSIS: Final = "..."  # old consoles cannot show the single character
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
LONGEST_ESCAPE: Final = len("&#x0027;")  # the longest usual form of one character
_SHORTEST_IN_BASE64: Final = 8  # characters of a secret; a shorter secret would match in base64 by chance
_CONTROL: Final = re.compile(f"[{CONTROLS}]")
_INVISIBLE: Final = re.compile(f"[{INVISIBLE}]+")
_BLANKS: Final = re.compile(rf"[\s{CONTROLS}]+")
# GitHub finds `##[` anywhere in a line; Azure Pipelines and TeamCity do the same with `##vso[` and `##teamcity[`.
_BRACKET_COMMAND: Final = re.compile(r"##(?=\w*\[)")
_MARKDOWN_PUNCTUATION: Final = re.compile(r"[!-/:-@\[-`{-~]")
_DOTENV_FORBIDDEN: Final = re.compile(r"""["'`$\\]""")
_CAPITALS: Final = str.maketrans(ascii_lowercase, ascii_uppercase)
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
    re.compile("&(?:#[0-9]{1,7}|#[xX][0-9A-Fa-f]{1,6}|[A-Za-z]{1,31});"): lambda match: min(
        map(html.unescape, (match[0], match[0].lower())), key=len
    ),
    re.compile(r"\\(?:[uU][0-9A-Fa-f]{4}|[^u])"): _from_json,
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


@dataclass(frozen=True, slots=True)
class Secret:
    """A secret that cannot be printed by mistake: `str()`, `repr()` and formatting show only stars."""

    _value: str = field(repr=False)

    def reveal(self) -> str:
        """Return the secret itself, for the code that sends or hides it."""
        return self._value

    def __str__(self) -> str:
        return REDACTED

    def __repr__(self) -> str:
        return f"Secret({REDACTED})"


@dataclass(frozen=True, slots=True)
class Sanitizer:
    """Removes secrets and all other unsafe characters from texts."""

    secrets: tuple[Secret, ...] = ()

    @property
    def digits(self) -> tuple[str, ...]:
        """The secrets that are numbers."""
        return tuple(secret for secret in self._revealed() if secret.lstrip("-").isdigit())

    def redact(self, value: str) -> str:
        """Return `value` with stars for every secret, in each form that servers return."""
        secrets = self._revealed()
        # A mark with characters of the secret could complete it together with its neighbours.
        stars = next((mark for mark in MARKS if not any(mark in secret for secret in secrets)), MARKS[0]) * 3
        return hide(value, secrets, stars) if secrets else value

    def sanitize(self, value: str, limit: int = TEXT_LIMIT) -> str:
        """Return `value` as one line of at most `limit` characters, safe anywhere after our own words.

        It reads no more than can be shown, and the longest form of a secret beyond: half of a secret at the cut is not
        shown.
        """
        longest = LONGEST_ESCAPE * max(map(len, self._revealed()), default=0)
        read = value[: 2 * (limit + longest)]
        line = self.redact(_BLANKS.sub(" ", _INVISIBLE.sub("", read)).strip())
        if len(read) < len(value):
            line = f"{line[: len(line) - longest]} {ELLIPSIS}" if len(line) > longest else ELLIPSIS
        return shorten(_BRACKET_COMMAND.sub("# #", line), limit)

    def _revealed(self) -> tuple[str, ...]:
        return tuple(secret.reveal() for secret in self.secrets if secret.reveal())


def shorten(value: str, limit: int) -> str:
    """Return `value`, cut to `limit` characters with three dots at its end; `limit` is at least 3."""
    return value if len(value) <= limit else value[: limit - len(ELLIPSIS)].rstrip() + ELLIPSIS


def trim(value: str) -> str:
    """Return `value` without the blanks (U+0020) around it; `str.strip` removes control characters too."""
    return value.strip(" ")


def fold(value: str) -> str:
    """Return `value` with its ASCII letters in capitals, to compare words in any case.

    Unicode's rules would make different words equal, such as `ß` and `SS`.
    """
    return value.translate(_CAPITALS)


def escape_xml(value: str) -> str:
    """Return `value` without invisible characters, and with a blank for each control character.

    XML 1.0 forbids some of them even escaped; an XML writer escapes all others that need it.
    """
    return _CONTROL.sub(" ", _INVISIBLE.sub("", value))


def log_line(value: str) -> str:
    """Return one line for the log of a CI system: no control characters, and no workflow command (`::`, `##[`)."""
    value = _BRACKET_COMMAND.sub("# #", escape_xml(value)).rstrip()
    return f"· {value.lstrip()}" if value.lstrip().startswith("::") else value


def escape_markdown(value: str) -> str:
    """Return `value` as literal text for GitHub-flavoured Markdown: a paragraph, a heading, a list or a table cell.

    Every ASCII punctuation mark becomes a numeric character reference, which is never markup.
    """
    return _MARKDOWN_PUNCTUATION.sub(lambda mark: f"&#{ord(mark[0])};", escape_xml(value))


def escape_html(value: str) -> str:
    """Return `value` as text or as a quoted attribute in HTML and XML."""
    return html.escape(escape_xml(value), quote=True)


def escape_dotenv(value: str, limit: int) -> str:
    """Return `value` for a dotenv line: no quotes, `$`, backquotes, backslashes or line breaks; cut to `limit`."""
    return shorten(_DOTENV_FORBIDDEN.sub(" ", escape_xml(value)).strip(), limit)
