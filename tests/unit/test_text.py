"""Untrusted text becomes safe text."""

from __future__ import annotations

import pytest

from gate.text.sanitizer import (
    REDACTED,
    Sanitizer,
    Secret,
    escape_dotenv,
    escape_html,
    escape_markdown,
    escape_xml,
    log_line,
    shorten,
)

KEY = Secret("hunter2hunter2")
SANITIZER = Sanitizer((KEY,))


@pytest.mark.parametrize(
    ("text", "sanitized"),
    [
        ("two\r\nlines\tand\x0bmore", "two lines and more"),
        ("\x1b[31mred\x1b[0m", "[31mred [0m"),
        ("a\u2028b\u2029c\x85d", "a b c d"),
        ("\u202egnisrever\u202c \u2066x\u2069", "gnisrever x"),
        ("\ud800\ufffe\uffff\U0001ffff x", "x"),
        ("##[error]x ##vso[task] ##teamcity[x] ###[x ## [x", "# #[error]x # #vso[task] # #teamcity[x] ## #[x ## [x"),
        ("# a heading ## two", "# a heading ## two"),
        ("key hunter2hunter2!", f"key {REDACTED}!"),
        ("hunter2\nhunter2 hunter2\u200bhunter2", f"{REDACTED} {REDACTED}"),
        ("soft\u00adware, \U0001f44d\ufe0f, \u2800braille\u2803", "software, \U0001f44d, braille\u2803"),
        ("a\U0010fffdb\U0010fffec\U0010ffffd\U000ffffee", "a\U0010fffdb c d e"),
        ("Grüße 漢字 👍", "Grüße 漢字 👍"),
        ("", ""),
    ],
)
def test_sanitized_text_is_one_harmless_line(text: str, sanitized: str) -> None:
    assert SANITIZER.sanitize(text) == sanitized


@pytest.mark.parametrize(
    ("text", "limit", "cut"), [("abcdef", 6, "abcdef"), ("abcdefg", 6, "abc..."), ("ab defg", 6, "ab...")]
)
def test_a_cut_shows(text: str, limit: int, cut: str) -> None:
    assert shorten(text, limit) == cut


def test_a_log_line_cannot_begin_a_command() -> None:
    """Not even after blanks, which runners trim."""
    assert log_line("  ::error::x") == "· ::error::x"
    assert log_line("x ::error::y") == "x ::error::y"
    assert log_line("a\nb##[x") == "a b# #[x"


def test_markup_stays_text_in_each_format() -> None:
    assert escape_markdown("*a*|<b>") == "&#42;a&#42;&#124;&#60;b&#62;"
    assert escape_html("<a href='x'>\x00&") == "&lt;a href=&#x27;x&#x27;&gt; &amp;"
    assert escape_xml("a\x0b\ufffeb<") == "a  b<"
    assert escape_dotenv(' say "it" $(now) `x` \\n\n ', 100) == "say  it   (now)  x   n"
    assert escape_dotenv("x" * 1000, 300) == "x" * 297 + "..."


def test_a_key_of_digits_is_known_as_such() -> None:
    assert Sanitizer((KEY, Secret("31415926"), Secret("-5"))).digits == ("31415926", "-5")
