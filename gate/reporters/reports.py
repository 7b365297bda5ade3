"""The one table of reports: which option asks for each, what it is called, where it goes and what renders it.

To add one: an option, a module with `render(verdict) -> str`, and a row here.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from importlib import import_module
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from gate.verdict import Verdict


class Renderer(Protocol):
    """Turns a verdict into the text of a report."""

    def __call__(self, verdict: Verdict) -> str:
        """The text, whole."""
        ...


class Destination(Enum):
    """Where a report goes."""

    FILE = "file"
    STANDARD_OUTPUT = "standard output"
    JOB_SUMMARY = "job summary"


@dataclass(frozen=True, slots=True)
class Report:
    """One report.

    Attributes:
        option: name of the option that asks for it; of a file, its value is the path.
        name: what people call it.
        destination: where it goes.
        module: in this package, with a `render` that is a `Renderer`. A module is imported when its report is asked
            for: some need libraries that take longer to load than a finished scan takes.
    """

    option: str
    name: str
    destination: Destination
    module: str

    def render(self, verdict: Verdict) -> str:
        """The text of the report."""
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
"""Every report, in the order in which they are written."""
