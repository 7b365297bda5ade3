"""The only place of the page's colours: the style sheet and the drawing both take them from here.

Some CI systems show the page without its style sheet, so the drawing carries the light colours as attributes.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from gate.model.reasons import Kind
from gate.threadfix.statuses import normal


class Colour(NamedTuple):
    """A colour in both schemes, each as `#rrggbb`; the light colour is also for paper, and without a style sheet."""

    light: str
    dark: str


PALETTE: Final = {
    "page": Colour("#f4f6f8", "#0d1117"),
    "card": Colour("#ffffff", "#161b22"),
    "ink": Colour("#1f2328", "#e6edf3"),
    "soft": Colour("#57606a", "#9ea9b5"),
    "line": Colour("#d8dee6", "#30363d"),
    "track": Colour("#e6eaef", "#262d36"),
    "link": Colour("#0a58ca", "#6cb0ff"),
    "on-link": Colour("#ffffff", "#0d1117"),
    "pass": Colour("#15803d", "#4ac26b"),
    "fail": Colour("#b91c1c", "#ff7b72"),
    "unknown": Colour("#b45309", "#e3a33b"),
    "pass-tint": Colour("#eaf7ee", "#10251a"),
    "fail-tint": Colour("#fdeeee", "#2d1517"),
    "unknown-tint": Colour("#fdf4e4", "#2a2010"),
    "queued": Colour("#5f6b7a", "#94a1b0"),
    "uploaded": Colour("#0e7490", "#39c5d8"),
    "findings-generating": Colour("#0369a1", "#45b5f5"),
    "channel-merging": Colour("#1d4ed8", "#79a8ff"),
    "application-merging": Colour("#4338ca", "#9a94ff"),
    "application-merged": Colour("#6d28d9", "#bb99ff"),
    "linking-defects": Colour("#86198f", "#e58af2"),
    "other": Colour("#57534e", "#b0a9a3"),
}
"""Every colour by its name, which is also the name of its variable in the style sheet."""

STATUS_COLOURS: Final = {
    "QUEUED": "queued",
    "UPLOADED": "uploaded",
    "FINDINGS_GENERATING": "findings-generating",
    "CHANNEL_MERGING": "channel-merging",
    "APPLICATION_MERGING": "application-merging",
    "APPLICATION_MERGED": "application-merged",
    "LINKING_DEFECTS": "linking-defects",
    "DONE": "pass",
    "FINISHED_FINDING_PULLING": "pass",
    "SCAN_INTERRUPTED": "fail",
    "SCAN_QUEUED_FOR_DELETE": "unknown",
    "SCAN_DELETED": "fail",
}
"""The colour of each documented status, by its normal form; any other status is `other`."""

CHECK_COLOURS: Final = {"stale": "other", "unchecked": "other", "fresh": "uploaded"}
"""The colour of a fresh and of a stale response."""


def status_colour(status: str) -> str:
    """Return the name of a status's colour."""
    return STATUS_COLOURS.get(normal(status), "other")


def check_colour(status: str) -> str:
    """Return the name of the colour of a fresh or stale response."""
    return CHECK_COLOURS.get(status, "other")


def style_sheet() -> str:
    """Return a variable for each colour, light and dark, and a class for each colour that fills."""
    light = "".join(f"  --{name}: {colour.light};\n" for name, colour in PALETTE.items())
    dark = "".join(f"    --{name}: {colour.dark};\n" for name, colour in PALETTE.items())
    fills = "".join(
        f".fill-{name} {{ fill: var(--{name}); }}\n"
        for name in dict.fromkeys([*STATUS_COLOURS.values(), "other", *(kind.value for kind in Kind)])
    )
    return (
        f"\n:root {{\n  color-scheme: light dark;\n{light}}}\n"
        f"@media screen and (prefers-color-scheme: dark) {{\n  :root {{\n{dark}  }}\n}}\n{fills}"
    )
