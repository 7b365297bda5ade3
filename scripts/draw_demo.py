"""Draws docs/demo.svg, the picture in the README, from a real run of the demo. `make docs` runs this script.

The first frame shows all lines, so that a still picture contains the verdict. Then the lines appear one after the
other, five times as fast as in the run.
"""

from __future__ import annotations

import re
import subprocess
import sys
import textwrap
import time
from html import escape
from pathlib import Path
from typing import Final

from gate.sandbox.commands import AFTERWARDS

FILE: Final = Path(__file__).parent.parent / "docs" / "demo.svg"
SCENARIO: Final = "release"
COLUMNS: Final = 100
LINE, CHAR, PAD, BAR = 19, 7.85, 16, 30
FASTER: Final = 5
HOLD: Final = 4
"""Seconds of the first frame."""
STYLE: Final = """\
text { font: 13px ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; white-space: pre; fill: #d8dee9 }
.command { fill: #88c0d0 } .pass { fill: #a3be8c; font-weight: bold } .outage { fill: #ebcb8b }
g { animation: hide 0s HOLDs } @keyframes hide { from, to { opacity: 0 } }
@media (prefers-reduced-motion: reduce) { g { animation: none } }""".replace("HOLD", str(HOLD))


def log() -> list[tuple[float, str]]:
    """Run the demo; return each logged line with its time in seconds."""
    command = [sys.executable, "-m", "gate", "demo", SCENARIO]
    began = time.monotonic()
    lines = []
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        # The folder of the report is a temporary one, with a long name.
        lines += [
            (time.monotonic() - began, re.sub(r"/\S*/release", "release", line.rstrip()))
            for line in process.stderr or ()
        ]
    if process.returncode:
        raise SystemExit(f"the demo ended with {process.returncode}")
    # The advice after the demo is left out: the README has it.
    return lines[: -len(AFTERWARDS.splitlines())]


def style(line: str) -> str:
    """Return the CSS class of a line: command, verdict or outage."""
    starts = {"$": "command", "PASS": "pass"}
    kind = next((name for start, name in starts.items() if line.startswith(start)), "")
    return kind or ("outage" if re.match(r"\[[^]]*\] (error|recovered)", line) else "")


def drawn(lines: list[tuple[float, str]]) -> str:
    """Return the SVG picture."""
    rows = [
        (at, style(line), part)
        for at, line in lines
        for part in textwrap.wrap(line, COLUMNS, subsequent_indent="  ", drop_whitespace=True)
    ]
    width, height = round(COLUMNS * CHAR + 2 * PAD), BAR + len(rows) * LINE + PAD
    text = "\n".join(
        f'<g style="animation-duration: {at / FASTER:.2f}s">'
        f'<text class="{name}" x="{PAD}" y="{BAR + (index + 1) * LINE - 5}">{escape(part)}</text></g>'
        for index, (at, name, part) in enumerate(rows)
    )
    words = escape(" ".join(line for _, line in lines))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" aria-labelledby="t d">\n'
        f'<title id="t">threadfix-gate demo {SCENARIO}</title>\n<desc id="d">{words}</desc>\n<style>{STYLE}</style>\n'
        f'<rect width="{width}" height="{height}" rx="8" fill="#2e3440"/>\n'
        + "".join(
            f'<circle cx="{18 + 18 * i}" cy="16" r="5" fill="{c}"/>'
            for i, c in enumerate(("#bf616a", "#ebcb8b", "#a3be8c"))
        )
        + f"\n{text}\n</svg>\n"
    )


if __name__ == "__main__":
    FILE.write_text(drawn(log()), encoding="utf-8", newline="\n")
