"""How a secret is found in a text, however it is quoted."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import unicodedata
from base64 import b64encode, encodebytes, urlsafe_b64encode

import pytest

from gate.redaction import hide
from gate.text import REDACTED, Sanitizer, Secret

KEY = "aZ09+bY18/cX27dW36eV45"
SANITIZER = Sanitizer((Secret(KEY),))


def each(form: str) -> str:
    """The key with every character in a form, for example `%{:02x}`."""
    return "".join(form.format(ord(character)) for character in KEY)


@pytest.mark.parametrize(
    "echo",
    [
        KEY,
        KEY.lower(),
        KEY.upper(),
        each("%{:02x}"),
        each("%{:02X}"),
        each("%25{:02x}"),
        each("%u{:04x}"),
        each("&#{};"),
        each("&#000{};"),
        each("&#x{:x};"),
        each("&#X{:X}"),
        each("&amp;#{};"),
        each("&amp;amp;#{};"),
        each("&#{}"),
        each(r"\u{:04x}"),
        each(r"\\\\\\\\u{:04X}"),
        each(r"\U{:08x}"),
        each(r"\u{{{:x}}}"),
        each(r"\x{:02x}"),
        each(r"\\x{:02x}"),
        each(r"\{:o}"),
        each(r"\\{:03o}"),
        KEY.replace("+", "&plus;").replace("/", "&sol;"),
        KEY.replace("+", "&plus").replace("/", "&sol"),
        KEY.replace("+", r"\+").replace("/", "\\" * 1000 + "/"),
        json.dumps(json.dumps(json.dumps(KEY.replace("a", "\u0061").replace("/", r"\/")))).strip('\\"'),
        "\x00".join(KEY),
    ],
)
def test_a_key_is_hidden_in_every_form(echo: str) -> None:
    """Percent-encoding, HTML's references, the escapes of programs, another case: the key is replaced whole."""
    assert SANITIZER.redact(f"(x {echo} y)") == f"(x {REDACTED} y)"
    assert SANITIZER.sanitize(f"(x {echo} y)") == f"(x {REDACTED} y)"


@pytest.mark.parametrize("before", ["", "x", "xy", "xyz", "APIKEY ", "Authorization: APIKEY ", '{"key":"'])
@pytest.mark.parametrize("after", ["", "x", '"}', "\n"])
@pytest.mark.parametrize("encode", [b64encode, urlsafe_b64encode, encodebytes])
def test_a_key_within_base64_is_hidden(before: str, after: str, encode: object) -> None:
    """In each of the three alignments and both alphabets, over several lines too."""
    assert callable(encode)
    encoded = encode(f"{before}{KEY}{after}".encode()).decode()
    for echo in (encoded, json.dumps(encoded), encoded.replace("+", "%2B").replace("/", "%2f").replace("=", "%3D")):
        shown = SANITIZER.sanitize(f"x {echo} y")
        assert REDACTED in shown
        # What is left are the characters around the key, and a third of them is the encoding's.
        assert len(shown) <= len("x  y") + len(REDACTED) + 2 + 4 * (len(before) + len(after) + 4)


def test_a_short_key_is_not_looked_for_in_base64() -> None:
    """Two or three characters of base64 are found in any text."""
    assert Sanitizer((Secret("ab"),)).redact("YWI= AB ab") == f"YWI= AB {REDACTED}"


INVISIBLE = [
    *"\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180e\u180f\u200b\u200f\u202a\u202e\u2060\u206f\u3164",
    *"\ufe00\ufe0e\ufe0f\ufeff\uffa0\ufff0\ufff9\U0001bca0\U0001d173\U000e0001\U000e0020\U000e0100\U000e01ef\U000e0fff",
    *("\u2800", "\x00", "\x1b", "\x7f", "\U0010fffe"),
]


@pytest.mark.parametrize("character", INVISIBLE, ids=ascii)
def test_invisible_characters_hide_no_key(character: str) -> None:
    """A reader does not see them between the letters; as themselves or quoted, they do not keep the key."""
    assert SANITIZER.sanitize(f"x {character.join(KEY)} y") == f"x {REDACTED} y"
    assert SANITIZER.redact(f"x {character.join(KEY)} y") == f"x {REDACTED} y"
    assert SANITIZER.sanitize(f"x {f'&#{ord(character)};'.join(KEY)} y") == f"x {REDACTED} y"


def test_every_character_that_only_formats_is_left_out() -> None:
    """Unicode's format characters (Cf) show as nothing, but for the few that are drawn around or before digits."""
    drawn = {*range(0x600, 0x606), 0x6DD, 0x70F, 0x890, 0x891, 0x8E2, 0x110BD, 0x110CD}
    left = {
        code
        for code in range(sys.maxunicode + 1)
        if unicodedata.category(chr(code)) == "Cf" and Sanitizer().sanitize(f"a{chr(code)}b") != "ab"
    }
    assert left == drawn


def test_what_only_looks_quoted_stays() -> None:
    """Text without the key comes back as it was."""
    text = r"100% of C:\temp\x41, &amp; &#65 &unknown; &#x110000; \U00110000 \u{110000} \n %zz %u12 \101 a+b \\"
    assert SANITIZER.redact(text) == text


@pytest.mark.parametrize(
    ("key", "echo"),
    [
        ("%41%42%43", "%41%42%43"),
        ('%41%42%43"xyzw', "%41%42%43&amp;quot;xyzw"),
        ("u0041b", r"\u0041b"),
        (r"\\", r"\\"),
        (r"a\b", r"a\\\\b"),
        ("a  b", "a \n b"),
        ("a b", "a&nbsp;b"),
        ("101a", r"\101a"),
        ("\u00ad", "\u00ad"),
    ],
)
def test_a_key_that_looks_quoted_itself_is_found(key: str, echo: str) -> None:
    """Each character may stand for itself or be a part of an escape."""
    assert echo not in Sanitizer((Secret(key),)).redact(echo) or key == "\u00ad"
    assert key not in Sanitizer((Secret(key),)).sanitize(echo)


def test_overlapping_keys_are_hidden_together() -> None:
    """One secret may be a part of another, or end where the next begins."""
    sanitizer = Sanitizer((Secret("abcd"), Secret("xxabcdyy"), Secret("yyzz")))
    assert sanitizer.redact("1xxabcdyyzz2abcdabcd3") == f"1{REDACTED}2{REDACTED}{REDACTED}3"


def test_no_half_key_is_left_where_a_text_is_cut() -> None:
    """What follows is not looked at, so what may be the beginning of a key at the end of the rest is hidden."""
    for filler in range(70):
        for form in ("{}", "&#{};", r"\u{:04x}", "%25{:02x}", "&amp;#x{:x};"):
            echo = "".join(form.format(character if form == "{}" else ord(character)) for character in KEY)
            shown = SANITIZER.sanitize("\x01 " * 7 + "-" * filler + echo * 40, limit=20)
            assert KEY[:3] not in shown
            assert "a" not in shown.replace("amp", "")
            assert len(shown) <= 20


def test_no_more_is_looked_at_than_can_be_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a hostile megabyte only the beginning is searched, blanks and invisible characters not counted."""
    searched: list[int] = []

    def counting(value: str, *args: object, **options: object) -> str:
        searched.append(len(value))
        return hide(value, *args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr("gate.text.hide", counting)
    assert SANITIZER.sanitize("\u200b \x00" * 100_000 + KEY + "x" * 1_000_000).startswith(f"{REDACTED}xxx")
    assert max(searched) <= 4 * 500


def test_a_cut_shows_where_a_key_took_all_the_room() -> None:
    """A key that is quoted at great length may be all that was looked at; the rest is missing all the same."""
    assert SANITIZER.sanitize("x " + KEY[0] + "\\" * 5_000 + KEY[1:] + " y") == f"x {REDACTED} ..."


WORK = r"""
import sys
from gate.redaction import hide
from gate.text import Sanitizer, Secret, escape_dotenv, escape_html, escape_markdown, escape_xml, log_line, shorten

KEY = "aZ09bY18cX27dW36eV45fU54gT63hS72iR81jQ90kPlO"
PIECES = [
    "\\", "&#0", "%", "&", "&a", "&amp", "%25", "a", "\\u{", "\\\\u00", "\\&", "\\0", "&#92;", "#", "##a", " \n",
    "a\u00ad", KEY, KEY[:-1] + "!", "&#x5c;",
]
STARTS = ["&#", "&", "\\u{", "##", "%"]
KEYS = [KEY, "a" * 43 + "b", "\\" * 20, "&#0&#0&#0", "%25%25%25", r'\u00\u00"', "0" * 20, "a b " * 8 + "c"]


def texts(size):
    yield from ((piece * size)[:size] for piece in PIECES)
    yield from (start + character * size for start in STARTS for character in "0a")
    yield "\\" * size + "z"


def work(size):
    for text in texts(size):
        for key in KEYS:
            hide(text, (key,), "***")
            Sanitizer((Secret(key),)).sanitize(text)
        quotes = log_line, escape_markdown, escape_html, escape_xml
        for quote in (*quotes, lambda text: escape_dotenv(text, 300), lambda text: shorten(text, 300)):
            quote(text)
"""


def run(script: str) -> str:
    """What a script prints that may take seconds, but not minutes; not traced, since it traces itself."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COV")}
    done = subprocess.run(
        [sys.executable, "-c", WORK + script], capture_output=True, text=True, timeout=300, check=False, env=environment
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_text_takes_steps_in_proportion_to_its_length() -> None:
    """Four times the text is four times the lines of Python that run, for every pair of a hostile text and a key."""
    counting = """
steps = 0
def trace(frame, event, argument):
    global steps
    steps += 1
    return trace
work(10)
for size in (200, 800):
    steps = 0
    sys.settrace(trace)
    work(size)
    sys.settrace(None)
    print(steps)
"""
    few, many = map(int, run(counting).split())
    assert many < 4.2 * few


def test_a_megabyte_of_anything_stops_nothing() -> None:
    r"""The interpreter's own searches are linear too: with a quadratic one, this takes a quarter of an hour."""
    assert (
        run(r"""
starts = ("&#", "\\u{")
for text in (
    "\\" * 1_000_000, "a" * 150_000, *(piece * 40_000 for piece in starts), *(piece + "0" * 150_000 for piece in starts)
):
    for key in (KEY, "a" * 43 + "b"):
        hide(text, (key,), "***")
    hide(text, (KEY,), "***", cut=True)
for text in ("#" * 500_000, "##a" * 160_000, "##" + "a" * 500_000, " " * 500_000, ":" * 500_000):
    quotes = log_line, escape_markdown, escape_html, escape_xml, Sanitizer((Secret(KEY),)).sanitize
    for quote in (*quotes, lambda text: escape_dotenv(text, 300)):
        quote(text)
print("done")
""")
        == "done\n"
    )
