"""Writes the README's tables: its options, outputs, reasons and figures are those of the code. `make docs` runs it.

A table stands between two marks, `<!-- NAME -->` and `<!-- /NAME -->`; what is between them belongs to this script.
"""

from __future__ import annotations

import json
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Final

from gate.cli import SHORT
from gate.reasons import REASONS, SIGNAL_EXIT_CODES, Kind, Reason
from gate.reporters.outputs import OUTPUTS
from gate.settings import OPTIONS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

ROOT: Final = Path(__file__).parent.parent
FILE: Final = ROOT / "README.md"


def table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    """A Markdown table."""
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def options() -> str:
    """Every option under its heading."""
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
            rows.append((name, shown, option.help))
        parts.append(f"**{group}**\n\n" + table(("option", "default", ""), rows))
    return "\n\n".join(parts)


def outputs() -> str:
    """Every output."""
    return table(("output", ""), ((f"`{name}`", text) for name, text in OUTPUTS.items()))


def exit_code(reason: Reason) -> str:
    """The exit code of a reason; two for one that has a signal's."""
    return " / ".join(map(str, SIGNAL_EXIT_CODES)) if reason is Reason.CANCELLED else str(reason.row.exit_code)


def reasons() -> str:
    """Verdict, reason and exit code."""
    rows = ((row.kind.value, f"`{reason}`", exit_code(reason), row.condition) for reason, row in REASONS.items())
    return table(("verdict", "reason", "exit code", "when"), rows)


def what_to_do() -> str:
    """What a person at a red build reads."""
    rows = (
        (f"`{row.kind.value.upper()} ({reason}, exit code {exit_code(reason)})`", row.meaning, row.advice)
        for reason, row in REASONS.items()
        if row.kind is not Kind.PASS
    )
    return table(("you see", "it means", "do"), rows)


def figures() -> str:
    """What was measured last, by `make bench`."""
    found, action, image = (
        json.loads((ROOT / "benchmarks" / f"{name}.json").read_text(encoding="utf-8"))
        for name in ("results", "action", "image")
    )
    gate = action["later_run_seconds"] - action["on_top_of_the_gate_seconds"]
    rows = (
        (
            "a whole run against a finished scan, beside `python -c 'import requests'`, which it cannot do without",
            f"{found['startup_ratio']} ×",
        ),
        ("its requests", f"{found['requests_for_a_finished_scan']:g}"),
        ("its memory at the peak", f"{found['peak_memory_mb']:.0f} MB"),
        ("a hundred scans in one gate, beside one alone", f"{found['hundred_scans_ratio']} ×"),
        ("their memory at the peak", f"{found['hundred_scans_memory_mb']:.0f} MB"),
        (
            "the action's first run on a runner (GitHub's own are always fresh), beside plain `venv` and `pip install`",
            f"{action['first_run_seconds']} s, {action['first_run_ratio']} ×",
        ),
        (
            "what the action's set-up adds to a run, from the second one on a runner, beside the run itself",
            f"{action['on_top_of_the_gate_seconds']} s, {action['on_top_of_the_gate_seconds'] / gate:.1f} ×",
        ),
        ("what the image adds to its base", f"{image['added_megabytes']} MB"),
    )
    measured = table(("what", "measured"), rows)
    names = (("this gate", "gate"), ("every 5 s", "fixed_5s"), ("every 10 s", "fixed_10s"))
    simulated = table(
        ("asking", "requests a scan", "how late, of the scan's own time"),
        ((name, str(found[f"{key}_requests"]), f"{found[f'{key}_late_percent']} %") for name, key in names),
    )
    return f"{measured}\n\nOn average, simulated on scans of 5 seconds to 1 hour (log-uniform):\n\n{simulated}"


TABLES: Final[dict[str, Callable[[], str]]] = {
    "reasons": reasons,
    "what-to-do": what_to_do,
    "options": options,
    "outputs": outputs,
    "figures": figures,
}


def rendered(text: str) -> str:
    """The README's text with every table made anew."""
    for name, make in TABLES.items():
        start, end = f"<!-- {name} -->", f"<!-- /{name} -->"
        if text.count(start) != 1 or text.count(end) != 1:
            raise SystemExit(f"README.md must have {start} … {end} once")
        before, _, rest = text.partition(start)
        text = f"{before}{start}\n\n{make()}\n\n{end}{rest.partition(end)[2]}"
    return text


if __name__ == "__main__":
    FILE.write_text(rendered(FILE.read_text(encoding="utf-8")), encoding="utf-8", newline="\n")
