"""Lays out `--help`: the requirements, an example and the exit codes, then the options in their groups."""

from __future__ import annotations

import re
import textwrap
from typing import TYPE_CHECKING, Final

from gate.model.reasons import REASONS, SIGNAL_EXIT_CODES, Reason
from gate.options import table
from gate.threadfix.links import URL_EXAMPLE

if TYPE_CHECKING:
    from collections.abc import Iterable

    import click

NEEDS: Final = (
    ("--url URL", "Base URL of ThreadFix with its context path."),
    (table.KEY_VARIABLE, "The API key, in the environment; or --api-key-file PATH."),
    ("an application", "--application-id ID; or --team-name and --application-name."),
    ("a scan", "--scan-file PATH uploads a file; --pending-scan-id ID waits for a scan."),
)
EXAMPLE: Final = (
    f"export {table.KEY_VARIABLE}=...  # from a secret of your CI",
    "threadfix-gate run \\",
    f"  --url {URL_EXAMPLE} \\",
    "  --application-id 6 --scan-file report.fpr",
)
NO_BREAK: Final = "\N{NO-BREAK SPACE}"
INDENT: Final = 6  # columns before the text of an option


def exit_codes() -> list[tuple[str, str]]:
    """Return each exit code, and its verdict with the reasons."""
    codes: dict[str, list[Reason]] = {}
    for reason in sorted(REASONS, key=lambda reason: reason.row.exit_code):
        code = ", ".join(map(str, SIGNAL_EXIT_CODES)) if reason is Reason.CANCELLED else str(reason.row.exit_code)
        codes.setdefault(code, []).append(reason)
    return [(code, f"{reasons[0].row.kind.value}: {', '.join(reasons)}") for code, reasons in codes.items()]


def write_introduction(formatter: click.HelpFormatter) -> None:
    """Write the requirements, an example, the exit codes, and the names of variables."""
    with formatter.section("What you need"):
        _write_columns(formatter, NEEDS)
    with formatter.section("Example"):
        for line in EXAMPLE:
            _write_line(formatter, line)
    with formatter.section("Exit codes"):
        _write_columns(formatter, exit_codes())
    formatter.write_paragraph()
    formatter.write_text(
        "Every option can be set in the environment: --some-name is THREADFIX_SOME_NAME. A flag overrides the variable."
    )


def write_options(formatter: click.HelpFormatter, records: list[tuple[str, tuple[str, str]]]) -> None:
    """Write the options under their groups, the expert options last, each text below its flag.

    A record has the group, the flag and the text of an option.
    """
    groups: dict[str, list[tuple[str, str]]] = {}
    for group, record in sorted(records, key=lambda pair: pair[0] == table.EXPERT):
        groups.setdefault(group, []).append(record)
    for group, members in groups.items():
        with formatter.section(group):
            for flag, text in members:
                _write_line(formatter, flag)
                for line in wrap(text, formatter.width - INDENT):
                    _write_line(formatter, line, INDENT)


def group_of(flag: str) -> str:
    """Return the heading for a flag such as `--timeout`; `Other` if it is not an option of the table."""
    return {option.label: option.group for option in table.OPTIONS}.get(flag, "Other")


def wrap(text: str, width: int) -> list[str]:
    """Return `text` in lines of `width`. A longer word is broken after a slash, never within a placeholder."""
    # A default stays on the line of its word.
    text = text.replace("default: ", f"default:{NO_BREAK}")
    words = []
    for word in text.split(" "):
        words += _pieces(word, width) if len(word) > width else [word]
    lines = textwrap.wrap(" ".join(words), width, break_long_words=False, break_on_hyphens=False)
    return [line.replace(NO_BREAK, " ") for line in lines]


def _pieces(word: str, width: int) -> list[str]:
    pieces = [""]
    for part in re.findall("[^/]+/*|/+", word):
        if pieces[-1] and len(pieces[-1]) + len(part) > width:
            pieces.append("")
        pieces[-1] += part
    return pieces


def _write_columns(formatter: click.HelpFormatter, rows: Iterable[tuple[str, str]]) -> None:
    """Write rows of two columns, with the second column wrapped."""
    rows = tuple(rows)
    start = formatter.current_indent + max(len(left) for left, _ in rows) + 2
    for left, text in rows:
        first, *others = wrap(text, formatter.width - start)
        _write_line(formatter, f"{left:<{start - formatter.current_indent}}{first}")
        for line in others:
            _write_line(formatter, line, start)


def _write_line(formatter: click.HelpFormatter, line: str, indent: int | None = None) -> None:
    formatter.write(f"{'':{formatter.current_indent if indent is None else indent}}{line}\n")
