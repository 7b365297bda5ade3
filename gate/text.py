r"""How untrusted text becomes safe text: for a log line, a workflow command, Markdown, HTML, XML and dotenv.

`Sanitizer.sanitize` is the border: the client sends every word of the server through it once, so that what travels
through the gate has no secret, no line break, no terminal control and nothing that a CI system takes for a command.
The other functions quote such a text for one kind of place.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from html import escape
from typing import Final

from gate.redaction import CONTROLS, INVISIBLE, hide

REDACTED: Final = "***"
TEXT_LIMIT: Final = 500
"""Characters that are kept of one text of the server."""
ELLIPSIS: Final = "..."
"""Three dots and not the one character, which old consoles cannot show."""

_CONTROL: Final = re.compile(f"[{CONTROLS}]")
_INVISIBLE: Final = re.compile(f"[{INVISIBLE}]+")
# Blanks and control characters in a row, which show as one blank.
_GAP: Final = re.compile(rf"[\s{CONTROLS}]{{2,}}")
_BLANKS: Final = re.compile(r"\s+")
# GitHub finds `##[` anywhere in a line; Azure Pipelines and TeamCity do the same with `##vso[` and `##teamcity[`.
_BRACKET_COMMAND: Final = re.compile(r"##(?=\w*\[)")
_LOOK_AHEAD: Final = 4
"""So many times the characters that are kept are looked at for secrets: quoted ones shrink to stars."""
_MARKDOWN_PUNCTUATION: Final = re.compile(r"[!-/:-@\[-`{-~]")
_DOTENV_FORBIDDEN: Final = re.compile(r"""["'`$\\]""")


@dataclass(frozen=True, slots=True)
class Secret:
    """A secret that cannot be printed by mistake: `str()`, `repr()` and formatting show only stars."""

    _value: str = field(repr=False)

    def reveal(self) -> str:
        """The secret itself, for the one place that sends it and the ones that hide it."""
        return self._value

    def __str__(self) -> str:
        return REDACTED

    def __repr__(self) -> str:
        return f"Secret({REDACTED})"


@dataclass(frozen=True, slots=True)
class Sanitizer:
    """Makes text safe, knowing which secrets must not be in it."""

    secrets: tuple[Secret, ...] = ()

    def redact(self, value: str) -> str:
        """`value` with every secret replaced by stars, as it is and in the forms in which programs quote it.

        The forms: percent-encoding, HTML's references, the escapes of JSON, programs and shells, base64, and any
        mixture of them, three times over; invisible characters in between, and letters in another case. A text
        without a secret comes back as it is.
        """
        return self._redacted(value, cut=False)

    def sanitize(self, value: str, limit: int = TEXT_LIMIT) -> str:
        """`value` as one line of at most `limit` characters that may stand anywhere behind words of ours.

        Secrets go before and after the rest: before, so that a cut cannot leave half of one; after, because folding
        blanks could put one together.
        """
        # What shows as nothing or as one blank is folded first, so that no more is looked at than can be shown.
        value = _GAP.sub(_folded, _INVISIBLE.sub("", value))
        cut = len(value) > limit * _LOOK_AHEAD
        redacted = self._redacted(value[: limit * _LOOK_AHEAD], cut=cut)
        line = _BRACKET_COMMAND.sub("# #", _BLANKS.sub(" ", _CONTROL.sub(" ", redacted)).strip())
        if line != redacted:
            line = self._redacted(line, cut=cut)
        # A secret quoted at length may have taken all that was looked at: the rest is missing all the same.
        return shorten(line, limit) if not cut or len(line) > limit else shorten(f"{line} {ELLIPSIS}", limit)

    def _redacted(self, value: str, *, cut: bool) -> str:
        secrets = tuple(secret.reveal() for secret in self.secrets if secret.reveal())
        return hide(value, secrets, REDACTED, cut=cut) if secrets else value


def _folded(gap: re.Match[str]) -> str:
    """A gap as one character: a blank separates, a mere control character may stand within a secret."""
    return " " if _BLANKS.search(gap[0]) else gap[0][0]


def shorten(value: str, limit: int) -> str:
    """`value`, cut to `limit` characters, at least those of the three dots that show where."""
    return value if len(value) <= limit else value[: limit - len(ELLIPSIS)].rstrip() + ELLIPSIS


def _visible(value: str) -> str:
    """`value` without the characters that show as nothing, and with a blank for each that controls something."""
    return _CONTROL.sub(" ", _INVISIBLE.sub("", value))


def log_line(value: str) -> str:
    """One line for a log that a CI system reads: no control characters, and no workflow command (`::`, `##[`).

    Reads as `value` does; only a line that would begin a command gets a mark in front.
    """
    value = _BRACKET_COMMAND.sub("# #", _visible(value)).rstrip()
    return f"· {value.lstrip()}" if value.lstrip().startswith("::") else value


def escape_markdown(value: str) -> str:
    """`value` as literal text in GitHub-flavoured Markdown: in a paragraph, a heading, a list or a table cell.

    Every ASCII punctuation mark becomes a numeric character reference, which Markdown never takes for markup.
    """
    return _MARKDOWN_PUNCTUATION.sub(lambda mark: f"&#{ord(mark[0])};", _visible(value))


def escape_html(value: str) -> str:
    """`value` as text or as a quoted attribute in HTML and XML."""
    return escape(_visible(value), quote=True)


def escape_xml(value: str) -> str:
    """`value` without the characters that XML 1.0 forbids even escaped; the XML writer does the escaping."""
    return _visible(value)


def escape_dotenv(value: str, limit: int) -> str:
    """`value` as the value of a dotenv line: no quotes, `$`, backquotes, backslashes or line breaks; cut to `limit`."""
    return shorten(_DOTENV_FORBIDDEN.sub(" ", _visible(value)).strip(), limit)
