r"""How a secret is found in a text, however programs have quoted it.

A text can be read in several ways: `%41` is three characters or an `A`, `\"` is two or one. All readings together are
a graph: its nodes are the places between the characters, and an edge leads over one character, or over one escape,
to the next place. A secret is in the text if some path spells it. All paths are followed at once with one bit for
each character of each secret ("shift-and"), so that a text of n characters takes n steps, whatever is in it and
whatever the secret is. What is quoted more than once is unquoted and read again, a fixed number of times.
"""

from __future__ import annotations

import re
import sys
from base64 import b64encode
from dataclasses import dataclass, field
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

CONTROLS: Final = "\x00-\x1f\x7f-\x9f\u2028\u2029\u2800\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff" + "".join(
    f"{chr(plane * 0x10000 + 0xFFFE)}{chr(plane * 0x10000 + 0xFFFF)}" for plane in range(1, 17)
)
"""What shows as a blank, in the form of a regular expression's set: C0, DEL, C1, line and paragraph separators, the
blank of Braille, lone surrogates and non-characters (XML forbids the last two)."""
INVISIBLE: Final = (
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f"
    "\ufeff\uffa0\ufff0-\ufffb\U00013430-\U0001343f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
"""What shows as nothing, likewise: all that Unicode calls default ignorable (soft hyphens, zero-width and
bidirectional marks, variation selectors, fillers, tags), and the other marks that only steer how text is laid out."""

_HEADS: Final = re.compile(r"(?<!\\)\\+|[%&]")
"""Where an escape begins. A run of backslashes is tried only from where it begins: that keeps it linear."""
_HEAD: Final = "%&\\"
_BLANKS: Final = re.compile(r"\s+")
_ROUNDS: Final = 3
"""How often a text is unquoted and read again; each reading sees through one layer of quotes more."""
_LONG: Final = 8
"""Characters from which on a secret is looked for in base64 and in any case: a shorter one would be found by chance."""

_BASE64: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_URL_SAFE: Final = {"+": "+-", "/": "/_"}
_RADIX: Final = {"percent": 16, "unicode": 16, "braced": 16, "byte": 16, "hex": 16, "decimal": 10, "octal": 8}
_CONTROL_LETTERS: Final = dict(zip("abfnrtv", "\a\b\f\n\r\t\v", strict=True))
_REFERENCE: Final = (
    "%(?P<percent>[0-9A-Fa-f]{2}|u[0-9A-Fa-f]{4})"
    "|&(?:#(?:0*(?P<decimal>[0-9]{1,7})|[xX]0*(?P<hex>[0-9A-Fa-f]{1,6}))|(?P<name>[A-Za-z][A-Za-z0-9]{1,31}));?"
)
_BACKSLASHED: Final = (
    r"(?:(?P<unicode>u[0-9A-Fa-f]{4}|U[0-9A-Fa-f]{8})|u\{0*(?P<braced>[0-9A-Fa-f]{1,6})\}|x(?P<byte>[0-9A-Fa-f]{2})"
    "|(?P<octal>[0-7]{1,3}))"
)
_OPEN_ENDED: Final = {"decimal", "hex", "name", "octal"}
"""Escapes whose end is certain only where a `;` or a third octal digit is."""
_OCTAL_DIGITS: Final = 3


@cache
def _invisible() -> re.Pattern[str]:
    return re.compile(f"[{INVISIBLE}]+")


@cache
def _hidden() -> re.Pattern[str]:
    """Characters that may stand between those of a secret and leave it readable."""
    return re.compile(rf"[\\{CONTROLS}{INVISIBLE}]")


@cache
def _escape() -> re.Pattern[str]:
    """One escape, at its first character. A run of backslashes needs no rule: all but the last are skipped."""
    return re.compile(rf"{_REFERENCE}|\\(?:{_BACKSLASHED}|(?P<control>[abfnrtv]))")


@cache
def _unfinished() -> re.Pattern[str]:
    """What may be the beginning of an escape at the very end of a text."""
    return re.compile(
        r"(?:%(?:u[0-9A-Fa-f]{0,3}|[0-9A-Fa-f]?)|&(?:#[xX]?[0-9A-Fa-f]*|[A-Za-z0-9]{0,32})"
        r"|(?<!\\)\\++(?:[uUx][0-9A-Fa-f]{0,7}|u\{[0-9A-Fa-f]*|[0-7]{0,3}))\Z"
    )


@cache
def _names() -> dict[str, str]:
    """HTML's names, without `;`, of the characters that a secret can hold or that can hide one."""
    from html.entities import html5

    return {
        name.rstrip(";"): meant
        for name, meant in html5.items()
        if len(meant) == 1 and (meant.isascii() or meant.isspace() or _hidden().match(meant))
    }


def _meaning(kind: str, written: str) -> str:
    """The character that an escape of this kind stands for; empty if for none."""
    if kind == "control":
        return _CONTROL_LETTERS[written]
    if kind == "name":
        return _names().get(written, "")
    code = int(written.lstrip("uU"), _RADIX[kind])
    return chr(code) if code <= sys.maxunicode else ""


def _escapes(text: str, place: int) -> Iterator[tuple[str, int, bool]]:
    """What the text at `place` may stand for besides itself: a character, the place behind, whether it ends for sure.

    The longest comes last.
    """
    if not (escape := _escape().match(text, place)):
        return
    kind = escape.lastgroup or ""
    begin, end = escape.span(kind)
    open_ended = kind in _OPEN_ENDED
    for stop in range(begin + 1, end + 1) if open_ended else (end,):
        if not (character := _meaning(kind, text[begin:stop])):
            continue
        if open_ended:
            yield character, stop, kind == "octal" and stop - begin == _OCTAL_DIGITS
            if kind != "octal" and text.startswith(";", stop):
                yield character, stop + 1, True
        else:
            yield character, escape.end(), True


@dataclass(frozen=True, slots=True)
class _Text:
    """A text, and where each of its characters begins and ends in the text that it was first read from."""

    characters: str
    starts: Sequence[int]
    ends: Sequence[int]

    def without_unfinished(self) -> _Text:
        """The text without what may be the beginning of an escape at its end."""
        tail = _unfinished().search(self.characters)
        return _Text(self.characters[: tail.start()], self.starts, self.ends) if tail else self

    def visible(self) -> _Text:
        """The text without its invisible characters."""
        return self._replaced((match.start(), match.end(), "") for match in _invisible().finditer(self.characters))

    def unquoted(self, *, loose: bool) -> _Text:
        r"""The text with one layer of quotes less.

        As it was meant, two backslashes are one, and an escape ends where it must (`&#65;`, `\101`). `loose` takes
        backslashes for nothing but quotes, and escapes that end early (`&#65`, `\7`).
        """
        quoted = ((head.start(), *self._quoted(head, loose=loose)) for head in _HEADS.finditer(self.characters))
        return self._replaced((begin, end, meant) for begin, end, meant in quoted if meant is not None)

    def _replaced(self, replacements: Iterable[tuple[int, int, str]]) -> _Text:
        """The text with a character, or none, for what stands between each two places."""
        characters: list[str] = []
        starts: list[int] = []
        ends: list[int] = []
        done = 0
        for begin, end, character in (*replacements, (len(self.characters), len(self.characters), "")):
            if begin < done:
                continue
            characters += self.characters[done:begin], character
            starts += self.starts[done:begin]
            ends += self.ends[done:begin]
            if character:
                starts += [self.starts[begin]] * len(character)
                ends += [self.ends[end - 1]] * len(character)
            done = end
        return _Text("".join(characters), starts, ends)

    def _quoted(self, head: re.Match[str], *, loose: bool) -> tuple[int, str | None]:
        """Where what is quoted from `head` on ends, and what it stands for; `None` if it stands for itself."""
        place = head.end()
        run = len(head[0]) if head[0][0] == "\\" else 0
        kept = "" if loose else "\\" * (run // 2)
        if kept and run % 2 == 0:
            return place, kept
        character = None
        for meant, end, certain in _escapes(self.characters, place - 1):
            # Line breaks and their like are part of no escape, and `\n` may as well be the beginning of a name.
            if meant not in _CONTROL_LETTERS.values() and (certain or loose):
                place, character = end, kept + meant
        following = self.characters[place : place + 1]
        if character is None and run and not following.isalnum():
            # Backslashes before punctuation only quote it.
            if not loose:
                return place + len(following), kept + following
            character = None if any(_escapes(self.characters, place)) else ""
        return place, character


def _readings(value: str, *, cut: bool = False) -> Iterator[_Text]:
    """The text as it is, and with one, two … layers of quotes less. `cut` says that more would follow."""
    whole = _Text(value, range(len(value)), range(1, len(value) + 1))
    if _invisible().search(value):
        whole = whole.visible()
    if cut:
        whole = whole.without_unfinished()
    yield whole
    if not _HEADS.search(value):
        return
    read = {whole.characters}
    for loose in (False, True):
        text = whole
        for _ in range(_ROUNDS):
            text = text.unquoted(loose=loose).visible()
            if cut:
                text = text.without_unfinished()
            if text.characters not in read:
                read.add(text.characters)
                yield text


def _in_base64(secret: str) -> Iterator[list[str]]:
    """The secret within base64, behind 0, 1 or 2 bytes of a group of three: the characters possible at each place.

    Where a character holds bits of a neighbour too, all that fit are possible.
    """
    plain = secret.encode("utf-8", "surrogatepass")
    for lead in range(3):
        zeros, ones = (b64encode(fill * lead + plain + fill * 2).decode() for fill in (b"\0", b"\xff"))
        pairs = zip(zeros, ones, strict=True)
        yield [
            "".join(_URL_SAFE.get(character, character) for character in _between(*pair))
            for pair in list(pairs)[8 * lead // 6 : (8 * (lead + len(plain)) + 5) // 6]
        ]


def _between(zeros: str, ones: str) -> str:
    """All characters of base64 whose bits are those of both, where both agree."""
    low, high = _BASE64.index(zeros), _BASE64.index(ones)
    return "".join(_BASE64[value] for value in range(low, high + 1) if value & ~high == 0 and value & low == low)


class _Needles:
    """What to look for, as bits: each needle of n places has n + 1 bits, one for each number of places that fit."""

    def __init__(self, secrets: tuple[str, ...]) -> None:
        self.starts = self.accepts = self._inside = self._behind_blank = 0
        self.same: dict[int, int] = {}
        """For the last bit of each needle, all of its bits."""
        self._fits: dict[str, int] = {}
        for form in dict.fromkeys(form for secret in secrets for form in _forms(secret)):
            in_any_case = len(form) >= _LONG
            self._add(
                [
                    character + character.swapcase() if in_any_case and character.isascii() else character
                    for character in form
                ]
            )
        for secret in secrets:
            if len(secret) >= _LONG:
                for needle in _in_base64(secret):
                    self._add(needle, broken=True)

    def _add(self, needle: list[str], *, broken: bool = False) -> None:
        """Look for one needle more; `broken` says that blanks may stand anywhere in it."""
        first = self.accepts.bit_length()
        for bit, characters in enumerate(needle, first):
            for character in characters:
                self._fits[character] = self._fits.get(character, 0) | 1 << bit
            if bit > first:
                self._inside |= 1 << bit
                if broken or " " in needle[bit - first - 1]:
                    self._behind_blank |= 1 << bit
        last = first + len(needle)
        self.starts |= 1 << first
        self.accepts |= 1 << last
        self.same[1 << last] = (2 << last) - (1 << first)

    def masks(self, character: str) -> tuple[int, int]:
        """The bits whose next place the character fits, and those that it does not disturb."""
        fits = self._fits.get(character, 0)
        if character == "+":
            # Forms of web pages write a blank so.
            return fits | self._fits.get(" ", 0), 0
        if character.isspace():
            return fits | self._fits.get(" ", 0), self._behind_blank
        if _hidden().match(character):
            return fits if character == "\\" else fits | self._fits.get(" ", 0), self._inside
        return fits, 0


def _forms(secret: str) -> Iterator[str]:
    """The secret as a text shows it, whose blanks are folded; and, should it look quoted itself, unquoted."""
    shown = _invisible().sub("", _BLANKS.sub(" ", secret)) or secret
    yield shown
    for text in _readings(shown):
        for form in (text.characters, _hidden().sub("", text.characters)):
            if len(form) >= min(len(shown), _LONG):
                yield form


@lru_cache(maxsize=8)
def _needles(secrets: tuple[str, ...]) -> _Needles:
    return _Needles(secrets)


def _bits(mask: int) -> Iterator[int]:
    """Each bit of the mask."""
    while mask:
        yield (bit := mask & -mask)
        mask ^= bit


@dataclass(frozen=True, slots=True)
class _Paths:
    """All readings of a text that may spell a secret."""

    text: _Text
    needles: _Needles
    reached: list[int] = field(default_factory=lambda: [0])
    """For each place in the text, the bits of the needles whose beginning ends there."""
    jumps: dict[int, list[tuple[int, str]]] = field(default_factory=dict)
    """For each place behind an escape, where that begins and what it stands for."""

    def begin(self, place: int, bit: int) -> int:
        """Where a path begins that leads to a place and a bit; where several do, one that hides more."""
        while not bit & self.needles.starts:
            place, bit = next(
                (before, former)
                for before, character in (*self.jumps.get(place, ()), (place - 1, self.text.characters[place - 1]))
                for fits, skips in (self.needles.masks(character),)
                for former in (bit >> 1 & fits, bit & skips)
                if former & (self.reached[before] | self.needles.starts)
            )
        return place

    def complete(self) -> Iterator[tuple[int, int]]:
        """Where the secrets are, in places of the first text."""
        needles, reached = self.needles, self.reached
        masks = {character: needles.masks(character) for character in set(self.text.characters)}
        starts, accepts = needles.starts, needles.accepts
        ahead: dict[int, int] = {}
        states = 0
        for place, character in enumerate(self.text.characters):
            before = states | starts
            fits, skips = masks[character]
            states = (before & fits) << 1 | before & skips | ahead.pop(place + 1, 0)
            if character in _HEAD:
                for meant, end, _ in _escapes(self.text.characters, place):
                    fits, skips = needles.masks(meant)
                    if news := (before & fits) << 1 | before & skips:
                        ahead[end] = ahead.get(end, 0) | news
                        self.jumps.setdefault(end, []).append((place, meant))
            reached.append(states)
            for bit in _bits(states & accepts):
                yield self.text.starts[self.begin(place + 1, bit)], self.text.ends[place]
                # Like `str.replace`: what is a part of one is no part of the next.
                states &= ~needles.same[bit]
            reached[-1] = states

    def begun(self) -> Iterator[tuple[int, int]]:
        """Where secrets may begin that the text, now read, is too short for: with half an escape, or before it."""
        end = len(self.text.characters)
        if end < len(self.text.starts):
            yield self.text.starts[end], sys.maxsize
        for bit in _bits(self.reached[-1]):
            yield self.text.starts[self.begin(end, bit)], sys.maxsize


def _concluded(text: _Text, needles: _Needles, *, cut: bool) -> Iterator[tuple[int, int]]:
    """Where the secrets are; where the text was cut, the beginning of one at its end too."""
    paths = _Paths(text, needles)
    yield from paths.complete()
    if cut:
        yield from paths.begun()


def hide(value: str, secrets: tuple[str, ...], instead: str, *, cut: bool = False) -> str:
    """`value` with `instead` for every secret in it, however it is quoted.

    `cut` says that `value` is the beginning of a longer text: what may be the beginning of a secret at its end is
    replaced too. Takes time in proportion to the length of `value`.
    """
    needles = _needles(secrets)
    kept: list[str] = []
    done = 0
    for start, end in sorted(span for text in _readings(value, cut=cut) for span in _concluded(text, needles, cut=cut)):
        if start >= done:
            kept += value[done:start], instead
        done = max(done, end)
    return "".join([*kept, value[done:]])
