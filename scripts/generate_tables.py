"""Writes the tables of docs/: verdicts, options, outputs, figures. `make docs` runs this script.

The script replaces everything between the marks `<!-- NAME -->` and `<!-- /NAME -->`.
"""

from __future__ import annotations

import json
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from gate.cli import SHORT
from gate.model.reasons import REASONS, SIGNAL_EXIT_CODES, Reason
from gate.options.table import OPTIONS
from gate.reporters.outputs import OUTPUTS
from gate.text.wording import FLAGS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

ROOT: Final = Path(__file__).parent.parent


def table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    """Return a Markdown table."""
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def options() -> str:
    """Return the options under their headings."""
    parts = []
    for group, members in groupby(OPTIONS, key=lambda option: option.group):
        rows = []
        for option in members:
            name = f"`--{option.name}`" if option.flag else f"`{option.variable}`"
            if option.name in SHORT:
                name += f", `{SHORT[option.name]}`"
            if option.is_switch and option.default == "true":
                name += f", `--no-{option.name}`"
            default = "off" if option.default == "false" else "on" if option.default == "true" else option.default
            shown = "–" if default is None else default if option.is_switch else f"`{default}`"
            rows.append((name, shown, FLAGS.fill(option.help)))
        parts.append(f"**{group}**\n\n" + table(("option", "default", ""), rows))
    return "\n\n".join(parts)


def outputs() -> str:
    """Return the outputs."""
    return table(("output", ""), ((f"`{name}`", text) for name, text in OUTPUTS.items()))


def exit_code(reason: Reason) -> str:
    """Return the exit code of a reason; for a cancelled run, one per signal."""
    return " / ".join(map(str, SIGNAL_EXIT_CODES)) if reason is Reason.CANCELLED else str(reason.row.exit_code)


def verdicts() -> str:
    """Return the verdicts and reasons with their meaning and advice."""
    rows = (
        (row.kind.value, f"`{reason}`", exit_code(reason), row.meaning, FLAGS.fill(row.advice))
        for reason, row in REASONS.items()
    )
    return table(("verdict", "reason", "exit code", "meaning", "advice"), rows)


def conditions() -> str:
    """Return the exact condition of each reason."""
    return table(("reason", "when"), ((f"`{reason}`", row.condition) for reason, row in REASONS.items()))


def figures() -> str:
    """Return the newest results of `make bench`."""
    run, action, image, upload, beside = (
        json.loads((ROOT / "benchmarks" / f"{name}.json").read_text(encoding="utf-8"))
        for name in ("results", "action", "image", "upload", "beside")
    )
    rows = (
        (
            "a whole run against a finished scan, compared with `python -c 'import requests'`",
            f"{run['startup_ratio']} ×",
        ),
        ("the same run, compared with one request by `curl`", f"{run['startup_ratio_to_curl']} ×"),
        ("its requests", f"{run['requests_for_a_finished_scan']:g}"),
        ("its peak memory", f"{run['peak_memory_mb']:.0f} MB"),
        ("a gate for a hundred scans, compared with a gate for a single scan", f"{run['hundred_scans_ratio']} ×"),
        ("its peak memory", f"{run['hundred_scans_memory_mb']:.0f} MB"),
        ("one poll over TLS, on a new connection (as the gate does)", f"{run['poll_own_connection_ms']} ms"),
        ("one poll over TLS, on an open connection", f"{run['poll_kept_connection_ms']} ms"),
        (
            f"speed of an upload of {upload['megabytes'] / 1024:g} GiB, compared with `curl --form`: http, https",
            f"{upload['http_speed_ratio']} ×, {upload['https_speed_ratio']} ×",
        ),
        (
            "its peak memory, compared with an upload of 1 MiB",
            f"{upload['https_large_memory_mb']:.0f} MB, {upload['https_memory_mb']:.0f} MB",
        ),
        (
            "the action on a new runner, compared with a ref that is not a release and installs its packages first",
            f"{action['action_seconds']} s, {action['action_without_the_file_seconds']} s",
        ),
        (
            "the single file alone, compared with the installed gate",
            f"{action['one_file_seconds']} s, {action['installed_seconds']} s",
        ),
        ("size of the image above its base", f"{image['added_megabytes']} MB"),
    )
    measured = table(("measurement", "result"), rows)
    names = (("this gate", "gate"), ("every 5 s", "fixed_5s"), ("every 10 s", "fixed_10s"))
    simulated = table(
        ("polling", "requests per scan", "average delay, in percent of the scan's duration"),
        ((name, str(run[f"{key}_requests"]), f"{run[f'{key}_late_percent']} %") for name, key in names),
    )
    best = f"The best schedule for this distribution, with as many requests as the gate: {run['best_late_percent']} %."
    programs = ("gate", "careful loop", "plain loop")
    ends = table(
        ("situation", "right result", *programs),
        [(name, row["right"], *(end_of(row[program]) for program in programs)) for name, row in beside.items()]
        + [
            (
                "**right, of 14**",
                "",
                *(f"**{sum(row[program]['right'] for row in beside.values())}**" for program in programs),
            )
        ],
    )
    return (
        f"{measured}\n\nSimulated on scans of 5 seconds to 1 hour (log-uniform):\n\n{simulated}\n\n{best}\n\n"
        f"The gate beside two scripts, a process and a server for each cell: result, seconds, requests.\n\n{ends}"
    )


def end_of(run: dict[str, Any]) -> str:
    """Return the result of a program in a situation, its seconds and its requests."""
    end = f"{run['end']}, {run['seconds']:.0f} s, {run['polls']}"
    return end if run["right"] else f"**wrong:** {end}"


PAGES: Final[dict[str, dict[str, Callable[[], str]]]] = {
    "docs/options.md": {"options": options, "outputs": outputs, "verdicts": verdicts, "conditions": conditions},
    "docs/performance.md": {"figures": figures},
}
"""The tables of each page."""


def rendered(page: str) -> str:
    """Return the text of a page with current tables.

    Raises:
        SystemExit: the marks of a table are missing or not unique.
    """
    text = (ROOT / page).read_text(encoding="utf-8")
    for name, make in PAGES[page].items():
        start, end = f"<!-- {name} -->", f"<!-- /{name} -->"
        if text.count(start) != 1 or text.count(end) != 1:
            raise SystemExit(f"{page} must have {start} ... {end} once")
        before, _, rest = text.partition(start)
        text = f"{before}{start}\n\n{make()}\n\n{end}{rest.partition(end)[2]}"
    return text


if __name__ == "__main__":
    for page in PAGES:
        (ROOT / page).write_text(rendered(page), encoding="utf-8", newline="\n")
