"""A key does not survive in any mixture of the ways in which programs quote text."""

from __future__ import annotations

import html
import json
from html.entities import html5
from random import Random
from urllib.parse import quote, quote_plus

from hypothesis import given, settings
from hypothesis import strategies as st

from gate.text import REDACTED, Sanitizer, Secret

NAMES: dict[str, list[str]] = {}
for _name, _meant in html5.items():
    if _name.endswith(";") and len(_meant) == 1:
        NAMES.setdefault(_meant, []).append(f"&{_name}")
FORMS = (
    *("%{0:02x}", "%{0:02X}", "%u{0:04x}", "&#{0};", "&#00{0};", "&#x{0:x};", "&#X{0:X};"),
    *(r"\u{0:04x}", r"\U{0:08X}", r"\u{{{0:x}}}", r"\x{0:02x}", r"\{0:03o}"),
)
HEADS = r"\%&"
INVISIBLE = ["", "", "", "", "\u00ad", "\u034f", "\u200b", "\ufe0f", "\U000e0100"]
untimed = settings(deadline=None)
printable = st.text([chr(code) for code in range(0x21, 0x7F)], min_size=8, max_size=20)
likely = st.text("abcXYZ0189+/=-_.", min_size=8, max_size=20)
keys = (printable | likely).filter(lambda key: "*" not in key)
around = st.lists(st.sampled_from(["x", " ", "\n", "key=", '"', "'", "<b>", "...", "(", ": "]), max_size=4).map("".join)


def ways(character: str) -> list[str]:
    """All ways to quote a character, and itself, unless quoted text must quote it."""
    if not character.isascii():
        return [character]
    ways = [form.format(ord(character)) for form in FORMS] + NAMES.get(character, [])
    if not character.isalnum():
        ways.append(f"\\{character}")
    return ways if character in HEADS else [character] * 4 + ways


def mixed(random: Random, text: str) -> str:
    """The text, each character quoted in a way of its own, with invisible ones in between."""
    return "".join(random.choice(ways(character)) + random.choice(INVISIBLE) for character in text)


@st.composite
def echoes(draw: st.DrawFn) -> tuple[str, str]:
    """A key, and how a text could show it: quoted character by character, up to three times over."""
    key = echo = draw(keys)
    # A seed is drawn instead of each choice: the texts have hundreds of characters.
    random = Random(draw(st.integers(0, 2**32)))  # noqa: S311 - no secret
    for _ in range(draw(st.integers(1, 3))):
        echo = mixed(random, echo)
    return key, echo


@untimed
@given(echoes(), around, around)
def test_a_key_does_not_survive_in_a_mixture_of_forms(pair: tuple[str, str], before: str, after: str) -> None:
    """Each character in a form of its own, and each of that form's characters again: it is found whole."""
    key, echo = pair
    assert Sanitizer((Secret(key),)).redact(f"{before} {echo} {after}").startswith(f"{before} {REDACTED}")


PROGRAMS = (
    json.dumps,
    repr,
    html.escape,
    quote,
    quote_plus,
    lambda text: quote(text, safe=""),
    lambda text: text.encode("ascii", "xmlcharrefreplace").decode(),
    lambda text: "".join(f"&#{ord(character)}" for character in text),
    lambda text: "".join(f"\\{ord(character):o}" for character in text),
)


@untimed
@given(keys, st.lists(st.sampled_from(PROGRAMS), min_size=1, max_size=3), around, around)
def test_a_key_does_not_survive_behind_programs(key: str, programs: list[type[str]], before: str, after: str) -> None:
    """JSON, Python, HTML and URLs quote it, and what the one made, the next quotes."""
    echo = key
    for program in programs:
        echo = program(echo)
    assert REDACTED in Sanitizer((Secret(key),)).redact(f"{before} {echo} {after}")


@untimed
@given(echoes(), st.integers(0, 120), st.integers(4, 40))
def test_a_cut_leaves_no_half_of_a_key(pair: tuple[str, str], filler: int, limit: int) -> None:
    """Wherever the text is cut, the key goes whole: its first half is not left."""
    key, echo = pair
    shown = Sanitizer((Secret(key),)).sanitize(f"{'~' * filler} {echo} {'~' * 200}", limit)
    assert shown.strip("~ .*") == ""
