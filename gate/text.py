r"""How untrusted text becomes safe text: for a log line, a workflow command, Markdown, HTML, XML and dotenv.

`Scrubber.clean` is the border: the client sends every word of the server through it once, so that what travels
through the gate has no secret, no line break, no terminal control and nothing that a CI system takes for a command.
The other functions quote such a text for one kind of place.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from html import escape
from html.entities import html5
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from datetime import datetime

REDACTED: Final = "***"
TEXT_LIMIT: Final = 500
"""Characters that are kept of one text of the server."""

# What moves a cursor, ends a line or turns its direction: C0, DEL, C1, line and paragraph separators, bidirectional
# marks, zero-width characters, the byte order mark, Unicode's tags, lone surrogates and non-characters (XML forbids
# the last two).
_UNSAFE: Final = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufdd0-\ufdef\ufeff"
    "\ufff9-\ufffb\ufffe\uffff\ud800-\udfff\U000e0000-\U000e0fff]"
    "|[" + "".join(f"{chr(plane * 0x10000 + 0xFFFE)}{chr(plane * 0x10000 + 0xFFFF)}" for plane in range(1, 17)) + "]"
)
_BLANKS: Final = re.compile(r"\s+")
# GitHub finds `##[` anywhere in a line; Azure Pipelines and TeamCity do the same with `##vso[` and `##teamcity[`.
_BRACKET_COMMAND: Final = re.compile(r"##(?=\w*\[)")
_MARKDOWN_PUNCTUATION: Final = re.compile(r"[!-/:-@\[-`{-~]")
_DOTENV_FORBIDDEN: Final = re.compile(r"""["'`$\\]""")


def _any_form(character: str) -> str:
    """A regular expression for a character in every way of writing it."""
    code, plain = ord(character), re.escape(character)
    forms = [f"%(?i:{code:02x})", f"&#0*{code};", f"&#[xX]0*(?i:{code:x});", rf"\\+u(?i:{code:04x})"]
    if not character.isalnum():
        forms += [rf"\\+{plain}", *(f"&{name}" for name, meant in html5.items() if meant == character)]
    if character == " ":
        forms.append(r"\+")
    # Itself comes last: a quoted form may begin with it.
    return f"(?:{'|'.join([*forms, plain])})"


@dataclass(frozen=True, slots=True)
class Secret:
    """A secret that cannot be printed by mistake: `str()`, `repr()` and formatting show only stars."""

    _value: str = field(repr=False)

    def reveal(self) -> str:
        """The secret itself, for the one place that sends it and the ones that hide it."""
        return self._value

    def pattern(self) -> re.Pattern[str]:
        """Finds the secret as it is, and as URLs, HTML, JSON and programs quote it, character by character."""
        return re.compile("".join(_any_form(character) for character in self._value))

    def __str__(self) -> str:
        return REDACTED

    def __repr__(self) -> str:
        return f"Secret({REDACTED})"


@dataclass(frozen=True, slots=True)
class Scrubber:
    """Makes text safe, knowing which secrets must not be in it."""

    secrets: tuple[Secret, ...] = ()

    def redact(self, value: str) -> str:
        """`value` with every secret replaced by stars, as it is and in the forms in which programs quote it."""
        for secret in self.secrets:
            value = secret.pattern().sub(REDACTED, value)
        return value

    def clean(self, value: str, limit: int = TEXT_LIMIT) -> str:
        """`value` as one line of at most `limit` characters that may stand anywhere behind words of ours.

        Secrets go before and after the rest: before, so that a cut cannot leave half of one; after, because folding
        blanks could put one together.
        """
        # Of a hostile megabyte the rest is not worth folding.
        value = self.redact(value)[: limit * 20]
        value = _BLANKS.sub(" ", _UNSAFE.sub(" ", value)).strip()
        value = self.redact(_BRACKET_COMMAND.sub("# #", value))
        return shorten(value, limit)


def shorten(value: str, limit: int) -> str:
    """`value`, cut to `limit` characters; an ellipsis shows where."""
    return value if len(value) <= limit else value[: limit - 1].rstrip() + "…"


def log_line(value: str) -> str:
    """One line for a log that a CI system reads: no control characters, and no workflow command (`::`, `##[`).

    Reads as `value` does; only a line that would begin a command gets a mark in front.
    """
    value = _BRACKET_COMMAND.sub("# #", _UNSAFE.sub(" ", value)).rstrip()
    return f"· {value.lstrip()}" if value.lstrip().startswith("::") else value


def markdown(value: str) -> str:
    """`value` as literal text in GitHub-flavoured Markdown: in a paragraph, a heading, a list or a table cell.

    Every ASCII punctuation mark becomes a numeric character reference, which Markdown never takes for markup.
    """
    return _MARKDOWN_PUNCTUATION.sub(lambda mark: f"&#{ord(mark[0])};", _UNSAFE.sub(" ", value))


def html(value: str) -> str:
    """`value` as text or as a quoted attribute in HTML and XML."""
    return escape(_UNSAFE.sub(" ", value), quote=True)


def xml(value: str) -> str:
    """`value` without the characters that XML 1.0 forbids even escaped; the XML writer does the escaping."""
    return _UNSAFE.sub(" ", value)


def dotenv(value: str, limit: int) -> str:
    """`value` as the value of a dotenv line: no quotes, `$`, backquotes, backslashes or line breaks; cut to `limit`."""
    return shorten(_DOTENV_FORBIDDEN.sub(" ", _UNSAFE.sub(" ", value)).strip(), limit)


def seconds(value: float) -> str:
    """A length of time for people: `0.4s`, `8s`, `2m10s`, `1h03m`."""
    if value < 10:  # noqa: PLR2004
        return f"{round(value, 1):g}s"
    whole = round(value)
    if whole < 60:  # noqa: PLR2004
        return f"{whole}s"
    if whole < 3600:  # noqa: PLR2004
        return f"{whole // 60}m{whole % 60:02}s" if whole % 60 else f"{whole // 60}m"
    return f"{whole // 3600}h{whole % 3600 // 60:02}m" if whole % 3600 // 60 else f"{whole // 3600}h"


def count(number: int, noun: str) -> str:
    """`1 poll`, `2 polls`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def timestamp(moment: datetime) -> str:
    """A moment in UTC as machines read it: RFC 3339, to the millisecond."""
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
