"""The table of reports: the option, name, destination and renderer of each.

To add a report: an option, a module with `render(verdict) -> str`, and a row here.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from importlib import import_module
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from gate.verdict import Verdict


class Renderer(Protocol):
    """Renders a verdict."""

    def __call__(self, verdict: Verdict) -> str:
        """Return the whole text."""
        ...


class Destination(Enum):
    """The destination of a report."""

    FILE = "file"
    STANDARD_OUTPUT = "standard output"
    JOB_SUMMARY = "job summary"


@dataclass(frozen=True, slots=True)
class Report:
    """A report.

    Attributes:
        option: name of the option that requests it; for a file, its value is the path.
        name: as messages call it.
        destination: a file, standard output or the job summary.
        module: in this package, with a `render` that is a `Renderer`. A module is imported if its report is
            requested: some need libraries that take longer to load than a finished scan takes.
    """

    option: str
    name: str
    destination: Destination
    module: str

    def render(self, verdict: Verdict) -> str:
        """Return the text of the report."""
        renderer: Renderer = import_module(f"gate.reporters.{self.module}").render
        return renderer(verdict)


REPORTS: Final = (
    Report("summary", "the job summary", Destination.JOB_SUMMARY, "summary"),
    Report("result-file", "the result document", Destination.FILE, "result"),
    Report("junit-file", "the JUnit report", Destination.FILE, "junit"),
    Report("dotenv-file", "the dotenv file", Destination.FILE, "dotenv"),
    Report("html-file", "the HTML report", Destination.FILE, "page.render"),
    Report("json", "the result document", Destination.STANDARD_OUTPUT, "result"),
)
"""Every report, in the order of writing."""
