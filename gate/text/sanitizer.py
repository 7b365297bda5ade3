"""Make untrusted text safe for a log line, a workflow command, Markdown, HTML, XML and dotenv.

`Sanitizer.sanitize` is the border. The client passes every text of the server through it once, before it is shown;
after that the text has no secret, no line break, no terminal control and no command of a CI system. The other functions
quote such a text for one format.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from html import escape
from string import ascii_lowercase, ascii_uppercase
from typing import Final

from gate.text.redaction import CONTROLS, INVISIBLE, LONGEST_ESCAPE, hide

REDACTED: Final = "***"
MARKS: Final = "*~=_•"
"""Characters that replace a secret: the first that is in no secret. The last can be in no key."""
TEXT_LIMIT: Final = 500
"""Characters that are shown of a text of the server."""
ELLIPSIS: Final = "..."
"""Three dots: old consoles cannot show the single character."""

_CONTROL: Final = re.compile(f"[{CONTROLS}]")
_INVISIBLE: Final = re.compile(f"[{INVISIBLE}]+")
_BLANKS: Final = re.compile(rf"[\s{CONTROLS}]+")
# GitHub finds `##[` anywhere in a line; Azure Pipelines and TeamCity do the same with `##vso[` and `##teamcity[`.
_BRACKET_COMMAND: Final = re.compile(r"##(?=\w*\[)")
_MARKDOWN_PUNCTUATION: Final = re.compile(r"[!-/:-@\[-`{-~]")
_DOTENV_FORBIDDEN: Final = re.compile(r"""["'`$\\]""")
_CAPITALS: Final = str.maketrans(ascii_lowercase, ascii_uppercase)


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
        """Return `value` with stars for every secret, in the forms of `gate.text.redaction`."""
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


def _visible(value: str) -> str:
    """Return `value` without invisible characters, and with a blank for each control character."""
    return _CONTROL.sub(" ", _INVISIBLE.sub("", value))


def log_line(value: str) -> str:
    """Return one line for the log of a CI system: no control characters, and no workflow command (`::`, `##[`)."""
    value = _BRACKET_COMMAND.sub("# #", _visible(value)).rstrip()
    return f"· {value.lstrip()}" if value.lstrip().startswith("::") else value


def escape_markdown(value: str) -> str:
    """Return `value` as literal text for GitHub-flavoured Markdown: a paragraph, a heading, a list or a table cell.

    Every ASCII punctuation mark becomes a numeric character reference, which is never markup.
    """
    return _MARKDOWN_PUNCTUATION.sub(lambda mark: f"&#{ord(mark[0])};", _visible(value))


def escape_html(value: str) -> str:
    """Return `value` as text or as a quoted attribute in HTML and XML."""
    return escape(_visible(value), quote=True)


def escape_xml(value: str) -> str:
    """Return `value` without the characters that XML 1.0 forbids even escaped; the XML writer escapes the others."""
    return _visible(value)


def escape_dotenv(value: str, limit: int) -> str:
    """Return `value` for a dotenv line: no quotes, `$`, backquotes, backslashes or line breaks; cut to `limit`."""
    return shorten(_DOTENV_FORBIDDEN.sub(" ", _visible(value)).strip(), limit)
