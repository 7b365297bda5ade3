"""Property tests: no command line, variable, duration, list, URL or link breaks the gate."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from hypothesis import assume, example, given
from hypothesis import strategies as st

from gate import cli
from gate.options import values
from gate.options.parsing import parse
from gate.options.reader import distance, resembled_option, unknown_variables
from gate.options.table import OPTIONS, UI_URL, Option
from gate.threadfix import links

if TYPE_CHECKING:
    from gate.model.reasons import InvalidOption
    from gate.model.subjects import ScanFile


@given(st.text(max_size=20))
@example("٣")
@example("1e5")
@example("nan")
@example("9" * 400)
def test_no_text_breaks_the_duration(text: str) -> None:
    try:
        assert 0 <= values.duration_or_zero(text) <= values.LONGEST
    except ValueError as error:
        assert "write for example" in str(error)  # noqa: PT017


segments = st.lists(st.from_regex(r"[A-Za-z0-9_~-]{1,8}", fullmatch=True).filter(lambda s: s != "rest"), max_size=3)
hosts = st.from_regex(r"[a-z][a-z0-9]{0,8}(\.[a-z][a-z0-9]{0,8}){0,3}", fullmatch=True)
tails = st.sampled_from(["", "/", "//", "/rest", "/rest/", "/rest/latest", "/rest/v2.8/applications/6/upload"])


@given(st.sampled_from(["http", "https"]), hosts, st.none() | st.integers(1, 65535), segments, tails)
def test_every_form_of_a_url_has_the_same_normal_form(
    scheme: str, host: str, port: int | None, context: list[str], tail: str
) -> None:
    authority = host if port is None else f"{host}:{port}"
    normal = links.base_url("/".join([f"{scheme}://{authority}", *context]) + tail)
    parts = urlsplit(normal)
    assert (parts.scheme, parts.hostname) == (scheme, host)
    assert (parts.port or {"http": 80, "https": 443}[scheme]) == (port or {"http": 80, "https": 443}[scheme])
    assert parts.path == "".join(f"/{segment}" for segment in context)
    assert links.base_url(normal) == normal


@given(st.text(max_size=60) | st.text(max_size=40).map("https://".__add__))
@example("https://a\\@evil.example/")
@example("https://a%00b/")
@example("https://[::1%25x]/")
@example("https://\u2100.example/")
def test_no_text_breaks_the_url(text: str) -> None:
    """The result is printable ASCII without user, query and fragment. An error does not repeat the text."""
    try:
        normal = links.base_url(f"{text}Zq9")
    except ValueError as error:
        assert "Zq9" not in str(error)  # noqa: PT017
    else:
        assert normal.isascii()
        assert normal.isprintable()
        assert not set(normal) & set("?#@\\ ")


pieces = st.sampled_from(
    ["/applications/", "/pendingScan/", "/status", "6", "41", "0", "/", "?", "#", "x", "http://h", "٤"]
)


@given(st.text(max_size=80) | st.lists(pieces, max_size=9).map("".join))
@example("http://h/applications/6/pendingScan/41/status?x")
@example("http://h/applications/6/pendingScan/41/statusx")
@example("http://h?/applications/6/pendingScan/41/status")
def test_no_text_breaks_the_status_link(text: str) -> None:
    try:
        link = links.status_link(text)
    except ValueError:
        return
    path = re.split("[?#]", text)[0].removesuffix("/")
    assert path.endswith(f"/applications/{link.application_id}/pendingScan/{link.pending_scan_id}/status")


@given(st.dictionaries(st.sampled_from([o.name for o in OPTIONS if o.flag]), st.lists(st.text(), min_size=1)))
def test_no_flags_break_the_settings(flags: dict[str, list[str]]) -> None:
    """The result is settings or invalid options, never both. Each text is one harmless line."""

    def read(name: str) -> bytes:
        raise FileNotFoundError(2, "No such file or directory", name)

    def find(_: object) -> tuple[ScanFile, ...]:
        raise ValueError("a pattern matches no file")

    parsed = parse(flags, {"THREADFIX_API_KEY": "k" * 40}, read, find)
    assert bool(parsed.invalid) is (parsed.settings is None)
    for invalid in parsed.invalid:
        assert not re.search("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\ud800-\udfff]", invalid.text)


# --- The command line and the environment.

RUN = next(command for command in cli.command_group().commands.values() if command.name == "run")


def typed(args: list[str]) -> tuple[dict[str, Any], tuple[InvalidOption, ...]]:
    """Return the values of the flags in a command line, and the invalid arguments."""
    with RUN.make_context("run", list(args)) as ctx:
        return ctx.params, ctx.meta["invalid"]


CHECKS = ["--pass-criteria", "--no-pass-criteria", "--policy", "PCI", "--policy=--x", "--criteria-from"]
OTHERS = ["--html-file", "--html-file=", "r.html", "--summary", "--no-summary", "--timeout", "5m", "-v", "-vq"]
words = st.sampled_from([*CHECKS, *OTHERS, "--unknown", "-x", "a=b", "-", "--", ""])


@given(st.lists(words, max_size=8))
@example(["--html-file", "--pass-criteria"])
@example(["--policy", "--policy"])
@example(["--pass-criteria", "--no-pass-criteria"])
@example(["--timeout", "5m", "--timeout", "5m"])
@example(["--unknown", "--pass-criteria"])
def test_a_requested_check_is_parsed_or_the_command_line_is_invalid(args: list[str]) -> None:
    flags, invalid = typed(args)
    if not invalid:
        assert flags["pass_criteria"] == (
            "--pass-criteria" in args or (False if "--no-pass-criteria" in args else None)
        )
        assert len(flags["policy"]) == sum(arg.startswith("--policy") for arg in args)
        assert all(args.count(flag) < 2 for flag in ("--html-file", "--timeout", "--criteria-from"))


@given(st.lists((st.text(max_size=9) | words).map("{}Zq9".format), max_size=6))
@example(["--Zq9"])
@example(["-vqZq9", "--quiet=Zq9"])
def test_no_message_about_the_command_line_repeats_an_argument(args: list[str]) -> None:
    """It may be a key. Click must find no error, because its messages repeat arguments."""
    _, invalid = typed(args)
    assert not any("Zq9" in text for entry in invalid for text in (entry.text, entry.option or ""))


@given(st.sampled_from(OPTIONS), st.text(max_size=40))
@example(UI_URL, "{url}/{x}")
def test_no_parser_repeats_a_value(option: Option[Any], text: str) -> None:
    """Only the reader knows whether a value may be shown."""
    with suppress(ValueError):
        option.parse(text)
    for value in (f"{text}Zq9", f"Zq9{text}", f"{{Zq9}}{text}", f"{text},Zq9,", f"{text}\nZq9"):
        try:
            option.parse(value)
        except ValueError as error:
            assert "Zq9" not in str(error)  # noqa: PT017


@st.composite
def slips(draw: st.DrawFn) -> tuple[str, str]:
    """Return an option's name, and the name with one letter inserted, dropped, replaced or swapped with the next."""
    name = draw(st.sampled_from([o.variable for o in OPTIONS if o is not UI_URL])).removeprefix("THREADFIX_")
    at, letter = draw(st.integers(0, len(name) - 1)), draw(st.sampled_from("AEIOTXZ_"))
    rest = name[at + 1 :]
    swapped = rest[:1] + name[at] + rest[1:]
    changed = draw(st.sampled_from([letter + name[at] + rest, rest, letter + rest, swapped]))
    return name, name[:at] + changed


@given(slips(), st.sampled_from(["THREADFIX_", "THREADFIX_GATE_"]))
def test_a_misspelt_variable_is_not_ignored(slip: tuple[str, str], prefix: str) -> None:
    name, wrong = slip
    assert distance(name, wrong, 3) == distance(wrong, name, 3) <= 1
    assume(unknown_variables({f"{prefix}{wrong}": "x"}))
    assert resembled_option(f"{prefix}{wrong}")
