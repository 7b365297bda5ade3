"""A secret is found in a text, in each form that servers return."""

from __future__ import annotations

import html
import json
import subprocess
import sys
import unicodedata
from base64 import b64encode, encodebytes, urlsafe_b64encode
from typing import TYPE_CHECKING
from urllib.parse import quote, quote_plus

import pytest

from gate.text.sanitizer import REDACTED, Sanitizer, Secret

if TYPE_CHECKING:
    from collections.abc import Callable

KEY = "aZ09+bY18/cX27dW36eV45"
SANITIZER = Sanitizer((Secret(KEY),))
KEYS = (
    *(KEY, "a+b/Zq7Core9Xw4Kv=&\"'\\<%", "12345678", "%41%42%43", r"\u0041\n&amp;", ".*(a|b)+[c]{2}$^?", "a b  c d"),
    *("ab", "7", "+", r"\\", "&#65;" * 3, "a" * 511 + "b", "*a*", "***"),
)


def each(form: str) -> Callable[[str], str]:
    """Return a function that writes every character in a form, for example `%{:02x}`."""
    return lambda text: "".join(form.format(ord(character)) for character in text)


FORMS: dict[str, Callable[[str], str]] = {
    "as it is": str,
    "in small letters": str.lower,
    "in capitals": str.upper,
    "in a URL": quote,
    "in a path": lambda key: quote(key, safe=""),
    "in a web form": quote_plus,
    "percent-encoded": each("%{:02x}"),
    "percent-encoded in capitals": each("%{:02X}"),
    "in HTML": html.escape,
    "in HTML in odd case": lambda key: html.escape(key).replace("&amp;", "&aMp;"),
    "in references with zeros": each("&#0{};"),
    "in hexadecimal references": each("&#x{:X};"),
    "in JSON": lambda key: json.dumps(key)[1:-1],
    "in JSON with a quoted slash": lambda key: json.dumps(key)[1:-1].replace("/", r"\/"),
    "in JSON's escapes": each(r"\u{:04x}"),
    "in JSON's escapes in capitals": each(r"\U{:04X}"),
    "with invisible characters": "\u200b\x00".join,
    "over several lines": "\r\n".join,
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
@pytest.mark.parametrize("key", KEYS, ids=lambda key: key[:20])
def test_a_key_is_hidden_in_every_form(key: str, form: Callable[[str], str]) -> None:
    sanitizer, echo = Sanitizer((Secret(key),)), form(key)
    for shown in (sanitizer.redact(f"(!{echo}!)"), sanitizer.sanitize(f"(!{echo}!)")):
        assert shown.startswith("(!")
        assert shown.endswith("!)")
        assert not set(shown[2:-2]) - set("*~"), shown
        assert key.lower() not in shown.lower() or key == "***"


@pytest.mark.parametrize("before", ["", "x", "xy", "xyz", "APIKEY ", "Authorization: APIKEY ", '{"key":"'])
@pytest.mark.parametrize("after", ["", "x", '"}', "\n"])
@pytest.mark.parametrize("encode", [b64encode, urlsafe_b64encode, encodebytes])
def test_a_key_within_base64_is_hidden(before: str, after: str, encode: Callable[[bytes], bytes]) -> None:
    encoded = encode(f"{before}{KEY}{after}".encode()).decode()
    for echo in (encoded, json.dumps(encoded), quote(encoded, safe="")):
        shown = SANITIZER.sanitize(f"x {echo} y")
        assert REDACTED in shown
        # The rest is the encoding of the text around the key, and of at most one bit group on each side.
        assert len(shown) <= len("x  y") + len(REDACTED) + 2 + 4 * (len(before) + len(after) + 4)


INVISIBLE = [
    *"\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180e\u180f\u200b\u200f\u202a\u202e\u2060\u206f\u3164",
    *"\ufe00\ufe0e\ufe0f\ufeff\uffa0\ufff0\ufff9\U0001bca0\U0001d173\U000e0001\U000e0020\U000e0100\U000e01ef\U000e0fff",
    *("\u2800", "\x00", "\x1b", "\x7f", "\U0010fffe", "\ud800"),
]


@pytest.mark.parametrize("character", INVISIBLE, ids=ascii)
def test_invisible_characters_hide_no_key(character: str) -> None:
    for text in (character.join(KEY), f"&#{ord(character)};".join(KEY) if character not in "\x00\ud800" else KEY):
        assert SANITIZER.sanitize(f"x {text} y") == SANITIZER.redact(f"x {text} y") == f"x {REDACTED} y"


def test_every_character_that_only_formats_is_left_out() -> None:
    """Unicode's format characters (Cf) show as nothing, except the few that are drawn around or before digits."""
    drawn = {*range(0x600, 0x606), 0x6DD, 0x70F, 0x890, 0x891, 0x8E2, 0x110BD, 0x110CD}
    # Python 3.10 has an older Unicode.
    every = {code for code in range(sys.maxunicode + 1) if unicodedata.category(chr(code)) == "Cf"}
    assert {code for code in every if Sanitizer().sanitize(f"a{chr(code)}b") != "ab"} == drawn & every


def test_a_text_without_the_key_stays() -> None:
    """A short key is not searched in base64."""
    text = "100% of C:\\temp\\x41, &amp; &#65 &unknown; &#1114112; \\u12 %zz a+b \\\\ İ ς \ud800\n" + KEY[:-1]
    assert SANITIZER.redact(text) == text
    assert Sanitizer((Secret("ab"),)).redact("YWI= ab") == f"YWI= {REDACTED}"


@pytest.mark.parametrize("key", ["0+", "+0", "+a b+", "++ab++"])
def test_no_blank_or_plus_at_the_end_of_a_key_is_left(key: str) -> None:
    for form in (str, quote_plus, each("&#{};"), each(r"\u{:04x}")):
        assert Sanitizer((Secret(key),)).redact(f"(!{form(key)}!)") == f"(!{REDACTED}!)"


def test_overlapping_keys_are_hidden_together() -> None:
    """A secret may be a part of another secret, or overlap the next secret."""
    sanitizer = Sanitizer((Secret("abcd"), Secret("xxabcdyy"), Secret("yyzz")))
    assert sanitizer.redact("1xxabcdyyzz2abcdabcd3") == f"1{REDACTED}2{REDACTED}{REDACTED}3"


def test_the_stars_complete_no_key() -> None:
    """A key may begin or end with a star, or contain every mark of ASCII."""
    for key in ("*abcdefgh", "abcdefgh*", "ab***cd", "***~=_***"):
        text = f"{key}{key[1:]}{key[:-1]}{key}{key[1:]} ab{key}cd"
        assert key not in Sanitizer((Secret(key),)).redact(text)


@pytest.mark.unmeasured
@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_no_half_of_a_key_remains_at_the_end_of_a_shortened_text(form: Callable[[str], str]) -> None:
    for filler in (*range(60), *range(60, 700, 3)):
        shown = SANITIZER.sanitize("-" * filler + form(KEY) + "-" * 2_000, limit=40)
        assert not shown.strip("-* ."), shown
        assert len(shown) <= 40


def test_no_more_is_read_than_can_be_shown() -> None:
    """Nothing but the beginning of a hostile megabyte is read."""

    class Text(str):
        __slots__ = ()

        def __getitem__(self, key: object) -> str:
            assert isinstance(key, slice)
            assert key.stop < 2_000
            return str.__getitem__(self, key)

    shown = SANITIZER.sanitize(Text("x " + KEY + " y" * 500_000))
    assert shown.startswith(f"x {REDACTED} y y")
    assert len(shown) == 500


def test_a_cut_shows_if_nothing_can_be_shown() -> None:
    assert SANITIZER.sanitize("\u200b" * 100_000 + KEY) == "..."


WORK = r"""
import sys
from gate.text.sanitizer import Sanitizer, Secret, escape_dotenv, escape_html, escape_markdown, escape_xml, hide
from gate.text.sanitizer import log_line, shorten

KEY = "aZ09bY18cX27dW36eV45fU54gT63hS72iR81jQ90kPlO"
PIECES = [
    "\\", "&#0", "%", "&", "&a", "&amp;", "%25", "a", "\\u0061", "\\\\u00", "&#92;", "#", "##a", " \n", "a ", "a+",
    "a\u00ad", KEY, KEY[:-1] + "!", "&#x5c;", "\u200b",
]
KEYS = [KEY, "a" * 43 + "b", "\\" * 20, "&#0&#0&#0", "%25%25%25", r'\u00\u00"', "0" * 20, "a b " * 8 + "c", "a" * 512]


def work(size):
    for piece in PIECES:
        text = (piece * size)[:size]
        for key in KEYS:
            hide(text, (key,), "***")
            Sanitizer((Secret(key),)).sanitize(text)
        quotes = log_line, escape_markdown, escape_html, escape_xml
        for quote in (*quotes, lambda text: escape_dotenv(text, 300), lambda text: shorten(text, 300)):
            quote(text)
"""


def run(script: str) -> str:
    """Return the output of a script; it is not measured by coverage, because it traces itself."""
    command = [sys.executable, "-c", WORK + script]
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=300, check=True, env={}).stdout


def test_every_text_takes_steps_in_proportion_to_its_length() -> None:
    """Four times the text is four times the lines of Python that run, for every pair of a hostile text and a key."""
    script = """
steps = 0
def trace(frame, event, argument):
    global steps
    steps += 1
    return trace
work(10)
for size in (1_000, 4_000):
    steps = 0
    sys.settrace(trace)
    work(size)
    sys.settrace(None)
    print(steps)
"""
    few, many = map(int, run(script).split())
    assert many < 4.2 * few


def test_long_texts_of_anything_stop_nothing() -> None:
    """The interpreter's own searches are linear too: with a quadratic search, this takes much longer than allowed."""
    script = r"""
for piece in PIECES:
    text = piece * (200_000 // len(piece))
    if piece != KEY:
        hide(text, ("a" * 511 + "b", KEY), "***")
    quotes = log_line, escape_markdown, escape_html, escape_xml, Sanitizer((Secret(KEY),)).sanitize
    for quote in (*quotes, lambda text: escape_dotenv(text, 300)):
        quote(text)
# A file that was named by mistake may be long.
key = "ab" * 100_000
assert hide(f"x {key} y", (key,), "***") == "x *** y"
"""
    run(script)
