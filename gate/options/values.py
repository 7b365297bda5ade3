"""Turns an option's text into its value. Pure.

Each function raises ValueError. The text follows the option's name and value, has an example, and does not repeat the
value: `--timeout: 'soon' is not a duration; write for example 90`.
"""

from __future__ import annotations

import codecs
import re
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

from gate.model.history import Accept
from gate.model.subjects import AllPolicies, Policy
from gate.threadfix import links
from gate.threadfix.rules import normal

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

EMPTY: Final = "is empty; if it is set from a variable, check that the variable has a value"
LONGEST: Final = 365 * 24 * 3600.0  # longest duration, in seconds
LONGEST_KEY: Final = 512  # characters; ThreadFix's keys have 40 and more
SHORTEST_INTERVAL: Final = 0.01  # seconds between two polls
TRUE: Final = frozenset({"true", "1", "yes", "on"})
FALSE: Final = frozenset({"false", "0", "no", "off"})
_UNITS: Final = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_DURATION: Final = re.compile(r"(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m)?(?:(\d+(?:\.\d+)?)s)?(?:(\d+)ms)?", re.ASCII)
_UNEXPANDED: Final = re.compile(r"\$\(.*\)|\$\{.*\}|\$[A-Za-z_]\w*", re.ASCII | re.DOTALL)
_QUOTED: Final = re.compile(r"""(["'`]).*\1""", re.DOTALL)


def boolean(value: str) -> bool:
    """Parse `true`, `1`, `yes`, `on` and their opposites, in any case."""
    word = value.lower()
    if word not in TRUE | FALSE:
        raise ValueError("is neither true nor false; write true, 1, yes or on, or their opposites")
    return word in TRUE


def duration(value: str) -> float:
    """Return the seconds of `90`, `0.5s`, `100ms`, `15m` or `1h30m`; more than 0."""
    seconds = duration_or_zero(value)
    if not seconds:
        raise ValueError("must be more than 0; write for example 90, 0.5s, 15m or 1h30m")
    return seconds


def duration_or_zero(value: str) -> float:
    """Parse a duration that may be 0."""
    if re.fullmatch(r"\d+(?:\.\d+)?", value, re.ASCII):
        seconds = float(value)
    else:
        parts = _DURATION.fullmatch(value.lower())
        if not parts or not value:
            raise ValueError("is not a duration; write for example 90, 0.5s, 100ms, 15m or 1h30m")
        seconds = sum(float(part) * unit for part, unit in zip(parts.groups("0"), _UNITS.values(), strict=True))
    if seconds > LONGEST:
        raise ValueError("is more than a year; write for example 15m or 1h30m")
    return seconds


def interval(value: str) -> float:
    """Parse a duration that is not so short that the gate polls without a pause."""
    seconds = duration(value)
    if seconds < SHORTEST_INTERVAL:
        raise ValueError("is too short; write 10ms or more")
    return seconds


def ids(value: str) -> tuple[int, ...]:
    """Parse a list of ids."""
    return _parse_each(links.number, value)


def statuses(value: str) -> tuple[str, ...]:
    """Parse a list of statuses into their normal form."""
    return _parse_each(normal, value)


def lines(value: str) -> tuple[str, ...]:
    """Return the lines of a list, each once. Names may contain blanks and commas."""
    return tuple(dict.fromkeys(line.strip() for line in re.split(r"[\r\n]+", value) if line.strip()))


def paths(value: str) -> tuple[str, ...]:
    """Parse a list of paths or patterns of paths, one per line."""
    return tuple(map(path, lines(value)))


def accepted(value: str) -> tuple[Accept, ...]:
    """Parse a list of refusals that count as a pass."""
    return tuple(map(Accept, _parse_each(choice(*Accept), value)))


def day(value: str) -> date:
    """Parse a day, written as `2026-01-31`."""
    try:
        if re.fullmatch(r"\d{4}-\d{2}-\d{2}", value, re.ASCII):
            return date.fromisoformat(value)
    except ValueError:
        pass
    raise ValueError("is not a day; write it as 2026-01-31")


def policies(value: str) -> tuple[Policy | AllPolicies, ...]:
    """Parse a list of policies, one per line: an id, a name, `remediation:NAME` or `all`."""
    return tuple(dict.fromkeys(map(_policy, lines(value))))


def _policy(line: str) -> Policy | AllPolicies:
    if line.lower() == "all":
        return AllPolicies()
    if re.fullmatch("[0-9]+", line):
        return Policy(id=links.number(line))
    kind, colon, name = line.partition(":")
    if colon and kind.strip().lower() == "remediation":
        if not name.strip():
            raise ValueError("names no policy; write remediation:NAME")
        return Policy(name=name.strip(), remediation=True)
    return Policy(name=line)


def choice(*choices: str) -> Callable[[str], str]:
    """Return a parser that accepts each of `choices`, in any case."""

    def parse(value: str) -> str:
        if value.lower() not in choices:
            raise ValueError(f"is not one of {', '.join(choices)}")
        return value.lower()

    return parse


def api_key(value: str) -> str:
    """Check an API key. The text of an error never repeats it."""
    if len(value) > LONGEST_KEY:
        raise ValueError(f"has more than {LONGEST_KEY} characters; check that it is the API key of ThreadFix")
    if not re.fullmatch(r"[ -~]+", value):
        flaw = "has a line break, a control character or a character outside ASCII in it"
        raise ValueError(f"{flaw}; paste it again as one line")
    if _UNEXPANDED.fullmatch(value):
        flaw = "is an unexpanded variable"
        raise ValueError(f"{flaw}; check that the variable or secret exists, and that this job may read it")
    if _QUOTED.fullmatch(value):
        raise ValueError("has quotes around it; leave them out")
    if value.lower().startswith("apikey "):
        raise ValueError("begins with 'APIKEY '; leave that out, the gate adds it")
    return value


def api_version(value: str) -> str:
    """Parse the version segment of a path; `none` is empty."""
    if not re.fullmatch(r"latest|legacy|none|v\d{1,4}(\.\d{1,4}){0,4}", value.lower(), re.ASCII):
        raise ValueError("is not a version; write latest, legacy, one such as v2.8 (with its v), or none")
    return "" if value.lower() == "none" else value.lower()


def status_path(value: str) -> str:
    """Parse the path of the status endpoint, relative to the base URL, with placeholders."""
    _check_placeholders(value, {"version", "application_id", "pending_scan_id"})
    if "{pending_scan_id}" not in value:
        raise ValueError(f"lacks {{pending_scan_id}}; the default is {links.STATUS_PATH}")
    if not re.fullmatch(r"[!-\"$-\[\]-~]+", value) or re.search(r"://|(^|/)\.\.?(/|$)|^//", value):
        raise ValueError("is not a path below the base URL; write it without host, whitespace, fragment, `.` and `..`")
    return value.lstrip("/")


def ui_url(value: str) -> str:
    """Check the URL template of the link to the scan."""
    _check_placeholders(value, {"url", "team_id", "application_id", "pending_scan_id", "scan_id"})
    if not re.match(r"(\{url\}|https?://)[!-~]*\Z", value):
        raise ValueError("is not a URL; let it start with {url} or https:// and leave out whitespace")
    return value


def path(value: str) -> str:
    """Check the path of a file."""
    if value.startswith("-----BEGIN "):
        raise ValueError("is the text of a certificate or key; write it into a file, and name the file")
    if "\0" in value:
        raise ValueError("contains a NUL character, which no file name can contain")
    if not Path(value).is_absolute():
        try:
            Path.cwd()
        except OSError:
            flaw = "is relative to the folder that the gate was started in, which is gone; write the whole path"
            raise ValueError(flaw) from None
    return value


def text(value: str) -> str:
    """Check that a value is not empty, and that reports can show it: Python lets bytes through that are not UTF-8."""
    if not value:
        raise ValueError(EMPTY)
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValueError("is not UTF-8, so no report could show it; choose another value") from None
    if _UNEXPANDED.fullmatch(value):
        raise ValueError("is a variable that was not expanded; check its name, and how this CI system writes it")
    return value


def utf8(content: bytes) -> bytes:
    """Return a text file as UTF-8 without a byte order mark. PowerShell writes UTF-16."""
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return content.decode("utf-16", "replace").encode("utf-8", "replace")
    return content.removeprefix(codecs.BOM_UTF8)


def _parse_each(parse: Callable[[str], T], value: str) -> tuple[T, ...]:
    """Parse the elements of a list: commas, spaces or newlines separate them."""
    given = list(filter(None, re.split(r"[, \t\r\n]+", value)))
    if not given:
        raise ValueError(EMPTY)
    try:
        return tuple(map(parse, given))
    except ValueError as error:
        raise ValueError(f"contains an element that {error}") from error


def _check_placeholders(value: str, known: set[str]) -> None:
    unknown = set(re.findall(r"\{[^{}]*\}|[{}]", value)) - {f"{{{name}}}" for name in known}
    if unknown:
        names = ", ".join(f"{{{name}}}" for name in sorted(known))
        raise ValueError(f"has an unknown placeholder; known are {names}")
