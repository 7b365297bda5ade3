"""The only place of the page's colours: the style sheet and the drawing both take them from here.

Some CI systems show the page without its style sheet, so the drawing carries the light colours as attributes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from gate.model.reasons import Kind
from gate.threadfix.statuses import normal


@dataclass(frozen=True, slots=True)
class Colour:
    """One colour in both schemes, each as `#rrggbb`.

    Attributes:
        light: for readers who prefer light, for paper, and without a style sheet.
        dark: for readers who prefer dark.
    """

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
"""Every colour by its name, which is that of the style sheet's variable."""

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


@dataclass(frozen=True, slots=True)
class Paint:
    """How a part of the drawing is painted.

    Attributes:
        style: its class in the style sheet.
        colour: the same colour without a style sheet.
    """

    style: str
    colour: str


def paint(name: str) -> Paint:
    """Return the paint of a colour of the palette."""
    return Paint(f"fill-{name}", PALETTE[name].light)


def status_paint(status: str) -> Paint:
    """Return the paint of a status."""
    return paint(STATUS_COLOURS.get(normal(status), "other"))


def check_paint(status: str) -> Paint:
    """Return the paint of a fresh or stale response."""
    return paint(CHECK_COLOURS.get(status, "other"))


KIND_PAINTS: Final = {kind: paint(kind.value) for kind in Kind}
"""The paint of each verdict."""
OUTAGE_PAINT: Final = KIND_PAINTS[Kind.UNKNOWN]


def style_sheet() -> str:
    """The style sheet's colours: a variable each, light and dark, and a class that fills with each of the paints."""
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
